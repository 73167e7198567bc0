#include "producer/schedule.h"

#include <errno.h>

#include "common/duration.h"
#include "tests/unit/common/unit.h"

#define S INT64_C(1000000)
#define NOON (1792584000 * S) /* 2026-10-21T12:00:00Z: a whole hour */
#define LATE (2 * S)

static int find_utc(void *context, const char *name, const struct zone **ret_zone,
                    struct error *error)
{
    (void)context;
    if (!strcmp(name, "Nowhere")) {
        return error_set(error, -EINVAL, "no such zone");
    }
    *ret_zone = &zone_utc;
    return 0;
}

static struct schedule *schedule_of(const Engenho__ScheduleTrigger *trigger)
{
    struct schedule *schedule = NULL;
    struct error error = {""};
    if (schedule_new(trigger, find_utc, NULL, &schedule, &error) != 0) {
        fail_msg("%s", error.text);
    }
    return schedule;
}

static Engenho__ScheduleTrigger every(int64_t us)
{
    Engenho__ScheduleTrigger trigger = ENGENHO__SCHEDULE_TRIGGER__INIT;
    trigger.every_us = us;
    return trigger;
}

static void intervals_are_counted_from_1970_or_from_the_first_date(void **state)
{
    (void)state;
    Engenho__ScheduleTrigger trigger = every(1800 * S);
    struct schedule *schedule = schedule_of(&trigger);
    assert_int_equal(schedule_next(schedule, NOON - 1), NOON);
    assert_int_equal(schedule_next(schedule, NOON), NOON + 1800 * S);
    schedule_free(schedule);
    trigger.first_us = NOON + 7 * S;
    schedule = schedule_of(&trigger);
    assert_int_equal(schedule_next(schedule, 0), NOON + 7 * S);
    assert_int_equal(schedule_next(schedule, NOON + 7 * S), NOON + 1807 * S);
    assert_int_equal(schedule_next(schedule, NOON + 1806 * S), NOON + 1807 * S);
    schedule_free(schedule);
}

static void nothing_comes_before_first_or_after_last(void **state)
{
    (void)state;
    Engenho__ScheduleTrigger trigger = ENGENHO__SCHEDULE_TRIGGER__INIT;
    trigger.cron = (char *)"0 * * * *";
    trigger.first_us = NOON;
    trigger.last_us = NOON + 3600 * S;
    struct schedule *schedule = schedule_of(&trigger);
    assert_int_equal(schedule_next(schedule, 0), NOON);
    assert_int_equal(schedule_next(schedule, NOON), NOON + 3600 * S);
    assert_int_equal(schedule_next(schedule, NOON + 3600 * S), SCHEDULE_NEVER);
    schedule_free(schedule);
}

static void dates_come_in_order_and_once(void **state)
{
    (void)state;
    int64_t dates[] = {NOON + 3 * S, NOON, NOON + 3 * S};
    Engenho__ScheduleTrigger trigger = ENGENHO__SCHEDULE_TRIGGER__INIT;
    trigger.dates_us = dates;
    trigger.n_dates_us = 3;
    struct schedule *schedule = schedule_of(&trigger);
    assert_int_equal(schedule_next(schedule, 0), NOON);
    assert_int_equal(schedule_next(schedule, NOON), NOON + 3 * S);
    assert_int_equal(schedule_next(schedule, NOON + 3 * S), SCHEDULE_NEVER);
    schedule_free(schedule);
}

/* Decide with a policy about a schedule of every second that was left alone from NOON for some
 * seconds. */
static struct schedule_due *decide(Engenho__MisfirePolicy policy, uint32_t max, int64_t within_us,
                                   int64_t left_alone_us)
{
    static struct schedule_due due;
    Engenho__ScheduleTrigger trigger = every(S);
    trigger.misfire = policy;
    trigger.misfire_max = max;
    trigger.misfire_within_us = within_us;
    struct schedule *schedule = schedule_of(&trigger);
    schedule_decide(schedule, NOON, NOON + left_alone_us, LATE, &due);
    schedule_free(schedule);
    return &due;
}

#define LAST ENGENHO__MISFIRE_POLICY__MISFIRE_POLICY_LAST
#define SKIP ENGENHO__MISFIRE_POLICY__MISFIRE_POLICY_SKIP
#define ALL ENGENHO__MISFIRE_POLICY__MISFIRE_POLICY_ALL

static void what_is_on_time_fires_whatever_the_policy(void **state)
{
    (void)state;
    for (int policy = 0; policy < 3; policy++) {
        struct schedule_due *due = decide((Engenho__MisfirePolicy)policy, 1, 0, 2 * S);
        assert_int_equal(due->count, 2);
        assert_int_equal(due->fire_us[0], NOON + S);
        assert_int_equal(due->fire_us[1], NOON + 2 * S);
        assert_int_equal(due->late, 0);
        assert_int_equal(due->left_out, 0);
        assert_int_equal(due->newest_us, NOON + 2 * S);
    }
}

static void skip_leaves_all_misfires_out(void **state)
{
    (void)state;
    struct schedule_due *due = decide(SKIP, 0, 0, 100 * S);
    assert_int_equal(due->count, 3); /* 98, 99 and 100 are on time */
    assert_int_equal(due->fire_us[0], NOON + 98 * S);
    assert_int_equal(due->left_out, 97);
    assert_int_equal(due->newest_us, NOON + 100 * S);
}

static void last_fires_the_newest_misfire_when_nothing_is_on_time(void **state)
{
    (void)state;
    static struct schedule_due due;
    Engenho__ScheduleTrigger trigger = every(60 * S);
    struct schedule *schedule = schedule_of(&trigger);
    schedule_decide(schedule, NOON, NOON + 190 * S, LATE, &due);
    assert_int_equal(due.count, 1);
    assert_int_equal(due.late, 1);
    assert_int_equal(due.fire_us[0], NOON + 180 * S);
    assert_int_equal(due.left_out, 2);
    assert_int_equal(due.newest_us, NOON + 180 * S);
    schedule_free(schedule);
    assert_int_equal(decide(LAST, 0, 0, 100 * S)->late, 0);
}

static void last_is_five_minutes_old_at_most(void **state)
{
    (void)state;
    static struct schedule_due due;
    Engenho__ScheduleTrigger trigger = every(3600 * S);
    struct schedule *schedule = schedule_of(&trigger);
    schedule_decide(schedule, NOON, NOON + 3900 * S, LATE, &due);
    assert_int_equal(due.count, 1);
    schedule_decide(schedule, NOON, NOON + 3901 * S, LATE, &due);
    assert_int_equal(due.count, 0);
    assert_int_equal(due.left_out, 1);
    assert_int_equal(due.newest_us, NOON + 3600 * S);
    schedule_free(schedule);
}

static void all_fires_the_newest_up_to_its_maximum_within_its_window(void **state)
{
    (void)state;
    struct schedule_due *due = decide(ALL, 60, 300 * S, 40 * S);
    assert_int_equal(due->count, 40);
    assert_int_equal(due->left_out, 0);
    due = decide(ALL, 10, 300 * S, 40 * S);
    assert_int_equal(due->late, 10);
    assert_int_equal(due->count, 13);
    assert_int_equal(due->fire_us[0], NOON + 28 * S);
    assert_int_equal(due->left_out, 27);
    due = decide(ALL, 60, 20 * S, 40 * S);
    assert_int_equal(due->fire_us[0], NOON + 20 * S);
    assert_int_equal(due->count, 21);
}

static void a_year_of_every_second_is_decided_at_once(void **state)
{
    (void)state;
    struct schedule_due *due = decide(ALL, SCHEDULE_MISFIRES_MAX, 400 * 86400 * S, 365 * 86400 * S);
    assert_int_equal(due->late, SCHEDULE_MISFIRES_MAX);
    assert_int_equal(due->count, SCHEDULE_MISFIRES_MAX);
    assert_true(due->more); /* the three on time follow */
    assert_int_equal(due->left_out, 365 * 86400 - 3 - SCHEDULE_MISFIRES_MAX);
}

static void what_is_wrong_is_said(void **state)
{
    static int64_t one_date[] = {1};
    static const struct {
        Engenho__ScheduleTrigger trigger;
        const char *part;
    } cases[] = {
        {ENGENHO__SCHEDULE_TRIGGER__INIT, "exactly one of cron, every and dates"},
        {{.base = PROTOBUF_C_MESSAGE_INIT(&engenho__schedule_trigger__descriptor),
          .cron = (char *)"* * * * *",
          .every_us = S},
         "exactly one"},
        {{.cron = (char *)"* * * * *", .time_zone = (char *)"Nowhere"}, "no such zone"},
        {{.cron = (char *)"* * *", .time_zone = (char *)""}, "has 3 fields"},
        {{.every_us = S, .time_zone = (char *)"Europe/Lisbon"}, "only cron has a time zone"},
        {{.every_us = 1000}, "1 ms is too short"},
        {{.every_us = -S}, "too short"},
        {{.every_us = S, .first_us = -1}, "before 1970"},
        {{.every_us = S, .first_us = 2, .last_us = 1}, "last lies before first"},
        {{.every_us = S, .misfire_max = SCHEDULE_MISFIRES_MAX + 1}, "misfire: max"},
        {{.every_us = S, .misfire_within_us = -1}, "within is negative"},
        {{.dates_us = one_date, .n_dates_us = SCHEDULE_DATES_MAX + 1}, "too many"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct schedule *schedule = NULL;
        struct error error = {""};
        assert_int_equal(schedule_new(&cases[i].trigger, find_utc, NULL, &schedule, &error),
                         -EINVAL);
        assert_null(schedule);
        assert_contains(error.text, cases[i].part);
    }
}

static void the_fingerprint_is_of_the_times_only(void **state)
{
    (void)state;
    Engenho__ScheduleTrigger trigger = every(S);
    struct schedule *first = schedule_of(&trigger);
    trigger.misfire = ALL;
    trigger.misfire_max = 7;
    struct schedule *other_policy = schedule_of(&trigger);
    trigger.every_us = 2 * S;
    struct schedule *other_times = schedule_of(&trigger);
    assert_true(schedule_fingerprint(first) == schedule_fingerprint(other_policy));
    assert_true(schedule_fingerprint(first) != schedule_fingerprint(other_times));
    schedule_free(first);
    schedule_free(other_policy);
    schedule_free(other_times);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(intervals_are_counted_from_1970_or_from_the_first_date),
        cmocka_unit_test(nothing_comes_before_first_or_after_last),
        cmocka_unit_test(dates_come_in_order_and_once),
        cmocka_unit_test(what_is_on_time_fires_whatever_the_policy),
        cmocka_unit_test(skip_leaves_all_misfires_out),
        cmocka_unit_test(last_fires_the_newest_misfire_when_nothing_is_on_time),
        cmocka_unit_test(last_is_five_minutes_old_at_most),
        cmocka_unit_test(all_fires_the_newest_up_to_its_maximum_within_its_window),
        cmocka_unit_test(a_year_of_every_second_is_decided_at_once),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(the_fingerprint_is_of_the_times_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
