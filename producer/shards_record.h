/*
 * What is committed in a shard's transactions. Pure.
 */
#ifndef ENGENHO_PRODUCER_SHARDS_RECORD_H
#define ENGENHO_PRODUCER_SHARDS_RECORD_H

#include <stddef.h>
#include <stdint.h>

struct shards_record {
    const char *topic; /* without the prefix: "events", "catalog", "control", "triggers.default" */
    int32_t partition; /* -1: by the key's hash */
    const void *key;
    size_t key_bytes;
    const void *value; /* NULL: a tombstone */
    size_t value_bytes;
};

struct shards_delivery {
    int32_t partition;
    int64_t offset;
};

/*
 * All the records are committed (result 0, with a delivery for each in order), or none is: -EAGAIN:
 * the shard was given away first: may be tried again; -EMSGSIZE: one is larger than the broker
 * takes. -ESTALE: the shard was lost while they were being committed: whether they are, only the
 * log says.
 */
typedef void (*shards_done)(void *context, int result, const struct shards_delivery *deliveries,
                            size_t count);

#endif
