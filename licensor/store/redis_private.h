/*
 * What redis.c (transitions), redis_connect.c (the way up) and redis_push.c (what is published)
 * share. Nobody else includes it.
 */
#ifndef ENGENHO_LICENSOR_STORE_REDIS_PRIVATE_H
#define ENGENHO_LICENSOR_STORE_REDIS_PRIVATE_H

#include <hiredis/async.h>
#include <sys/queue.h>

#include "licensor/store/batch.h"
#include "licensor/store/redis.h"

enum redis_state { REDIS_DOWN, REDIS_CONNECTING, REDIS_PREPARING, REDIS_UP };

struct pending;
STAILQ_HEAD(pending_queue, pending);

struct redis {
    struct store store;
    struct event_base *base;
    struct redis_options options;
    struct redis_callbacks callbacks;
    void *context;
    enum redis_state state;
    redisAsyncContext *commands; /* NULL: DOWN */
    redisAsyncContext *pushes;   /* the subscribed one */
    struct event *retry, *batch, *watch;
    int64_t backoff_us;
    struct pending_queue queue; /* not sent yet */
    struct pending *collecting; /* the newest of the queue, when it is a batch that goes on */
    struct batch requests;      /* of it */
    size_t queued, in_flight;   /* transitions */
    size_t questions;           /* TIMEs on their way */
    uint64_t answers, watched_answers;
    unsigned silent; /* times that `watch` saw something on its way and no answer since the time
                        before */
    uint64_t highest_op;
    char reason[512]; /* why it is not up */
    bool told;        /* the present state was told to the callback */
    bool unsafe_seen; /* while preparing: settings that lose or drop data */
    bool stopping;
};

/* Start an attempt: CONNECTING. */
void redis_connect(struct redis *redis);
/* Give the present attempt or connection up. */
void redis_drop(struct redis *redis, bool unsafe, const char *reason);
/* HELLO was answered: UP. */
void redis_is_ready(struct redis *redis);
/* Subscribe the second connection. Returns 0 or -EIO. */
MUST_CHECK int redis_subscribe(struct redis *redis);
/* Authenticate and choose the database of a new connection, as far as the address says so. */
void redis_log_in(struct redis *redis, redisAsyncContext *ac);

#endif
