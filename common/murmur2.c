/*
 * MurmurHash2 as Kafka's Java client has it (32 bits, its own seed), so that our records stand
 * where every client puts them.
 */
#include "common/murmur2.h"

#include <assert.h>

#define SEED UINT32_C(0x9747b28c)
#define MULTIPLIER UINT32_C(0x5bd1e995)

uint32_t murmur2(const void *key, size_t bytes)
{
    const uint8_t *in = key;
    uint32_t hash = SEED ^ (uint32_t)bytes;
    while (bytes >= 4) {
        uint32_t k =
            (uint32_t)in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24;
        k *= MULTIPLIER;
        k ^= k >> 24;
        hash *= MULTIPLIER;
        hash ^= k * MULTIPLIER;
        in += 4;
        bytes -= 4;
    }
    if (bytes) {
        uint32_t rest = in[0];
        rest |= bytes > 1 ? (uint32_t)in[1] << 8 : 0;
        rest |= bytes > 2 ? (uint32_t)in[2] << 16 : 0;
        hash = (hash ^ rest) * MULTIPLIER;
    }
    hash ^= hash >> 13;
    hash *= MULTIPLIER;
    return hash ^ hash >> 15;
}

int32_t murmur2_partition(const void *key, size_t bytes, int32_t partitions)
{
    assert(partitions > 0);
    return (int32_t)((murmur2(key, bytes) & UINT32_C(0x7fffffff)) % (uint32_t)partitions);
}
