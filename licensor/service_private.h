/*
 * What service.c (joins everything), requests.c (messages in, answers out) and ticker.c (each
 * second) share.
 */
#ifndef ENGENHO_LICENSOR_SERVICE_PRIVATE_H
#define ENGENHO_LICENSOR_SERVICE_PRIVATE_H

#include "common/admin.h"
#include "common/metrics.h"
#include "licensor/answers.h"
#include "licensor/config.h"
#include "licensor/holders.h"
#include "licensor/licences.h"
#include "licensor/limits.h"
#include "licensor/server.h"
#include "licensor/service.h"
#include "licensor/session.h"
#include "licensor/store/redis.h"

struct owner; /* which connection has a session */

struct service {
    struct event_base *base;
    const struct config *config;
    char instance[17]; /* of this process, random: connections of it carry it in the store */
    struct redis *redis;
    struct store *store;
    struct server *server;
    struct admin *admin;
    struct metrics *metrics;
    struct limits limits; /* what the licences allow now */
    uint64_t licence_generation;
    char licence_warning[256];
    struct owner *owners; /* by session */
    struct event *tick;
    /* latest time that the store ever saw: a clock set back extends no grace */
    int64_t latest_ms;
    int64_t licence_checked_mono_us;
    struct {
        bool known;
        int64_t redis_ms;                       /* the store's clock, */
        int64_t sent_mono_us, received_mono_us; /* read between these */
        uint64_t steps;
        bool asking;           /* a question is on its way, and no other is asked meanwhile; */
        int64_t asked_mono_us; /* since then */
    } clock;
    uint32_t keys_used;
    struct holders *holders; /* since the last tick */
    size_t seats_listed;     /* how many a list of them would have, at the last tick */
    bool demo;               /* the Master is in demo, as the store says */
    bool recovering;
    bool stopping;
};

/* A frame of a client (requests.c). */
void requests_message(void *context, struct connection *connection, const uint8_t *payload,
                      size_t bytes);
void requests_closed(void *context, struct connection *connection);
/* A seat was handed to a waiting request: push it when its session is ours. */
void requests_granted(void *context, const struct store_grant *grant);
void requests_waited(void *context, const char *pool);
/* The store is back: ask again for everything that waits, for a hand-over may have been missed. */
void requests_ask_again(struct service *service);
/* What answers of now carry, without a sink. */
struct answers requests_answers(struct service *service);
void requests_notice_store_down(struct service *service, bool down);

/* Now, and the latest time that the store ever saw (ticker.c). */
struct licence_time ticker_licence_time(const struct service *service);
/*
 * Read the licences and tell the store what they allow (ticker.c). Returns 0, or -Exxx with a
 * sentence when their directory can't be read; then what was allowed before stays.
 */
MUST_CHECK int ticker_load_licences(struct service *service, struct error *error);
void ticker_send_limits(struct service *service);
void ticker_run(struct service *service);

#endif
