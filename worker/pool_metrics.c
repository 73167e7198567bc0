/*
 * The metrics of interpreters. state: starting, idle, busy, draining. reason: recycle, crash,
 * signal, timeout, memory, cancel, abandon, start (it did not get ready). Worker only.
 */
#include "worker/pool_metrics.h"

#include "common/attributes.h"

const struct metric_desc pool_metrics[] = {POOL_METRICS_ROWS};
const size_t pool_metrics_count = ARRAY_SIZE(pool_metrics);
