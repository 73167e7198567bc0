/*
 * The registry of metrics: families from a static table, series by label values. One hash look-up
 * when a series is first asked for, one addition after. Every process.
 */
#include "common/metrics.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/metrics_registry.h"

#define SERIES_MAX_INITIAL 1000
#define KEY_BYTES_MAX 2048

const double metric_buckets_execution[] = {0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,    2.5,
                                           5,    10,    30,   60,  300,  900, 3600, 0};
const double metric_buckets_drift[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                       0.5,   1,      2.5,   5,    10,    30,   60,  0};
const double metric_buckets_rpc[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                     0.1,    0.25,  0.5,    1,     2.5,  0};

static struct metric *new_series(const struct family *family, const void *key, size_t key_bytes)
{
    struct metric *metric = memory_new(1, sizeof *metric);
    metric->desc = family->desc;
    metric->key = memory_copy(key, key_bytes);
    metric->key_bytes = key_bytes;
    if (family->desc->type == METRIC_HISTOGRAM) {
        metric->buckets = memory_new(family->buckets + 1, sizeof *metric->buckets);
    }
    return metric;
}

static void free_series(struct metric *metric)
{
    if (metric) {
        free(metric->key);
        free(metric->buckets);
        free(metric);
    }
}

static void init_family(struct family *family, const struct metric_desc *desc)
{
    family->desc = desc;
    while (family->labels < METRIC_LABELS_MAX && desc->labels[family->labels]) {
        family->labels++;
    }
    if (desc->type == METRIC_HISTOGRAM) {
        assert(desc->buckets);
        while (desc->buckets[family->buckets] != 0) {
            assert(!family->buckets ||
                   desc->buckets[family->buckets] > desc->buckets[family->buckets - 1]);
            family->buckets++;
        }
    }
    family->surplus = new_series(family, "", 0);
}

struct metrics *metrics_new(const char *component, const struct metric_desc *table, size_t count)
{
    struct metrics *metrics = memory_new(1, sizeof *metrics);
    metrics->component = component;
    metrics->families = memory_new(count, sizeof *metrics->families);
    metrics->count = count;
    for (size_t i = 0; i < count; i++) {
        struct family *family = &metrics->families[i];
        init_family(family, &table[i]);
        HASH_ADD_KEYPTR(hh, metrics->by_name, table[i].name, strlen(table[i].name), family);
        /*
         * What counts starts at 0, so that the first increase is seen; a gauge says nothing before
         * it was set.
         */
        if (!family->labels && table[i].type != METRIC_GAUGE) {
            metrics_series(metrics, table[i].name, NULL);
        }
    }
    return metrics;
}

static void free_family(struct family *family)
{
    struct metric *metric, *next;
    HASH_ITER (hh, family->series, metric, next) {
        HASH_DEL(family->series, metric);
        free_series(metric);
    }
    free_series(family->surplus);
}

void metrics_free(struct metrics *metrics)
{
    if (!metrics) {
        return;
    }
    HASH_CLEAR(hh, metrics->by_name);
    for (size_t i = 0; i < metrics->count; i++) {
        free_family(&metrics->families[i]);
    }
    free(metrics->families);
    for (size_t i = 0; i < metrics->build_count; i++) {
        free(metrics->build[i].name);
        free(metrics->build[i].value);
    }
    free(metrics);
}

void metrics_build_label(struct metrics *metrics, const char *name, const char *value)
{
    assert(metrics->build_count < BUILD_LABELS_MAX);
    metrics->build[metrics->build_count++] =
        (struct build_label){memory_copy_text(name), memory_copy_text(value)};
}

static struct family *find_family(struct metrics *metrics, const char *name)
{
    struct family *family;
    HASH_FIND(hh, metrics->by_name, name, strlen(name), family);
    /*
     * A name that no table has is a mistake in our code, found by the first test that runs the
     * line.
     */
    assert(family);
    return family;
}

/*
 * The values one after the other, each with its NUL, into `key`. Returns 0 when they don't fit:
 * such a series is dropped.
 */
static size_t join_values(const struct family *family, const char *const *values, char *key)
{
    size_t bytes = 0;
    for (size_t i = 0; i < family->labels; i++) {
        assert(values && values[i]);
        size_t length = strlen(values[i]) + 1;
        if (length > KEY_BYTES_MAX - bytes) {
            return 0;
        }
        memcpy(key + bytes, values[i], length);
        bytes += length;
    }
    assert(!values || !values[family->labels]);
    return bytes;
}

struct metric *metrics_series(struct metrics *metrics, const char *name, const char *const *values)
{
    struct family *family = find_family(metrics, name);
    char key[KEY_BYTES_MAX];
    size_t key_bytes = join_values(family, values, key);
    struct metric *metric = NULL;
    HASH_FIND(hh, family->series, key, key_bytes, metric);
    if (metric) {
        return metric;
    }
    size_t max = family->desc->series_max ? family->desc->series_max : SERIES_MAX_INITIAL;
    if (HASH_COUNT(family->series) >= max || (family->labels && !key_bytes)) {
        metrics->series_dropped++;
        return family->surplus;
    }
    metric = new_series(family, key, key_bytes);
    HASH_ADD_KEYPTR(hh, family->series, metric->key, metric->key_bytes, metric);
    return metric;
}

void metrics_remove(struct metrics *metrics, const char *name, const char *const *values)
{
    struct family *family = find_family(metrics, name);
    char key[KEY_BYTES_MAX];
    size_t key_bytes = join_values(family, values, key);
    struct metric *metric = NULL;
    HASH_FIND(hh, family->series, key, key_bytes, metric);
    if (metric) {
        HASH_DEL(family->series, metric);
        free_series(metric);
    }
}

void metric_add(struct metric *metric, double value)
{
    assert(metric->desc->type != METRIC_HISTOGRAM);
    assert(metric->desc->type != METRIC_COUNTER || value >= 0);
    metric->value += value;
}

void metric_set(struct metric *metric, double value)
{
    assert(metric->desc->type != METRIC_HISTOGRAM);
    metric->value = value;
}

void metric_observe(struct metric *metric, double value)
{
    assert(metric->desc->type == METRIC_HISTOGRAM);
    const double *bounds = metric->desc->buckets;
    size_t i = 0;
    while (bounds[i] != 0 && value > bounds[i]) {
        i++;
    }
    metric->buckets[i]++;
    metric->count++;
    metric->value += value;
}

double metric_value(const struct metric *metric)
{
    return metric->value;
}
