/*
 * Results over HTTP: from memory, and what is older from the topic.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/duration.h"
#include "common/memory.h"
#include "common/names.h"
#include "kafka/topics.h"
#include "producer/api/api_parts.h"
#include "producer/results_json.h"

#define LIMIT_DEFAULT 100
#define LIMIT_MAX 10000

struct question {
    struct results_query query;
    struct results_cursor after;
    bool count_only;
};

/*
 * Read since: an instant, or a duration before now. Returns whether it could be read; else the call
 * was answered.
 */
static bool read_since(struct call *call, int64_t *ret_us)
{
    const char *since = call_query(call, "since");
    int64_t us;
    if (since == NULL) {
        return true;
    }
    if (instant_parse(since, ret_us) == 0) {
        return true;
    }
    if (duration_parse(since, &us) == 0) {
        *ret_us = clock_unix_us() - us;
        return true;
    }
    call_refuse(call, 400, "since", "write 2026-01-31T12:00:00Z, or 10m for the last ten minutes",
                "since '%.60s' is neither a time nor a duration", since);
    return false;
}

static bool read_question(struct call *call, const struct results_store *store,
                          struct question *question)
{
    struct results_cursor end;
    const char *after = call_query(call, "after");
    int64_t limit = LIMIT_DEFAULT;
    memset(question, 0, sizeof *question);
    if (!read_since(call, &question->query.since_us) ||
        !call_number(call, "limit", LIMIT_MAX, &limit)) {
        return false;
    }
    results_store_end(store, &end);
    if (after != NULL && results_cursor_parse(after, end.count, &question->after) != 0) {
        call_refuse(call, 400, "after", "give the `next` of an answer, or leave it out",
                    "after '%.60s' is not a cursor", after);
        return false;
    }
    question->count_only = call_flag(call, "count");
    question->query.production = call_query(call, "production");
    question->query.application = call_query(call, "application");
    question->query.failed = call_flag(call, "failed");
    question->query.limit = question->count_only ? SIZE_MAX : (size_t)limit;
    question->query.after = after != NULL ? &question->after : NULL;
    question->query.newest = after == NULL && question->query.since_us == 0;
    return true;
}

static void visit(void *context, const Engenho__Result *result)
{
    struct call *call = context;
    results_write_json(&call->json, NULL, result);
}

static void count_visit(void *context, const Engenho__Result *result)
{
    (void)context;
    (void)result;
}

static void write_next(struct call *call, const struct results_cursor *next)
{
    char text[RESULTS_CURSOR_BYTES];
    results_cursor_print(next, text);
    writer_text(&call->json, "next", text);
}

static void reply_from_memory(struct call *call, const struct results_store *store,
                              const struct question *question)
{
    struct results_cursor next;
    writer_object(&call->json, NULL);
    if (question->count_only) {
        size_t count = results_store_find(store, &question->query, count_visit, NULL, &next);
        writer_integer(&call->json, "count", (int64_t)count);
    } else {
        writer_array(&call->json, "results");
        results_store_find(store, &question->query, visit, call, &next);
        writer_end(&call->json);
    }
    write_next(call, &next);
    writer_end(&call->json);
    call_reply(call, 200);
}

/* What a page from the topic keeps: travels in the job, as the thread touches nothing else. */
struct filter {
    int64_t since_us;
    bool failed, by_production, by_application;
    char production[NAME_BYTES_MAX + 1], application[NAME_BYTES_MAX + 1];
};

static bool keep(const struct kafka_job *job, const void *value, size_t bytes)
{
    const struct filter *filter = (const void *)job->extra;
    const struct results_query query = {
        .production = filter->by_production ? filter->production : NULL,
        .application = filter->by_application ? filter->application : NULL,
        .since_us = filter->since_us,
        .failed = filter->failed};
    Engenho__Result *result = value != NULL ? engenho__result__unpack(NULL, bytes, value) : NULL;
    bool matches = result != NULL && results_match(&query, result);
    if (result != NULL) {
        engenho__result__free_unpacked(result, NULL);
    }
    return matches;
}

static void refuse_job(struct call *call, const struct kafka_job *job)
{
    call_set_header(call, "Retry-After", "1");
    call_refuse(call, 503, "kafka", "try again in a moment", "%s", job->error.text);
}

static int compare_end(const void *a, const void *b)
{
    int64_t x = (*(Engenho__Result *const *)a)->end_us, y = (*(Engenho__Result *const *)b)->end_us;
    return (x > y) - (x < y);
}

static void on_page(struct kafka_job *job)
{
    struct call *call = job->context;
    struct results_cursor next;
    size_t count = 0;
    if (job->result != 0) {
        refuse_job(call, job);
        return;
    }
    Engenho__Result **list = memory_new(job->count + 1, sizeof *list);
    for (size_t i = 0; i < job->count; i++) {
        list[count] =
            engenho__result__unpack(NULL, job->records[i].value_bytes, job->records[i].value);
        count += list[count] != NULL ? 1 : 0;
    }
    qsort(list, count, sizeof *list, compare_end);
    writer_object(&call->json, NULL);
    writer_array(&call->json, "results");
    for (size_t i = 0; i < count; i++) {
        results_write_json(&call->json, NULL, list[i]);
        engenho__result__free_unpacked(list[i], NULL);
    }
    writer_end(&call->json);
    free(list);
    results_cursor_init(&next, job->partitions);
    for (int i = 0; i < job->partitions; i++) {
        next.seen[i] = job->read[i];
    }
    write_next(call, &next);
    writer_end(&call->json);
    call_reply(call, 200);
}

static void read_page(struct call *call, const struct question *question)
{
    const struct api_services *services = call_services(call);
    const struct results_query *query = &question->query;
    struct kafka_job *job = kafka_job_new(KAFKA_JOB_PAGE, services->kafka->prefix, TOPIC_RESULTS);
    struct filter *filter = (void *)job->extra;
    _Static_assert(sizeof *filter <= sizeof job->extra, "a job carries the filter");
    filter->since_us = query->since_us;
    filter->failed = query->failed;
    filter->by_production = query->production != NULL;
    filter->by_application = query->application != NULL;
    snprintf(filter->production, sizeof filter->production, "%s",
             query->production ? query->production : "");
    snprintf(filter->application, sizeof filter->application, "%s",
             query->application ? query->application : "");
    for (int i = 0; query->after != NULL && i < query->after->count; i++) {
        job->from[i] = query->after->seen[i] + 1;
    }
    job->since_ms = query->since_us / 1000;
    job->records_max = query->limit;
    job->keep = keep;
    job->done = on_page;
    job->context = call;
    call_ask_kafka(call, job, "older results");
}

void api_results(struct call *call)
{
    const struct api_services *services = call_services(call);
    const struct results_store *store =
        services->results != NULL ? results_store_of(services->results) : NULL;
    struct question question;
    if (store == NULL || !results_are_read(services->results)) {
        call_unavailable(call, "results");
        return;
    }
    if (!read_question(call, store, &question)) {
        return;
    }
    if (question.count_only || question.query.limit == 0 ||
        results_store_covers(store, &question.query)) {
        reply_from_memory(call, store, &question);
    } else {
        read_page(call, &question);
    }
}

void api_result(struct call *call)
{
    const struct api_services *services = call_services(call);
    const struct results_store *store =
        services->results != NULL ? results_store_of(services->results) : NULL;
    if (store == NULL || !results_are_read(services->results)) {
        call_unavailable(call, "results");
        return;
    }
    if (!results_store_show(store, call->tail, visit, call)) {
        call_refuse(call, 404, "the execution",
                    "it may still run; older ones are listed by `engenho results --since TIME`",
                    "the newest %zu results hold none of execution '%.300s'",
                    results_store_count(store), call->tail);
        return;
    }
    call_reply(call, 200);
}
