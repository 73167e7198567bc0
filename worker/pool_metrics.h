/*
 * The metrics of interpreters; the worker's own table includes these rows. Worker only.
 */
#ifndef ENGENHO_WORKER_POOL_METRICS_H
#define ENGENHO_WORKER_POOL_METRICS_H

#include <stddef.h>

#include "common/metrics.h"

/*
 * The rows, for a table made of several: METRICS with commas between, ended by one. Label values:
 * see pool_metrics.c.
 */
#define POOL_METRICS_ROWS                                                                          \
    {.name = "engenho_interpreters",                                                               \
     .type = METRIC_GAUGE,                                                                         \
     .help = "Interpreters by what they do.",                                                      \
     .labels = {"agent", "state"}},                                                                \
        {.name = "engenho_interpreter_starts_total",                                               \
         .type = METRIC_COUNTER,                                                                   \
         .help = "Interpreters started.",                                                          \
         .labels = {"agent"}},                                                                     \
        {.name = "engenho_interpreter_exits_total",                                                \
         .type = METRIC_COUNTER,                                                                   \
         .help = "Interpreters that ended, by why.",                                               \
         .labels = {"agent", "reason"}},                                                           \
        {.name = "engenho_interpreter_rss_bytes",                                                  \
         .type = METRIC_GAUGE,                                                                     \
         .help = "Resident memory of an interpreter.",                                             \
         .labels = {"agent", "slot"}},                                                             \
        {.name = "engenho_interpreter_cpu_seconds_total",                                          \
         .type = METRIC_COUNTER,                                                                   \
         .help = "Processor time of an interpreter since it started.",                             \
         .labels = {"agent", "slot"}},                                                             \
        {.name = "engenho_interpreter_uptime_seconds",                                             \
         .type = METRIC_GAUGE,                                                                     \
         .help = "Age of an interpreter.",                                                         \
         .labels = {"agent", "slot"}},                                                             \
        {.name = "engenho_interpreter_start_duration_seconds",                                     \
         .type = METRIC_HISTOGRAM,                                                                 \
         .help = "From starting an interpreter until it is ready.",                                \
         .labels = {"agent"},                                                                      \
         .buckets = metric_buckets_execution},                                                     \
        {.name = "engenho_interpreter_import_duration_seconds",                                    \
         .type = METRIC_HISTOGRAM,                                                                 \
         .help = "Importing a package in an interpreter.",                                         \
         .labels = {"agent"},                                                                      \
         .buckets = metric_buckets_execution},                                                     \
        {.name = "engenho_interpreter_captured_stacks_total",                                      \
         .type = METRIC_COUNTER,                                                                   \
         .help = "Python stacks taken of running scripts.",                                        \
         .labels = {"agent"}},

extern const struct metric_desc pool_metrics[];
extern const size_t pool_metrics_count;

#endif
