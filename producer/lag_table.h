/*
 * When the end of a partition passed an offset: a table of (end, time) samples, read by
 * interpolation. Turns an offset lag into seconds. Pure.
 */
#ifndef ENGENHO_PRODUCER_LAG_TABLE_H
#define ENGENHO_PRODUCER_LAG_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LAG_TABLE_SAMPLES 64

struct lag_table {
    struct {
        int64_t end, at_us; /* both ascending */
    } sample[LAG_TABLE_SAMPLES];
    size_t count;
};

/* The end was seen to be `end`. When the table is full its older half gets coarser. */
void lag_table_add(struct lag_table *table, int64_t end, int64_t now_us);

/*
 * For how long the record at `offset`, the first that is not done, has been there; 0 when it has
 * not come yet. *ret_at_least: it is older than the table, and so at least as old as the answer.
 */
int64_t lag_table_age_us(const struct lag_table *table, int64_t offset, int64_t now_us,
                         bool *ret_at_least);

#endif
