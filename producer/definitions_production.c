#include "producer/definitions_production.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/duration.h"
#include "common/memory.h"

#define DATES_MAX 1000
#define RETRIES_MAX 1000
#define SEAT_POOLS_MAX 8 /* the licensor takes no longer chain */
#define PRODUCTION(member) offsetof(Engenho__Production, member)

static DEFINITION_READ(ordering)
{
    static const char *const words[] = {"key", "production", "none"};
    int word = definition_read_word(reader, value, path, words, ARRAY_SIZE(words));
    *(Engenho__Ordering *)member = word < 0 ? 0 : (Engenho__Ordering)(word + 1);
    return word < 0 ? word : 0;
}

static DEFINITION_READ(cron)
{
    struct error why;
    int result = definition_read_text(reader, value, path, member);
    if (result == 0 && reader->checks->cron(value->text, &why) != 0) {
        return definition_refuse(reader, value, "%s, line %d: %s", path, value->line, why.text);
    }
    return result;
}

static DEFINITION_READ(time_zone)
{
    struct error why;
    int result = definition_read_text(reader, value, path, member);
    if (result == 0 && reader->checks->time_zone(value->text, &why) != 0) {
        return definition_refuse(reader, value, "%s, line %d: %s", path, value->line, why.text);
    }
    return result;
}

/* As protobuf-c lays out a repeated member. */
struct dates_member {
    size_t count;
    int64_t *list;
};

static int compare_dates(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static DEFINITION_READ(dates)
{
    struct dates_member *target = member;
    if (value->type != NODE_LIST || value->count == 0 || value->count > DATES_MAX) {
        return definition_refuse(reader, value, "%s, line %d, must be a list of 1 to %d times",
                                 path, value->line, DATES_MAX);
    }
    target->list = memory_new(value->count, sizeof *target->list);
    for (const struct node *child = value->first; child != NULL; child = child->next) {
        int result = definition_read_instant(reader, child, path, &target->list[target->count]);
        if (result != 0) {
            free(target->list);
            target->list = NULL;
            target->count = 0;
            return result;
        }
        target->count++;
    }
    qsort(target->list, target->count, sizeof *target->list, compare_dates);
    return 0;
}

static DEFINITION_READ(policy)
{
    static const char *const words[] = {"last", "skip", "all"};
    int word = definition_read_word(reader, value, path, words, ARRAY_SIZE(words));
    *(Engenho__MisfirePolicy *)member = word < 0 ? 0 : (Engenho__MisfirePolicy)word;
    return word < 0 ? word : 0;
}

/* A word, or {policy, max, within}. `member` is the schedule. */
static DEFINITION_READ(misfire)
{
    static const struct definition_key keys[] = {
        {"policy", definition_read_policy, offsetof(Engenho__ScheduleTrigger, misfire), true},
        {"max", definition_read_count, offsetof(Engenho__ScheduleTrigger, misfire_max), false},
        {"within", definition_read_duration, offsetof(Engenho__ScheduleTrigger, misfire_within_us),
         false},
    };
    if (value->type == NODE_TEXT) {
        return definition_read_policy(reader, value, path,
                                      (char *)member + offsetof(Engenho__ScheduleTrigger, misfire));
    }
    return definition_read_map(reader, value, path, keys, ARRAY_SIZE(keys), member);
}

static DEFINITION_READ(overlap)
{
    static const char *const words[] = {"queue", "skip", "queueOne", "parallel", "replace"};
    int word = definition_read_word(reader, value, path, words, ARRAY_SIZE(words));
    *(Engenho__OverlapPolicy *)member = word < 0 ? 0 : (Engenho__OverlapPolicy)word;
    return word < 0 ? word : 0;
}

static int check_schedule(struct definition_reader *reader, const struct node *value,
                          const char *path, const Engenho__ScheduleTrigger *schedule)
{
    int kinds =
        (node_get(value, "cron") != NULL) + (schedule->every_us != 0) + (schedule->n_dates_us != 0);
    if (kinds != 1) {
        return definition_refuse(reader, value,
                                 "%s, line %d, needs one of cron, every and dates, not %s", path,
                                 value->line, kinds == 0 ? "none" : "several");
    }
    if (schedule->every_us != 0 && schedule->every_us < SECOND_US) {
        return definition_refuse(reader, value,
                                 "%s.every, line %d, is shorter than 1s, which is the shortest",
                                 path, value->line);
    }
    if (schedule->time_zone[0] != '\0' && node_get(value, "cron") == NULL) {
        return definition_refuse(reader, value,
                                 "%s.timeZone, line %d, has a meaning for cron only: remove it",
                                 path, value->line);
    }
    if (schedule->n_dates_us != 0 && (schedule->first_us != 0 || schedule->last_us != 0)) {
        return definition_refuse(
            reader, value,
            "%s, line %d: first and last are for cron and every: leave dates out of the list", path,
            value->line);
    }
    if (schedule->first_us != 0 && schedule->last_us != 0 &&
        schedule->last_us < schedule->first_us) {
        return definition_refuse(reader, value,
                                 "%s, line %d: last is before first, so it would never fire", path,
                                 value->line);
    }
    return 0;
}

static int read_schedule(struct definition_reader *reader, const struct node *value,
                         const char *path, Engenho__Production *production)
{
    static const struct definition_key keys[] = {
        {"cron", definition_read_cron, offsetof(Engenho__ScheduleTrigger, cron), false},
        {"timeZone", definition_read_time_zone, offsetof(Engenho__ScheduleTrigger, time_zone),
         false},
        {"every", definition_read_duration, offsetof(Engenho__ScheduleTrigger, every_us), false},
        {"first", definition_read_instant, offsetof(Engenho__ScheduleTrigger, first_us), false},
        {"last", definition_read_instant, offsetof(Engenho__ScheduleTrigger, last_us), false},
        {"dates", definition_read_dates, offsetof(Engenho__ScheduleTrigger, n_dates_us), false},
        {"misfire", definition_read_misfire, 0, false},
        {"overlap", definition_read_overlap, offsetof(Engenho__ScheduleTrigger, overlap), false},
    };
    Engenho__ScheduleTrigger *schedule = memory_new(1, sizeof *schedule);
    engenho__schedule_trigger__init(schedule);
    production->schedule = schedule;
    production->trigger_case = ENGENHO__PRODUCTION__TRIGGER_SCHEDULE;
    int result = definition_read_map(reader, value, path, keys, ARRAY_SIZE(keys), schedule);
    return result == 0 ? check_schedule(reader, value, path, schedule) : result;
}

static int read_data(struct definition_reader *reader, const struct node *value, const char *path,
                     Engenho__Production *production)
{
    static const struct definition_key keys[] = {
        {"connection", definition_read_name, offsetof(Engenho__DataTrigger, connection), true},
        {"object", definition_read_name, offsetof(Engenho__DataTrigger, object), true},
        {"when", definition_read_when, offsetof(Engenho__DataTrigger, when), false},
    };
    production->data = memory_new(1, sizeof *production->data);
    engenho__data_trigger__init(production->data);
    production->trigger_case = ENGENHO__PRODUCTION__TRIGGER_DATA;
    return definition_read_map(reader, value, path, keys, ARRAY_SIZE(keys), production->data);
}

/* `member` is the production. */
static DEFINITION_READ(trigger)
{
    static const char *const later[] = {"event", "transition"};
    static const struct {
        const char *name;
        int (*read)(struct definition_reader *reader, const struct node *value, const char *path,
                    Engenho__Production *production);
    } kinds[] = {{"data", read_data}, {"schedule", read_schedule}};
    char text[DEFINITION_PATH_BYTES];
    if (value->type != NODE_MAP || value->count != 1) {
        return definition_refuse(reader, value,
                                 "%s, line %d, must be a map with one of data and schedule", path,
                                 value->line);
    }
    const struct node *child = value->first;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (!strcmp(child->key, kinds[i].name)) {
            return kinds[i].read(reader, child, definition_path(text, path, child->key), member);
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(later); i++) {
        if (!strcmp(child->key, later[i])) {
            return definition_refuse(
                reader, child,
                "%s.%s, line %d: this version starts productions by data and schedule only", path,
                child->key, child->line);
        }
    }
    return definition_refuse(reader, child,
                             "unknown key '%.100s' in %s, line %d: it takes data or schedule",
                             child->key, path, child->line);
}

static DEFINITION_READ(retries)
{
    static const struct definition_key keys[] = {
        {"count", definition_read_count, PRODUCTION(retries), true},
        {"wait", definition_read_wait, PRODUCTION(retry_wait_us), false},
        {"abortOnNewEvent", definition_read_bool, PRODUCTION(abort_on_new_event), false},
    };
    Engenho__Production *production = member;
    int result = definition_read_map(reader, value, path, keys, ARRAY_SIZE(keys), production);
    if (result == 0 && production->retries > RETRIES_MAX) {
        return definition_refuse(reader, value, "%s.count, line %d, is above %d", path, value->line,
                                 RETRIES_MAX);
    }
    return result;
}

static DEFINITION_READ(seat_kind)
{
    static const char *const words[] = {"held", "request", "notified"};
    int word = definition_read_word(reader, value, path, words, ARRAY_SIZE(words));
    *(Engenho__SeatKind *)member = word < 0 ? 0 : (Engenho__SeatKind)(word + 1);
    return word < 0 ? word : 0;
}

/* As protobuf-c lays out a repeated member. */
struct texts_member {
    size_t count;
    char **list;
};

static DEFINITION_READ(pools)
{
    struct texts_member *target = member;
    if (value->type != NODE_LIST || value->count == 0 || value->count > SEAT_POOLS_MAX) {
        return definition_refuse(reader, value, "%s, line %d, must be a list of 1 to %d pools",
                                 path, value->line, SEAT_POOLS_MAX);
    }
    target->list = memory_new(value->count, sizeof *target->list);
    for (const struct node *child = value->first; child != NULL; child = child->next) {
        target->list[target->count] = memory_copy_text("");
        int result = definition_read_name(reader, child, path, &target->list[target->count++]);
        if (result != 0) {
            return result;
        }
        const char *pool = target->list[target->count - 1];
        for (size_t i = 0; i + 1 < target->count; i++) {
            if (strcmp(target->list[i], pool) == 0) {
                return definition_refuse(reader, child,
                                         "%s, line %d, names pool %s twice: the chain loops", path,
                                         child->line, pool);
            }
        }
    }
    return 0;
}

static DEFINITION_READ(seat)
{
    static const struct definition_key keys[] = {
        {"kind", definition_read_seat_kind, PRODUCTION(seat_kind), false},
        {"pools", definition_read_pools, PRODUCTION(n_seat_pools), false},
    };
    return definition_read_map(reader, value, path, keys, ARRAY_SIZE(keys), member);
}

static DEFINITION_READ(breaker)
{
    static const struct definition_key keys[] = {
        {"failures", definition_read_count, PRODUCTION(breaker_failures), true}};
    return definition_read_map(reader, value, path, keys, ARRAY_SIZE(keys), member);
}

static DEFINITION_READ(started)
{
    int result = definition_read_bool(reader, value, path, member);
    if (result == 0) {
        reader->started = value->integer != 0;
    }
    return result;
}

/* What single values can't tell. */
static int check(struct definition_reader *reader, const struct node *spec,
                 const Engenho__Production *production)
{
    const Engenho__ScheduleTrigger *schedule =
        production->trigger_case == ENGENHO__PRODUCTION__TRIGGER_SCHEDULE ? production->schedule
                                                                          : NULL;
    if (schedule != NULL && schedule->overlap == ENGENHO__OVERLAP_POLICY__OVERLAP_POLICY_PARALLEL &&
        production->ordering != ENGENHO__ORDERING__ORDERING_NONE) {
        return definition_refuse(
            reader, spec, "spec.trigger.schedule.overlap, line %d: parallel needs ordering: none",
            spec->line);
    }
    if (production->ordering == ENGENHO__ORDERING__ORDERING_KEY &&
        production->trigger_case != ENGENHO__PRODUCTION__TRIGGER_DATA) {
        return definition_refuse(
            reader, spec,
            "spec.ordering, line %d: key needs a data trigger, which has a variable to order by: "
            "write production or none",
            spec->line);
    }
    if (production->ordering == ENGENHO__ORDERING__ORDERING_NONE && production->state) {
        return definition_refuse(
            reader, spec,
            "spec.state, line %d: executions side by side (ordering: none) share no userCache: "
            "remove one of the two",
            spec->line);
    }
    return 0;
}

int definition_read_production(struct definition_reader *reader, const struct node *spec,
                               Engenho__Production *production)
{
    static const struct definition_key keys[] = {
        {"application", definition_read_name, PRODUCTION(application), true},
        {"agent", definition_read_agent, PRODUCTION(agent), false},
        {"started", definition_read_started, PRODUCTION(started), false},
        {"trigger", definition_read_trigger, 0, false},
        {"ordering", definition_read_ordering, PRODUCTION(ordering), false},
        {"retries", definition_read_retries, 0, false},
        {"timeLimit", definition_read_duration, PRODUCTION(time_limit_us), false},
        {"parameters", definition_read_parameters, PRODUCTION(n_parameters), false},
        {"sessionParameters", definition_read_parameters, PRODUCTION(n_session_parameters), false},
        {"seat", definition_read_seat, 0, false},
        {"memoryLimit", definition_read_size64, PRODUCTION(memory_limit_bytes), false},
        {"outputLimit", definition_read_size32, PRODUCTION(output_limit_bytes), false},
        {"state", definition_read_bool, PRODUCTION(state), false},
        {"breaker", definition_read_breaker, 0, false},
        {"range", definition_read_duration, PRODUCTION(range_us), false},
        {"processInterval", definition_read_duration, PRODUCTION(process_interval_us), false},
    };
    int result = definition_read_map(reader, spec, "spec", keys, ARRAY_SIZE(keys), production);
    if (result == 0 && production->agent[0] == '\0') {
        definition_set_text(&production->agent, AGENT_DEFAULT);
    }
    return result == 0 ? check(reader, spec, production) : result;
}
