/*
 * The life of the connections to Redis, and transitions on their way. See redis.h.
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

#include "common/buf.h"
#include "common/clock.h"
#include "common/memory.h"
#include "licensor/store/batch_reply.h"
#include "licensor/store/command.h"
#include "licensor/store/redis_private.h"
#include "licensor/store/reply.h"

#define COMMAND_BYTES_MAX (8 * 1024 * 1024)
#define BACKOFF_US_MIN 100000
#define SILENT_MAX 3 /* looks of the watch, two in each time-out */

/* One transition from submit to answer. */
struct transition {
    enum store_verb verb;
    store_done done;
    void *context;
    int64_t since_mono_us;
    /* acquire and release: the answers of a batch do not repeat them */
    char session[SESSION_BYTES_MAX + 1], request[REQUEST_BYTES_MAX + 1], pool[POOL_BYTES_MAX + 1];
    STAILQ_ENTRY(transition) next;
};
STAILQ_HEAD(transitions, transition);

/* One command, with the transitions that it carries: one, or a batch. */
struct pending {
    struct redis *redis;
    struct buf command; /* empty: the batch that is being collected */
    struct transitions transitions;
    size_t count;
    bool is_batch;
    STAILQ_ENTRY(pending) next;
};

static void send_soon(struct redis *redis);

static void answer_error(store_done done, void *context)
{
    struct store_answer answer = {.error = -EIO};
    done(context, &answer);
}

static struct pending *pending_new(struct redis *redis)
{
    struct pending *pending = memory_new(1, sizeof(*pending));
    pending->redis = redis;
    STAILQ_INIT(&pending->transitions);
    buf_init(&pending->command, COMMAND_BYTES_MAX);
    STAILQ_INSERT_TAIL(&redis->queue, pending, next);
    return pending;
}

static void add_transition(struct pending *pending, const struct store_request *request,
                           store_done done, void *context)
{
    struct transition *transition = memory_new(1, sizeof(*transition));
    transition->verb = request->verb;
    transition->done = done;
    transition->context = context;
    transition->since_mono_us = clock_mono_us();
    if (pending->is_batch) {
        snprintf(transition->session, sizeof(transition->session), "%s", request->session);
        snprintf(transition->request, sizeof(transition->request), "%s", request->request);
        snprintf(transition->pool, sizeof(transition->pool), "%s",
                 request->verb == STORE_ACQUIRE ? request->ask.pools[0] : "");
    }
    STAILQ_INSERT_TAIL(&pending->transitions, transition, next);
    pending->count++;
    pending->redis->queued++;
}

static void pending_free(struct pending *pending)
{
    buf_release(&pending->command);
    free(pending);
}

static struct transition *first_transition(struct pending *pending)
{
    struct transition *transition = STAILQ_FIRST(&pending->transitions);
    if (transition != NULL) {
        STAILQ_REMOVE_HEAD(&pending->transitions, next);
    }
    return transition;
}

/* Answer what is left of it with an error. */
static void pending_fail(struct pending *pending)
{
    struct transition *transition;
    while ((transition = first_transition(pending)) != NULL) {
        pending->redis->callbacks.measured(pending->redis->context, command_name(transition->verb),
                                           0, true);
        answer_error(transition->done, transition->context);
        free(transition);
    }
    pending_free(pending);
}

static struct pending *first_pending(struct redis *redis)
{
    struct pending *pending = STAILQ_FIRST(&redis->queue);
    STAILQ_REMOVE_HEAD(&redis->queue, next);
    redis->queued -= pending->count;
    return pending;
}

static void fail_queue(struct redis *redis)
{
    redis->collecting = NULL;
    batch_release(&redis->requests);
    batch_init(&redis->requests);
    while (!STAILQ_EMPTY(&redis->queue)) {
        pending_fail(first_pending(redis));
    }
}

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
    fail_queue(redis);
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

static void answered(struct redis *redis, struct transition *transition,
                     const struct store_answer *answer)
{
    double seconds = (double)(clock_mono_us() - transition->since_mono_us) / (double)SECOND_US;
    redis_saw_op(redis, answer->op);
    redis->callbacks.measured(redis->context, command_name(transition->verb), seconds, false);
    transition->done(transition->context, answer);
    free(transition);
}

/* Answer its transitions. Returns 0, or -EPROTO; then those that have no answer are left. */
static int answer_all(struct pending *pending, const redisReply *reply)
{
    struct batch_reply batch;
    int rc = 0;
    if (pending->is_batch) {
        rc = reply->type == REDIS_REPLY_STRING ? batch_reply_open(reply->str, reply->len, &batch)
                                               : -EPROTO;
    }
    while (rc == 0 && !STAILQ_EMPTY(&pending->transitions)) {
        struct transition *transition = STAILQ_FIRST(&pending->transitions);
        struct store_answer answer;
        struct batch_question question = {transition->session, transition->request,
                                          transition->pool};
        rc = pending->is_batch ? batch_reply_next(&batch, &question, &answer)
                               : reply_read(reply, &answer);
        if (rc == 0) {
            STAILQ_REMOVE_HEAD(&pending->transitions, next);
            answered(pending->redis, transition, &answer);
        }
        store_answer_release(&answer);
    }
    return rc;
}

static void on_reply(redisAsyncContext *ac, void *data, void *privdata)
{
    (void)ac;
    redisReply *reply = data;
    struct pending *pending = privdata;
    struct redis *redis = pending->redis;
    redis->in_flight -= pending->count;
    redis->commands_in_flight--;
    redis->answers++;
    if (reply == NULL) {
        pending_fail(pending);
        return;
    }
    if (answer_all(pending, reply) == 0) {
        pending_free(pending);
    } else {
        /* READONLY after a fail-over, a function that is gone, a full disk: start afresh, which
         * checks and loads again. */
        char reason[200];
        snprintf(reason, sizeof(reason), "redis answered %s: %s",
                 command_name(STAILQ_FIRST(&pending->transitions)->verb),
                 reply->type == REDIS_REPLY_ERROR ? reply->str
                                                  : "something that is no answer of its functions");
        pending_fail(pending);
        if (redis->state == REDIS_UP) {
            redis_drop(redis, false, reason);
        }
    }
    send_soon(redis);
}

/* What was collected becomes a command; nothing is added to it any more. */
static void close_batch(struct redis *redis)
{
    struct pending *pending = redis->collecting;
    redis->collecting = NULL;
    if (pending != NULL &&
        batch_write(&redis->requests, redis->options.tenant, &pending->command) != 0) {
        STAILQ_REMOVE(&redis->queue, pending, pending, next);
        redis->queued -= pending->count;
        pending_fail(pending);
    }
}

static void flush(struct redis *redis)
{
    close_batch(redis);
    redis->sent_mono_us = clock_mono_us();
    while (redis->state == REDIS_UP && !STAILQ_EMPTY(&redis->queue)) {
        struct pending *pending = first_pending(redis);
        redis->in_flight += pending->count;
        redis->commands_in_flight++;
        if (redisAsyncFormattedCommand(redis->commands, on_reply, pending,
                                       (const char *)pending->command.data,
                                       pending->command.length) != REDIS_OK) {
            redis->in_flight -= pending->count;
            redis->commands_in_flight--;
            pending_fail(pending);
        }
    }
}

/*
 * The first of an idle moment goes out as soon as all clients that have something to say were read;
 * the next one batch_us later, with all that came meanwhile: a call of Redis costs as much as ten
 * operations in it. One pipeline may wait at Redis while another is worked on, no more.
 */
static void send_soon(struct redis *redis)
{
    if (redis->queued == 0 || redis->commands_in_flight > 1) {
        return;
    }
    int64_t wait_us = redis->sent_mono_us + redis->options.batch_us - clock_mono_us();
    if (wait_us <= 0 || redis->queued >= BATCH_REQUESTS_MAX) {
        event_active(redis->batch, EV_TIMEOUT, 0);
    } else if (!evtimer_pending(redis->batch, NULL)) {
        struct timeval after = {.tv_usec = (suseconds_t)wait_us};
        event_add(redis->batch, &after);
    }
}

static void on_batch(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    flush(context);
}

static struct redis *of_store(struct store *store)
{
    return (struct redis *)((char *)store - offsetof(struct redis, store));
}

/* Add it to the batch that is being collected, or begin another. Returns 0, or why it can't be. */
static int collect(struct redis *redis, const struct store_request *request, store_done done,
                   void *context)
{
    int rc = batch_add(&redis->requests, request);
    if (rc == -EAGAIN) {
        close_batch(redis);
        rc = batch_add(&redis->requests, request);
    }
    if (rc != 0) {
        return rc;
    }
    if (redis->collecting == NULL) {
        redis->collecting = pending_new(redis);
        redis->collecting->is_batch = true;
    }
    add_transition(redis->collecting, request, done, context);
    return 0;
}

/* A command of its own; what was collected goes before it. */
static int enqueue(struct redis *redis, const struct store_request *request, store_done done,
                   void *context)
{
    struct buf command;
    buf_init(&command, COMMAND_BYTES_MAX);
    int rc = command_write(request, redis->options.tenant, &command);
    if (rc != 0) {
        buf_release(&command);
        return rc;
    }
    close_batch(redis);
    struct pending *pending = pending_new(redis);
    pending->command = command;
    add_transition(pending, request, done, context);
    return 0;
}

/*
 * Acquires and releases that follow each other are one command, and all commands go out as one
 * pipeline.
 */
static void submit(struct store *store, const struct store_request *request, store_done done,
                   void *context)
{
    struct redis *redis = of_store(store);
    if (redis->state != REDIS_UP || redis->queued + redis->in_flight >= redis->options.queue_max) {
        answer_error(done, context);
        return;
    }
    bool in_batch = request->verb == STORE_ACQUIRE || request->verb == STORE_RELEASE;
    int rc =
        in_batch ? collect(redis, request, done, context) : enqueue(redis, request, done, context);
    if (rc != 0) {
        redis->callbacks.measured(redis->context, command_name(request->verb), 0, true);
        answer_error(done, context);
        return;
    }
    send_soon(redis);
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
    redis->store.submit = submit;
    redis->base = base;
    redis->options = *options;
    redis->callbacks = *callbacks;
    redis->context = context;
    redis->backoff_us = BACKOFF_US_MIN;
    snprintf(redis->reason, sizeof(redis->reason), "not connected to redis at %s:%u yet",
             options->address.host, options->address.port);
    STAILQ_INIT(&redis->queue);
    batch_init(&redis->requests);
    redis->retry = evtimer_new(base, on_retry, redis);
    redis->batch = evtimer_new(base, on_batch, redis);
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
    batch_release(&redis->requests);
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
