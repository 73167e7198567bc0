#include "producer/results.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/memory.h"
#include "kafka/follower.h"
#include "kafka/topics.h"

#define RETRY_SECONDS 1

struct results {
    struct results_options options;
    struct follower *follower;
    struct results_store *store;
    struct event *retry;
    struct kafka_job *sizing; /* on its way, and will come back to us */
    int partitions, behind;   /* of the topic; not read to their first end yet */
};

static void on_record(void *context, const rd_kafka_message_t *message)
{
    struct results *results = context;
    if (message->payload == NULL) {
        return;
    }
    results_store_add(results->store, message->partition, message->offset, message->payload,
                      message->len);
    if (results->behind == 0 && results->options.came != NULL) {
        Engenho__Result *result = engenho__result__unpack(NULL, message->len, message->payload);
        if (result != NULL) {
            results->options.came(results->options.context, result);
            engenho__result__free_unpacked(result, NULL);
        }
    }
}

static void on_caught_up(void *context, const char *topic, int32_t partition)
{
    struct results *results = context;
    (void)topic;
    (void)partition;
    if (--results->behind == 0) {
        results_store_merge(results->store);
        log_info("results read",
                 LOG_INT("in_memory", (int64_t)results_store_count(results->store)));
    }
}

static void on_trouble(void *context, const char *sentence)
{
    (void)context;
    log_warn("results can't be read: it goes on trying", LOG_TEXT("reason", sentence));
}

/* Begin to follow, from so far back that memory is filled. */
static int follow(struct results *results, const struct kafka_job *job)
{
    struct error error;
    int64_t share = (int64_t)results->options.count_max / job->partitions;
    results->partitions = results->behind = job->partitions;
    results->store = results_store_new(results->options.count_max, results->options.bytes_max);
    for (int i = 0; i < job->partitions; i++) {
        int64_t from = job->high[i] - share > job->low[i] ? job->high[i] - share : job->low[i];
        results_store_partition(results->store, i, from == job->low[i] ? 0 : from);
        if (follower_add(results->follower, job->topic, i, from, &error) != 0) {
            log_error("results can't be read", LOG_TEXT("reason", error.text),
                      LOG_INT("partition", i));
            return -1;
        }
    }
    return 0;
}

static void on_size(struct kafka_job *job)
{
    const struct timeval wait = {RETRY_SECONDS, 0};
    struct results *results = job->context;
    if (results == NULL) {
        return; /* freed meanwhile */
    }
    results->sizing = NULL;
    if (job->result != 0) {
        event_add(results->retry, &wait);
        return;
    }
    if (follow(results, job) != 0) {
        log_error("results are not shown until this process starts again",
                  LOG_TEXT("topic", job->topic));
    }
}

static void ask_size(evutil_socket_t fd, short events, void *context)
{
    const struct timeval wait = {RETRY_SECONDS, 0};
    struct results *results = context;
    (void)fd;
    (void)events;
    struct kafka_job *job =
        kafka_job_new(KAFKA_JOB_SIZE, results->options.kafka->prefix, TOPIC_RESULTS);
    job->done = on_size;
    job->context = results;
    if (kafka_jobs_run(results->options.jobs, job) != 0) {
        kafka_job_free(job);
        event_add(results->retry, &wait);
        return;
    }
    results->sizing = job;
}

struct results *results_new(struct event_base *base, const struct results_options *options,
                            struct error *error)
{
    static const struct follower_callbacks callbacks = {on_record, on_caught_up, on_trouble};
    struct results *results = memory_new(1, sizeof *results);
    results->options = *options;
    results->retry = event_new(base, -1, 0, ask_size, results);
    results->follower = follower_new(base, options->kafka, &callbacks, results, error);
    if (results->follower == NULL) {
        results_free(results);
        return NULL;
    }
    ask_size(-1, 0, results);
    return results;
}

void results_free(struct results *results)
{
    if (results == NULL) {
        return;
    }
    if (results->sizing != NULL) {
        results->sizing->context = NULL;
    }
    follower_free(results->follower);
    results_store_free(results->store);
    event_free(results->retry);
    free(results);
}

const struct results_store *results_store_of(const struct results *results)
{
    return results->store;
}

bool results_are_read(const struct results *results)
{
    return results->store != NULL && results->behind == 0;
}
