#include "common/duration.h"

#include <errno.h>
#include <time.h>

#include "common/random.h"
#include "tests/unit/common/unit.h"

#define S INT64_C(1000000)
#define DAY (86400 * S)

static int64_t duration_of(const char *text)
{
    int64_t us = -1;
    int result = duration_parse(text, &us);
    return result ? result : us;
}

static void durations_are_read_with_their_units(void **state)
{
    (void)state;
    assert_int_equal(duration_of("10us"), 10);
    assert_int_equal(duration_of("200ms"), 200000);
    assert_int_equal(duration_of("60s"), 60 * S);
    assert_int_equal(duration_of("30m"), 1800 * S);
    assert_int_equal(duration_of("12h"), 43200 * S);
    assert_int_equal(duration_of("7d"), 7 * DAY);
    assert_int_equal(duration_of("0s"), 0);
    assert_int_equal(duration_of("007s"), 7 * S);
}

static void the_form_of_epm_is_read(void **state)
{
    (void)state;
    assert_int_equal(duration_of("000.00:01:00"), 60 * S);
    assert_int_equal(duration_of("001.02:03:04"), DAY + (2 * 3600 + 3 * 60 + 4) * S);
    assert_int_equal(duration_of("0.23:59:59"), DAY - S);
    assert_int_equal(duration_of("36525.00:00:00"), 36525 * DAY);
}

static void what_is_no_duration_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "s",
                                      "60",
                                      "60 s",
                                      " 60s",
                                      "60s ",
                                      "-1s",
                                      "+1s",
                                      "1.5s",
                                      "1S",
                                      "1min",
                                      "1h30m",
                                      "0x10s",
                                      "000.00:01",
                                      "000.00:01:0",
                                      "000.00:01:000",
                                      "000.24:00:00",
                                      "000.00:60:00",
                                      "000.00:00:60",
                                      "00:01:00",
                                      ".00:01:00",
                                      "000.00:01:00s",
                                      "1d."};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        int64_t us = 123;
        if (duration_parse(bad[i], &us) != -EINVAL) {
            fail_msg("'%s' was not refused", bad[i]);
        }
        assert_int_equal(us, 123);
    }
}

static void durations_past_100_years_are_out_of_range(void **state)
{
    (void)state;
    assert_int_equal(duration_of("36525d"), 36525 * DAY);
    assert_int_equal(duration_of("36526d"), -ERANGE);
    assert_int_equal(duration_of("36525.00:00:01"), -ERANGE);
    assert_int_equal(duration_of("99999.00:00:00"), -ERANGE);
    assert_int_equal(duration_of("3155760001s"), -ERANGE);
    assert_int_equal(duration_of("9223372036854775807s"), -ERANGE);
    assert_int_equal(duration_of("9223372036854775808us"), -ERANGE);
    assert_int_equal(duration_of("99999999999999999999999999999999d"), -ERANGE);
    assert_int_equal(duration_of("99999999999999999999999999999999.00:00:00"), -ERANGE);
}

static void assert_printed(int64_t us, const char *expected)
{
    char text[DURATION_TEXT_BYTES];
    duration_print(us, text);
    assert_string_equal(text, expected);
    int64_t back;
    assert_int_equal(duration_parse(text, &back), 0);
    assert_int_equal(back, us);
}

static void durations_are_printed_short_and_exact(void **state)
{
    (void)state;
    assert_printed(0, "0s");
    assert_printed(1, "1us");
    assert_printed(1500 * 1000, "1500ms");
    assert_printed(60 * S, "1m");
    assert_printed(90 * S, "90s");
    assert_printed(3600 * S, "1h");
    assert_printed(DAY, "1d");
    assert_printed(25 * 3600 * S, "25h");
    assert_printed(36525 * DAY, "36525d");
    assert_printed(DAY + 1, "86400000001us");
}

static int64_t instant_of(const char *text)
{
    int64_t us = -1;
    if (instant_parse(text, &us)) {
        fail_msg("'%s' was refused", text);
    }
    return us;
}

static void instants_are_read_in_every_form(void **state)
{
    (void)state;
    const int64_t noon = INT64_C(1769860800) * S; /* 2026-01-31T12:00:00Z, from date(1) */
    assert_int_equal(instant_of("2026-01-31T12:00:00Z"), noon);
    assert_int_equal(instant_of("2026-01-31t12:00:00z"), noon);
    assert_int_equal(instant_of("2026-01-31 12:00:00"), noon);
    assert_int_equal(instant_of("2026-01-31 12:00"), noon);
    assert_int_equal(instant_of("2026-01-31T12:00:00.5Z"), noon + S / 2);
    assert_int_equal(instant_of("2026-01-31T12:00:00.123456Z"), noon + 123456);
    assert_int_equal(instant_of("2026-01-31T12:00:00.1234569Z"), noon + 123456);
    assert_int_equal(instant_of("2026-01-31"), noon - 12 * 3600 * S);
    assert_int_equal(instant_of("1970-01-01"), 0);
    assert_int_equal(instant_of("1969-12-31T23:59:59.999999Z"), -1);
}

static void offsets_are_taken_off(void **state)
{
    (void)state;
    const int64_t noon = instant_of("2026-01-31T12:00:00Z");
    assert_int_equal(instant_of("2026-01-31T09:00:00-03:00"), noon);
    assert_int_equal(instant_of("2026-01-31T09:00:00-0300"), noon);
    assert_int_equal(instant_of("2026-02-01T02:00:00+14:00"), noon);
    assert_int_equal(instant_of("2026-01-31T17:45:00+05:45"), noon);
    assert_int_equal(instant_of("2026-01-31T12:00:00-00:00"), noon);
}

static void leap_years_follow_the_gregorian_rule(void **state)
{
    (void)state;
    assert_int_equal(instant_of("2024-03-01") - instant_of("2024-02-29"), DAY);
    assert_int_equal(instant_of("2000-02-29"), INT64_C(951782400) * S);
    assert_int_equal(instant_of("2400-03-01") - instant_of("2400-02-28"), 2 * DAY);
    assert_int_equal(instant_of("2100-03-01") - instant_of("2100-02-28"), DAY);
    /* A leap second is the first of the next minute. */
    assert_int_equal(instant_of("2016-12-31T23:59:60Z"), instant_of("2017-01-01T00:00:00Z"));
}

static void what_is_no_instant_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "now",
                                      "2026",
                                      "2026-1-31",
                                      "2026-00-10",
                                      "2026-13-01",
                                      "2026-01-00",
                                      "2026-01-32",
                                      "2026-04-31",
                                      "2026-02-29",
                                      "2100-02-29",
                                      "1900-02-29",
                                      "26-01-31",
                                      "2026/01/31",
                                      "2026-01-31T",
                                      "2026-01-31T12",
                                      "2026-01-31T24:00:00Z",
                                      "2026-01-31T12:60:00Z",
                                      "2026-01-31T12:00:61Z",
                                      "2026-01-31T12:00:00.Z",
                                      "2026-01-31T12:00:00,5Z",
                                      "2026-01-31T12:00:00ZZ",
                                      "2026-01-31T12:00:00+3",
                                      "2026-01-31T12:00:00+03",
                                      "2026-01-31T12:00:00+24:00",
                                      "2026-01-31T12:00:00+03:60",
                                      "2026-01-31T12:00:00 Z",
                                      "2026-01-31Z",
                                      "-2026-01-31",
                                      "2026-01-31  12:00:00"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        int64_t us = 123;
        if (instant_parse(bad[i], &us) != -EINVAL) {
            fail_msg("'%s' was not refused", bad[i]);
        }
        assert_int_equal(us, 123);
    }
}

static void assert_instant_printed(const char *text)
{
    char printed[INSTANT_TEXT_BYTES];
    instant_print(instant_of(text), printed);
    assert_string_equal(printed, text);
}

static void instants_are_printed_with_the_decimals_they_need(void **state)
{
    (void)state;
    assert_instant_printed("2026-01-31T12:00:00Z");
    assert_instant_printed("2026-01-31T12:00:00.500Z");
    assert_instant_printed("2026-01-31T12:00:00.000001Z");
    assert_instant_printed("1969-12-31T23:59:59.999999Z");
    assert_instant_printed("0001-01-01T00:00:00Z");
    assert_instant_printed("9999-12-31T23:59:59.999Z");
    /* The ends of the type stay within the buffer. */
    char printed[INSTANT_TEXT_BYTES];
    instant_print(INT64_MAX, printed);
    assert_string_equal(printed, "294247-01-10T04:00:54.775807Z");
    instant_print(INT64_MIN, printed);
    assert_true(strlen(printed) < INSTANT_TEXT_BYTES);
}

static void dates_agree_with_the_c_library_over_a_thousand_years(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 7);
    for (int i = 0; i < 20000; i++) {
        int64_t seconds =
            (int64_t)random_below(&random, UINT64_C(31556952000)) - INT64_C(15778476000);
        time_t at = (time_t)seconds;
        struct tm utc;
        assert_non_null(gmtime_r(&at, &utc));
        char expected[INSTANT_TEXT_BYTES], printed[INSTANT_TEXT_BYTES];
        assert_true(strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%SZ", &utc) > 0);
        instant_print(seconds * S, printed);
        assert_string_equal(printed, expected);
        assert_int_equal(instant_of(printed), seconds * S);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_read_with_their_units),
        cmocka_unit_test(the_form_of_epm_is_read),
        cmocka_unit_test(what_is_no_duration_is_refused_and_changes_nothing),
        cmocka_unit_test(durations_past_100_years_are_out_of_range),
        cmocka_unit_test(durations_are_printed_short_and_exact),
        cmocka_unit_test(instants_are_read_in_every_form),
        cmocka_unit_test(offsets_are_taken_off),
        cmocka_unit_test(leap_years_follow_the_gregorian_rule),
        cmocka_unit_test(what_is_no_instant_is_refused),
        cmocka_unit_test(instants_are_printed_with_the_decimals_they_need),
        cmocka_unit_test(dates_agree_with_the_c_library_over_a_thousand_years),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
