/*
 * Usage records over HTTP: pages of the topic `usage`.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/duration.h"
#include "common/memory.h"
#include "kafka/topics.h"
#include "producer/api/api_parts.h"
#include "proto/usage.pb-c.h"

#define LIMIT_DEFAULT 1000
#define LIMIT_MAX 10000
/* A record is written after its minute, by a clock that may be so much behind the licensor's. */
#define CLOCKS_APART_US (3600 * SECOND_US)

/* What a page keeps: travels in the job, as the thread touches nothing else. */
struct filter {
    int64_t from_us, until_us; /* of the minute's start; 0: any */
    char pool[256];            /* "": any */
};

static bool keep(const struct kafka_job *job, const void *value, size_t bytes)
{
    const struct filter *filter = (const void *)job->extra;
    Engenho__UsageRecord *record =
        value != NULL ? engenho__usage_record__unpack(NULL, bytes, value) : NULL;
    bool is_kept = record != NULL && record->from_us >= filter->from_us &&
                   (filter->until_us == 0 || record->from_us < filter->until_us) &&
                   (filter->pool[0] == '\0' || strcmp(record->pool, filter->pool) == 0);
    if (record != NULL) {
        engenho__usage_record__free_unpacked(record, NULL);
    }
    return is_kept;
}

static void write_details(struct writer *json, const Engenho__UsageRecord *record)
{
    writer_array(json, "refusals");
    for (size_t i = 0; i < record->n_refusals; i++) {
        writer_object(json, NULL);
        writer_text(json, "reason", record->refusals[i]->reason);
        writer_integer(json, "count", (int64_t)record->refusals[i]->count);
        writer_end(json);
    }
    writer_end(json);
    writer_array(json, "holders");
    for (size_t i = 0; i < record->n_holders; i++) {
        writer_object(json, NULL);
        writer_text(json, "processor", record->holders[i]->processor);
        writer_text(json, "production", record->holders[i]->production);
        writer_integer(json, "granted", (int64_t)record->holders[i]->granted);
        writer_end(json);
    }
    writer_end(json);
}

static void write_record(struct writer *json, const Engenho__UsageRecord *record)
{
    writer_object(json, NULL);
    writer_text(json, "id", record->id);
    writer_text(json, "pool", record->pool);
    writer_instant(json, "from", record->from_us);
    writer_instant(json, "until", record->until_us);
    writer_integer(json, "limit", record->limit);
    writer_integer(json, "peak", record->peak);
    writer_integer(json, "granted", (int64_t)record->granted);
    writer_integer(json, "reused", (int64_t)record->reused);
    writer_integer(json, "waived", (int64_t)record->waived);
    writer_integer(json, "escalated", (int64_t)record->escalated);
    writer_integer(json, "notified", (int64_t)record->notified);
    writer_integer(json, "refused", (int64_t)record->refused);
    writer_integer(json, "waited", (int64_t)record->waited);
    writer_real(json, "waitSeconds", (double)record->wait_us_sum / (double)SECOND_US);
    writer_integer(json, "overrun", (int64_t)record->overrun);
    write_details(json, record);
    writer_end(json);
}

static void on_page(struct kafka_job *job)
{
    struct call *call = job->context;
    char text[RESULTS_CURSOR_BYTES];
    struct results_cursor next;
    if (job->result != 0) {
        call_set_header(call, "Retry-After", "1");
        call_refuse(call, 503, "kafka", "try again in a moment", "%s", job->error.text);
        return;
    }
    writer_object(&call->json, NULL);
    writer_array(&call->json, "records");
    for (size_t i = 0; i < job->count; i++) {
        Engenho__UsageRecord *record =
            engenho__usage_record__unpack(NULL, job->records[i].value_bytes, job->records[i].value);
        if (record != NULL) {
            write_record(&call->json, record);
            engenho__usage_record__free_unpacked(record, NULL);
        }
    }
    writer_end(&call->json);
    results_cursor_init(&next, job->partitions);
    for (int i = 0; i < job->partitions; i++) {
        next.seen[i] = job->read[i];
    }
    results_cursor_print(&next, text);
    writer_text(&call->json, "next", text);
    writer_end(&call->json);
    call_reply(call, 200);
}

/* Returns whether the time could be read or is absent; else the call was answered. */
static bool read_time(struct call *call, const char *name, int64_t *ret_us)
{
    const char *text = call_query(call, name);
    int64_t before_us;
    if (text == NULL || instant_parse(text, ret_us) == 0) {
        return true;
    }
    if (duration_parse(text, &before_us) == 0) {
        *ret_us = clock_unix_us() - before_us;
        return true;
    }
    call_refuse(call, 400, name, "write 2026-01-31, 2026-01-31T12:00:00Z, or 30d for so long ago",
                "'%.60s' is neither a time nor a duration", text);
    return false;
}

/* Returns whether the cursor could be read or is absent; else the call was answered. */
static bool read_after(struct call *call, struct kafka_job *job)
{
    const char *after = call_query(call, "after");
    struct results_cursor cursor;
    int partitions = 1;
    if (after == NULL) {
        return true;
    }
    for (const char *comma = after; (comma = strchr(comma, ',')) != NULL; comma++) {
        partitions++;
    }
    if (partitions > RESULTS_PARTITIONS_MAX ||
        results_cursor_parse(after, partitions, &cursor) != 0) {
        call_refuse(call, 400, "after", "give the `next` of an answer, or leave it out",
                    "after '%.60s' is not a cursor", after);
        return false;
    }
    for (int i = 0; i < partitions; i++) {
        job->from[i] = cursor.seen[i] + 1;
    }
    return true;
}

static bool read_question(struct call *call, struct kafka_job *job, struct filter *filter)
{
    const char *pool = call_query(call, "pool");
    int64_t limit = LIMIT_DEFAULT;
    if (!read_time(call, "from", &filter->from_us) ||
        !read_time(call, "until", &filter->until_us) ||
        !call_number(call, "limit", LIMIT_MAX, &limit) || !read_after(call, job)) {
        return false;
    }
    if (filter->until_us != 0 && filter->until_us <= filter->from_us) {
        call_refuse(call, 400, "until", "give a time after `from`", "until is not after from");
        return false;
    }
    snprintf(filter->pool, sizeof filter->pool, "%s", pool != NULL ? pool : "");
    job->records_max = (size_t)limit;
    if (filter->from_us > CLOCKS_APART_US) {
        job->since_ms = (filter->from_us - CLOCKS_APART_US) / 1000;
    }
    return true;
}

void api_usage(struct call *call)
{
    const struct api_services *services = call_services(call);
    if (services->usage == NULL) {
        call_unavailable(call, "usage");
        return;
    }
    struct kafka_job *job = kafka_job_new(KAFKA_JOB_PAGE, services->kafka->prefix, TOPIC_USAGE);
    struct filter *filter = (void *)job->extra;
    _Static_assert(sizeof *filter <= sizeof job->extra, "a job carries the filter");
    if (!read_question(call, job, filter)) {
        kafka_job_free(job);
        return;
    }
    job->keep = keep;
    job->done = on_page;
    job->context = call;
    call_ask_kafka(call, job, "usage");
}
