/*
 * The metrics of engenho-producer: /metrics and docs/METRICS.md come from this table.
 */
#ifndef ENGENHO_PRODUCER_METRICS_TABLE_H
#define ENGENHO_PRODUCER_METRICS_TABLE_H

#include "common/metrics.h"

extern const struct metric_desc producer_metrics[];
extern const size_t producer_metrics_count;

#endif
