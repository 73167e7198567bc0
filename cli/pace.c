/*
 * The pace of a replay. See the header.
 */
#include "cli/pace.h"

void pace_init(struct pace *pace, double rate, double speed)
{
    *pace = (struct pace){.rate = rate, .speed = speed};
}

void pace_start(struct pace *pace, uint64_t at, int64_t time_us, int64_t now_us)
{
    pace->start_mono_us = now_us;
    pace->start = at;
    pace->start_time_us = time_us;
}

int64_t pace_due_us(const struct pace *pace, uint64_t at, int64_t time_us)
{
    if (pace->rate > 0) {
        return pace->start_mono_us + (int64_t)((double)(at - pace->start) * 1e6 / pace->rate);
    }
    if (pace->speed > 0) {
        return pace->start_mono_us +
               (int64_t)((double)(time_us - pace->start_time_us) / pace->speed);
    }
    return pace->start_mono_us;
}

void pace_catch(struct pace *pace, uint64_t at, int64_t time_us, int64_t now_us)
{
    if ((pace->rate > 0 || pace->speed > 0) &&
        now_us - pace_due_us(pace, at, time_us) > PACE_LATE_US_MAX) {
        pace_start(pace, at, time_us, now_us);
    }
}
