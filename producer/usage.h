/*
 * Brings what was used from the licensor to the topic `usage`, and tells the licensor whether the
 * Master is in demo: both by the owner of shard 0, each minute. Which step follows which is
 * usage_steps. An edge: libevent; what it carries goes by licensor_client and shards. Producer.
 */
#ifndef ENGENHO_PRODUCER_USAGE_H
#define ENGENHO_PRODUCER_USAGE_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/metrics.h"
#include "producer/licensor_client.h"
#include "producer/shards.h"

struct usage;

struct usage_options {
    struct shards *shards;            /* borrowed */
    struct licensor_client *licensor; /* borrowed; NULL: none is configured, nothing is fetched */
    struct metrics *metrics;
    int64_t interval_us;
};

/* Returns owned. Rests until shard 0 is ours. */
struct usage *usage_new(struct event_base *base, const struct usage_options *options);
/* After the shards and the licensor's client are freed: they answer what is on its way. */
void usage_free(struct usage *usage);

/* As shards_callbacks; other shards and keys are ignored. */
void usage_state(struct usage *usage, int shard, const char *key, const Engenho__Control *control);
void usage_shard_taken(struct usage *usage, int shard);
void usage_shard_lost(struct usage *usage, int shard);

/* Whether this replica is the one that does it. */
bool usage_is_ours(const struct usage *usage);

/* 0: it is remembered, and the licensor knows it; else -EAGAIN, with a sentence. */
typedef void (*usage_master_said)(void *context, int result, const char *reason);
/*
 * Say whether the Master is in demo, and for the licensor's audit `who` (borrowed) said so. It is
 * remembered in the shard and said again each minute. `done` is called once, perhaps before this
 * returns.
 */
void usage_set_master(struct usage *usage, bool demo, const char *who, usage_master_said done,
                      void *context);

#endif
