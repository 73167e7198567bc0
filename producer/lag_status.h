/*
 * The verdict about one partition of a group, without a threshold (Burrow's rules over the last ten
 * samples). Pure.
 *
 *     ok       some sample had no lag, or the commits move and the lag does not only grow
 *     warn     the commits move, and the lag grew from each sample to the next
 *     stall    there was lag all the time and the commit did not move, though a member has the partition
 *     stop     the same, and no member has it: nobody commits
 *     rewind   the commit went back
 */
#ifndef ENGENHO_PRODUCER_LAG_STATUS_H
#define ENGENHO_PRODUCER_LAG_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LAG_STATUS_SAMPLES 10

enum lag_status { LAG_OK, LAG_WARN, LAG_STALL, LAG_STOP, LAG_REWIND, LAG_STATUS_COUNT };

extern const char *const lag_status_names[LAG_STATUS_COUNT];

struct lag_history {
    struct {
        int64_t committed, lag;
    } sample[LAG_STATUS_SAMPLES]; /* the oldest first */
    size_t count;
};

/* `committed`: -1 while nothing was committed; then `lag` is all that is there. */
void lag_history_add(struct lag_history *history, int64_t committed, int64_t lag);
enum lag_status lag_status_of(const struct lag_history *history, bool has_member);

#endif
