#include "producer/cron.h"

#include <errno.h>

#include "common/duration.h"
#include "tests/unit/common/unit.h"

/* America/New_York in 2026: -5 h, from 8 March 7:00 UTC on -4 h, from 1 November 6:00 UTC on -5 h.
 */
static void span_of_new_york(const struct zone *zone, int64_t at, struct zone_span *ret_span)
{
    static const struct zone_span spans[] = {{1762063200, 1772953200, -5 * 3600},
                                             {1772953200, 1793512800, -4 * 3600},
                                             {1793512800, 1804402800, -5 * 3600}};
    (void)zone;
    for (size_t i = 0; i < 3; i++) {
        if (at >= spans[i].from_s && at < spans[i].until_s) {
            *ret_span = spans[i];
            return;
        }
    }
    *ret_span =
        (struct zone_span){.from_s = at - 86400, .until_s = at + 86400, .offset_s = -5 * 3600};
}

static const struct zone new_york = {.span = span_of_new_york};

static int64_t at(const char *text)
{
    int64_t us = 0;
    assert_int_equal(instant_parse(text, &us), 0);
    return us / 1000000;
}

static void assert_times(const struct zone *zone, const char *fields, const char *after,
                         const char *const *times)
{
    struct cron cron;
    struct error error;
    int64_t now = at(after);
    if (cron_parse(fields, &cron, &error) != 0) {
        fail_msg("%s", error.text);
    }
    for (; *times != NULL; times++) {
        char text[INSTANT_TEXT_BYTES];
        now = cron_next(&cron, zone, now);
        assert_int_not_equal(now, CRON_NEVER);
        instant_print(now * 1000000, text);
        assert_string_equal(text, *times);
    }
}

#define TIMES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void five_fields_are_minutes_to_weekdays(void **state)
{
    (void)state;
    assert_times(&zone_utc, "30 4 1,15 * *", "2026-01-10",
                 TIMES("2026-01-15T04:30:00Z", "2026-02-01T04:30:00Z"));
    assert_times(&zone_utc, "0 9-17/4 * * MON-FRI", "2026-01-02T12:00:00Z",
                 TIMES("2026-01-02T13:00:00Z", "2026-01-02T17:00:00Z", "2026-01-05T09:00:00Z"));
    assert_times(&zone_utc, "0 0 * jan,DEC 7", "2026-01-25",
                 TIMES("2026-12-06T00:00:00Z", "2026-12-13T00:00:00Z"));
}

static void a_sixth_field_in_front_is_seconds(void **state)
{
    (void)state;
    assert_times(&zone_utc, "* * * * * *", "2026-01-01T00:00:58Z",
                 TIMES("2026-01-01T00:00:59Z", "2026-01-01T00:01:00Z"));
    assert_times(&zone_utc, "15/20 0 0 * * *", "2026-01-01",
                 TIMES("2026-01-01T00:00:15Z", "2026-01-01T00:00:35Z", "2026-01-01T00:00:55Z",
                       "2026-01-02T00:00:15Z"));
}

static void a_day_by_month_or_by_week_is_enough_when_both_are_restricted(void **state)
{
    (void)state;
    assert_times(&zone_utc, "0 0 13 * FRI", "2026-02-01",
                 TIMES("2026-02-06T00:00:00Z", "2026-02-13T00:00:00Z", "2026-02-20T00:00:00Z",
                       "2026-02-27T00:00:00Z", "2026-03-06T00:00:00Z", "2026-03-13T00:00:00Z"));
    assert_times(&zone_utc, "0 0 */10 * MON", "2026-02-01",
                 TIMES("2026-05-11T00:00:00Z", "2026-06-01T00:00:00Z"));
}

static void the_last_day_of_a_month_is_l(void **state)
{
    (void)state;
    assert_times(&zone_utc, "0 12 L 2,3 *", "2027-01-01",
                 TIMES("2027-02-28T12:00:00Z", "2027-03-31T12:00:00Z", "2028-02-29T12:00:00Z"));
}

static void a_leap_day_comes_in_leap_years_only(void **state)
{
    (void)state;
    assert_times(&zone_utc, "0 0 29 2 *", "2026-01-01",
                 TIMES("2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"));
    assert_times(&zone_utc, "0 0 29 2 *", "2096-03-01", TIMES("2104-02-29T00:00:00Z"));
}

static void a_fixed_time_in_the_skipped_hour_fires_once_right_after_it(void **state)
{
    (void)state;
    assert_times(&new_york, "30 2 * * *", "2026-03-07T00:00:00Z",
                 TIMES("2026-03-07T07:30:00Z", "2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"));
    /* Several times of the gap: once. */
    assert_times(&new_york, "0,20,40 2,3 * * *", "2026-03-08T06:00:00Z",
                 TIMES("2026-03-08T07:00:00Z", "2026-03-08T07:20:00Z"));
}

static void a_fixed_time_in_the_repeated_hour_fires_the_first_time_only(void **state)
{
    (void)state;
    assert_times(&new_york, "30 1 * * *", "2026-10-31T12:00:00Z",
                 TIMES("2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"));
    assert_times(&new_york, "0 1,2 * * *", "2026-11-01T00:00:00Z",
                 TIMES("2026-11-01T05:00:00Z", "2026-11-01T07:00:00Z", "2026-11-02T06:00:00Z"));
}

static void a_wildcard_or_step_in_the_hour_goes_by_elapsed_time(void **state)
{
    (void)state;
    assert_times(&new_york, "30 * * * *", "2026-03-08T06:00:00Z",
                 TIMES("2026-03-08T06:30:00Z", "2026-03-08T07:30:00Z"));
    assert_times(&new_york, "30 * * * *", "2026-11-01T05:00:00Z",
                 TIMES("2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z", "2026-11-01T07:30:00Z"));
    assert_times(&new_york, "30 */2 * * *", "2026-03-08T05:00:00Z",
                 TIMES("2026-03-08T05:30:00Z", "2026-03-08T08:30:00Z"));
}

static void what_is_wrong_is_said_with_the_field_and_what_it_takes(void **state)
{
    static const struct {
        const char *fields, *part;
    } cases[] = {
        {"* * * *", "has 4 fields"},
        {"", "has 0 fields"},
        {"* * * * * * *", "at least 7 fields"},
        {"60 * * * *", "'60' is not right for minutes: it takes 0 to 59"},
        {"* 24 * * *", "hours: it takes 0 to 23"},
        {"* * 0 * *", "day of month: it takes 1 to 31"},
        {"* * 32 * *", "day of month"},
        {"* * * 13 *", "month: it takes 1 to 12, or JAN to DEC"},
        {"* * * JANUARY *", "month"},
        {"* * * * 8", "day of week: it takes 0 to 7"},
        {"61 * * * * *", "seconds: it takes 0 to 59"},
        {"5-1 * * * *", "'5-1' is not right for minutes"},
        {"*/0 * * * *", "'*/0' is not right"},
        {"*/ * * * *", "'*/' is not right"},
        {"1, * * * *", "'' is not right"},
        {"1-2-3 * * * *", "'1-2-3' is not right"},
        {"-1 * * * *", "'-1' is not right"},
        {"99999999999999999999 * * * *", "is not right for minutes"},
        {"* L * * *", "'L' is not right for hours"},
        {"@daily", "has 1 fields"},
        {"0 0 31 2 *", "never comes"},
        {"0 0 31 4,6,9,11 *", "never comes"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cron cron;
        struct error error = {""};
        assert_int_equal(cron_parse(cases[i].fields, &cron, &error), -EINVAL);
        assert_contains(error.text, cases[i].part);
    }
}

static void a_text_past_its_maximum_is_refused(void **state)
{
    (void)state;
    char text[CRON_BYTES_MAX + 2];
    struct cron cron;
    struct error error;
    memset(text, '1', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_int_equal(cron_parse(text, &cron, &error), -EINVAL);
    assert_contains(error.text, "longer than");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(five_fields_are_minutes_to_weekdays),
        cmocka_unit_test(a_sixth_field_in_front_is_seconds),
        cmocka_unit_test(a_day_by_month_or_by_week_is_enough_when_both_are_restricted),
        cmocka_unit_test(the_last_day_of_a_month_is_l),
        cmocka_unit_test(a_leap_day_comes_in_leap_years_only),
        cmocka_unit_test(a_fixed_time_in_the_skipped_hour_fires_once_right_after_it),
        cmocka_unit_test(a_fixed_time_in_the_repeated_hour_fires_the_first_time_only),
        cmocka_unit_test(a_wildcard_or_step_in_the_hour_goes_by_elapsed_time),
        cmocka_unit_test(what_is_wrong_is_said_with_the_field_and_what_it_takes),
        cmocka_unit_test(a_text_past_its_maximum_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
