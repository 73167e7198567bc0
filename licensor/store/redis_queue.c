/*
 * Transitions on their way to Redis and back: which become one command, when it goes out, and whose
 * answer is what. See redis.h.
 */
#include <errno.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/memory.h"
#include "licensor/store/batch.h"
#include "licensor/store/batch_reply.h"
#include "licensor/store/command.h"
#include "licensor/store/redis_private.h"
#include "licensor/store/reply.h"

#define COMMAND_BYTES_MAX (8 * 1024 * 1024)

/* One transition from submit to answer. */
struct transition {
    struct store_request request; /* its own texts; of what goes alone only the verb */
    store_done done;
    void *context;
    int64_t since_mono_us;
    struct ahead_result result; /* in a command that was worked out ahead */
    const char *pools[CHAIN_POOLS_MAX];
    STAILQ_ENTRY(transition) next;
    char texts[];
};

enum pending_kind {
    PENDING_ALONE, /* one transition */
    PENDING_BATCH, /* acquires and releases that Redis works out */
    PENDING_AHEAD  /* ... that we did */
};

/* One command, with the transitions that it carries. */
struct pending {
    struct redis *redis;
    enum pending_kind kind;
    bool asks;       /* what Redis has then */
    bool is_counted; /* among the batches that are not answered */
    struct buf command;
    struct transitions transitions;
    size_t count;
    STAILQ_ENTRY(pending) next;
};

static void send_soon(struct redis *redis);

/* Transitions ---------------------------------------------------------------------------------- */

static char *put_text(char **at, const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *put = memcpy(*at, text, bytes);
    *at += bytes;
    return put;
}

/* With a copy of what an acquire or release asks for. */
static struct transition *transition_new(const struct store_request *request, store_done done,
                                         void *context)
{
    bool acquires = request->verb == STORE_ACQUIRE;
    bool is_batched = acquires || request->verb == STORE_RELEASE;
    size_t bytes = is_batched ? strlen(request->session) + strlen(request->request) + 2 : 0;
    if (acquires) {
        bytes += strlen(request->ask.production) + strlen(request->ask.user) + 2;
        for (size_t i = 0; i < request->ask.pools_count; i++) {
            bytes += strlen(request->ask.pools[i]) + 1;
        }
    }
    struct transition *transition = memory_new(1, sizeof(*transition) + bytes);
    transition->done = done;
    transition->context = context;
    transition->since_mono_us = clock_mono_us();
    transition->request.verb = request->verb;
    if (!is_batched) {
        return transition;
    }
    char *at = transition->texts;
    struct store_request *copy = &transition->request;
    *copy = *request;
    copy->session = put_text(&at, request->session);
    copy->request = put_text(&at, request->request);
    if (acquires) {
        copy->ask.production = put_text(&at, request->ask.production);
        copy->ask.user = put_text(&at, request->ask.user);
        for (size_t i = 0; i < request->ask.pools_count; i++) {
            transition->pools[i] = put_text(&at, request->ask.pools[i]);
        }
        copy->ask.pools = transition->pools;
    }
    return transition;
}

static struct transition *first_transition(struct transitions *transitions)
{
    struct transition *transition = STAILQ_FIRST(transitions);
    if (transition != NULL) {
        STAILQ_REMOVE_HEAD(transitions, next);
    }
    return transition;
}

static void answer_error(store_done done, void *context)
{
    struct store_answer answer = {.error = -EIO};
    done(context, &answer);
}

static void transition_fail(struct redis *redis, struct transition *transition)
{
    redis->callbacks.measured(redis->context, command_name(transition->request.verb), 0, true);
    answer_error(transition->done, transition->context);
    free(transition);
}

static void answered(struct redis *redis, struct transition *transition,
                     const struct store_answer *answer)
{
    double seconds = (double)(clock_mono_us() - transition->since_mono_us) / (double)SECOND_US;
    redis_saw_op(redis, answer->op);
    redis->callbacks.measured(redis->context, command_name(transition->request.verb), seconds,
                              false);
    transition->done(transition->context, answer);
    free(transition);
}

/* Commands ------------------------------------------------------------------------------------- */

static struct pending *pending_new(struct redis *redis, enum pending_kind kind)
{
    struct pending *pending = memory_new(1, sizeof(*pending));
    pending->redis = redis;
    pending->kind = kind;
    pending->is_counted = kind != PENDING_ALONE;
    redis->batches += pending->is_counted;
    STAILQ_INIT(&pending->transitions);
    buf_init(&pending->command, COMMAND_BYTES_MAX);
    return pending;
}

static void pending_add(struct pending *pending, struct transition *transition)
{
    STAILQ_INSERT_TAIL(&pending->transitions, transition, next);
    pending->count++;
}

static void pending_free(struct pending *pending)
{
    pending->redis->batches -= pending->is_counted;
    buf_release(&pending->command);
    free(pending);
}

/* Answer what is left of it with an error. */
static void pending_fail(struct pending *pending)
{
    struct transition *transition;
    while ((transition = first_transition(&pending->transitions)) != NULL) {
        transition_fail(pending->redis, transition);
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

void redis_queue_fail(struct redis *redis)
{
    while (!STAILQ_EMPTY(&redis->queue)) {
        pending_fail(first_pending(redis));
    }
    struct transition *transition;
    while ((transition = first_transition(&redis->collected)) != NULL) {
        redis->queued--;
        transition_fail(redis, transition);
    }
}

/* Answers -------------------------------------------------------------------------------------- */

/* As it was worked out. */
static void answer_ahead(struct pending *pending, int64_t now_ms)
{
    struct transition *transition;
    while ((transition = first_transition(&pending->transitions)) != NULL) {
        const struct ahead_result *result = &transition->result;
        struct store_answer answer = {.op = result->op, .now_ms = now_ms, .word = result->word};
        if (result->word == STORE_GRANTED) {
            struct store_grant *grant = &answer.grant;
            snprintf(grant->session, sizeof(grant->session), "%s", transition->request.session);
            snprintf(grant->request, sizeof(grant->request), "%s", transition->request.request);
            snprintf(grant->pool, sizeof(grant->pool), "%s", result->pool);
            snprintf(grant->requested, sizeof(grant->requested), "%s", result->pool);
            grant->token = result->op;
            grant->number = result->number;
            grant->reused = result->reused;
            grant->life_left_ms = result->life_left_ms;
        } else {
            answer.life_left_ms = result->life_left_ms;
            answer.queued = result->life_left_ms > 0;
            answer.held_ms = result->held_ms;
            snprintf(answer.pool, sizeof(answer.pool), "%s", result->pool);
        }
        answered(pending->redis, transition, &answer);
    }
}

/* As Redis worked it out. Returns 0, or -EPROTO; then those that have no answer are left. */
static int answer_batch(struct pending *pending, const redisReply *reply)
{
    struct batch_reply batch;
    int rc = reply->type == REDIS_REPLY_STRING ? batch_reply_open(reply->str, reply->len, &batch)
                                               : -EPROTO;
    if (rc == 0) {
        ahead_saw_time(pending->redis->ahead, batch.now_ms, clock_mono_us());
    }
    while (rc == 0 && !STAILQ_EMPTY(&pending->transitions)) {
        const struct store_request *request = &STAILQ_FIRST(&pending->transitions)->request;
        struct store_answer answer;
        struct batch_question question = {request->session, request->request,
                                          request->verb == STORE_ACQUIRE ? request->ask.pools[0]
                                                                         : ""};
        rc = batch_reply_next(&batch, &question, &answer);
        if (rc == 0) {
            answered(pending->redis, first_transition(&pending->transitions), &answer);
        }
        store_answer_release(&answer);
    }
    return rc;
}

/* The answers, and what Redis has then. */
static int answer_told(struct pending *pending, const redisReply *reply)
{
    struct redis *redis = pending->redis;
    const redisReply *state = reply->elements == 2 ? reply->element[1] : NULL;
    if (state == NULL || state->type != REDIS_REPLY_STRING) {
        return -EPROTO;
    }
    bool is_again = pending->kind == PENDING_AHEAD;
    bool is_wanted = !is_again || ahead_was_wrong(redis->ahead);
    redis->callbacks.worked_out(redis->context, is_again ? "redis_again" : "redis", pending->count);
    int rc = 0;
    if (is_wanted) {
        rc = ahead_learn(redis->ahead, state->str, state->len, redis->batches == 0);
    }
    int answered_rc = answer_batch(pending, reply->element[0]);
    return rc != 0 ? rc : answered_rc;
}

static int answer_alone(struct pending *pending, const redisReply *reply)
{
    struct store_answer answer;
    int rc = reply_read(reply, &answer);
    if (rc == 0) {
        answered(pending->redis, first_transition(&pending->transitions), &answer);
    }
    store_answer_release(&answer);
    return rc;
}

/* Answer its transitions. Returns 0, or -EPROTO; then those that have no answer are left. */
static int answer_all(struct pending *pending, const redisReply *reply)
{
    struct redis *redis = pending->redis;
    if (pending->kind == PENDING_ALONE) {
        return answer_alone(pending, reply);
    }
    if (reply->type == REDIS_REPLY_ARRAY) {
        return answer_told(pending, reply);
    }
    if (pending->kind == PENDING_BATCH) {
        redis->callbacks.worked_out(redis->context, "redis", pending->count);
        return answer_batch(pending, reply);
    }
    if (reply->type != REDIS_REPLY_INTEGER) {
        return -EPROTO;
    }
    redis->callbacks.worked_out(redis->context, "licensor", pending->count);
    ahead_was_right(redis->ahead);
    ahead_saw_time(redis->ahead, reply->integer, clock_mono_us());
    answer_ahead(pending, reply->integer);
    return 0;
}

static void left(struct pending *pending)
{
    struct redis *redis = pending->redis;
    redis->in_flight -= pending->count;
    redis->commands_in_flight--;
    redis->batches -= pending->is_counted;
    pending->is_counted = false;
    redis->asking -= pending->asks;
}

static void on_reply(redisAsyncContext *ac, void *data, void *privdata)
{
    (void)ac;
    redisReply *reply = data;
    struct pending *pending = privdata;
    struct redis *redis = pending->redis;
    left(pending);
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
        const struct transition *first = STAILQ_FIRST(&pending->transitions);
        char reason[200];
        snprintf(reason, sizeof(reason), "redis answered %s: %s",
                 first != NULL ? command_name(first->request.verb) : "a batch",
                 reply->type == REDIS_REPLY_ERROR ? reply->str
                                                  : "something that is no answer of its functions");
        pending_fail(pending);
        if (redis->state == REDIS_UP) {
            redis_drop(redis, false, reason);
        }
    }
    send_soon(redis);
}

/* Batches -------------------------------------------------------------------------------------- */

/*
 * As many of what was collected as are ordinary, and fit, become a command that was worked out
 * here. Returns whether there were any.
 */
static bool close_ahead(struct redis *redis)
{
    struct pending *pending = pending_new(redis, PENDING_AHEAD);
    struct batch requests;
    batch_init(&requests);
    struct transition *transition;
    int rc = 0;
    while (rc == 0 && (transition = STAILQ_FIRST(&redis->collected)) != NULL &&
           batch_fits(&requests, &transition->request) &&
           ahead_take(redis->ahead, &transition->request, &transition->result) == 0) {
        rc = batch_add(&requests, &transition->request);
        pending_add(pending, first_transition(&redis->collected));
    }
    if (pending->count == 0) {
        batch_release(&requests);
        pending_free(pending);
        return false;
    }
    struct buf packed;
    buf_init(&packed, COMMAND_BYTES_MAX);
    int packed_rc = batch_pack(&requests, &packed);
    rc = rc != 0 ? rc : packed_rc;
    int written_rc = ahead_write(redis->ahead, &packed, &pending->command);
    buf_release(&packed);
    batch_release(&requests);
    if (rc == 0 && written_rc == 0) {
        STAILQ_INSERT_TAIL(&redis->queue, pending, next);
    } else {
        ahead_forget(redis->ahead);
        redis->queued -= pending->count;
        pending_fail(pending);
    }
    return true;
}

/* As many as fit become a command that Redis works out. */
static void close_batch(struct redis *redis)
{
    struct pending *pending = pending_new(redis, PENDING_BATCH);
    struct batch requests;
    batch_init(&requests);
    struct transition *transition;
    int rc = 0;
    while (rc == 0 && (transition = STAILQ_FIRST(&redis->collected)) != NULL &&
           batch_fits(&requests, &transition->request)) {
        rc = batch_add(&requests, &transition->request);
        pending_add(pending, first_transition(&redis->collected));
    }
    pending->asks = ahead_gives_way(redis->ahead);
    requests.tells = pending->asks;
    int written_rc = batch_write(&requests, redis->options.tenant, &pending->command);
    batch_release(&requests);
    if (rc == 0 && written_rc == 0) {
        STAILQ_INSERT_TAIL(&redis->queue, pending, next);
    } else {
        redis->queued -= pending->count;
        pending_fail(pending);
    }
}

/* What was collected becomes commands. */
static void close_collected(struct redis *redis)
{
    while (!STAILQ_EMPTY(&redis->collected)) {
        if (!ahead_begin(redis->ahead, clock_mono_us()) || !close_ahead(redis)) {
            close_batch(redis);
        }
    }
}

static void flush(struct redis *redis)
{
    close_collected(redis);
    redis->sent_mono_us = clock_mono_us();
    while (redis->state == REDIS_UP && !STAILQ_EMPTY(&redis->queue)) {
        struct pending *pending = first_pending(redis);
        redis->in_flight += pending->count;
        redis->commands_in_flight++;
        redis->asking += pending->asks;
        if (redisAsyncFormattedCommand(redis->commands, on_reply, pending,
                                       (const char *)pending->command.data,
                                       pending->command.length) != REDIS_OK) {
            left(pending);
            pending_fail(pending);
        }
    }
}

/*
 * The first of an idle moment goes out as soon as all clients that have something to say were read;
 * the next one batch_us later, with all that came meanwhile: a call of Redis costs as much as ten
 * operations in it. One pipeline may wait at Redis while another is worked on, no more; and none
 * behind one that asks what Redis has.
 */
static void send_soon(struct redis *redis)
{
    if (redis->queued == 0 || redis->commands_in_flight > 1 || redis->asking > 0) {
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

void redis_queue_on_batch(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct redis *redis = context;
    if (redis->asking == 0) {
        flush(redis);
    }
}

/* Submit --------------------------------------------------------------------------------------- */

static struct redis *of_store(struct store *store)
{
    return (struct redis *)((char *)store - offsetof(struct redis, store));
}

/* A command of its own; what was collected goes before it. Returns 0, or why it can't be. */
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
    close_collected(redis);
    struct pending *pending = pending_new(redis, PENDING_ALONE);
    pending->command = command;
    pending_add(pending, transition_new(request, done, context));
    STAILQ_INSERT_TAIL(&redis->queue, pending, next);
    return 0;
}

/*
 * Acquires and releases that follow each other are one command, and all commands go out as one
 * pipeline.
 */
void redis_queue_submit(struct store *store, const struct store_request *request, store_done done,
                        void *context)
{
    struct redis *redis = of_store(store);
    if (redis->state != REDIS_UP || redis->queued + redis->in_flight >= redis->options.queue_max) {
        answer_error(done, context);
        return;
    }
    if (request->verb == STORE_ACQUIRE || request->verb == STORE_RELEASE) {
        struct transition *transition = transition_new(request, done, context);
        STAILQ_INSERT_TAIL(&redis->collected, transition, next);
    } else if (enqueue(redis, request, done, context) != 0) {
        redis->callbacks.measured(redis->context, command_name(request->verb), 0, true);
        answer_error(done, context);
        return;
    }
    redis->queued++;
    send_soon(redis);
}
