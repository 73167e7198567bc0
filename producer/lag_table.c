#include "producer/lag_table.h"

static void make_room(struct lag_table *table)
{
    size_t half = LAG_TABLE_SAMPLES / 2, kept = 0;
    for (size_t i = 0; i < LAG_TABLE_SAMPLES; i++) {
        if (i >= half || i % 2 == 0) {
            table->sample[kept++] = table->sample[i];
        }
    }
    table->count = kept;
}

void lag_table_add(struct lag_table *table, int64_t end, int64_t now_us)
{
    size_t count = table->count;
    if (count > 0 &&
        (end < table->sample[count - 1].end || now_us < table->sample[count - 1].at_us)) {
        count = table->count =
            0; /* the topic was made anew, or the clock was set: what was known is of no use */
    }
    /* While nothing comes, the first and the last time of this end are enough. */
    if (count > 1 && end == table->sample[count - 1].end && end == table->sample[count - 2].end) {
        table->sample[count - 1].at_us = now_us;
        return;
    }
    if (count == LAG_TABLE_SAMPLES) {
        make_room(table);
    }
    table->sample[table->count].end = end;
    table->sample[table->count++].at_us = now_us;
}

int64_t lag_table_age_us(const struct lag_table *table, int64_t offset, int64_t now_us,
                         bool *ret_at_least)
{
    *ret_at_least = false;
    if (table->count == 0 || offset >= table->sample[table->count - 1].end) {
        return 0;
    }
    if (offset < table->sample[0].end) {
        *ret_at_least = true;
        return now_us - table->sample[0].at_us;
    }
    size_t after = 1;
    while (table->sample[after].end <= offset) {
        after++;
    }
    int64_t before_end = table->sample[after - 1].end, before_us = table->sample[after - 1].at_us;
    double part = (double)(offset - before_end) / (double)(table->sample[after].end - before_end);
    return now_us - before_us - (int64_t)(part * (double)(table->sample[after].at_us - before_us));
}
