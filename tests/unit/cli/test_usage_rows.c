/*
 * Usage records in rows: their order, those that come twice, the sums of days.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/usage_rows.h"

static void add(struct usage_rows *rows, const char *text)
{
    struct error error = {.text = ""};
    json_t *record = json_loads(text, 0, NULL);
    assert_non_null(record);
    assert_int_equal(usage_rows_add(rows, record, &error), 0);
    json_decref(record);
}

static void add_minute(struct usage_rows *rows, const char *id, const char *pool, const char *from,
                       int granted)
{
    json_t *record =
        json_pack("{ss ss ss ss si si sf s[{ss si}]}", "id", id, "pool", pool, "from", from,
                  "until", "2026-01-02T00:00:00Z", "granted", granted, "peak", granted,
                  "waitSeconds", 0.5, "refusals", "reason", "pool_limit", "count", granted);
    struct error error = {.text = ""};
    assert_non_null(record);
    assert_int_equal(usage_rows_add(rows, record, &error), 0);
    json_decref(record);
}

static void expect(const struct usage_rows *rows, size_t index, bool as_text, const char *member,
                   const char *want)
{
    json_t *row = usage_rows_json(rows, index, as_text);
    char *got = table_cell(json_object_get(row, member));
    assert_string_equal(got, want);
    free(got);
    json_decref(row);
}

static void rows_come_in_order_of_time_and_pool_each_id_once(void **state)
{
    struct usage_rows *rows = usage_rows_new();
    (void)state;
    add_minute(rows, "2:b", "b", "2026-01-01T00:02:00Z", 1);
    add_minute(rows, "1:b", "b", "2026-01-01T00:01:00Z", 2);
    add_minute(rows, "2:a", "a", "2026-01-01T00:02:00Z", 3);
    add_minute(rows, "2:b", "b", "2026-01-01T00:02:00Z", 1);
    usage_rows_finish(rows, false);
    assert_int_equal(usage_rows_count(rows), 3);
    expect(rows, 0, true, "granted", "2");
    expect(rows, 1, true, "granted", "3");
    expect(rows, 2, true, "pool", "b");
    usage_rows_free(rows);
}

static void a_day_adds_up_and_keeps_the_largest_peak(void **state)
{
    struct usage_rows *rows = usage_rows_new();
    (void)state;
    add_minute(rows, "1:a", "a", "2026-01-01T00:01:00Z", 5);
    add_minute(rows, "1:b", "b", "2026-01-01T00:01:00Z", 1);
    add_minute(rows, "2:a", "a", "2026-01-01T23:59:00Z", 2);
    add_minute(rows, "3:a", "a", "2026-01-02T00:00:00Z", 4);
    usage_rows_finish(rows, true);
    assert_int_equal(usage_rows_count(rows), 3);
    expect(rows, 0, true, "from", "2026-01-01T00:00:00Z");
    expect(rows, 0, true, "until", "2026-01-02T00:00:00Z");
    expect(rows, 0, true, "granted", "7");
    expect(rows, 0, true, "peak", "5");
    expect(rows, 0, true, "waitSeconds", "1.0");
    expect(rows, 0, true, "refusals", "pool_limit=7");
    expect(rows, 1, true, "pool", "b");
    expect(rows, 2, true, "granted", "4");
    usage_rows_free(rows);
}

static void holders_are_one_cell_or_a_list(void **state)
{
    struct usage_rows *rows = usage_rows_new();
    (void)state;
    add(rows,
        "{\"id\": \"1:a\", \"pool\": \"a\", \"from\": \"2026-01-01T00:00:00Z\", \"until\": "
        "\"2026-01-01T00:01:00Z\", \"holders\": [{\"processor\": \"w1\", \"production\": \"p\", "
        "\"granted\": 2}, {\"processor\": \"\", \"production\": \"\", \"granted\": 1}]}");
    usage_rows_finish(rows, false);
    expect(rows, 0, true, "holders", "w1/p=2; others=1");
    expect(rows, 0, true, "refusals", "");
    expect(rows, 0, false, "refusals", "[]");
    usage_rows_free(rows);
}

static void a_record_without_its_names_is_refused(void **state)
{
    static const char *const wrong[] = {
        "{}", "[]", "{\"id\": \"1:a\", \"pool\": \"a\", \"from\": \"soon\", \"until\": \"later\"}",
        "{\"id\": 1, \"pool\": \"a\", \"from\": \"2026-01-01\", \"until\": \"2026-01-02\"}"};
    struct usage_rows *rows = usage_rows_new();
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct error error = {.text = ""};
        json_t *record = json_loads(wrong[i], 0, NULL);
        assert_int_equal(usage_rows_add(rows, record, &error), -EINVAL);
        assert_true(strlen(error.text) > 0);
        json_decref(record);
    }
    usage_rows_finish(rows, true);
    assert_int_equal(usage_rows_count(rows), 0);
    usage_rows_free(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_in_order_of_time_and_pool_each_id_once),
        cmocka_unit_test(a_day_adds_up_and_keeps_the_largest_peak),
        cmocka_unit_test(holders_are_one_cell_or_a_list),
        cmocka_unit_test(a_record_without_its_names_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
