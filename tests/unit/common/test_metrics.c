#include "common/metrics.h"

#include <errno.h>
#include <math.h>

#include "tests/unit/common/unit.h"

static const double bounds[] = {0.5, 1, 2.5, 0};

static const struct metric_desc table[] = {
    {.name = "engenho_plain_total", .type = METRIC_COUNTER, .help = "Counts \\ with\na line."},
    {.name = "engenho_labelled_total",
     .type = METRIC_COUNTER,
     .help = "With labels.",
     .labels = {"agent", "outcome"}},
    {.name = "engenho_level", .type = METRIC_GAUGE, .help = "A level | of \"something\"."},
    {.name = "engenho_wait_seconds",
     .type = METRIC_HISTOGRAM,
     .help = "A wait.",
     .labels = {"agent"},
     .buckets = bounds},
    {.name = "engenho_small_total",
     .type = METRIC_COUNTER,
     .help = "Bounded.",
     .labels = {"x"},
     .series_max = 2},
    {.name = "engenho_seconds_sum", .type = METRIC_COUNTER, .help = "A counter of another name."},
};

static struct metrics *metrics;
static struct buf text;

static int make(void **state)
{
    (void)state;
    metrics = metrics_new("tests", table, ARRAY_SIZE(table));
    buf_init(&text, 1 << 20);
    return 0;
}

static int release(void **state)
{
    (void)state;
    metrics_free(metrics);
    buf_release(&text);
    return 0;
}

static const char *written(enum metrics_format format)
{
    buf_clear(&text);
    assert_int_equal(metrics_write(metrics, format, &text), 0);
    return (const char *)text.data;
}

static void counters_without_labels_start_at_zero_and_gauges_when_set(void **state)
{
    (void)state;
    assert_contains(written(METRICS_TEXT), "\nengenho_plain_total 0\n");
    assert_null(strstr(written(METRICS_TEXT), "engenho_level"));
    metric_set(metrics_series(metrics, "engenho_level", NULL), -1.5);
    assert_contains(written(METRICS_TEXT), "# TYPE engenho_level gauge\nengenho_level -1.5\n");
}

static void a_series_is_found_again_by_its_labels(void **state)
{
    (void)state;
    struct metric *metric =
        metrics_series(metrics, "engenho_labelled_total", METRIC_VALUES("default", "failed"));
    metric_add(metric, 1);
    metric_add(
        metrics_series(metrics, "engenho_labelled_total", METRIC_VALUES("default", "failed")), 2);
    /* Values that are the same when joined are not the same series. */
    metric_add(
        metrics_series(metrics, "engenho_labelled_total", METRIC_VALUES("defaultf", "ailed")), 10);
    metric_add(metrics_series(metrics, "engenho_labelled_total", METRIC_VALUES("", "")), 20);
    assert_true(metric_value(metric) == 3);
    const char *out = written(METRICS_TEXT);
    assert_contains(out, "engenho_labelled_total{agent=\"default\",outcome=\"failed\"} 3\n");
    assert_contains(out, "engenho_labelled_total{agent=\"defaultf\",outcome=\"ailed\"} 10\n");
    assert_contains(out, "engenho_labelled_total{agent=\"\",outcome=\"\"} 20\n");
}

static void label_values_and_help_are_escaped(void **state)
{
    (void)state;
    metric_add(
        metrics_series(metrics, "engenho_labelled_total", METRIC_VALUES("a\"b\\c\nd", "\xc3\xa9")),
        1);
    const char *out = written(METRICS_TEXT);
    assert_contains(out, "{agent=\"a\\\"b\\\\c\\nd\",outcome=\"\xc3\xa9\"} 1\n");
    assert_contains(out, "# HELP engenho_plain_total Counts \\\\ with\\na line.\n");
}

static void a_histogram_sums_up_its_buckets(void **state)
{
    (void)state;
    struct metric *metric =
        metrics_series(metrics, "engenho_wait_seconds", METRIC_VALUES("default"));
    metric_observe(metric, 0);
    metric_observe(metric, 0.5);
    metric_observe(metric, 0.75);
    metric_observe(metric, 2.5);
    metric_observe(metric, 100);
    const char *out = written(METRICS_TEXT);
    assert_contains(out, "# TYPE engenho_wait_seconds histogram\n"
                         "engenho_wait_seconds_bucket{agent=\"default\",le=\"0.5\"} 2\n"
                         "engenho_wait_seconds_bucket{agent=\"default\",le=\"1\"} 3\n"
                         "engenho_wait_seconds_bucket{agent=\"default\",le=\"2.5\"} 4\n"
                         "engenho_wait_seconds_bucket{agent=\"default\",le=\"+Inf\"} 5\n"
                         "engenho_wait_seconds_sum{agent=\"default\"} 103.75\n"
                         "engenho_wait_seconds_count{agent=\"default\"} 5\n");
}

static void past_series_max_nothing_is_shown_and_the_loss_is_counted(void **state)
{
    (void)state;
    metric_add(metrics_series(metrics, "engenho_small_total", METRIC_VALUES("a")), 1);
    metric_add(metrics_series(metrics, "engenho_small_total", METRIC_VALUES("b")), 1);
    struct metric *third = metrics_series(metrics, "engenho_small_total", METRIC_VALUES("c"));
    struct metric *fourth = metrics_series(metrics, "engenho_small_total", METRIC_VALUES("d"));
    assert_non_null(third);
    assert_ptr_equal(third, fourth);
    metric_add(third, 1);
    metric_add(metrics_series(metrics, "engenho_small_total", METRIC_VALUES("a")), 1);
    const char *out = written(METRICS_TEXT);
    assert_contains(out, "engenho_small_total{x=\"a\"} 2\n");
    assert_null(strstr(out, "x=\"c\""));
    assert_contains(out, "engenho_metrics_series_dropped_total 2\n");
    /* A removed series makes room for another. */
    metrics_remove(metrics, "engenho_small_total", METRIC_VALUES("a"));
    metrics_remove(metrics, "engenho_small_total", METRIC_VALUES("never"));
    metric_add(metrics_series(metrics, "engenho_small_total", METRIC_VALUES("e")), 5);
    out = written(METRICS_TEXT);
    assert_contains(out, "engenho_small_total{x=\"e\"} 5\n");
    assert_null(strstr(out, "x=\"a\""));
}

static void label_values_without_end_are_left_out(void **state)
{
    (void)state;
    char *value = malloc(100001);
    memset(value, 'v', 100000);
    value[100000] = 0;
    metric_add(metrics_series(metrics, "engenho_labelled_total", METRIC_VALUES(value, "x")), 1);
    metrics_remove(metrics, "engenho_labelled_total", METRIC_VALUES(value, "x"));
    free(value);
    const char *out = written(METRICS_TEXT);
    assert_null(strstr(out, "vvvv"));
    assert_contains(out, "engenho_metrics_series_dropped_total 1\n");
}

static void numbers_are_exact_and_infinities_have_names(void **state)
{
    (void)state;
    struct metric *metric = metrics_series(metrics, "engenho_level", NULL);
    static const struct {
        double value;
        const char *text;
    } numbers[] = {{0.1, "engenho_level 0.1\n"},
                   {1e15, "engenho_level 1e+15\n"},
                   {123456789012, "engenho_level 123456789012\n"},
                   {0.1 + 0.2, "engenho_level 0.30000000000000004\n"},
                   {INFINITY, "engenho_level +Inf\n"},
                   {-INFINITY, "engenho_level -Inf\n"},
                   {NAN, "engenho_level NaN\n"}};
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        metric_set(metric, numbers[i].value);
        assert_contains(written(METRICS_TEXT), numbers[i].text);
    }
}

static void openmetrics_names_counters_without_total_and_ends_with_eof(void **state)
{
    (void)state;
    metric_observe(metrics_series(metrics, "engenho_wait_seconds", METRIC_VALUES("a")), 1);
    metric_set(metrics_series(metrics, "engenho_level", NULL), 1);
    const char *out = written(METRICS_OPENMETRICS);
    assert_contains(out, "# TYPE engenho_plain counter\nengenho_plain_total 0\n");
    assert_contains(out, "# TYPE engenho_seconds_sum unknown\nengenho_seconds_sum 0\n");
    assert_contains(out, "le=\"1.0\"} 1\n");
    assert_contains(out, "A level | of \\\"something\\\".\n");
    assert_string_equal(out + strlen(out) - 6, "# EOF\n");
    assert_null(strstr(written(METRICS_TEXT), "EOF"));
}

static void every_process_says_what_it_is_and_what_it_takes(void **state)
{
    (void)state;
    metrics_build_label(metrics, "librdkafka", "2.14.2");
    const char *out = written(METRICS_TEXT);
    assert_contains(out, "engenho_build_info{version=\"" ENGENHO_VERSION "\",revision=\"");
    assert_contains(out, ",component=\"tests\",librdkafka=\"2.14.2\"} 1\n");
    static const char *const names[] = {"process_cpu_seconds_total ",
                                        "process_resident_memory_bytes ",
                                        "process_virtual_memory_bytes ",
                                        "process_start_time_seconds ",
                                        "process_open_fds ",
                                        "process_max_fds "};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        char line[80];
        snprintf(line, sizeof line, "\n%s", names[i]);
        const char *at = strstr(out, line);
        assert_non_null(at);
        assert_true(strtod(at + strlen(line), NULL) >= 0);
    }
    double resident = strtod(strstr(out, "\nprocess_resident_memory_bytes ") + 31, NULL);
    assert_true(resident > 100000);
}

static void an_exposition_past_the_buffers_maximum_fails(void **state)
{
    (void)state;
    struct buf small;
    buf_init(&small, 200);
    assert_int_equal(metrics_write(metrics, METRICS_TEXT, &small), -EMSGSIZE);
    buf_release(&small);
}

static void thousands_of_series_are_found_quickly_and_shown_in_order(void **state)
{
    (void)state;
    static const struct metric_desc wide[] = {{.name = "engenho_wide_total",
                                               .type = METRIC_COUNTER,
                                               .help = "x",
                                               .labels = {"n"},
                                               .series_max = 20000}};
    struct metrics *many = metrics_new("tests", wide, 1);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 20000; i++) {
            char n[16];
            snprintf(n, sizeof n, "%d", i);
            metric_add(metrics_series(many, "engenho_wide_total", METRIC_VALUES(n)), 1);
        }
    }
    struct buf out;
    buf_init(&out, 4 << 20);
    assert_int_equal(metrics_write(many, METRICS_TEXT, &out), 0);
    assert_contains((char *)out.data,
                    "engenho_wide_total{n=\"0\"} 2\nengenho_wide_total{n=\"1\"} 2\n");
    assert_contains((char *)out.data, "engenho_wide_total{n=\"19999\"} 2\n");
    buf_release(&out);
    metrics_free(many);
    metrics_free(NULL);
}

static void the_markdown_names_types_and_labels(void **state)
{
    (void)state;
    char *out = NULL;
    size_t bytes = 0;
    FILE *file = open_memstream(&out, &bytes);
    metrics_print_markdown("engenho-test", table, ARRAY_SIZE(table), file);
    fclose(file);
    assert_contains(out, "## engenho-test\n");
    assert_contains(out,
                    "| `engenho_labelled_total` | counter | agent, outcome | With labels. |\n");
    assert_contains(out, "A level \\| of");
    assert_contains(out, "| `engenho_build_info` | gauge | version, revision, component | ");
    assert_contains(out, "| `process_cpu_seconds_total` | counter |  | ");
    assert_contains(out, "| `process_open_fds` | gauge |  | ");
    free(out);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(counters_without_labels_start_at_zero_and_gauges_when_set),
        TEST(a_series_is_found_again_by_its_labels),
        TEST(label_values_and_help_are_escaped),
        TEST(a_histogram_sums_up_its_buckets),
        TEST(past_series_max_nothing_is_shown_and_the_loss_is_counted),
        TEST(label_values_without_end_are_left_out),
        TEST(numbers_are_exact_and_infinities_have_names),
        TEST(openmetrics_names_counters_without_total_and_ends_with_eof),
        TEST(every_process_says_what_it_is_and_what_it_takes),
        TEST(an_exposition_past_the_buffers_maximum_fails),
        TEST(thousands_of_series_are_found_quickly_and_shown_in_order),
        TEST(the_markdown_names_types_and_labels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
