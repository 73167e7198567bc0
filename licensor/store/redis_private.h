/*
 * What redis.c (the life of the connections), redis_queue.c (transitions on their way),
 * redis_place.c (where the server is), redis_connect.c (the way up) and redis_push.c (what is
 * published) share. Nobody else includes it.
 */
#ifndef ENGENHO_LICENSOR_STORE_REDIS_PRIVATE_H
#define ENGENHO_LICENSOR_STORE_REDIS_PRIVATE_H

#include <event2/util.h>
#include <hiredis/async.h>
#include <sys/queue.h>

#include "licensor/store/ahead.h"
#include "licensor/store/batch.h"
#include "licensor/store/redis.h"

enum redis_state { REDIS_DOWN, REDIS_CONNECTING, REDIS_PREPARING, REDIS_UP };

struct pending;
STAILQ_HEAD(pending_queue, pending);
struct transition;
STAILQ_HEAD(transitions, transition);

struct redis {
    struct store store;
    struct event_base *base;
    struct redis_options options;
    struct redis_callbacks callbacks;
    void *context;
    enum redis_state state;
    redisAsyncContext *commands; /* NULL: DOWN */
    redisAsyncContext *pushes;   /* the subscribed one */
    redisAsyncContext *sentinel; /* the one that is being asked */
    size_t turn;                 /* which Sentinel that is */
    struct evdns_base *names;
    struct redis_question *question; /* the name that is being resolved */
    struct event *retry, *batch, *watch;
    int64_t backoff_us;
    struct pending_queue queue;   /* commands that are not sent yet */
    struct transitions collected; /* acquires and releases behind them, of which none is made yet */
    struct ahead *ahead;
    size_t queued, in_flight; /* transitions */
    size_t commands_in_flight;
    size_t batches; /* sent or not */
    size_t asking;  /* batches in flight that are to tell what Redis has: nothing goes out behind
                       them */
    int64_t sent_mono_us; /* when the last pipeline went out */
    size_t questions;     /* TIMEs on their way */
    uint64_t answers, watched_answers;
    unsigned silent; /* times that `watch` saw something on its way and no answer since the time
                        before */
    uint64_t highest_op;
    char reason[512]; /* why it is not up */
    bool told;        /* the present state was told to the callback */
    long replicas;    /* while preparing: how many the server has */
    bool unsafe_seen; /* while preparing: settings that lose or drop data */
    bool stopping;
};

/* store_submit (redis_queue.c). */
void redis_queue_submit(struct store *store, const struct store_request *request, store_done done,
                        void *context);
/* It is time to send what was collected: an event's callback. */
void redis_queue_on_batch(evutil_socket_t fd, short what, void *context);
/* Answer with an error whatever has not been sent. */
void redis_queue_fail(struct redis *redis);
/* Start an attempt (redis_place.c): CONNECTING. */
void redis_connect(struct redis *redis);
/* What goes on with a connection that was begun. */
typedef void (*redis_connected)(struct redis *redis, struct redisAsyncContext *ac);
/* Resolve the name and begin to connect, then call `connected`; or drop the attempt. */
void redis_place_connect(struct redis *redis, const char *host, uint16_t port,
                         redis_connected connected);
/* Give the connection up, for it was closed: the reason says why, as far as it is known. */
void redis_closed(struct redis *redis, const char *host, uint16_t port, const char *why);
/* Give up what redis_connect began and did not finish. */
void redis_place_stop(struct redis *redis);
void redis_place_free(struct redis *redis);
/* The way up begins on this connection (redis_connect.c). */
void redis_begin(struct redis *redis, struct redisAsyncContext *ac);
/* Give the present attempt or connection up. */
void redis_drop(struct redis *redis, bool unsafe, const char *reason);
/* HELLO was answered and the channels are subscribed: UP. */
void redis_is_ready(struct redis *redis);
/* Subscribe the second connection. */
void redis_subscribe(struct redis *redis);
/* Authenticate and choose the database of a new connection, as far as the address says so. */
void redis_log_in(struct redis *redis, redisAsyncContext *ac);

#endif
