/*
 * From a record to its executions: decode, match, order. What can't run for long goes to `later`
 * (parked).
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/execution_id.h"
#include "common/memory.h"
#include "worker/engine_parts.h"

#define HELD_RETRY_US 1000000 /* between looks whether a held production runs again */

bool intake_is_parked(const struct record *record)
{
    return record->trigger != NULL &&
           record->trigger->later == ENGENHO__LATER_REASON__LATER_REASON_PARKED;
}

static struct execution *new_execution(struct record *record, struct holder *holder,
                                       struct production *production)
{
    const struct lane *lane = record->lane;
    const Engenho__Trigger *trigger = record->trigger;
    char text[EXECUTION_ID_BYTES_MAX];
    const char *id = text;
    size_t id_bytes;
    if (trigger != NULL && trigger->execution_id[0] != '\0') {
        id = trigger->execution_id;
        id_bytes = strlen(id);
    } else {
        id_bytes = execution_id_print(lane->engine->options.agent, lane->topic, lane->partition,
                                      record->offset, production->name, text);
    }
    struct execution *execution = memory_new(1, sizeof *execution + id_bytes + 1);
    memcpy(execution->id, id, id_bytes);
    execution->record = record;
    execution->production = production_use(production);
    execution->holder = holder;
    execution->sequence = ++lane->engine->sequence;
    execution->attempt = 1;
    if (trigger == NULL) {
        execution->kind = record->view.kind == EVENT_TRANSITION
                              ? ENGENHO__TRIGGER_KIND__TRIGGER_KIND_TRANSITION
                              : ENGENHO__TRIGGER_KIND__TRIGGER_KIND_EVENT;
        execution->time_event_us =
            record->view.timestamp_us ? record->view.timestamp_us : record->timestamp_us;
    } else {
        execution->kind = trigger->kind;
        execution->attempt = trigger->attempt ? trigger->attempt : 1;
        execution->nominal_us = trigger->nominal_us;
        execution->first_failure_us = trigger->first_failure_us;
        execution->time_event_us = trigger->nominal_us ? trigger->nominal_us
                                   : trigger->event && trigger->event->timestamp_us
                                       ? trigger->event->timestamp_us
                                   : trigger->actual_us ? trigger->actual_us
                                                        : record->timestamp_us;
    }
    bool is_new;
    execution->code = production_code(production, trigger ? trigger->package_version : 0, &is_new);
    if (is_new) {
        lane->engine->port.want_code(lane->engine->port.context, execution->code);
    }
    return execution;
}

/* connection/object of an event, or the trigger's own ordering key. */
static size_t print_ordering_key(const struct record *record, const struct production *production,
                                 char *key, size_t max)
{
    const Engenho__Trigger *trigger = record->trigger;
    const char *parts[2] = {production->name, NULL};
    size_t bytes[2] = {strlen(production->name), 0};
    if (trigger != NULL && trigger->ordering_key[0] != '\0') {
        parts[0] = trigger->ordering_key;
        bytes[0] = strlen(parts[0]);
    } else if (production->ordering == ENGENHO__ORDERING__ORDERING_KEY && record->event != NULL) {
        bool moved = record->view.kind == EVENT_TRANSITION;
        parts[0] = moved ? record->view.process.data : record->view.connection.data;
        bytes[0] = moved ? record->view.process.bytes : record->view.connection.bytes;
        parts[1] = record->view.object.data;
        bytes[1] = record->view.object.bytes;
        if (moved) {
            /* An instance's moves are in order: its key is the record's. */
            parts[0] = record->key;
            bytes[0] = record->key_bytes;
            parts[1] = NULL;
        }
    }
    size_t length = 0;
    for (size_t i = 0; i < 2 && parts[i] != NULL; i++) {
        if (i > 0 && length < max) {
            key[length++] = '/';
        }
        size_t fits = bytes[i] < max - length ? bytes[i] : max - length;
        memcpy(key + length, parts[i], fits);
        length += fits;
    }
    return length;
}

static struct line *line_of(struct execution *execution)
{
    char key[ORDERING_KEY_BYTES_MAX + 1];
    const struct production *production = execution->production;
    bool ordered = production->ordering != ENGENHO__ORDERING__ORDERING_NONE;
    size_t bytes =
        ordered ? print_ordering_key(execution->record, production, key, ORDERING_KEY_BYTES_MAX)
                : 0;
    return dispatch_line(execution->record->lane, execution->holder, ordered, key, bytes);
}

/*
 * The line of an execution that is not in it yet may be empty: give it one more look when nothing
 * came of it.
 */
static void drop_line(struct execution *execution)
{
    dispatch_free_line(execution->line);
    execution->line = NULL;
}

static void finish_unrun(struct execution *execution)
{
    struct record *record = execution->record;
    if (execution->line != NULL) {
        drop_line(execution);
    }
    execution_free(execution);
    lane_settle_one(record);
}

void intake_drop(struct execution *execution)
{
    if (execution->line != NULL) {
        dispatch_remove(execution);
    }
    finish_unrun(execution);
}

/* By which it is counted: the key that its trigger in `later` has. */
static const char *parked_key(const struct execution *execution)
{
    const struct record *record = execution->record;
    if (record->from_later) {
        return record->trigger->ordering_key;
    }
    return execution->line->ordered ? execution->line->ordering_key : "";
}

/*
 * Leave it to be read from `later` again, or write it there. The execution is in no line, but knows
 * it.
 */
static void park(struct execution *execution)
{
    struct record *record = execution->record;
    struct lane *lane = record->lane;
    if (record->from_later && !intake_is_parked(record)) {
        /* A retry: it is in `later` already, and waits in memory. */
        drop_line(execution);
        execution_free(execution);
        record->open = 0;
        lane_wait_again(record, lane->engine->now_unix_us + HELD_RETRY_US);
        return;
    }
    parking_add(lane, execution->holder, parked_key(execution));
    if (record->from_later) {
        offsets_unload(&lane->later, record->offset);
        lane->open--;
        drop_line(execution);
        execution_free(execution);
        record_free(lane->engine, record);
        return;
    }
    outcome_park(execution);
    finish_unrun(execution);
}

void intake_park(struct execution *execution)
{
    struct line *line = execution->line;
    struct lane *lane = line->lane;
    struct holder *holder = line->holder;
    bool ordered = line->ordered;
    char key[ORDERING_KEY_BYTES_MAX + 1];
    size_t bytes = ordered ? line->key_bytes - strlen(holder->name) - 1 : 0;
    assert(bytes < sizeof key);
    memcpy(key, line->ordering_key, bytes);
    dispatch_remove(execution);
    execution->line = dispatch_line(lane, holder, ordered, key, bytes);
    park(execution);
}

/* What is at work or waiting in the line, for overlap policies. */
static void replace_others(struct line *line)
{
    struct engine *engine = line->lane->engine;
    struct execution *execution;
    /* The line stays: the new one is put into it by the caller, who holds a place in it. */
    line->running++;
    while ((execution = TAILQ_FIRST(&line->waiting)) != NULL) {
        struct record *record = execution->record;
        outcome_skip(execution, "a newer trigger of its schedule replaced it");
        dispatch_remove(execution);
        execution_free(execution);
        lane_settle_one(record);
    }
    line->running--;
    for (size_t slot = 0; slot < engine->running_capacity; slot++) {
        execution = engine->running[slot];
        if (execution != NULL && execution->line == line && !execution->cancelled) {
            execution->cancelled = true;
            engine->port.cancel(engine->port.context, execution->number);
        }
    }
}

/* Whether an overlap policy lets it in (DESIGN section 5). */
static bool overlap_allows(struct execution *execution)
{
    struct line *line = execution->line;
    if (execution->kind != ENGENHO__TRIGGER_KIND__TRIGGER_KIND_SCHEDULE || execution->attempt > 1) {
        return true;
    }
    switch (execution->production->overlap) {
    case ENGENHO__OVERLAP_POLICY__OVERLAP_POLICY_SKIP:
        return line->running + line->waiting_count == 0;
    case ENGENHO__OVERLAP_POLICY__OVERLAP_POLICY_QUEUE_ONE:
        /* Of two that wait, the first is about to run. */
        return line->running + line->waiting_count < 2;
    case ENGENHO__OVERLAP_POLICY__OVERLAP_POLICY_REPLACE:
        replace_others(line);
        return true;
    default:
        return true;
    }
}

static bool newer_event_known(const struct execution *execution)
{
    char key[1024];
    if (!execution->production->abort_on_new_event || execution->attempt < 2) {
        return false;
    }
    int length = snprintf(key, sizeof key, "cache/%s/%s", execution->production->name,
                          execution->line->ordered ? execution->line->ordering_key : "");
    if (length < 0 || (size_t)length >= sizeof key) {
        return false;
    }
    const struct cache *cache = lane_cache(execution->record->lane, key, (size_t)length, false);
    return cache != NULL && cache->newest_event_us > execution->time_event_us;
}

/* The record that took the last owner down: that was an attempt (PITFALLS, Delivery). */
static bool counts_as_crashed(const struct record *record)
{
    const struct lane *lane = record->lane;
    return record->offset ==
           (record->from_later ? lane->crashed_later_offset : lane->crashed_offset);
}

static void finish_crashed(struct execution *execution)
{
    Engenho__Finished finished = ENGENHO__FINISHED__INIT;
    finished.outcome = ENGENHO__OUTCOME__OUTCOME_CRASHED;
    finished.error_class = (char *)"WorkerCrash";
    finished.error = (char *)"the worker ended while this execution ran alone in it";
    outcome_finish(execution, &finished);
    finish_unrun(execution);
}

/*
 * Whether it goes to `later`: its production is held, or has waited long for its seat, or too many
 * wait for seats of their own, or what came before it in its line stands there. While the line is
 * at work, what comes waits in it, so that all of it is parked in order.
 */
static bool must_park(const struct execution *execution)
{
    const struct line *line = execution->line;
    const struct record *record = execution->record;
    struct lane *lane = line->lane;
    bool busy = line->ordered && (line->running > 0 || line->waiting_count > 0);
    if (!record->from_later && parking_has(lane, execution->holder, parked_key(execution))) {
        return true;
    }
    if (dispatch_takes_own_seats(execution->production) && lane_seats_full(lane)) {
        lane->passed_over = true;
        return true;
    }
    return dispatch_must_wait(execution->holder) && !busy;
}

static void admit(struct execution *execution)
{
    struct record *record = execution->record;
    struct holder *holder = execution->holder;
    const struct production *production = execution->production;
    execution->line = line_of(execution);
    if (holder->state == HOLDER_STOPPED) {
        finish_unrun(execution);
    } else if (counts_as_crashed(record)) {
        finish_crashed(execution);
    } else if (must_park(execution)) {
        park(execution);
    } else if (newer_event_known(execution)) {
        outcome_skip(execution, "a newer event of its ordering key arrived before this retry");
        finish_unrun(execution);
    } else if (!overlap_allows(execution)) {
        outcome_skip(execution, "the execution before it was not over");
        finish_unrun(execution);
    } else if (dispatch_takes_own_seats(production)) {
        dispatch_add_seatless(execution);
    } else {
        dispatch_add(execution);
    }
}

/* Event conditions are looked at once an unpacked event is there. */
static bool condition_holds(struct record *record, const struct production *production,
                            Engenho__Event **unpacked)
{
    if (production->when == NULL) {
        return true;
    }
    if (*unpacked == NULL) {
        *unpacked = engenho__event__unpack(NULL, record->event_bytes, record->event);
        if (*unpacked == NULL) {
            return false;
        }
    }
    return when_holds(production->when, event_lookup, *unpacked);
}

/* For as long as it takes: a package comes, or it is known that it never will. */
static void wait_for_package(struct record *record)
{
    record->known_until_us = INT64_MAX;
    record->lane->undecided += record->trigger == NULL;
    STAILQ_INSERT_TAIL(&record->lane->unknown, record, next);
}

static bool is_undecided(const struct matches *matches)
{
    for (size_t i = 0; i < matches->count; i++) {
        if (matches->productions[i]->undecided) {
            return true;
        }
    }
    return false;
}

static void intake_event(struct record *record)
{
    struct engine *engine = record->lane->engine;
    Engenho__Event *unpacked = NULL;
    struct matches matches = matcher_find(engine->matcher, &record->view);
    if (is_undecided(&matches)) {
        wait_for_package(record);
        return;
    }
    /* The record stays open while it is matched: an execution may end at once. */
    record->open = 1;
    for (size_t i = 0; i < matches.count; i++) {
        struct production *production = matches.productions[i];
        /* The broker's time has milliseconds. */
        if (record->timestamp_us / 1000 < production->started_us / 1000 ||
            !condition_holds(record, production, &unpacked)) {
            continue;
        }
        if (production->ordering == ENGENHO__ORDERING__ORDERING_PRODUCTION) {
            Engenho__TriggerKind kind = record->view.kind == EVENT_TRANSITION
                                            ? ENGENHO__TRIGGER_KIND__TRIGGER_KIND_TRANSITION
                                            : ENGENHO__TRIGGER_KIND__TRIGGER_KIND_EVENT;
            outcome_republish(record, production, kind);
            continue;
        }
        record->open++;
        admit(new_execution(record, engine_holder(engine, 'p', production->name), production));
    }
    if (unpacked != NULL) {
        engenho__event__free_unpacked(unpacked, NULL);
    }
    lane_settle_one(record);
}

static struct holder *holder_of(struct engine *engine, const Engenho__Trigger *trigger)
{
    return trigger->production[0] != '\0' ? engine_holder(engine, 'p', trigger->production)
                                          : engine_holder(engine, 'd', trigger->application);
}

static void intake_trigger(struct record *record)
{
    struct engine *engine = record->lane->engine;
    const Engenho__Trigger *trigger = record->trigger;
    struct holder *holder = holder_of(engine, trigger);
    bool known =
        holder->production != NULL && holder->production->generation >= trigger->generation;
    if (!known && engine->now_us < record->known_until_us) {
        STAILQ_INSERT_TAIL(&record->lane->unknown, record, next);
        return;
    }
    record->open = 1;
    if (holder->production == NULL) {
        /* A production that is gone wants no outcome; a run that a person asked for has one. */
        if (trigger->production[0] == '\0') {
            outcome_unknown(record, "there is no application of this name in the catalog");
        }
        lane_settle_one(record);
        return;
    }
    if (holder->production->undecided) {
        record->open = 0;
        wait_for_package(record);
        return;
    }
    admit(new_execution(record, holder, holder->production));
}

void intake_unknown(struct engine *engine)
{
    struct lane *lane;
    TAILQ_FOREACH (lane, &engine->lanes, next) {
        struct record_list waiting = STAILQ_HEAD_INITIALIZER(waiting);
        struct record *record;
        if (lane->state != LANE_RUNNING) {
            continue;
        }
        STAILQ_CONCAT(&waiting, &lane->unknown);
        lane->undecided = 0;
        while ((record = STAILQ_FIRST(&waiting)) != NULL) {
            STAILQ_REMOVE_HEAD(&waiting, next);
            if (record->trigger == NULL) {
                intake_event(record);
            } else {
                intake_trigger(record);
            }
        }
    }
}

static bool read_trigger(struct record *record)
{
    if (record->trigger == NULL && record->value != NULL) {
        record->trigger = engenho__trigger__unpack(NULL, record->value_bytes, record->value);
    }
    const Engenho__Trigger *trigger = record->trigger;
    return trigger != NULL && (trigger->production[0] != '\0' || trigger->application[0] != '\0') &&
           strlen(trigger->production) <= NAME_BYTES_MAX &&
           strlen(trigger->application) <= NAME_BYTES_MAX &&
           strlen(trigger->ordering_key) <= ORDERING_KEY_BYTES_MAX &&
           strlen(trigger->execution_id) < EXECUTION_ID_BYTES_MAX;
}

void intake_count_parked(struct record *record)
{
    struct lane *lane = record->lane;
    if (!read_trigger(record) || !intake_is_parked(record) ||
        record->offset < lane->later_counted) {
        return;
    }
    lane->later_counted = record->offset + 1;
    /* What this worker wrote was counted when it was parked. */
    if (lane->state == LANE_TAKING) {
        parking_add(lane, holder_of(lane->engine, record->trigger), record->trigger->ordering_key);
    }
}

static bool read_event(struct record *record)
{
    if (record->event == NULL) {
        record->event = record->value;
        record->event_bytes = record->value_bytes;
    }
    return record->undecodable == NULL && record->event != NULL &&
           event_view_read(record->event, record->event_bytes, &record->view) == 0;
}

static const char *why_undecodable(const struct record *record)
{
    if (record->undecodable != NULL) {
        return record->undecodable;
    }
    return record->lane->is_triggers || record->from_later
               ? "the value is not an engenho.Trigger"
               : "the value is not an engenho.Event; JSON needs a header content-type";
}

void intake_record(struct record *record)
{
    struct lane *lane = record->lane;
    bool as_trigger = lane->is_triggers || record->from_later;
    if (!(as_trigger ? read_trigger(record) : read_event(record))) {
        record->open = 1;
        outcome_undecodable(record, why_undecodable(record));
        lane_settle_one(record);
        return;
    }
    if (!as_trigger) {
        intake_event(record);
        return;
    }
    if (record->from_later && intake_is_parked(record)) {
        parking_take(lane, holder_of(lane->engine, record->trigger), record->trigger->ordering_key);
    }
    intake_trigger(record);
}
