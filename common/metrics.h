/*
 * Metrics: one static table per service gives names, types, labels and help; `/metrics` and
 * docs/METRICS.md come from it.
 *
 * Values are doubles, changed only by the loop's thread. Label values are bounded: a family holds
 * `series_max` series and counts what it had to leave out in engenho_metrics_series_dropped_total.
 */
#ifndef ENGENHO_COMMON_METRICS_H
#define ENGENHO_COMMON_METRICS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/attributes.h"
#include "common/buf.h"

#define METRIC_LABELS_MAX 6

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric_desc {
    const char *name; /* engenho_executions_total */
    enum metric_type type;
    const char *help;                          /* one sentence */
    const char *labels[METRIC_LABELS_MAX + 1]; /* NULL-terminated */
    /* histograms: upper bounds, ascending, ended by 0 */
    const double *buckets;
    size_t series_max; /* 0: 1,000 */
};

extern const double metric_buckets_execution[]; /* 0.01 ... 3600 seconds (OPERATIONS section 10) */
extern const double metric_buckets_drift[];     /* 0.001 ... 60 */
extern const double metric_buckets_rpc[];       /* 0.0005 ... 2.5 */

struct metrics; /* a registry */
struct metric;  /* one series */

/*
 * A registry with the families of `table` (borrowed for ever), and process_* and
 * engenho_build_info.
 */
struct metrics *metrics_new(const char *component, const struct metric_desc *table, size_t count);
void metrics_free(struct metrics *metrics);
/* One more label of engenho_build_info (librdkafka, python): 4 at most. */
void metrics_build_label(struct metrics *metrics, const char *name, const char *value);

/*
 * The series of a family with these label values (as many as it has labels, NULL for none), made
 * when new. `name` must be in the table. Never NULL: past series_max it is a series that is not
 * shown. Lives as long as the registry, or until metrics_remove. Look it up once, keep it.
 */
struct metric *metrics_series(struct metrics *metrics, const char *name, const char *const *values);
/* metrics_series(m, "name", METRIC_VALUES("default", "event")) */
#define METRIC_VALUES(...) ((const char *const[]){__VA_ARGS__, NULL})
/* Forget one series (a partition that is not ours any more). */
void metrics_remove(struct metrics *metrics, const char *name, const char *const *values);

void metric_add(struct metric *metric, double value);     /* counters and gauges */
void metric_set(struct metric *metric, double value);     /* gauges, counters the kernel counts */
void metric_observe(struct metric *metric, double value); /* histograms */
double metric_value(const struct metric *metric);         /* for tests */

enum metrics_format { METRICS_TEXT, METRICS_OPENMETRICS };
/*
 * The exposition, text/plain version 0.0.4 or OpenMetrics 1.0. Returns 0, or -EMSGSIZE past the
 * buffer's maximum.
 */
MUST_CHECK int metrics_write(const struct metrics *metrics, enum metrics_format format,
                             struct buf *out);
/* This table's section of docs/METRICS.md, with what every process has at its end. */
void metrics_print_markdown(const char *component, const struct metric_desc *table, size_t count,
                            FILE *out);

#endif
