/*
 * The HTTP API and the console's files (DESIGN section 13; docs/openapi.yaml). An edge: libevent's
 * HTTP server. Producer.
 */
#ifndef ENGENHO_PRODUCER_API_API_H
#define ENGENHO_PRODUCER_API_API_H

#include <event2/event.h>

#include "common/attributes.h"
#include "common/error.h"
#include "common/metrics.h"
#include "producer/catalog.h"
#include "producer/definitions.h"
#include "producer/kafka_jobs.h"
#include "producer/lag.h"
#include "producer/licensor_client.h"
#include "producer/provision.h"
#include "producer/publisher.h"
#include "producer/results.h"
#include "producer/schedules.h"
#include "producer/shards.h"
#include "producer/sources/replay.h"
#include "producer/usage.h"

/*
 * What the API shows and drives. All but `jobs`, `provision` and `licensor` are NULL until Kafka
 * has answered for the first time.
 */
struct api_services {
    const struct kafka_options *kafka;
    struct catalog *catalog;
    struct shards *shards;
    struct publisher *publisher;
    struct kafka_jobs *jobs;
    struct results *results;
    struct replay *replay;
    struct schedules *schedules;
    struct lag *lag;
    struct provision *provision;
    struct licensor_client *licensor; /* NULL: none is configured */
    struct usage *usage;
    /* Whether an agent has its topics and the offsets at which it starts. */
    bool (*agent_is_ready)(void *context, const char *agent);
    void *context;
    int packages_partitions; /* of `packages`; 0: not known yet */
};

struct api_options {
    const char *listen; /* HOST:PORT; port 0: any */
    const char *token;  /* borrowed */
    struct metrics *metrics;
    const struct definition_checks *checks;
    const struct api_services *services; /* borrowed; its members may change */
    int64_t streams_max;
    int64_t connections_idle_us;
};

struct api;

/* Returns owned, or NULL with a sentence. */
struct api *api_new(struct event_base *base, const struct api_options *options,
                    struct error *error);
/* Ends streams; calls that wait for something are answered 503. Before the services are freed. */
void api_stop(struct api *api);
void api_free(struct api *api);
uint16_t api_port(const struct api *api);

/* A result came: those who listen are told. */
void api_result_came(struct api *api, const Engenho__Result *result);

#endif
