/*
 * Shards: how the producer does things once (DESIGN section 5). Replicas form a group on `control`;
 * the owner of a shard has its transactional producer, reads the shard to its end, then acts. An
 * edge: kafka/. What it carries is decided by others.
 */
#ifndef ENGENHO_PRODUCER_SHARDS_H
#define ENGENHO_PRODUCER_SHARDS_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/error.h"
#include "common/metrics.h"
#include "kafka/config.h"
#include "producer/shards_record.h"
#include "proto/control.pb-c.h"

#define SHARDS_MAX 64
#define SHARD_OF_CATALOG 0 /* its owner is the only writer of the catalog */

struct shards;

struct shards_callbacks {
    /* The shard is ours and its state has been read: act. Called before anything is committed for
     * it. */
    void (*taken)(void *context, int shard);
    /* It is not ours any more: drop what was remembered of it, commit nothing. */
    void (*lost)(void *context, int shard);
    /* A record of `control` in a shard of ours, while it is read and from then on (also our own
     * writes). NULL value: tombstone. */
    void (*state)(void *context, int shard, const char *key, const Engenho__Control *control);
};

struct shards_options {
    const struct kafka_options *kafka;
    const char *replica; /* a name of this replica */
    const char *address; /* host:port of its API, for the others */
    int count;           /* partitions of `control`: 8 */
    struct metrics *metrics;
};

/* Returns owned, or NULL with a sentence. Connects and takes shards in the background. */
struct shards *shards_new(struct event_base *base, const struct shards_options *options,
                          const struct shards_callbacks *callbacks, void *context,
                          struct error *error);
/* Leaves the group and waits for open transactions, 5 s at most. */
void shards_free(struct shards *shards);

/* The shard of a key `kind/name`: murmur2, as `control` and `requests` are partitioned. */
int shards_of(const struct shards *shards, const char *kind, const char *name);
/* Whether the shard is ours and ready to act. */
bool shards_ready(const struct shards *shards, int shard);
/* Where the shard's owner answers, as it published it; NULL: not known, or ourselves. Borrowed
 * until the loop's next turn. */
const char *shards_owner(const struct shards *shards, int shard);

/*
 * Commit records in one transaction of a shard; what is submitted together with others may share a
 * transaction, in order. Copies the records. Returns 0 (then `done` is called once, later), or
 * -EAGAIN: the shard is not ours; -ENOBUFS: too much is waiting already.
 */
MUST_CHECK int shards_submit(struct shards *shards, int shard, const struct shards_record *records,
                             size_t count, shards_done done, void *context);

#endif
