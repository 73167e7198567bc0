/*
 * The store of keys and seats in Redis. Edge: hiredis on libevent; nothing of the rules is here,
 * they are the functions of functions/.
 *
 * It keeps two connections: one for transitions, one subscribed to what other licensors hand to
 * waiting requests. On every (re)connect it checks that the server is safe, loads the function
 * library when it is not there, and says HELLO. While it is not up, every transition is answered
 * with -EIO at once. After a time-out of ours the connection is dropped and nothing is sent again:
 * the transition may have happened, and requests are idempotent.
 */
#ifndef ENGENHO_LICENSOR_STORE_REDIS_H
#define ENGENHO_LICENSOR_STORE_REDIS_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/error.h"
#include "licensor/store.h"
#include "licensor/store/redis_tls.h"

#define REDIS_SENTINELS_MAX 8

struct redis_place {
    char host[256];
    uint16_t port;
};

struct redis_address {
    char host[256]; /* with Sentinels: the first of them, and then the master that they name */
    uint16_t port;
    struct redis_place sentinels[REDIS_SENTINELS_MAX];
    size_t sentinels_count; /* 0: none, the server is at `host` */
    char master[128];       /* its name for the Sentinels */
    bool tls;
    char user[128];     /* "": none */
    char password[256]; /* "": none */
    /* Of the Sentinels themselves, which redis_address_parse leaves empty: "": none. */
    char sentinel_user[128], sentinel_password[256];
    int database;
};

struct redis_callbacks {
    /* It came up, or went away with a reason (one sentence). */
    void (*state)(void *context, bool up, bool unsafe, const char *reason);
    /* A waiting request got a seat through another licensor (or this one: it may come twice). */
    void (*granted)(void *context, const struct store_grant *grant);
    /* A pool has a waiting line from now on. */
    void (*waited)(void *context, const char *pool);
    /* A command was answered (or not: failed). */
    void (*measured)(void *context, const char *command, double seconds, bool failed);
    /*
     * So many acquires and releases were worked out by "licensor" or by "redis"; or by both, for
     * the licensor was wrong: "redis_again".
     */
    void (*worked_out)(void *context, const char *by, size_t operations);
};

struct redis_options {
    struct redis_address address;
    struct redis_tls *tls; /* NULL: none; taken */
    const char *tenant;
    bool allow_unsafe;
    int64_t timeout_us;     /* of one command */
    int64_t batch_us;       /* pause between two pipelines, in which requests are collected */
    size_t pack_min;        /* as ahead_new has it */
    size_t queue_max;       /* transitions that wait or are on their way; past it: -EIO */
    int64_t lease_ms;       /* for HELLO */
    int64_t backoff_us_max; /* between attempts to connect */
};

struct redis;

/*
 * redis://[user:password@]HOST:PORT[/DB]; rediss:// with TLS;
 * sentinel://[user:password@]HOST[:PORT],HOST[:PORT].../MASTER[/DB]; sentinels:// with TLS to both.
 * Returns 0, or -EINVAL with a sentence that never shows
 * the password.
 */
MUST_CHECK int redis_address_parse(const char *url, struct redis_address *ret_address,
                                   struct error *error);

/* Returns owned; it connects in the background. */
struct redis *redis_new(struct event_base *base, const struct redis_options *options,
                        const struct redis_callbacks *callbacks, void *context);
/* Answers what is on its way with -EIO. */
void redis_free(struct redis *redis);
struct store *redis_store(struct redis *redis);
bool redis_is_up(const struct redis *redis);
/* Why it is not up; "" when it is. */
const char *redis_reason(const struct redis *redis);
/*
 * Raise the highest number of a transition that was seen anywhere: HELLO compares it with the
 * server's.
 */
void redis_saw_op(struct redis *redis, uint64_t op);
uint64_t redis_highest_op(const struct redis *redis);
/* Ask for the server's clock; `done` gets it in ms, or -1 when the server does not answer. */
void redis_time(struct redis *redis, void (*done)(void *context, int64_t now_ms), void *context);

#endif
