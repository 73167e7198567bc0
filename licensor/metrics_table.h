/*
 * The metrics of engenho-licensor.
 */
#ifndef ENGENHO_LICENSOR_METRICS_TABLE_H
#define ENGENHO_LICENSOR_METRICS_TABLE_H

#include "common/metrics.h"

extern const struct metric_desc licensor_metrics[];
extern const size_t licensor_metrics_count;

#endif
