/*
 * The machine behind `engenho up`: start order, pauses, stops.
 */
#include "cli/supervisor.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000)

/* Two servers, a service that needs both, a worker that needs the service. */
enum { KAFKA, REDIS, SERVICE, WORKER };

static struct supervisor supervisor;
static struct supervisor_actions actions;

static int set_up(void **state)
{
    (void)state;
    supervisor_init(&supervisor, 60 * SECOND);
    assert_int_equal(supervisor_add(&supervisor, 0, 2, 10 * SECOND, 0), KAFKA);
    assert_int_equal(supervisor_add(&supervisor, 0, 2, 10 * SECOND, 0), REDIS);
    assert_int_equal(supervisor_add(&supervisor, 3, 1, 10 * SECOND, 0), SERVICE);
    assert_int_equal(supervisor_add(&supervisor, 4, 0, 10 * SECOND, 0), WORKER);
    return 0;
}

static void step(enum supervisor_event_type type, size_t unit, bool ready, int64_t now)
{
    supervisor_step(&supervisor,
                    (struct supervisor_event){.type = type, .unit = unit, .ready = ready}, now,
                    &actions);
}

static size_t count(enum supervisor_action_type type, size_t unit)
{
    size_t found = 0;
    for (size_t i = 0; i < actions.count; i++) {
        found += actions.list[i].type == type && actions.list[i].unit == unit;
    }
    return found;
}

static void all_ready(int64_t now)
{
    step(SUPERVISOR_TICK, 0, false, now);
    for (size_t unit = KAFKA; unit <= WORKER; unit++) {
        step(SUPERVISOR_PROBED, unit, true, now);
    }
}

static void units_start_when_what_they_need_is_ready(void **state)
{
    (void)state;
    step(SUPERVISOR_TICK, 0, false, 0);
    assert_int_equal(actions.count, 2);
    assert_int_equal(count(SUPERVISOR_DO_START, KAFKA), 1);
    assert_int_equal(count(SUPERVISOR_DO_START, REDIS), 1);
    step(SUPERVISOR_PROBED, KAFKA, true, 1);
    assert_int_equal(count(SUPERVISOR_DO_START, SERVICE), 0);
    step(SUPERVISOR_PROBED, REDIS, true, 2);
    assert_int_equal(count(SUPERVISOR_DO_START, SERVICE), 1);
    step(SUPERVISOR_PROBED, SERVICE, true, 3);
    assert_int_equal(count(SUPERVISOR_DO_START, WORKER), 1);
    step(SUPERVISOR_PROBED, WORKER, true, 4);
    assert_int_equal(count(SUPERVISOR_SAY_READY, 0), 1);
    assert_int_equal(supervisor.phase, SUPERVISOR_RUNNING);
}

static void ready_is_said_once(void **state)
{
    (void)state;
    all_ready(0);
    step(SUPERVISOR_DIED, WORKER, false, SECOND);
    step(SUPERVISOR_TICK, 0, false, 2 * SECOND);
    step(SUPERVISOR_PROBED, WORKER, true, 3 * SECOND);
    assert_int_equal(count(SUPERVISOR_SAY_READY, 0), 0);
}

static void a_probe_is_asked_again_after_its_interval(void **state)
{
    (void)state;
    step(SUPERVISOR_TICK, 0, false, 0);
    step(SUPERVISOR_TICK, 0, false, SUPERVISOR_PROBE_STARTING_US - 1);
    assert_int_equal(count(SUPERVISOR_DO_PROBE, KAFKA), 0);
    step(SUPERVISOR_TICK, 0, false, SUPERVISOR_PROBE_STARTING_US);
    assert_int_equal(count(SUPERVISOR_DO_PROBE, KAFKA), 1);
    step(SUPERVISOR_PROBED, KAFKA, true, SUPERVISOR_PROBE_STARTING_US);
    step(SUPERVISOR_PROBED, REDIS, false, SUPERVISOR_PROBE_STARTING_US);
    assert_int_equal(supervisor_wait_us(&supervisor, SUPERVISOR_PROBE_STARTING_US),
                     SUPERVISOR_PROBE_STARTING_US);
}

static void pauses_double_to_five_seconds(void **state)
{
    (void)state;
    static const int64_t pauses[] = {200000, 400000, 800000, 1600000, 3200000, 5000000, 5000000};
    int64_t now = SECOND;
    all_ready(0);
    for (size_t i = 0; i < sizeof(pauses) / sizeof(*pauses); i++) {
        step(SUPERVISOR_DIED, WORKER, false, now);
        step(SUPERVISOR_TICK, 0, false, now + pauses[i] - 1);
        assert_int_equal(count(SUPERVISOR_DO_START, WORKER), 0);
        step(SUPERVISOR_TICK, 0, false, now + pauses[i]);
        assert_int_equal(count(SUPERVISOR_DO_START, WORKER), 1);
        now += pauses[i];
    }
    assert_int_equal(supervisor.units[WORKER].restarts, 7);
}

static void half_a_minute_of_readiness_forgets_the_deaths(void **state)
{
    (void)state;
    all_ready(0);
    step(SUPERVISOR_DIED, WORKER, false, SECOND);
    step(SUPERVISOR_TICK, 0, false, 2 * SECOND);
    step(SUPERVISOR_DIED, WORKER, false, 2 * SECOND);
    assert_int_equal(supervisor.units[WORKER].deaths, 3 - 1);
    step(SUPERVISOR_TICK, 0, false, 3 * SECOND);
    step(SUPERVISOR_PROBED, WORKER, true, 3 * SECOND);
    step(SUPERVISOR_DIED, WORKER, false, 3 * SECOND + SUPERVISOR_HEALTHY_US);
    assert_int_equal(supervisor.units[WORKER].deaths, 1);
}

static void what_never_was_ready_and_dies_five_times_fails_the_start(void **state)
{
    (void)state;
    int64_t now = 0;
    for (int i = 0; i < SUPERVISOR_DEATHS_MAX; i++) {
        step(SUPERVISOR_TICK, 0, false, now);
        assert_int_equal(supervisor.phase, SUPERVISOR_STARTING);
        step(SUPERVISOR_DIED, KAFKA, false, now);
        now += 5 * SECOND;
    }
    assert_int_equal(count(SUPERVISOR_SAY_FAILED, KAFKA), 1);
    assert_int_equal(count(SUPERVISOR_DO_TERMINATE, REDIS), 1);
    step(SUPERVISOR_DIED, REDIS, false, now);
    assert_int_equal(supervisor.phase, SUPERVISOR_STOPPED);
}

static void a_start_that_takes_too_long_names_the_first_that_is_not_ready(void **state)
{
    (void)state;
    step(SUPERVISOR_TICK, 0, false, 0);
    step(SUPERVISOR_PROBED, KAFKA, true, 1);
    step(SUPERVISOR_TICK, 0, false, 60 * SECOND);
    assert_int_equal(count(SUPERVISOR_SAY_FAILED, REDIS), 1);
    assert_int_equal(supervisor.phase, SUPERVISOR_STOPPING);
}

static void a_running_system_never_gives_up_on_a_unit(void **state)
{
    (void)state;
    int64_t now = SECOND;
    all_ready(0);
    for (int i = 0; i < 100; i++) {
        step(SUPERVISOR_DIED, KAFKA, false, now);
        now += SUPERVISOR_BACKOFF_US_MAX;
        step(SUPERVISOR_TICK, 0, false, now);
        assert_int_equal(count(SUPERVISOR_DO_START, KAFKA), 1);
    }
    assert_int_equal(supervisor.phase, SUPERVISOR_RUNNING);
}

static void stopping_goes_by_stages_and_waits_for_each(void **state)
{
    (void)state;
    all_ready(0);
    step(SUPERVISOR_STOP, 0, false, SECOND);
    assert_int_equal(actions.count, 1);
    assert_int_equal(count(SUPERVISOR_DO_TERMINATE, WORKER), 1);
    step(SUPERVISOR_TICK, 0, false, 2 * SECOND);
    assert_int_equal(actions.count, 0);
    step(SUPERVISOR_DIED, WORKER, false, 2 * SECOND);
    assert_int_equal(count(SUPERVISOR_DO_TERMINATE, SERVICE), 1);
    step(SUPERVISOR_DIED, SERVICE, false, 2 * SECOND);
    assert_int_equal(actions.count, 2);
    step(SUPERVISOR_DIED, KAFKA, false, 3 * SECOND);
    step(SUPERVISOR_DIED, REDIS, false, 3 * SECOND);
    assert_int_equal(supervisor.phase, SUPERVISOR_STOPPED);
}

static void what_does_not_stop_in_time_is_killed_once(void **state)
{
    (void)state;
    all_ready(0);
    step(SUPERVISOR_STOP, 0, false, 0);
    step(SUPERVISOR_TICK, 0, false, 10 * SECOND);
    assert_int_equal(count(SUPERVISOR_DO_KILL, WORKER), 1);
    step(SUPERVISOR_TICK, 0, false, 20 * SECOND);
    assert_int_equal(actions.count, 0);
}

static void a_unit_that_waits_to_come_back_is_not_started_while_stopping(void **state)
{
    (void)state;
    all_ready(0);
    step(SUPERVISOR_DIED, WORKER, false, SECOND);
    step(SUPERVISOR_STOP, 0, false, SECOND);
    assert_int_equal(count(SUPERVISOR_DO_TERMINATE, SERVICE), 1);
    step(SUPERVISOR_TICK, 0, false, 9 * SECOND);
    assert_int_equal(count(SUPERVISOR_DO_START, WORKER), 0);
}

static void kill_ends_all_at_once(void **state)
{
    (void)state;
    all_ready(0);
    step(SUPERVISOR_STOP, 0, false, 0);
    step(SUPERVISOR_KILL, 0, false, 1);
    assert_int_equal(actions.count, 4);
    for (size_t unit = KAFKA; unit <= WORKER; unit++) {
        assert_int_equal(count(SUPERVISOR_DO_KILL, unit), 1);
    }
}

static void a_unit_too_many_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    for (size_t i = supervisor.count; i < SUPERVISOR_UNITS_MAX; i++) {
        assert_int_equal(supervisor_add(&supervisor, 0, 0, 0, 0), (int)i);
    }
    assert_int_equal(supervisor_add(&supervisor, 0, 0, 0, 0), -ENOSPC);
    assert_int_equal(supervisor.count, SUPERVISOR_UNITS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(units_start_when_what_they_need_is_ready, set_up),
        cmocka_unit_test_setup(ready_is_said_once, set_up),
        cmocka_unit_test_setup(a_probe_is_asked_again_after_its_interval, set_up),
        cmocka_unit_test_setup(pauses_double_to_five_seconds, set_up),
        cmocka_unit_test_setup(half_a_minute_of_readiness_forgets_the_deaths, set_up),
        cmocka_unit_test_setup(what_never_was_ready_and_dies_five_times_fails_the_start, set_up),
        cmocka_unit_test_setup(a_start_that_takes_too_long_names_the_first_that_is_not_ready,
                               set_up),
        cmocka_unit_test_setup(a_running_system_never_gives_up_on_a_unit, set_up),
        cmocka_unit_test_setup(stopping_goes_by_stages_and_waits_for_each, set_up),
        cmocka_unit_test_setup(what_does_not_stop_in_time_is_killed_once, set_up),
        cmocka_unit_test_setup(a_unit_that_waits_to_come_back_is_not_started_while_stopping,
                               set_up),
        cmocka_unit_test_setup(kill_ends_all_at_once, set_up),
        cmocka_unit_test_setup(a_unit_too_many_is_refused_and_changes_nothing, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
