/*
 * What the kernel knows of this process and its cgroup, for /metrics: process_* and
 * engenho_cgroup_*. Within common.
 */
#ifndef ENGENHO_COMMON_PROCESS_STATS_H
#define ENGENHO_COMMON_PROCESS_STATS_H

#include <stdbool.h>
#include <stddef.h>

#define PROCESS_STATS_MAX 16

struct process_stat {
    const char *name;
    const char *help;
    bool counter; /* else a gauge */
    double value;
};

/*
 * Fill `ret_stats` (PROCESS_STATS_MAX of them) with what can be read here; what can't is left out.
 * Returns how many.
 */
size_t process_stats_read(struct process_stat *ret_stats);

#endif
