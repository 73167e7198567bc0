/*
 * How much of a partition is finished beyond its committed offset, by the completion map in the
 * commit's metadata: what is left is the work lag. Pure.
 */
#ifndef ENGENHO_PRODUCER_LAG_WORK_H
#define ENGENHO_PRODUCER_LAG_WORK_H

#include <stddef.h>
#include <stdint.h>

/* Finished offsets beyond the committed one; 0 when the metadata is not ours. */
int64_t lag_work_done(const char *metadata, size_t length);

#endif
