/*
 * The registry behind metrics.h, shared by metrics.c (values) and metrics_text.c (what is shown).
 * Within common.
 */
#ifndef ENGENHO_COMMON_METRICS_REGISTRY_H
#define ENGENHO_COMMON_METRICS_REGISTRY_H

#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

#include "common/metrics.h"

struct metric {
    const struct metric_desc *desc;
    char *key; /* the label values, each with its NUL: the key of the hash */
    size_t key_bytes;
    double value;   /* histograms: the sum */
    uint64_t count; /* histograms: observations */
    /* histograms: how many fell into each, not summed up; the last one is beyond all bounds */
    uint64_t *buckets;
    UT_hash_handle hh;
};

struct family {
    const struct metric_desc *desc;
    size_t labels;
    size_t buckets;         /* bounds, without +Inf */
    struct metric *series;  /* by label values, shown in the order in which they were made */
    struct metric *surplus; /* takes what came past series_max; never shown */
    UT_hash_handle hh;
};

struct build_label {
    char *name, *value;
};

#define BUILD_LABELS_MAX 4

struct metrics {
    const char *component;
    struct family *families; /* array in the order of the table */
    size_t count;
    struct family *by_name; /* hash over the same structures */
    double series_dropped;
    struct build_label build[BUILD_LABELS_MAX];
    size_t build_count;
};

#endif
