#include "producer/zone_database.h"

#include <errno.h>

#include "tests/unit/common/unit.h"

static void spans_meet_at_the_transitions_of_the_zone(void **state)
{
    (void)state;
    struct zone_database *database = zone_database_new();
    const struct zone *zone;
    struct zone_span span;
    assert_int_equal(zone_database_find(database, "America/New_York", &zone, NULL), 0);
    zone->span(zone, 1772953199, &span); /* the second before 8 March 2026, 7:00 UTC */
    assert_int_equal(span.offset_s, -5 * 3600);
    assert_int_equal(span.until_s, 1772953200);
    zone->span(zone, 1772953200, &span);
    assert_int_equal(span.offset_s, -4 * 3600);
    assert_int_equal(span.from_s, 1772953200);
    assert_int_equal(span.until_s, 1793512800);
    zone_database_free(database);
}

static void the_rule_of_the_zone_goes_on_after_2037(void **state)
{
    (void)state;
    struct zone_database *database = zone_database_new();
    const struct zone *zone;
    struct zone_span span;
    assert_int_equal(zone_database_find(database, "Europe/Lisbon", &zone, NULL), 0);
    zone->span(zone, 2540000000, &span); /* June 2050 */
    assert_int_equal(span.offset_s, 3600);
    zone->span(zone, 2523000000, &span); /* December 2049 */
    assert_int_equal(span.offset_s, 0);
    zone_database_free(database);
}

static void no_name_is_utc_and_the_same_name_is_the_same_zone(void **state)
{
    (void)state;
    struct zone_database *database = zone_database_new();
    const struct zone *zone, *again;
    assert_int_equal(zone_database_find(database, "", &zone, NULL), 0);
    assert_ptr_equal(zone, &zone_utc);
    assert_int_equal(zone_database_find(database, "Asia/Tokyo", &zone, NULL), 0);
    assert_int_equal(zone_database_find(database, "Asia/Tokyo", &again, NULL), 0);
    assert_ptr_equal(zone, again);
    zone_database_free(database);
}

static void a_name_that_is_no_file_of_the_database_is_refused(void **state)
{
    static const char *const names[] = {
        "Mars/Olympus", "../../../etc/passwd", "/etc/localtime", "+03:00",
        "EST5EDT4",     "tzdata.zi",           "Europe",         "europe lisbon"};
    (void)state;
    struct zone_database *database = zone_database_new();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct zone *zone = NULL;
        struct error error = {""};
        assert_int_equal(zone_database_find(database, names[i], &zone, &error), -EINVAL);
        assert_contains(error.text, names[i]);
        assert_null(zone);
    }
    assert_int_not_equal(strcmp(zone_database_version(database), ""), 0);
    zone_database_free(database);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_meet_at_the_transitions_of_the_zone),
        cmocka_unit_test(the_rule_of_the_zone_goes_on_after_2037),
        cmocka_unit_test(no_name_is_utc_and_the_same_name_is_the_same_zone),
        cmocka_unit_test(a_name_that_is_no_file_of_the_database_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
