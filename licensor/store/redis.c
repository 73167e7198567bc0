/*
 * The life of the connections to Redis. See redis.h.
 *
 *   DOWN --timer--> CONNECTING --connected--> PREPARING --hello answered--> UP
 *     ^                  |                        |                          |
 *     +------------------+---- refused, closed, unsafe, timed out -----------+
 */
#include "licensor/store/redis.h"

#include <errno.h>
#include <hiredis/adapters/libevent.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/clock.h"
#include "common/memory.h"
#include "licensor/store/redis_private.h"

#define BACKOFF_US_MIN 100000
#define SILENT_MAX 3 /* looks of the watch, two in each time-out */

/* Both connections go, what is on its way is answered with an error, and a timer starts the next
 * attempt. */
void redis_drop(struct redis *redis, bool unsafe, const char *reason)
{
    snprintf(redis->reason, sizeof(redis->reason), "%s", reason);
    bool was_up = redis->state == REDIS_UP;
    redis->state = REDIS_DOWN;
    redisAsyncContext *commands = redis->commands, *pushes = redis->pushes;
    redis->commands = NULL;
    redis->pushes = NULL;
    redis_place_stop(redis);
    if (commands != NULL) {
        redisAsyncFree(commands);
    }
    if (pushes != NULL) {
        redisAsyncFree(pushes);
    }
    redis_queue_fail(redis);
    ahead_forget(redis->ahead);
    if (redis->stopping) {
        return;
    }
    struct timeval after = {.tv_sec = redis->backoff_us / SECOND_US,
                            .tv_usec = redis->backoff_us % SECOND_US};
    event_add(redis->retry, &after);
    redis->backoff_us *= 2;
    if (redis->backoff_us > redis->options.backoff_us_max) {
        redis->backoff_us = redis->options.backoff_us_max;
    }
    if (was_up || !redis->told) {
        redis->told = true;
        redis->callbacks.state(redis->context, false, unsafe, redis->reason);
    }
}

/*
 * Our own time-out: after it the connection is dropped. Counted in looks, not read from a clock, so
 * that a process that was stopped and goes on does not take the answers it has not read yet for
 * missing.
 */
static void on_watch(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct redis *redis = context;
    bool waits = redis->in_flight + redis->questions > 0 || redis->state == REDIS_CONNECTING ||
                 redis->state == REDIS_PREPARING;
    redis->silent = waits && redis->answers == redis->watched_answers ? redis->silent + 1 : 0;
    redis->watched_answers = redis->answers;
    if (redis->silent >= SILENT_MAX) {
        char reason[400];
        snprintf(reason, sizeof(reason), "redis at %s:%u did not answer within %" PRId64 " ms",
                 redis->options.address.host, redis->options.address.port,
                 redis->options.timeout_us / 1000);
        redis->silent = 0;
        redis_drop(redis, false, reason);
    }
}

struct time_question {
    struct redis *redis;
    void (*done)(void *context, int64_t now_ms);
    void *context;
};

static void on_time(redisAsyncContext *ac, void *data, void *privdata)
{
    (void)ac;
    redisReply *reply = data;
    struct time_question *question = privdata;
    question->redis->questions--;
    question->redis->answers++;
    int64_t now_ms = -1;
    if (reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
        reply->element[0]->type == REDIS_REPLY_STRING &&
        reply->element[1]->type == REDIS_REPLY_STRING) {
        now_ms = strtoll(reply->element[0]->str, NULL, 10) * 1000 +
                 strtoll(reply->element[1]->str, NULL, 10) / 1000;
    }
    question->done(question->context, now_ms);
    free(question);
}

void redis_time(struct redis *redis, void (*done)(void *context, int64_t now_ms), void *context)
{
    struct time_question *question = memory_new(1, sizeof(*question));
    *question = (struct time_question){.redis = redis, .done = done, .context = context};
    if (redis->state != REDIS_UP ||
        redisAsyncCommand(redis->commands, on_time, question, "TIME") != REDIS_OK) {
        free(question);
        done(context, -1);
        return;
    }
    redis->questions++;
}

static void on_retry(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    redis_connect(context);
}

struct redis *redis_new(struct event_base *base, const struct redis_options *options,
                        const struct redis_callbacks *callbacks, void *context)
{
    struct redis *redis = memory_new(1, sizeof(*redis));
    redis->store.submit = redis_queue_submit;
    redis->base = base;
    redis->options = *options;
    redis->callbacks = *callbacks;
    redis->context = context;
    redis->backoff_us = BACKOFF_US_MIN;
    snprintf(redis->reason, sizeof(redis->reason), "not connected to redis at %s:%u yet",
             options->address.host, options->address.port);
    STAILQ_INIT(&redis->collected);
    STAILQ_INIT(&redis->queue);
    redis->ahead = ahead_new(options->tenant, options->pack_min);
    redis->retry = evtimer_new(base, on_retry, redis);
    redis->batch = evtimer_new(base, redis_queue_on_batch, redis);
    redis->watch = event_new(base, -1, EV_PERSIST, on_watch, redis);
    struct timeval half = {.tv_sec = options->timeout_us / 2 / SECOND_US,
                           .tv_usec = options->timeout_us / 2 % SECOND_US};
    event_add(redis->watch, &half);
    struct timeval now = {0};
    event_add(redis->retry, &now);
    return redis;
}

void redis_free(struct redis *redis)
{
    if (redis == NULL) {
        return;
    }
    redis->stopping = true;
    redis_drop(redis, false, "stopping");
    redis_place_free(redis);
    event_free(redis->retry);
    event_free(redis->batch);
    event_free(redis->watch);
    ahead_free(redis->ahead);
    free(redis);
}

void redis_is_ready(struct redis *redis)
{
    redis->state = REDIS_UP;
    redis->told = true;
    redis->reason[0] = '\0';
    redis->backoff_us = BACKOFF_US_MIN;
    redis->callbacks.state(redis->context, true, false, "");
}

struct store *redis_store(struct redis *redis)
{
    return &redis->store;
}

bool redis_is_up(const struct redis *redis)
{
    return redis->state == REDIS_UP;
}

const char *redis_reason(const struct redis *redis)
{
    return redis->reason;
}

void redis_saw_op(struct redis *redis, uint64_t op)
{
    if (op > redis->highest_op) {
        redis->highest_op = op;
    }
}

uint64_t redis_highest_op(const struct redis *redis)
{
    return redis->highest_op;
}
