/*
 * What the kernel knows of this process and its cgroup, for /metrics: process_* and
 * engenho_cgroup_*. Within common.
 */
#ifndef ENGENHO_COMMON_PROCESS_STATS_H
#define ENGENHO_COMMON_PROCESS_STATS_H

#include <stdbool.h>

enum process_stat {
    PROCESS_STAT_CPU,
    PROCESS_STAT_RESIDENT,
    PROCESS_STAT_VIRTUAL,
    PROCESS_STAT_START,
    PROCESS_STAT_OPEN_FDS,
    PROCESS_STAT_MAX_FDS,
    PROCESS_STAT_THROTTLED,
    PROCESS_STAT_CGROUP_USAGE,
    PROCESS_STAT_CGROUP_LIMIT,
    PROCESS_STAT_OOM_KILLS,
    PROCESS_STATS
};

struct process_stat_desc {
    const char *name;
    const char *help;
    bool counter; /* else a gauge */
};

/* By enum process_stat. */
extern const struct process_stat_desc process_stat_descs[PROCESS_STATS];

/* Fill `ret_values` (by enum process_stat) with what can be read here; what can't is NaN. */
void process_stats_read(double ret_values[PROCESS_STATS]);

#endif
