/*
 * What is shown of a registry of metrics: the exposition for Prometheus and the page for people.
 * Every process.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/metrics.h"
#include "common/metrics_registry.h"
#include "common/process_stats.h"

#ifndef ENGENHO_REVISION
#define ENGENHO_REVISION "unknown"
#endif

#define NUMBER_BYTES 40

/* What every process shows beside its table. */
#define BUILD_NAME "engenho_build_info"
#define BUILD_HELP "What this process is, in its labels; always 1."
#define DROPPED_NAME "engenho_metrics_series_dropped_total"
#define DROPPED_HELP "Look-ups of series that were left out because their family was full."

/* An exposition being written. After the first failure nothing more is appended. */
struct text {
    struct buf *out;
    enum metrics_format format;
    int result;
};

static void put(struct text *text, const char *words)
{
    if (!text->result) {
        text->result = buf_append_text(text->out, words);
    }
}

static void put_escaped(struct text *text, const char *words, bool quotes)
{
    for (; *words && !text->result; words++) {
        char c[2] = {*words, 0};
        if (*words == '\\') {
            put(text, "\\\\");
        } else if (*words == '\n') {
            put(text, "\\n");
        } else if (*words == '"' && quotes) {
            put(text, "\\\"");
        } else {
            put(text, c);
        }
    }
}

static void print_number(double value, char *number)
{
    if (isnan(value)) {
        snprintf(number, NUMBER_BYTES, "NaN");
    } else if (isinf(value)) {
        snprintf(number, NUMBER_BYTES, value > 0 ? "+Inf" : "-Inf");
    } else if (value == floor(value) && fabs(value) < 1e15) {
        snprintf(number, NUMBER_BYTES, "%.0f", value);
    } else {
        snprintf(number, NUMBER_BYTES, "%.15g", value);
        if (strtod(number, NULL) != value) {
            snprintf(number, NUMBER_BYTES, "%.17g", value);
        }
    }
}

static void put_number(struct text *text, double value)
{
    char number[NUMBER_BYTES];
    print_number(value, number);
    put(text, number);
}

static bool ends_with(const char *name, const char *ending)
{
    size_t bytes = strlen(name), ending_bytes = strlen(ending);
    return bytes >= ending_bytes && !strcmp(name + bytes - ending_bytes, ending);
}

/*
 * OpenMetrics names a counter's family without _total, and has no counters whose names end
 * otherwise.
 */
static void put_head(struct text *text, const char *name, enum metric_type type, const char *help)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    const char *word = types[type];
    size_t bytes = strlen(name);
    if (text->format == METRICS_OPENMETRICS && type == METRIC_COUNTER) {
        if (ends_with(name, "_total")) {
            bytes -= strlen("_total");
        } else {
            word = "unknown";
        }
    }
    char family[256];
    snprintf(family, sizeof family, "%.*s", (int)bytes, name);
    put(text, "# HELP ");
    put(text, family);
    put(text, " ");
    put_escaped(text, help, text->format == METRICS_OPENMETRICS);
    put(text, "\n# TYPE ");
    put(text, family);
    put(text, " ");
    put(text, word);
    put(text, "\n");
}

static void put_label(struct text *text, const char *name, const char *value, bool *first)
{
    put(text, *first ? "{" : ",");
    put(text, name);
    put(text, "=\"");
    put_escaped(text, value, true);
    put(text, "\"");
    *first = false;
}

/* The labels of a series, and `le` where it is not NULL. */
static void put_labels(struct text *text, const struct metric *metric, const char *le)
{
    bool first = true;
    const char *value = metric->key;
    for (size_t i = 0; i < METRIC_LABELS_MAX && metric->desc->labels[i]; i++) {
        put_label(text, metric->desc->labels[i], value, &first);
        value += strlen(value) + 1;
    }
    if (le) {
        put_label(text, "le", le, &first);
    }
    if (!first) {
        put(text, "}");
    }
}

static void put_sample(struct text *text, const struct metric *metric, const char *suffix,
                       const char *le, double value)
{
    put(text, metric->desc->name);
    put(text, suffix);
    put_labels(text, metric, le);
    put(text, " ");
    put_number(text, value);
    put(text, "\n");
}

static void put_histogram(struct text *text, const struct metric *metric)
{
    uint64_t below = 0;
    const double *bounds = metric->desc->buckets;
    for (size_t i = 0; bounds[i] != 0; i++) {
        char le[NUMBER_BYTES];
        print_number(bounds[i], le);
        /* OpenMetrics wants the bound as a real number: 1.0. */
        if (text->format == METRICS_OPENMETRICS && !strpbrk(le, ".e")) {
            size_t length = strlen(le);
            snprintf(le + length, sizeof le - length, ".0");
        }
        below += metric->buckets[i];
        put_sample(text, metric, "_bucket", le, (double)below);
    }
    put_sample(text, metric, "_bucket", "+Inf", (double)metric->count);
    put_sample(text, metric, "_sum", NULL, metric->value);
    put_sample(text, metric, "_count", NULL, (double)metric->count);
}

static void put_family(struct text *text, const struct family *family)
{
    if (!family->series) {
        return;
    }
    put_head(text, family->desc->name, family->desc->type, family->desc->help);
    for (const struct metric *metric = family->series; metric; metric = metric->hh.next) {
        if (family->desc->type == METRIC_HISTOGRAM) {
            put_histogram(text, metric);
        } else {
            put_sample(text, metric, "", NULL, metric->value);
        }
    }
}

static void put_build(struct text *text, const struct metrics *metrics)
{
    bool first = true;
    put_head(text, BUILD_NAME, METRIC_GAUGE, BUILD_HELP);
    put(text, BUILD_NAME);
    put_label(text, "version", ENGENHO_VERSION, &first);
    put_label(text, "revision", ENGENHO_REVISION, &first);
    put_label(text, "component", metrics->component, &first);
    for (size_t i = 0; i < metrics->build_count; i++) {
        put_label(text, metrics->build[i].name, metrics->build[i].value, &first);
    }
    put(text, "} 1\n");
}

static void put_process(struct text *text)
{
    double values[PROCESS_STATS];
    process_stats_read(values);
    for (size_t i = 0; i < PROCESS_STATS; i++) {
        const struct process_stat_desc *desc = &process_stat_descs[i];
        if (isnan(values[i])) {
            continue;
        }
        put_head(text, desc->name, desc->counter ? METRIC_COUNTER : METRIC_GAUGE, desc->help);
        put(text, desc->name);
        put(text, " ");
        put_number(text, values[i]);
        put(text, "\n");
    }
}

int metrics_write(const struct metrics *metrics, enum metrics_format format, struct buf *out)
{
    struct text text = {.out = out, .format = format};
    for (size_t i = 0; i < metrics->count; i++) {
        put_family(&text, &metrics->families[i]);
    }
    put_head(&text, DROPPED_NAME, METRIC_COUNTER, DROPPED_HELP);
    put(&text, DROPPED_NAME " ");
    put_number(&text, metrics->series_dropped);
    put(&text, "\n");
    put_build(&text, metrics);
    put_process(&text);
    if (format == METRICS_OPENMETRICS) {
        put(&text, "# EOF\n");
    }
    return text.result;
}

static void print_row(const char *name, const char *type, const char *const *labels,
                      const char *help, FILE *out)
{
    fprintf(out, "| `%s` | %s | ", name, type);
    for (size_t i = 0; labels && labels[i]; i++) {
        fprintf(out, "%s%s", i ? ", " : "", labels[i]);
    }
    fputs(" | ", out);
    for (; *help; help++) {
        /* A bar would end the cell. */
        fputs(*help == '|' ? "\\" : "", out);
        fputc(*help, out);
    }
    fputs(" |\n", out);
}

void metrics_print_markdown(const char *component, const struct metric_desc *table, size_t count,
                            FILE *out)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    fprintf(out, "## %s\n\n| metric | type | labels | what it says |\n|---|---|---|---|\n",
            component);
    for (size_t i = 0; i < count; i++) {
        print_row(table[i].name, types[table[i].type], table[i].labels, table[i].help, out);
    }
    static const char *const build_labels[] = {"version", "revision", "component", NULL};
    print_row(BUILD_NAME, "gauge", build_labels, BUILD_HELP, out);
    print_row(DROPPED_NAME, "counter", NULL, DROPPED_HELP, out);
    for (size_t i = 0; i < PROCESS_STATS; i++) {
        print_row(process_stat_descs[i].name, types[!process_stat_descs[i].counter], NULL,
                  process_stat_descs[i].help, out);
    }
    fputc('\n', out);
}
