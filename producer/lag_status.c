#include "producer/lag_status.h"

#include <string.h>

const char *const lag_status_names[LAG_STATUS_COUNT] = {"ok", "warn", "stall", "stop", "rewind"};

void lag_history_add(struct lag_history *history, int64_t committed, int64_t lag)
{
    if (history->count == LAG_STATUS_SAMPLES) {
        memmove(history->sample, history->sample + 1,
                (LAG_STATUS_SAMPLES - 1) * sizeof history->sample[0]);
        history->count--;
    }
    history->sample[history->count].committed = committed;
    history->sample[history->count++].lag = lag;
}

enum lag_status lag_status_of(const struct lag_history *history, bool has_member)
{
    bool always_lag = history->count == LAG_STATUS_SAMPLES, moves = false, only_grows = true;
    for (size_t i = 0; i < history->count; i++) {
        always_lag = always_lag && history->sample[i].lag > 0;
        if (i == 0) {
            continue;
        }
        if (history->sample[i].committed < history->sample[i - 1].committed) {
            return LAG_REWIND;
        }
        moves = moves || history->sample[i].committed != history->sample[i - 1].committed;
        only_grows = only_grows && history->sample[i].lag > history->sample[i - 1].lag;
    }
    if (!always_lag) {
        return LAG_OK;
    }
    if (!moves) {
        return has_member ? LAG_STALL : LAG_STOP;
    }
    return only_grows ? LAG_WARN : LAG_OK;
}
