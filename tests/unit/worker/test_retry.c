/* What becomes of an execution that ended, and when a production is stopped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "worker/breaker.h"
#include "worker/retry.h"

static const struct retry_policy twice = {.retries = 2, .wait_us = 1000};

static void a_failure_is_repeated_as_often_as_the_production_says(void **state)
{
    (void)state;
    assert_int_equal(retry_judge(&twice, ENGENHO__OUTCOME__OUTCOME_FAILED, 1, false), RETRY_AGAIN);
    assert_int_equal(retry_judge(&twice, ENGENHO__OUTCOME__OUTCOME_FAILED, 2, false), RETRY_AGAIN);
    assert_int_equal(retry_judge(&twice, ENGENHO__OUTCOME__OUTCOME_FAILED, 3, false),
                     RETRY_DEAD_LETTER);
}

static void time_limit_crash_and_memory_are_attempts_too(void **state)
{
    (void)state;
    assert_int_equal(retry_judge(&twice, ENGENHO__OUTCOME__OUTCOME_TIMED_OUT, 1, false),
                     RETRY_AGAIN);
    assert_int_equal(retry_judge(&twice, ENGENHO__OUTCOME__OUTCOME_CRASHED, 1, false), RETRY_AGAIN);
    assert_int_equal(retry_judge(&twice, ENGENHO__OUTCOME__OUTCOME_OUT_OF_MEMORY, 3, false),
                     RETRY_DEAD_LETTER);
}

static void what_is_declared_not_retryable_is_not_repeated(void **state)
{
    (void)state;
    assert_int_equal(retry_judge(&twice, ENGENHO__OUTCOME__OUTCOME_FAILED, 1, true),
                     RETRY_DEAD_LETTER);
}

static void success_skip_and_cancel_are_results_and_no_failures(void **state)
{
    (void)state;
    assert_int_equal(retry_judge(&twice, ENGENHO__OUTCOME__OUTCOME_SUCCEEDED, 1, false),
                     RETRY_RESULT);
    assert_int_equal(retry_judge(&twice, ENGENHO__OUTCOME__OUTCOME_SKIPPED, 1, false),
                     RETRY_RESULT);
    assert_int_equal(retry_judge(&twice, ENGENHO__OUTCOME__OUTCOME_CANCELLED, 1, false),
                     RETRY_RESULT);
    assert_false(retry_is_failure(ENGENHO__OUTCOME__OUTCOME_CANCELLED));
    assert_true(retry_is_failure(ENGENHO__OUTCOME__OUTCOME_TIMED_OUT));
}

static void a_breaker_trips_once_after_so_many_failures_in_a_row(void **state)
{
    struct breaker breaker = {0};
    (void)state;
    assert_false(breaker_count(&breaker, true, 3));
    assert_false(breaker_count(&breaker, true, 3));
    assert_false(breaker_count(&breaker, false, 3));
    assert_false(breaker_count(&breaker, true, 3));
    assert_false(breaker_count(&breaker, true, 3));
    assert_true(breaker_count(&breaker, true, 3));
    assert_false(breaker_count(&breaker, true, 3));
    breaker_reset(&breaker);
    assert_false(breaker_count(&breaker, true, 3));
}

static void a_breaker_without_a_limit_never_trips(void **state)
{
    struct breaker breaker = {0};
    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        assert_false(breaker_count(&breaker, true, 0));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_is_repeated_as_often_as_the_production_says),
        cmocka_unit_test(time_limit_crash_and_memory_are_attempts_too),
        cmocka_unit_test(what_is_declared_not_retryable_is_not_repeated),
        cmocka_unit_test(success_skip_and_cancel_are_results_and_no_failures),
        cmocka_unit_test(a_breaker_trips_once_after_so_many_failures_in_a_row),
        cmocka_unit_test(a_breaker_without_a_limit_never_trips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
