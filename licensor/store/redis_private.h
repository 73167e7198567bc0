/*
 * What redis.c (transitions), redis_place.c (where the server is), redis_connect.c (the way up) and
 * redis_push.c (what is published) share. Nobody else includes it.
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
    redisAsyncContext *sentinel; /* the one that is being asked */
    size_t turn;                 /* which Sentinel that is */
    struct evdns_base *names;
    struct redis_question *question; /* the name that is being resolved */
    struct event *retry, *batch, *watch;
    int64_t backoff_us;
    struct pending_queue queue; /* not sent yet */
    struct pending *collecting; /* the newest of the queue, when it is a batch that goes on */
    struct batch requests;      /* of it */
    size_t queued, in_flight;   /* transitions */
    size_t commands_in_flight;
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
