/*
 * Dead letters over HTTP: list, show, run again, remove.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base64.h"
#include "common/clock.h"
#include "common/memory.h"
#include "kafka/topics.h"
#include "producer/api/api_parts.h"
#include "producer/definitions_reader.h"
#include "producer/document.h"
#include "producer/results_json.h"
#include "proto/trigger.pb-c.h"

#define LIMIT_DEFAULT 100
#define LIMIT_MAX 1000
#define VALUE_SHOWN_BYTES_MAX (256 * 1024)
#define HEADER_PREFIX "engenho-"

/* A header by its name without our prefix; NULL: none. */
static const char *header_of(const struct kafka_page_record *record, const char *name)
{
    /* From the end: the worker adds its own behind those that the record brought. */
    for (size_t i = record->headers_count; i-- > 0;) {
        const char *found = record->headers[2 * i];
        if (strncmp(found, HEADER_PREFIX, strlen(HEADER_PREFIX)) == 0 &&
            strcmp(found + strlen(HEADER_PREFIX), name) == 0) {
            return record->headers[2 * i + 1];
        }
    }
    return NULL;
}

static bool is_trigger(const struct kafka_page_record *record)
{
    const char *topic = header_of(record, "topic");
    return topic != NULL && strcmp(topic, TOPIC_EVENTS) != 0;
}

static void write_value(struct writer *json, const char *key, const Engenho__Value *value)
{
    switch (value != NULL ? value->kind_case : ENGENHO__VALUE__KIND__NOT_SET) {
    case ENGENHO__VALUE__KIND_NUMBER:
        writer_real(json, key, value->number);
        break;
    case ENGENHO__VALUE__KIND_INTEGER:
        writer_integer(json, key, value->integer);
        break;
    case ENGENHO__VALUE__KIND_BOOLEAN:
        writer_bool(json, key, value->boolean);
        break;
    case ENGENHO__VALUE__KIND_TEXT:
        writer_text(json, key, value->text);
        break;
    default:
        writer_null(json, key);
        break;
    }
}

static void write_event(struct writer *json, const char *key, const Engenho__Event *event)
{
    writer_object(json, key);
    writer_text(json, "connection", event->connection);
    writer_text(json, "object", event->object);
    write_value(json, "value", event->value);
    if (event->previous != NULL) {
        write_value(json, "previous", event->previous);
    }
    writer_integer(json, "quality", event->quality);
    writer_instant(json, "timestamp", event->timestamp_us);
    writer_end(json);
}

static void write_trigger(struct writer *json, const char *key, const Engenho__Trigger *trigger)
{
    writer_object(json, key);
    writer_text(json, "production", trigger->production);
    writer_text(json, "application", trigger->application);
    writer_integer(json, "attempt", trigger->attempt);
    writer_instant(json, "nominal", trigger->nominal_us);
    writer_object(json, "parameters");
    for (size_t i = 0; i < trigger->n_parameters; i++) {
        const char *text = trigger->parameters[i]->json;
        bool good = json_is_valid(text, strlen(text));
        writer_raw(json, trigger->parameters[i]->name, good ? text : "null",
                   good ? strlen(text) : 4);
    }
    writer_end(json);
    if (trigger->event != NULL) {
        write_event(json, "event", trigger->event);
    }
    writer_end(json);
}

/* The record, decoded where it is one of ours or JSON, else base64. */
static void write_record_value(struct writer *json, const struct kafka_page_record *record)
{
    Engenho__Trigger *trigger =
        is_trigger(record) ? engenho__trigger__unpack(NULL, record->value_bytes, record->value)
                           : NULL;
    Engenho__Event *event = is_trigger(record)
                                ? NULL
                                : engenho__event__unpack(NULL, record->value_bytes, record->value);
    if (trigger != NULL) {
        write_trigger(json, "value", trigger);
        engenho__trigger__free_unpacked(trigger, NULL);
    } else if (event != NULL) {
        write_event(json, "value", event);
    } else if (json_is_valid(record->value, record->value_bytes)) {
        writer_raw(json, "value", record->value, record->value_bytes);
    } else {
        size_t bytes = record->value_bytes < VALUE_SHOWN_BYTES_MAX ? record->value_bytes
                                                                   : VALUE_SHOWN_BYTES_MAX;
        char *text = memory_new(BASE64_TEXT_BYTES(bytes), 1);
        base64_encode(record->value, bytes, text);
        writer_text(json, "value", text);
        free(text);
    }
    if (event != NULL) {
        engenho__event__free_unpacked(event, NULL);
    }
}

static void write_letter(struct writer *json, const struct kafka_page_record *record,
                         bool with_value)
{
    char id[40];
    const char *execution = header_of(record, "execution-id");
    snprintf(id, sizeof id, "%d-%lld", record->partition, (long long)record->offset);
    writer_object(json, NULL);
    writer_text(json, "id", id);
    writer_instant(json, "time", record->timestamp_ms * 1000);
    if (record->key != NULL) {
        writer_bytes(json, "key", record->key, record->key_bytes);
    }
    if (execution != NULL) {
        writer_text(json, "execution", execution);
    }
    writer_object(json, "headers");
    for (size_t i = 0; i < record->headers_count; i++) {
        const char *name = record->headers[2 * i];
        bool ours = strncmp(name, HEADER_PREFIX, strlen(HEADER_PREFIX)) == 0;
        writer_text(json, ours ? name + strlen(HEADER_PREFIX) : name, record->headers[2 * i + 1]);
    }
    writer_end(json);
    writer_integer(json, "valueBytes", (int64_t)record->value_bytes);
    if (with_value && record->value != NULL) {
        write_record_value(json, record);
    }
    writer_end(json);
}

static void refuse_job(struct call *call, const struct kafka_job *job)
{
    call_set_header(call, "Retry-After", "1");
    call_refuse(call, 503, "kafka", "try again in a moment", "%s", job->error.text);
}

/* Takes `job`. */
static void run_job(struct call *call, struct kafka_job *job, void (*done)(struct kafka_job *job))
{
    job->done = done;
    job->context = call;
    call_ask_kafka(call, job, "dead letters");
}

static int compare_newest(const void *a, const void *b)
{
    const struct kafka_page_record *x = a, *y = b;
    if (x->timestamp_ms != y->timestamp_ms) {
        return x->timestamp_ms < y->timestamp_ms ? 1 : -1;
    }
    return (x->offset < y->offset) - (x->offset > y->offset);
}

static void on_list(struct kafka_job *job)
{
    struct call *call = job->context;
    const char *production = call_query(call, "production");
    const int64_t *limit = call->extra;
    int64_t shown = 0;
    if (job->result != 0) {
        refuse_job(call, job);
        return;
    }
    qsort(job->records, job->count, sizeof *job->records, compare_newest);
    writer_object(&call->json, NULL);
    writer_array(&call->json, "items");
    for (size_t i = 0; i < job->count && shown < *limit; i++) {
        const char *of = header_of(&job->records[i], "production");
        if (production == NULL || (of != NULL && strcmp(of, production) == 0)) {
            write_letter(&call->json, &job->records[i], false);
            shown++;
        }
    }
    writer_end(&call->json);
    writer_end(&call->json);
    call_reply(call, 200);
}

void api_dead_letters(struct call *call)
{
    int64_t limit = LIMIT_DEFAULT;
    if (!call_number(call, "limit", LIMIT_MAX, &limit)) {
        return;
    }
    int64_t *kept = memory_new(1, sizeof *kept);
    *kept = limit;
    call->extra = kept;
    struct kafka_job *job =
        kafka_job_new(KAFKA_JOB_TAIL, call_services(call)->kafka->prefix, TOPIC_DEAD_LETTERS);
    job->records_max = (size_t)limit;
    run_job(call, job, on_list);
}

/* Read the letter that the path names. */
static void read_letter(struct call *call, void (*done)(struct kafka_job *job))
{
    int partition;
    long long offset;
    char rest;
    if (sscanf(call->parts[1], "%d-%lld%c", &partition, &offset, &rest) != 2 || partition < 0 ||
        partition >= KAFKA_JOB_PARTITIONS_MAX || offset < 0) {
        call_refuse(call, 404, "the id", "see what is there with `engenho dead-letters list`",
                    "'%.60s' is not the id of a dead letter", call->parts[1]);
        return;
    }
    struct kafka_job *job =
        kafka_job_new(KAFKA_JOB_PAGE, call_services(call)->kafka->prefix, TOPIC_DEAD_LETTERS);
    job->only = partition;
    job->from[partition] = offset;
    job->records_max = 1;
    run_job(call, job, done);
}

/* The letter, or NULL: the call was answered. */
static const struct kafka_page_record *found_letter(struct call *call, const struct kafka_job *job)
{
    char id[40];
    if (job->result != 0 && job->result != -ETIMEDOUT) {
        refuse_job(call, job);
        return NULL;
    }
    if (job->count == 1) {
        snprintf(id, sizeof id, "%d-%lld", job->records[0].partition,
                 (long long)job->records[0].offset);
    }
    if (job->count != 1 || strcmp(id, call->parts[1]) != 0) {
        call_refuse(call, 404, "the id", "see what is there with `engenho dead-letters list`",
                    "there is no dead letter '%.60s'", call->parts[1]);
        return NULL;
    }
    return &job->records[0];
}

static void on_letter(struct kafka_job *job)
{
    struct call *call = job->context;
    const struct kafka_page_record *record = found_letter(call, job);
    if (record != NULL) {
        write_letter(&call->json, record, true);
        call_reply(call, 200);
    }
}

void api_dead_letter(struct call *call)
{
    read_letter(call, on_letter);
}

static int64_t number_header(const struct kafka_page_record *record, const char *name)
{
    const char *text = header_of(record, name);
    return text != NULL ? strtoll(text, NULL, 10) : 0;
}

static void set_origin(Engenho__Trigger *trigger, const struct kafka_page_record *record)
{
    if (trigger->origin == NULL) {
        trigger->origin = memory_new(1, sizeof *trigger->origin);
        engenho__origin__init(trigger->origin);
        definition_set_text(&trigger->origin->topic, header_of(record, "topic"));
        trigger->origin->partition = (int32_t)number_header(record, "partition");
        trigger->origin->offset = number_header(record, "offset");
        trigger->origin->timestamp_us = number_header(record, "timestamp");
    }
}

/* The event of a record of `events`: ours, or JSON as others may send it. Returns owned, or NULL.
 */
static Engenho__Event *new_event(const struct kafka_page_record *record)
{
    static const enum push_format formats[] = {PUSH_OURS, PUSH_CLOUDEVENT};
    Engenho__Event *event = engenho__event__unpack(NULL, record->value_bytes, record->value);
    struct node *body;
    struct push push;
    int index;
    if (event != NULL ||
        document_parse_json(record->value, record->value_bytes, &body, NULL) != 0) {
        return event;
    }
    for (size_t i = 0; i < ARRAY_SIZE(formats) && event == NULL && body->type == NODE_MAP; i++) {
        if (push_read(body, formats[i], record->timestamp_ms * 1000, &push, &index, NULL) == 0) {
            event = push.events[0];
            push.count = 0; /* the event is ours now */
            push_release(&push);
        }
    }
    node_free(body);
    return event;
}

/* The trigger that runs a dead letter again. Returns owned, or NULL: its record can't be run. */
static Engenho__Trigger *new_trigger(const struct kafka_page_record *record, bool latest)
{
    Engenho__Trigger *trigger;
    if (is_trigger(record)) {
        trigger = engenho__trigger__unpack(NULL, record->value_bytes, record->value);
        if (trigger == NULL) {
            return NULL;
        }
    } else {
        Engenho__Event *event = new_event(record);
        if (event == NULL) {
            return NULL;
        }
        trigger = memory_new(1, sizeof *trigger);
        engenho__trigger__init(trigger);
        trigger->kind = ENGENHO__TRIGGER_KIND__TRIGGER_KIND_EVENT;
        trigger->event = event;
        trigger->package_version = (uint64_t)number_header(record, "package-version");
        definition_set_text(&trigger->production, header_of(record, "production"));
    }
    set_origin(trigger, record);
    definition_set_text(&trigger->execution_id, header_of(record, "execution-id"));
    trigger->attempt = 1;
    trigger->first_failure_us = 0;
    trigger->due_us = 0;
    trigger->actual_us = clock_unix_us();
    trigger->later = ENGENHO__LATER_REASON__LATER_REASON_REDRIVEN;
    if (latest) {
        trigger->package_version = 0;
    }
    return trigger;
}

static void on_redriven(void *context, int result, const struct shards_delivery *deliveries,
                        size_t count, const char *reason)
{
    struct call *call = context;
    (void)deliveries;
    (void)count;
    if (result != 0) {
        call_refuse(call, 503, "kafka", "look whether it ran before you run it again",
                    "it is not known to be on Kafka: %s", reason);
        return;
    }
    writer_object(&call->json, NULL);
    writer_text(&call->json, "execution", call->extra);
    writer_end(&call->json);
    call_reply(call, 202);
}

/*
 * The lane's input: events of events, triggers of triggers.<agent> and of later.<agent>.triggers;
 * NULL: none.
 */
static const char *input_of(const char *topic)
{
    const char *last = strrchr(topic, '.');
    if (strcmp(topic, TOPIC_EVENTS) == 0 || (last != NULL && strcmp(last, ".events") == 0)) {
        return "events";
    }
    bool triggers =
        strncmp(topic, "triggers.", 9) == 0 || (last != NULL && strcmp(last, ".triggers") == 0);
    return triggers ? "triggers" : NULL;
}

static void on_redrive(struct kafka_job *job)
{
    struct call *call = job->context;
    char topic[TOPIC_NAME_BYTES_MAX];
    const struct kafka_page_record *record = found_letter(call, job);
    if (record == NULL) {
        return;
    }
    const char *agent = header_of(record, "agent"), *execution = header_of(record, "execution-id"),
               *from = header_of(record, "topic");
    bool known = agent != NULL && execution != NULL && execution[0] != '\0' && from != NULL &&
                 input_of(from) != NULL;
    Engenho__Trigger *trigger = known ? new_trigger(record, call_flag(call, "latest")) : NULL;
    if (trigger == NULL) {
        call_refuse(
            call, 409, call->parts[1], "correct what sends such records, and send it again",
            "this dead letter holds no execution that could run again: its record is not one of ours");
        return;
    }
    size_t bytes = engenho__trigger__get_packed_size(trigger);
    uint8_t *packed = memory_new(bytes + 1, 1);
    engenho__trigger__pack(trigger, packed);
    engenho__trigger__free_unpacked(trigger, NULL);
    topic_of_lane("", "later", agent, input_of(from), topic);
    call->extra = memory_copy_text(execution);
    const struct shards_record out = {.topic = topic,
                                      .partition = (int32_t)number_header(record, "partition"),
                                      .key = record->key,
                                      .key_bytes = record->key_bytes,
                                      .value = packed,
                                      .value_bytes = bytes};
    if (call_services(call)->publisher == NULL ||
        publisher_send(call_services(call)->publisher, &out, 1, on_redriven, call) != 0) {
        call_refuse(call, 503, "kafka", "try again in a moment",
                    "too much waits for Kafka already");
    }
    free(packed);
}

void api_dead_letter_redrive(struct call *call)
{
    read_letter(call, on_redrive);
}

static void on_purged(struct kafka_job *job)
{
    struct call *call = job->context;
    int64_t removed = 0;
    if (job->result != 0) {
        refuse_job(call, job);
        return;
    }
    for (int i = 0; i < job->partitions; i++) {
        removed += job->high[i] - job->low[i];
    }
    writer_object(&call->json, NULL);
    writer_integer(&call->json, "removed", removed);
    writer_end(&call->json);
    call_reply(call, 200);
}

void api_dead_letters_purge(struct call *call)
{
    run_job(call,
            kafka_job_new(KAFKA_JOB_TRIM, call_services(call)->kafka->prefix, TOPIC_DEAD_LETTERS),
            on_purged);
}
