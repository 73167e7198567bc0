/*
 * The metrics of engenho-worker, by which it is watched.
 */
#ifndef ENGENHO_WORKER_METRICS_TABLE_H
#define ENGENHO_WORKER_METRICS_TABLE_H

#include <stddef.h>

#include "common/metrics.h"

extern const struct metric_desc worker_metrics[];
extern const size_t worker_metrics_count;

#endif
