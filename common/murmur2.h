/*
 * The hash by which Kafka's Java partitioner (and librdkafka's murmur2 ones) choose the partition
 * of a key. Pure.
 */
#ifndef ENGENHO_COMMON_MURMUR2_H
#define ENGENHO_COMMON_MURMUR2_H

#include <stddef.h>
#include <stdint.h>

/* Kafka's partition for a key: (murmur2(key) & 0x7fffffff) % partitions; partitions > 0. */
int32_t murmur2_partition(const void *key, size_t bytes, int32_t partitions);
uint32_t murmur2(const void *key, size_t bytes);

#endif
