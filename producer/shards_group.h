/*
 * Which shards are ours: membership of the group on `control`. Only for that: the records are read
 * by a follower. An edge: librdkafka.
 */
#ifndef ENGENHO_PRODUCER_SHARDS_GROUP_H
#define ENGENHO_PRODUCER_SHARDS_GROUP_H

#include <event2/event.h>
#include <stdbool.h>

#include "common/error.h"
#include "kafka/config.h"

struct shards_group;

struct shards_group_callbacks {
    void (*given)(void *context, int shard);
    /* Another member gets it: finish what is open, then call shards_group_left, which may be within
     * this call. */
    void (*asked_back)(void *context, int shard);
    /* It is gone already. */
    void (*lost)(void *context, int shard);
};

/* Returns owned, or NULL with a sentence. `count`: the shards; a partition past it is not taken. */
struct shards_group *shards_group_new(struct event_base *base, const struct kafka_options *options,
                                      int count, const struct shards_group_callbacks *callbacks,
                                      void *context, struct error *error);
/* Leaves the group; a callback `lost` comes for each shard that is still ours. Blocks for a round
 * trip or two. */
void shards_group_free(struct shards_group *group);

/* The answer to `asked_back`. */
void shards_group_left(struct shards_group *group, int shard);
/* We were fenced, or our producer died: give everything back, and join anew after a second. */
void shards_group_rejoin(struct shards_group *group);

#endif
