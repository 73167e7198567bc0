#include "common/clock.h"

#include <time.h>

#include "tests/unit/common/unit.h"

static void the_monotonic_clock_never_goes_back(void **state)
{
    (void)state;
    int64_t last = clock_mono_us();
    assert_true(last > 0);
    for (int i = 0; i < 10000; i++) {
        int64_t now = clock_mono_us();
        assert_true(now >= last);
        last = now;
    }
}

static void the_wall_clock_counts_microseconds_since_1970(void **state)
{
    (void)state;
    int64_t before = (int64_t)time(NULL);
    int64_t now_us = clock_unix_us();
    /* time() may lag the clock by a tick of the kernel. */
    assert_true(now_us / SECOND_US >= before);
    assert_true(now_us / SECOND_US <= (int64_t)time(NULL) + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_monotonic_clock_never_goes_back),
        cmocka_unit_test(the_wall_clock_counts_microseconds_since_1970),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
