/*
 * What is written when an execution is over, or goes on later: results, dead letters, triggers,
 * state. Packed once, kept until its transaction is decided.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/execution_id.h"
#include "common/memory.h"
#include "proto/lane.pb-c.h"
#include "proto/request.pb-c.h"
#include "worker/engine_parts.h"

#define TRACEBACK_BYTES_MAX 8192
#define MESSAGE_BYTES_MAX 1024
#define CACHE_BYTES_MAX (512 * 1024) /* userCache as JSON: what fits into a record */
#define EVENT_TAG 0x32               /* field 6 of Trigger, length-delimited */

struct emit *emit_new(enum emit_topic topic, const void *key, size_t key_bytes, size_t value_bytes)
{
    struct emit *emit = memory_new(1, sizeof *emit + key_bytes + value_bytes);
    emit->topic = topic;
    emit->partition = -1;
    emit->key = emit->data;
    emit->key_bytes = key_bytes;
    emit->value = emit->data + key_bytes;
    emit->value_bytes = value_bytes;
    if (key_bytes > 0) {
        memcpy(emit->data, key, key_bytes);
    }
    return emit;
}

void emit_free(struct emit *emit)
{
    if (emit == NULL) {
        return;
    }
    for (struct emit_header *header = emit->headers; header != NULL && header->name != NULL;
         header++) {
        free(header->value);
    }
    free(emit->headers);
    free(emit);
}

static uint8_t *value_of(struct emit *emit)
{
    return emit->data + emit->key_bytes;
}

static void add(struct record *record, struct emit *emit)
{
    STAILQ_INSERT_TAIL(&record->emits, emit, next);
}

static void fill_origin(const struct record *record, Engenho__Origin *origin)
{
    engenho__origin__init(origin);
    if (record->trigger != NULL && record->trigger->origin != NULL) {
        *origin = *record->trigger->origin;
        return;
    }
    origin->topic = record->lane->topic;
    origin->partition = record->lane->partition;
    origin->offset = record->offset;
    origin->timestamp_us = record->timestamp_us;
}

static const char *ordering_key_of(const struct execution *execution)
{
    const struct line *line = execution->line;
    return line->ordered ? line->ordering_key : "";
}

static void add_result(struct execution *execution, const Engenho__Finished *finished,
                       bool dead_letter)
{
    struct record *record = execution->record;
    const struct engine *engine = record->lane->engine;
    const struct production *production = execution->production;
    const struct seat *seat = execution->own_seat ? execution->own_seat : &execution->holder->seat;
    bool ran = execution->state == EXECUTION_RUNNING;
    Engenho__Origin origin;
    Engenho__Result result;
    fill_origin(record, &origin);
    engenho__result__init(&result);
    result.execution_id = execution->id;
    result.agent = (char *)engine->options.agent;
    result.production = production->name;
    result.application = production->application;
    result.trigger = execution->kind;
    result.outcome = finished->outcome;
    result.time_event_us = execution->time_event_us;
    result.start_us = finished->start_us;
    result.end_us = finished->end_us;
    result.result = finished->result;
    result.output = finished->output;
    result.output_truncated = finished->output_truncated;
    result.error_class = finished->error_class;
    result.error = finished->error;
    result.traceback = finished->traceback;
    result.attempt = execution->attempt;
    result.ordering_key = (char *)ordering_key_of(execution);
    result.package = production->package;
    result.package_version = execution->code->version;
    result.nominal_us = execution->nominal_us;
    result.worker = (char *)engine->options.worker;
    result.slot = engine->options.slot;
    result.seat_pool = ran ? (char *)seat->pool : (char *)"";
    result.seat = ran ? seat->number : 0;
    result.seat_waived = execution->waived;
    result.dead_letter = dead_letter;
    result.origin = &origin;
    result.session = (char *)engine->options.session;
    const char *key = production->name[0] != '\0' ? production->name : production->application;
    struct emit *emit =
        emit_new(EMIT_RESULTS, key, strlen(key), engenho__result__get_packed_size(&result));
    engenho__result__pack(&result, value_of(emit));
    add(record, emit);
}

struct emit *outcome_shrink(const struct emit *emit)
{
    if (emit->topic != EMIT_RESULTS) {
        return NULL;
    }
    Engenho__Result *result = engenho__result__unpack(NULL, emit->value_bytes, emit->value);
    if (result == NULL) {
        return NULL;
    }
    char *text = result->result, *traceback = result->traceback;
    ProtobufCBinaryData output = result->output;
    result->result = (char *)"";
    result->traceback = (char *)"";
    result->output = (ProtobufCBinaryData){0};
    result->output_truncated = true;
    struct emit *small =
        emit_new(emit->topic, emit->key, emit->key_bytes, engenho__result__get_packed_size(result));
    engenho__result__pack(result, value_of(small));
    result->result = text;
    result->traceback = traceback;
    result->output = output;
    engenho__result__free_unpacked(result, NULL);
    if (small->value_bytes >= emit->value_bytes) {
        emit_free(small);
        return NULL;
    }
    return small;
}

static size_t put_varint(uint64_t value, uint8_t *bytes)
{
    size_t count = 0;
    while (value >= 0x80) {
        bytes[count++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    bytes[count++] = (uint8_t)value;
    return count;
}

/* Pack a trigger whose event, when it is here only packed, is appended as it is. */
static struct emit *pack_trigger(enum emit_topic topic, const char *key,
                                 const Engenho__Trigger *trigger, const struct record *record)
{
    size_t bytes = engenho__trigger__get_packed_size(trigger), event_bytes = 0, header_bytes = 0;
    uint8_t header[12];
    if (trigger->event == NULL && record->event != NULL) {
        header[0] = EVENT_TAG;
        header_bytes = 1 + put_varint(record->event_bytes, header + 1);
        event_bytes = record->event_bytes;
    }
    struct emit *emit = emit_new(topic, key, strlen(key), bytes + header_bytes + event_bytes);
    uint8_t *value = value_of(emit);
    engenho__trigger__pack(trigger, value);
    if (event_bytes > 0) {
        memcpy(value + bytes, header, header_bytes);
        memcpy(value + bytes + header_bytes, record->event, event_bytes);
    }
    return emit;
}

/* The trigger by which an execution goes on later; `origin` must live until it is packed. */
static void describe(const struct execution *execution, Engenho__Trigger *trigger,
                     Engenho__Origin *origin)
{
    const struct record *record = execution->record;
    if (record->trigger != NULL) {
        *trigger = *record->trigger;
    } else {
        engenho__trigger__init(trigger);
    }
    fill_origin(record, origin);
    trigger->execution_id = (char *)execution->id;
    trigger->origin = origin;
    trigger->production = execution->production->name;
    trigger->application = execution->production->application;
    trigger->kind = execution->kind;
    trigger->nominal_us = execution->nominal_us;
    trigger->attempt = execution->attempt;
    trigger->first_failure_us = execution->first_failure_us;
    trigger->ordering_key = (char *)ordering_key_of(execution);
    trigger->package_version = execution->code->version;
    if (trigger->actual_us == 0) {
        trigger->actual_us = record->timestamp_us;
    }
}

static void add_later(struct execution *execution, const Engenho__Trigger *trigger)
{
    const char *key =
        trigger->ordering_key[0] != '\0' ? trigger->ordering_key : trigger->production;
    struct emit *emit = pack_trigger(EMIT_LATER, key, trigger, execution->record);
    emit->partition = execution->record->lane->partition;
    add(execution->record, emit);
}

static int64_t add_retry(struct execution *execution)
{
    Engenho__Trigger trigger;
    Engenho__Origin origin;
    const struct engine *engine = execution->record->lane->engine;
    describe(execution, &trigger, &origin);
    trigger.attempt = execution->attempt + 1;
    trigger.due_us = engine->now_unix_us + execution->production->retry.wait_us;
    trigger.first_failure_us =
        execution->first_failure_us ? execution->first_failure_us : engine->now_unix_us;
    trigger.later = ENGENHO__LATER_REASON__LATER_REASON_RETRY;
    add_later(execution, &trigger);
    return trigger.due_us;
}

void outcome_park(struct execution *execution)
{
    Engenho__Trigger trigger;
    Engenho__Origin origin;
    describe(execution, &trigger, &origin);
    trigger.later = ENGENHO__LATER_REASON__LATER_REASON_PARKED;
    add_later(execution, &trigger);
    lane_order(execution);
}

void outcome_republish(struct record *record, struct production *production,
                       Engenho__TriggerKind kind)
{
    char id[EXECUTION_ID_BYTES_MAX];
    Engenho__Trigger trigger;
    Engenho__Origin origin;
    const struct lane *lane = record->lane;
    engenho__trigger__init(&trigger);
    fill_origin(record, &origin);
    execution_id_print(lane->engine->options.agent, lane->topic, lane->partition, record->offset,
                       production->name, id);
    trigger.execution_id = id;
    trigger.origin = &origin;
    trigger.production = production->name;
    trigger.application = production->application;
    trigger.kind = kind;
    trigger.actual_us = lane->engine->now_unix_us;
    trigger.package_version = production->active_version;
    trigger.generation = production->generation;
    add(record, pack_trigger(EMIT_TRIGGERS, production->name, &trigger, record));
    record->urgent = true;
}

struct letter {
    const char *production, *execution_id, *error_class, *message, *traceback, *pool;
    uint64_t package_version, seat;
    uint32_t attempt;
    int64_t first_failure_us;
};

static void put_header(struct emit *emit, size_t *count, const char *name, char *value)
{
    assert(*count < EMIT_HEADERS_MAX);
    emit->headers[(*count)++] = (struct emit_header){.name = name, .value = value};
}

static void add_dead_letter(struct record *record, const struct letter *letter)
{
    const struct lane *lane = record->lane;
    const struct engine_options *options = &lane->engine->options;
    struct emit *emit = emit_new(EMIT_DEAD_LETTERS, NULL, 0, 0);
    size_t count = 0;
    emit->key = record->key;
    emit->key_bytes = record->key_bytes;
    emit->value = record->value;
    emit->value_bytes = record->value_bytes;
    emit->timestamp_ms = record->timestamp_us / 1000;
    emit->original = record->message;
    emit->headers = memory_new(EMIT_HEADERS_MAX + 1, sizeof *emit->headers);
    if (record->from_later) {
        const char *input = lane->is_triggers ? "triggers" : "events";
        put_header(emit, &count, "topic", memory_print("later.%s.%s", options->agent, input));
    } else {
        put_header(emit, &count, "topic", memory_copy_text(lane->topic));
    }
    put_header(emit, &count, "partition", memory_print("%" PRId32, lane->partition));
    put_header(emit, &count, "offset", memory_print("%" PRId64, record->offset));
    put_header(emit, &count, "timestamp", memory_print("%" PRId64, record->timestamp_us));
    put_header(emit, &count, "group", memory_copy_text(options->group));
    put_header(emit, &count, "agent", memory_copy_text(options->agent));
    put_header(emit, &count, "production", memory_copy_text(letter->production));
    put_header(emit, &count, "execution-id", memory_copy_text(letter->execution_id));
    put_header(emit, &count, "package-version", memory_print("%" PRIu64, letter->package_version));
    put_header(emit, &count, "attempt", memory_print("%" PRIu32, letter->attempt));
    put_header(emit, &count, "first-failure", memory_print("%" PRId64, letter->first_failure_us));
    put_header(emit, &count, "next-due", memory_copy_text(""));
    put_header(emit, &count, "error-class", memory_copy_text(letter->error_class));
    put_header(emit, &count, "message", memory_print("%.*s", MESSAGE_BYTES_MAX, letter->message));
    put_header(emit, &count, "traceback",
               memory_print("%.*s", TRACEBACK_BYTES_MAX, letter->traceback));
    put_header(emit, &count, "worker", memory_copy_text(options->worker));
    put_header(
        emit, &count, "seat",
        memory_print("%s%s%" PRIu64, letter->pool, letter->pool[0] ? "/" : "", letter->seat));
    add(record, emit);
}

void outcome_undecodable(struct record *record, const char *reason)
{
    struct engine *engine = record->lane->engine;
    struct letter letter = {.production = "",
                            .execution_id = "",
                            .error_class = "Undecodable",
                            .message = reason,
                            .traceback = "",
                            .pool = "",
                            .attempt = 1,
                            .first_failure_us = engine->now_unix_us};
    add_dead_letter(record, &letter);
    engine->port.dead_letter(engine->port.context, record, reason);
}

void outcome_unknown(struct record *record, const char *reason)
{
    struct engine *engine = record->lane->engine;
    struct letter letter = {.production = record->trigger->production,
                            .execution_id = record->trigger->execution_id,
                            .error_class = "UnknownApplication",
                            .message = reason,
                            .traceback = "",
                            .pool = "",
                            .attempt = 1,
                            .first_failure_us = engine->now_unix_us};
    add_dead_letter(record, &letter);
    engine->port.dead_letter(engine->port.context, record, reason);
}

static void replace_text(char **place, const char *text)
{
    free(*place);
    *place = text[0] != '\0' ? memory_copy_text(text) : NULL;
}

static bool learns_newest(const struct execution *execution)
{
    return execution->production->abort_on_new_event && execution->attempt == 1;
}

static void print_cache_key(const struct execution *execution, struct buf *key)
{
    buf_init(key, 2048);
    int result =
        buf_print(key, "cache/%s/%s", execution->production->name, ordering_key_of(execution));
    assert(result == 0);
    (void)result;
}

/* What the run leaves for the next one of its ordering key. */
static void add_state(struct execution *execution, const Engenho__Finished *finished)
{
    struct lane *lane = execution->record->lane;
    bool changed = execution->production->stateful &&
                   (finished->user_cache_changed || finished->last_executed_changed);
    if ((!changed && !learns_newest(execution)) ||
        strlen(finished->user_cache_json) > CACHE_BYTES_MAX) {
        return;
    }
    struct buf key;
    print_cache_key(execution, &key);
    struct cache *cache = lane_cache(lane, (const char *)key.data, key.length, true);
    if (changed && finished->user_cache_changed) {
        replace_text(&cache->user_cache_json, finished->user_cache_json);
    }
    if (changed && finished->last_executed_changed) {
        replace_text(&cache->last_executed_json, finished->last_executed_json);
    }
    if (learns_newest(execution) && execution->time_event_us > cache->newest_event_us) {
        cache->newest_event_us = execution->time_event_us;
    }
    Engenho__CacheState state = ENGENHO__CACHE_STATE__INIT;
    state.user_cache_json = cache->user_cache_json ? cache->user_cache_json : (char *)"";
    state.last_executed_json = cache->last_executed_json ? cache->last_executed_json : (char *)"";
    state.newest_event_us = cache->newest_event_us;
    struct emit *emit =
        emit_new(EMIT_STATE, key.data, key.length, engenho__cache_state__get_packed_size(&state));
    engenho__cache_state__pack(&state, value_of(emit));
    emit->partition = lane->partition;
    add(execution->record, emit);
    buf_release(&key);
}

static void add_letter_of(struct execution *execution, const Engenho__Finished *finished)
{
    const struct seat *seat = execution->own_seat ? execution->own_seat : &execution->holder->seat;
    bool ran = execution->state == EXECUTION_RUNNING;
    int64_t now_us = execution->record->lane->engine->now_unix_us;
    struct letter letter = {
        .production = execution->production->name,
        .execution_id = execution->id,
        .error_class = finished->error_class,
        .message = finished->error,
        .traceback = finished->traceback,
        .pool = ran ? seat->pool : "",
        .seat = ran ? seat->number : 0,
        .package_version = execution->code->version,
        .attempt = execution->attempt,
        .first_failure_us = execution->first_failure_us ? execution->first_failure_us : now_us,
    };
    add_dead_letter(execution->record, &letter);
}

void outcome_finish(struct execution *execution, const Engenho__Finished *finished)
{
    struct engine *engine = execution->record->lane->engine;
    struct holder *holder = execution->holder;
    enum retry_verdict verdict = retry_judge(&execution->production->retry, finished->outcome,
                                             execution->attempt, finished->not_retryable);
    switch (verdict) {
    case RETRY_RESULT:
        add_result(execution, finished, false);
        break;
    case RETRY_AGAIN:
        add_retry(execution);
        break;
    case RETRY_DEAD_LETTER:
        add_result(execution, finished, true);
        add_letter_of(execution, finished);
        break;
    }
    add_state(execution, finished);
    lane_order(execution);
    engine->port.ended(engine->port.context, execution, finished, verdict);
    if (finished->outcome != ENGENHO__OUTCOME__OUTCOME_SKIPPED &&
        finished->outcome != ENGENHO__OUTCOME__OUTCOME_CANCELLED &&
        breaker_count(&holder->breaker, retry_is_failure(finished->outcome),
                      execution->production->breaker_failures)) {
        char reason[200];
        snprintf(
            reason, sizeof reason,
            "%" PRIu32
            " executions failed in a row; the last one: %.100s: see its dead letters or retries",
            holder->breaker.in_a_row, finished->error_class);
        engine_hold(engine, holder, reason);
    }
}

void outcome_skip(struct execution *execution, const char *why)
{
    Engenho__Finished finished = ENGENHO__FINISHED__INIT;
    finished.outcome = ENGENHO__OUTCOME__OUTCOME_SKIPPED;
    finished.error_class = (char *)"Skipped";
    finished.error = (char *)why;
    outcome_finish(execution, &finished);
}

void outcome_stop_request(struct engine *engine, struct emit_list *list,
                          const struct holder *holder, const char *reason)
{
    char key[NAME_BYTES_MAX + 16];
    Engenho__StopProduction stop = ENGENHO__STOP_PRODUCTION__INIT;
    Engenho__Request request = ENGENHO__REQUEST__INIT;
    stop.production = holder->production->name;
    stop.generation = holder->production->generation;
    stop.reason = (char *)reason;
    request.worker = (char *)engine->options.worker;
    request.asked_us = engine->now_unix_us;
    request.body_case = ENGENHO__REQUEST__BODY_STOP;
    request.stop = &stop;
    int length = snprintf(key, sizeof key, "production/%s", stop.production);
    struct emit *emit =
        emit_new(EMIT_REQUESTS, key, (size_t)length, engenho__request__get_packed_size(&request));
    engenho__request__pack(&request, value_of(emit));
    STAILQ_INSERT_TAIL(list, emit, next);
}

struct emit *outcome_lane_state(const struct lane *lane)
{
    Engenho__LaneState state = ENGENHO__LANE_STATE__INIT;
    struct buf done;
    buf_init(&done, OFFSETS_WINDOW_MAX);
    int result = offsets_encode(&lane->later, &done);
    assert(result == 0);
    (void)result;
    state.later_position = offsets_position(&lane->later);
    state.later_done = (ProtobufCBinaryData){.data = done.data, .len = done.length};
    struct emit *emit =
        emit_new(EMIT_STATE, "lane", 4, engenho__lane_state__get_packed_size(&state));
    engenho__lane_state__pack(&state, value_of(emit));
    emit->partition = lane->partition;
    buf_release(&done);
    return emit;
}
