/*
 * Each tick takes from the book what is due and submits it, a batch for each shard: the triggers
 * and the new states. The answer settles the batch in the book. A tick comes when the next one is
 * due, and at least twice a second, so that a step of the wall clock is seen.
 */
#include "producer/schedules.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/clock.h"
#include "common/duration.h"
#include "common/log.h"
#include "common/memory.h"
#include "kafka/topics.h"
#include "producer/schedule_book.h"
#include "producer/zone_database.h"

#define TICK_US_MAX (SECOND_US / 2)
#define BUSY_US 200000 /* between two tries when the shard's queue is full */
#define LATE_US_DEFAULT (2 * SECOND_US)
#define STEP_US_MIN SECOND_US    /* of the wall clock, that is worth a line in the log */
#define SWEEP_US (5 * SECOND_US) /* between two updates of gauges */
#define BATCH_FIRINGS_MAX 2000
#define TICK_FIRINGS_MAX 20000
#define NEXT_SERIES_MAX 1000 /* productions with a gauge of their next time */
#define KEY_PREFIX "schedule/"

/* A production with a schedule, as its definition says. */
struct scheduled {
    char *production, *agent, *application;
    int shard;
    bool started;
    char *cron, *time_zone; /* for people */
    int64_t every_us;
    size_t dates;
    char *invalid; /* why it can't run; NULL: it can */
    Engenho__MisfirePolicy misfire;
    UT_hash_handle hh;
};

struct schedules {
    struct schedules_options options;
    struct schedule_book *book;
    struct zone_database *zones;
    struct scheduled *scheduled;
    struct event *tick_event;
    bool catalog_read;
    int64_t wall_minus_mono_us, swept_mono_us, busy_until_mono_us;
    struct metric *drift, *committed, *aborted, *misfires[3], *active, *paused, *invalid;
    struct schedule_firing firing; /* large: not on the stack */
};

/* What one submission carries, until its answer. */
struct batch {
    struct schedules *schedules;
    struct shards_record *records;
    size_t record_count, record_capacity;
    struct settling {
        char *production;
        uint64_t ticket;
        size_t fired;
        int64_t first_nominal_us;
    } * settling;
    size_t count, capacity;
};

static void rearm(struct schedules *schedules)
{
    if (!schedules->catalog_read) {
        return;
    }
    int64_t due_us = schedule_book_due_us(schedules->book), now_us = clock_unix_us(),
            wait_us = TICK_US_MAX;
    if (due_us - now_us < wait_us) {
        wait_us = due_us > now_us ? due_us - now_us : 0;
    }
    int64_t busy_us = schedules->busy_until_mono_us - clock_mono_us();
    wait_us = wait_us < busy_us ? busy_us : wait_us;
    event_add(schedules->tick_event, &(struct timeval){.tv_usec = (suseconds_t)wait_us});
}

static int find_zone(void *context, const char *name, const struct zone **ret_zone,
                     struct error *error)
{
    return zone_database_find(context, name, ret_zone, error);
}

int schedules_check(const Engenho__ScheduleTrigger *trigger, struct error *error)
{
    struct zone_database *zones = zone_database_new();
    struct schedule *schedule = NULL;
    int result = schedule_new(trigger, find_zone, zones, &schedule, error);
    schedule_free(schedule);
    zone_database_free(zones);
    return result;
}

/* Puts a packed message behind the batch's records. */
static void add_record(struct batch *batch, char *topic, char *key, const ProtobufCMessage *message)
{
    size_t bytes = protobuf_c_message_get_packed_size(message);
    uint8_t *value = memory_new(bytes + 1, 1);
    protobuf_c_message_pack(message, value);
    if (batch->record_count == batch->record_capacity) {
        batch->record_capacity = batch->record_capacity != 0 ? 2 * batch->record_capacity : 8;
        batch->records =
            memory_resize(batch->records, batch->record_capacity, sizeof *batch->records);
    }
    batch->records[batch->record_count++] = (struct shards_record){.topic = topic,
                                                                   .partition = -1,
                                                                   .key = key,
                                                                   .key_bytes = strlen(key),
                                                                   .value = value,
                                                                   .value_bytes = bytes};
}

static void add_triggers(struct batch *batch, const struct scheduled *scheduled,
                         const struct schedule_firing *firing, int64_t now_us)
{
    const struct schedules_options *options = &batch->schedules->options;
    Engenho__Trigger trigger = ENGENHO__TRIGGER__INIT;
    trigger.production = scheduled->production;
    trigger.kind = ENGENHO__TRIGGER_KIND__TRIGGER_KIND_SCHEDULE;
    trigger.actual_us = now_us;
    trigger.attempt = 1;
    trigger.generation = firing->generation;
    if (options->package_version != NULL && firing->due.count > 0) {
        trigger.package_version =
            options->package_version(options->context, scheduled->application);
    }
    for (size_t i = 0; i < firing->due.count; i++) {
        trigger.nominal_us = firing->due.fire_us[i];
        add_record(batch, memory_print("triggers.%s", scheduled->agent),
                   memory_copy_text(scheduled->production), &trigger.base);
    }
}

static void add_state(struct batch *batch, const struct schedule_firing *firing)
{
    Engenho__Control control = ENGENHO__CONTROL__INIT;
    Engenho__ScheduleState state = firing->state;
    control.body_case = ENGENHO__CONTROL__BODY_SCHEDULE;
    control.schedule = &state;
    add_record(batch, memory_copy_text(TOPIC_CONTROL),
               memory_print(KEY_PREFIX "%s", firing->production), &control.base);
}

static void free_records(struct batch *batch)
{
    for (size_t i = 0; i < batch->record_count; i++) {
        free((char *)(uintptr_t)batch->records[i].topic);
        free((void *)(uintptr_t)batch->records[i].key);
        free((void *)(uintptr_t)batch->records[i].value);
    }
    free(batch->records);
    batch->records = NULL;
    batch->record_count = batch->record_capacity = 0;
}

/* The answer to a batch: what was committed moves forward in the book, the rest is due as before.
 */
static void settle(void *context, int result, const struct shards_delivery *deliveries,
                   size_t count)
{
    struct batch *batch = context;
    struct schedules *schedules = batch->schedules;
    int64_t now_us = clock_unix_us();
    (void)deliveries;
    (void)count;
    for (size_t i = 0; i < batch->count; i++) {
        struct settling *one = &batch->settling[i];
        schedule_book_settle(schedules->book, one->production, one->ticket, result == 0);
        metric_add(result == 0 ? schedules->committed : schedules->aborted, (double)one->fired);
        if (result == 0 && one->fired > 0) {
            metric_observe(schedules->drift, (double)(now_us - one->first_nominal_us) / SECOND_US);
        }
        free(one->production);
    }
    free(batch->settling);
    free(batch);
    rearm(schedules);
}

static void submit(struct schedules *schedules, int shard, struct batch *batch)
{
    if (batch == NULL) {
        return;
    }
    int result = shards_submit(schedules->options.shards, shard, batch->records,
                               batch->record_count, settle, batch);
    free_records(batch);
    if (result != 0) {
        schedules->busy_until_mono_us = clock_mono_us() + BUSY_US;
        settle(batch, result, NULL, 0);
    }
}

static void count_misfires(struct schedules *schedules, const struct scheduled *scheduled,
                           const struct schedule_due *due)
{
    uint64_t misfires = due->late + due->left_out;
    if (misfires > 0) {
        metric_add(schedules->misfires[scheduled->misfire], (double)misfires);
    }
}

static void add_firing(struct schedules *schedules, struct batch **batch, int64_t now_us)
{
    const struct schedule_firing *firing = &schedules->firing;
    struct scheduled *scheduled;
    HASH_FIND_STR(schedules->scheduled, firing->production, scheduled);
    assert(scheduled != NULL);
    if (*batch == NULL) {
        *batch = memory_new(1, sizeof **batch);
        (*batch)->schedules = schedules;
    }
    if ((*batch)->count == (*batch)->capacity) {
        (*batch)->capacity = (*batch)->capacity != 0 ? 2 * (*batch)->capacity : 8;
        (*batch)->settling =
            memory_resize((*batch)->settling, (*batch)->capacity, sizeof *(*batch)->settling);
    }
    add_triggers(*batch, scheduled, firing, now_us);
    add_state(*batch, firing);
    (*batch)->settling[(*batch)->count++] =
        (struct settling){.production = memory_copy_text(firing->production),
                          .ticket = firing->ticket,
                          .fired = firing->due.count,
                          .first_nominal_us = firing->due.count > 0 ? firing->due.fire_us[0] : 0};
    count_misfires(schedules, scheduled, &firing->due);
}

static void fire_what_is_due(struct schedules *schedules)
{
    struct batch *batches[SHARDS_MAX] = {NULL};
    int64_t now_us = clock_unix_us();
    size_t fired = 0;
    while (fired < TICK_FIRINGS_MAX &&
           schedule_book_pop(schedules->book, now_us, &schedules->firing)) {
        int shard = schedules->firing.shard;
        fired += 1 + schedules->firing.due.count;
        add_firing(schedules, &batches[shard], now_us);
        if (batches[shard]->count == BATCH_FIRINGS_MAX) {
            submit(schedules, shard, batches[shard]);
            batches[shard] = NULL;
        }
    }
    for (int i = 0; i < SHARDS_MAX; i++) {
        submit(schedules, i, batches[i]);
    }
}

/* A wall clock that is set does no harm here (the book never goes back), but people want to know.
 */
static void watch_clock(struct schedules *schedules)
{
    int64_t difference_us = clock_unix_us() - clock_mono_us();
    int64_t step_us = difference_us - schedules->wall_minus_mono_us;
    if (step_us > STEP_US_MIN || step_us < -STEP_US_MIN) {
        log_warn(step_us > 0 ? "the wall clock was set forward: what it passed over is a misfire"
                             : "the wall clock was set back: what has fired does not fire again",
                 LOG_REAL("seconds", (double)step_us / SECOND_US));
    }
    schedules->wall_minus_mono_us = difference_us;
}

static void show_next(struct schedules *schedules, const struct scheduled *scheduled,
                      const struct schedule_view *view)
{
    static const char name[] = "engenho_schedule_next_fire_timestamp_seconds";
    int64_t next_us = view->owned && view->defined ? schedule_next(view->schedule, view->base_us)
                                                   : SCHEDULE_NEVER;
    if (next_us == SCHEDULE_NEVER) {
        metrics_remove(schedules->options.metrics, name, METRIC_VALUES(scheduled->production));
    } else {
        metric_set(
            metrics_series(schedules->options.metrics, name, METRIC_VALUES(scheduled->production)),
            (double)next_us / SECOND_US);
    }
}

static void sweep(struct schedules *schedules)
{
    struct scheduled *scheduled, *next;
    size_t active = 0, paused = 0, invalid = 0, shown = 0;
    HASH_ITER (hh, schedules->scheduled, scheduled, next) {
        struct schedule_view view = {0};
        if (!shards_ready(schedules->options.shards, scheduled->shard)) {
            view.owned = false;
        } else if (scheduled->invalid != NULL) {
            invalid++;
        } else if (!scheduled->started) {
            paused++;
        } else if (schedule_book_view(schedules->book, scheduled->production, &view)) {
            active++;
        }
        if (shown++ < NEXT_SERIES_MAX) {
            show_next(schedules, scheduled, &view);
        }
    }
    metric_set(schedules->active, (double)active);
    metric_set(schedules->paused, (double)paused);
    metric_set(schedules->invalid, (double)invalid);
}

static void on_tick(evutil_socket_t fd, short events, void *context)
{
    struct schedules *schedules = context;
    (void)fd;
    (void)events;
    watch_clock(schedules);
    if (clock_mono_us() >= schedules->busy_until_mono_us) {
        fire_what_is_due(schedules);
    }
    if (clock_mono_us() - schedules->swept_mono_us > SWEEP_US) {
        sweep(schedules);
        schedules->swept_mono_us = clock_mono_us();
    }
    rearm(schedules);
}

static void find_metrics(struct schedules *schedules)
{
    struct metrics *metrics = schedules->options.metrics;
    schedules->drift = metrics_series(metrics, "engenho_schedule_drift_seconds", NULL);
    schedules->committed =
        metrics_series(metrics, "engenho_schedule_triggers_total", METRIC_VALUES("committed"));
    schedules->aborted =
        metrics_series(metrics, "engenho_schedule_triggers_total", METRIC_VALUES("aborted"));
    schedules->misfires[ENGENHO__MISFIRE_POLICY__MISFIRE_POLICY_LAST] =
        metrics_series(metrics, "engenho_schedule_misfires_total", METRIC_VALUES("last"));
    schedules->misfires[ENGENHO__MISFIRE_POLICY__MISFIRE_POLICY_SKIP] =
        metrics_series(metrics, "engenho_schedule_misfires_total", METRIC_VALUES("skip"));
    schedules->misfires[ENGENHO__MISFIRE_POLICY__MISFIRE_POLICY_ALL] =
        metrics_series(metrics, "engenho_schedule_misfires_total", METRIC_VALUES("all"));
    schedules->active = metrics_series(metrics, "engenho_schedule_jobs", METRIC_VALUES("active"));
    schedules->paused = metrics_series(metrics, "engenho_schedule_jobs", METRIC_VALUES("paused"));
    schedules->invalid = metrics_series(metrics, "engenho_schedule_jobs", METRIC_VALUES("invalid"));
}

struct schedules *schedules_new(struct event_base *base, const struct schedules_options *options)
{
    struct schedules *schedules = memory_new(1, sizeof *schedules);
    schedules->options = *options;
    schedules->book =
        schedule_book_new(SHARDS_MAX, options->late_us != 0 ? options->late_us : LATE_US_DEFAULT);
    schedules->zones = zone_database_new();
    schedules->tick_event = event_new(base, -1, 0, on_tick, schedules);
    schedules->wall_minus_mono_us = clock_unix_us() - clock_mono_us();
    find_metrics(schedules);
    log_info("time zones", LOG_TEXT("tzdata", zone_database_version(schedules->zones)));
    return schedules;
}

static void free_scheduled(struct schedules *schedules, struct scheduled *scheduled)
{
    HASH_DEL(schedules->scheduled, scheduled);
    free(scheduled->production);
    free(scheduled->agent);
    free(scheduled->application);
    free(scheduled->cron);
    free(scheduled->time_zone);
    free(scheduled->invalid);
    free(scheduled);
}

void schedules_free(struct schedules *schedules)
{
    if (schedules == NULL) {
        return;
    }
    struct scheduled *scheduled, *next;
    HASH_ITER (hh, schedules->scheduled, scheduled, next) {
        free_scheduled(schedules, scheduled);
    }
    schedule_book_free(schedules->book);
    zone_database_free(schedules->zones);
    event_free(schedules->tick_event);
    free(schedules);
}

static void forget(struct schedules *schedules, const char *production)
{
    struct scheduled *scheduled;
    schedule_book_undefine(schedules->book, production);
    HASH_FIND_STR(schedules->scheduled, production, scheduled);
    if (scheduled != NULL) {
        metrics_remove(schedules->options.metrics, "engenho_schedule_next_fire_timestamp_seconds",
                       METRIC_VALUES(production));
        free_scheduled(schedules, scheduled);
    }
}

/* The state of a production that was deleted is of no use to anyone. */
static void remove_state(struct schedules *schedules, const char *production)
{
    struct schedule_view view;
    if (!schedules->catalog_read || !schedule_book_view(schedules->book, production, &view) ||
        view.state == NULL) {
        return;
    }
    char *key = memory_print(KEY_PREFIX "%s", production);
    struct shards_record record = {
        .topic = TOPIC_CONTROL, .partition = -1, .key = key, .key_bytes = strlen(key)};
    int shard = shards_of(schedules->options.shards, "schedule", production);
    if (shards_submit(schedules->options.shards, shard, &record, 1, NULL, NULL) != 0) {
        log_warn("the state of a deleted schedule stays in control",
                 LOG_TEXT("production", production));
    }
    free(key);
}

static struct scheduled *remember(struct schedules *schedules, const char *name,
                                  const Engenho__Production *production)
{
    const Engenho__ScheduleTrigger *trigger = production->schedule;
    struct scheduled *scheduled = memory_new(1, sizeof *scheduled);
    scheduled->production = memory_copy_text(name);
    scheduled->agent =
        memory_copy_text(production->agent[0] != '\0' ? production->agent : "default");
    scheduled->application = memory_copy_text(production->application);
    scheduled->shard = shards_of(schedules->options.shards, "schedule", name);
    scheduled->started = production->started;
    scheduled->cron = memory_copy_text(trigger->cron);
    scheduled->time_zone = memory_copy_text(trigger->time_zone);
    scheduled->every_us = trigger->every_us;
    scheduled->dates = trigger->n_dates_us;
    bool known = trigger->misfire == ENGENHO__MISFIRE_POLICY__MISFIRE_POLICY_SKIP ||
                 trigger->misfire == ENGENHO__MISFIRE_POLICY__MISFIRE_POLICY_ALL;
    scheduled->misfire = known ? trigger->misfire : ENGENHO__MISFIRE_POLICY__MISFIRE_POLICY_LAST;
    HASH_ADD_KEYPTR(hh, schedules->scheduled, scheduled->production, strlen(scheduled->production),
                    scheduled);
    return scheduled;
}

void schedules_production_changed(struct schedules *schedules, const char *name,
                                  const Engenho__Definition *definition, uint64_t generation)
{
    struct schedule *schedule = NULL;
    struct error error;
    bool is_scheduled =
        definition != NULL && definition->spec_case == ENGENHO__DEFINITION__SPEC_PRODUCTION &&
        definition->production->trigger_case == ENGENHO__PRODUCTION__TRIGGER_SCHEDULE;
    if (definition == NULL) {
        remove_state(schedules, name);
    }
    struct scheduled *before;
    HASH_FIND_STR(schedules->scheduled, name, before);
    if (!is_scheduled) {
        forget(schedules, name);
        return;
    }
    if (before != NULL) {
        free_scheduled(schedules, before);
    }
    const Engenho__Production *production = definition->production;
    struct scheduled *scheduled = remember(schedules, name, production);
    if (schedule_new(production->schedule, find_zone, schedules->zones, &schedule, &error) != 0) {
        scheduled->invalid = memory_copy_text(error.text);
        log_error("a schedule can't run", LOG_TEXT("production", name),
                  LOG_TEXT("error", error.text));
    }
    if (schedule != NULL && production->started) {
        struct schedule_definition known = {.generation = generation,
                                            .changed_us = definition->changed_us,
                                            .started_us = production->started_us};
        schedule_book_define(schedules->book, name, scheduled->shard, schedule, &known);
    } else {
        schedule_free(schedule);
        schedule_book_undefine(schedules->book, name);
    }
    rearm(schedules);
}

void schedules_catalog_read(struct schedules *schedules)
{
    schedules->catalog_read = true;
    rearm(schedules);
}

void schedules_shard_taken(struct schedules *schedules, int shard)
{
    schedule_book_own(schedules->book, shard);
    rearm(schedules);
}

void schedules_shard_lost(struct schedules *schedules, int shard)
{
    schedule_book_disown(schedules->book, shard);
}

void schedules_state(struct schedules *schedules, int shard, const char *key,
                     const Engenho__Control *control)
{
    size_t prefix = strlen(KEY_PREFIX);
    if (strncmp(key, KEY_PREFIX, prefix) != 0) {
        return;
    }
    bool has_state = control != NULL && control->body_case == ENGENHO__CONTROL__BODY_SCHEDULE;
    schedule_book_restore(schedules->book, key + prefix, shard,
                          has_state ? control->schedule : NULL);
}

static json_t *json_instant(int64_t unix_us)
{
    char text[INSTANT_TEXT_BYTES];
    instant_print(unix_us, text);
    return json_string(text);
}

static void describe_times(json_t *object, const struct scheduled *scheduled)
{
    char text[DURATION_TEXT_BYTES];
    if (scheduled->every_us != 0) {
        duration_print(scheduled->every_us, text);
        json_object_set_new(object, "every", json_string(text));
    } else if (scheduled->dates != 0) {
        json_object_set_new(object, "dates", json_integer((json_int_t)scheduled->dates));
    } else {
        json_object_set_new(object, "cron", json_string(scheduled->cron));
        json_object_set_new(
            object, "timeZone",
            json_string(scheduled->time_zone[0] != '\0' ? scheduled->time_zone : "UTC"));
    }
}

static json_t *next_times(const struct schedule *schedule, int64_t after_us, int count)
{
    json_t *times = json_array();
    for (int i = 0; schedule != NULL && i < count; i++) {
        after_us = schedule_next(schedule, after_us);
        if (after_us == SCHEDULE_NEVER) {
            break;
        }
        json_array_append_new(times, json_instant(after_us));
    }
    return times;
}

static const char *state_of(const struct scheduled *scheduled, const struct schedule_view *view)
{
    if (scheduled->invalid != NULL) {
        return "invalid";
    }
    if (!scheduled->started) {
        return "paused";
    }
    return view->owned ? "active" : "elsewhere";
}

static json_t *describe(const struct schedules *schedules, const struct scheduled *scheduled,
                        int next_count)
{
    struct schedule_view view = {0};
    int64_t now_us = clock_unix_us();
    json_t *object = json_object();
    schedule_book_view(schedules->book, scheduled->production, &view);
    json_object_set_new(object, "production", json_string(scheduled->production));
    describe_times(object, scheduled);
    json_object_set_new(object, "state", json_string(state_of(scheduled, &view)));
    json_object_set_new(object, "error",
                        scheduled->invalid != NULL ? json_string(scheduled->invalid) : json_null());
    json_object_set_new(object, "agent", json_string(scheduled->agent));
    json_object_set_new(object, "shard", json_integer(scheduled->shard));
    const char *owner = shards_owner(schedules->options.shards, scheduled->shard);
    json_object_set_new(object, "owner", owner != NULL ? json_string(owner) : json_null());
    bool known = view.state != NULL && view.owned;
    json_object_set_new(object, "last",
                        known ? json_instant(view.state->last_nominal_us) : json_null());
    json_object_set_new(
        object, "next",
        next_times(view.schedule, view.base_us > now_us ? view.base_us : now_us, next_count));
    json_object_set_new(object, "fired",
                        view.owned ? json_integer(known ? (json_int_t)view.state->fired : 0)
                                   : json_null());
    json_object_set_new(object, "misfired",
                        view.owned ? json_integer(known ? (json_int_t)view.state->misfired : 0)
                                   : json_null());
    return object;
}

json_t *schedules_json(const struct schedules *schedules, const char *production, int next_count)
{
    json_t *list = json_array();
    struct scheduled *scheduled, *next;
    HASH_ITER (hh, schedules->scheduled, scheduled, next) {
        if (production == NULL || !strcmp(production, scheduled->production)) {
            json_array_append_new(list, describe(schedules, scheduled, next_count));
        }
    }
    if (production != NULL && json_array_size(list) == 0) {
        json_decref(list);
        return NULL;
    }
    return json_pack("{s:o, s:s}", "schedules", list, "tzdata",
                     zone_database_version(schedules->zones));
}
