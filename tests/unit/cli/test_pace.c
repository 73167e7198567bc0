/*
 * When the events of a replay are due.
 */
#include "cli/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct pace pace;

static void a_rate_spaces_events_evenly_without_drift(void **state)
{
    (void)state;
    pace_init(&pace, 200, 0);
    pace_start(&pace, 0, 0, 1000);
    assert_int_equal(pace_due_us(&pace, 0, 0), 1000);
    assert_int_equal(pace_due_us(&pace, 1, 0), 6000);
    assert_int_equal(pace_due_us(&pace, 22694, 0), 1000 + INT64_C(22694) * 5000);
}

static void speed_follows_the_events_own_times(void **state)
{
    (void)state;
    pace_init(&pace, 0, 10);
    pace_start(&pace, 5, 1000000, 0);
    assert_int_equal(pace_due_us(&pace, 5, 1000000), 0);
    assert_int_equal(pace_due_us(&pace, 6, 2000000), 100000);
}

static void without_rate_and_speed_all_is_due(void **state)
{
    (void)state;
    pace_init(&pace, 0, 0);
    pace_start(&pace, 0, 0, 7);
    assert_int_equal(pace_due_us(&pace, 1000000, 99), 7);
    pace_catch(&pace, 10, 0, INT64_C(1) << 40);
    assert_int_equal(pace_due_us(&pace, 1000000, 99), 7);
}

static void a_little_late_is_made_up_for(void **state)
{
    (void)state;
    pace_init(&pace, 200, 0);
    pace_start(&pace, 0, 0, 0);
    pace_catch(&pace, 10, 0, 50000 + PACE_LATE_US_MAX);
    assert_int_equal(pace_due_us(&pace, 11, 0), 55000);
}

static void far_too_late_starts_anew_without_a_burst(void **state)
{
    (void)state;
    pace_init(&pace, 200, 0);
    pace_start(&pace, 0, 0, 0);
    pace_catch(&pace, 10, 0, 9000000);
    assert_int_equal(pace_due_us(&pace, 10, 0), 9000000);
    assert_int_equal(pace_due_us(&pace, 11, 0), 9005000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rate_spaces_events_evenly_without_drift),
        cmocka_unit_test(speed_follows_the_events_own_times),
        cmocka_unit_test(without_rate_and_speed_all_is_due),
        cmocka_unit_test(a_little_late_is_made_up_for),
        cmocka_unit_test(far_too_late_starts_anew_without_a_burst),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
