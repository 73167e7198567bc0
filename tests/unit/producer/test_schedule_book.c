#include "producer/schedule_book.h"

#include "common/clock.h"
#include "tests/unit/common/unit.h"

#define S INT64_C(1000000)
#define NOON (1792584000 * S)
#define LATE (2 * S)
#define MANY 100000

static struct schedule_firing firing;

static int find_utc(void *context, const char *name, const struct zone **ret_zone,
                    struct error *error)
{
    (void)context;
    (void)name;
    (void)error;
    *ret_zone = &zone_utc;
    return 0;
}

static struct schedule *every(int64_t us)
{
    Engenho__ScheduleTrigger trigger = ENGENHO__SCHEDULE_TRIGGER__INIT;
    struct schedule *schedule;
    trigger.every_us = us;
    assert_int_equal(schedule_new(&trigger, find_utc, NULL, &schedule, NULL), 0);
    return schedule;
}

static void define(struct schedule_book *book, const char *production, int64_t every_us,
                   int64_t changed_us)
{
    struct schedule_definition definition = {
        .generation = 1, .changed_us = changed_us, .started_us = NOON};
    schedule_book_define(book, production, 0, every(every_us), &definition);
}

static void only_a_shard_of_ours_fires(void **state)
{
    (void)state;
    struct schedule_book *book = schedule_book_new(2, LATE);
    define(book, "p", S, NOON);
    assert_int_equal(schedule_book_due_us(book), SCHEDULE_NEVER);
    schedule_book_own(book, 1);
    assert_false(schedule_book_pop(book, NOON + S, &firing));
    schedule_book_own(book, 0);
    assert_int_equal(schedule_book_due_us(book), NOON + S);
    assert_false(schedule_book_pop(book, NOON + S - 1, &firing));
    assert_true(schedule_book_pop(book, NOON + S, &firing));
    assert_string_equal(firing.production, "p");
    assert_int_equal(firing.due.fire_us[0], NOON + S);
    assert_int_equal(firing.state.last_nominal_us, NOON + S);
    assert_int_equal(firing.state.fired, 1);
    schedule_book_free(book);
}

static void what_is_in_flight_fires_nothing_else_until_it_is_settled(void **state)
{
    (void)state;
    struct schedule_book *book = schedule_book_new(1, LATE);
    schedule_book_own(book, 0);
    define(book, "p", S, NOON);
    assert_true(schedule_book_pop(book, NOON + S, &firing));
    assert_false(schedule_book_pop(book, NOON + 2 * S, &firing));
    schedule_book_settle(book, "p", firing.ticket, true);
    assert_true(schedule_book_pop(book, NOON + 2 * S, &firing));
    assert_int_equal(firing.due.fire_us[0], NOON + 2 * S);
    schedule_book_free(book);
}

static void what_was_not_committed_fires_again(void **state)
{
    (void)state;
    struct schedule_book *book = schedule_book_new(1, LATE);
    schedule_book_own(book, 0);
    define(book, "p", S, NOON);
    assert_true(schedule_book_pop(book, NOON + S, &firing));
    schedule_book_settle(book, "p", firing.ticket, false);
    assert_true(schedule_book_pop(book, NOON + S, &firing));
    assert_int_equal(firing.due.fire_us[0], NOON + S);
    assert_int_equal(firing.state.fired, 1);
    schedule_book_free(book);
}

static void the_echo_of_an_older_write_is_not_heeded(void **state)
{
    (void)state;
    struct schedule_book *book = schedule_book_new(1, LATE);
    schedule_book_own(book, 0);
    define(book, "p", S, NOON);
    assert_true(schedule_book_pop(book, NOON + S, &firing));
    Engenho__ScheduleState older = firing.state;
    schedule_book_settle(book, "p", firing.ticket, true);
    assert_true(schedule_book_pop(book, NOON + 2 * S, &firing));
    schedule_book_settle(book, "p", firing.ticket, true);
    schedule_book_restore(book, "p", 0, &older);
    assert_int_equal(schedule_book_due_us(book), NOON + 3 * S);
    schedule_book_free(book);
}

static void a_ticket_from_before_a_loss_settles_nothing(void **state)
{
    (void)state;
    struct schedule_book *book = schedule_book_new(1, LATE);
    schedule_book_own(book, 0);
    define(book, "p", S, NOON);
    assert_true(schedule_book_pop(book, NOON + S, &firing));
    uint64_t ticket = firing.ticket;
    schedule_book_disown(book, 0);
    schedule_book_own(book, 0);
    assert_true(schedule_book_pop(book, NOON + S, &firing));
    schedule_book_settle(book, "p", ticket, true);
    assert_false(schedule_book_pop(book, NOON + 9 * S, &firing));
    schedule_book_free(book);
}

static void a_clock_set_back_fires_nothing_again(void **state)
{
    (void)state;
    struct schedule_book *book = schedule_book_new(1, LATE);
    schedule_book_own(book, 0);
    define(book, "p", S, NOON);
    assert_true(schedule_book_pop(book, NOON + 2 * S, &firing));
    schedule_book_settle(book, "p", firing.ticket, true);
    assert_false(schedule_book_pop(book, NOON + S, &firing));
    assert_false(schedule_book_pop(book, NOON + 2 * S, &firing));
    assert_true(schedule_book_pop(book, NOON + 3 * S, &firing));
    assert_int_equal(firing.due.count, 1);
    schedule_book_free(book);
}

static void other_times_do_not_catch_up_from_before_the_change(void **state)
{
    (void)state;
    struct schedule_book *book = schedule_book_new(1, LATE);
    schedule_book_own(book, 0);
    define(book, "p", 60 * S, NOON);
    assert_true(schedule_book_pop(book, NOON + 60 * S, &firing));
    schedule_book_settle(book, "p", firing.ticket, true);
    define(book, "p", S, NOON + 90 * S);
    assert_int_equal(schedule_book_due_us(book), NOON + 91 * S);
    /* The same times in a new generation: nothing is left out. */
    define(book, "p", 60 * S, NOON + 200 * S);
    assert_int_equal(schedule_book_due_us(book), NOON + 120 * S);
    schedule_book_free(book);
}

static void a_hundred_thousand_schedules_are_little_work(void **state)
{
    (void)state;
    struct schedule_book *book = schedule_book_new(1, LATE);
    char name[32];
    int64_t began_us = clock_mono_us();
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "production-%d", i);
        define(book, name, i < MANY / 10 ? 60 * S : 3600 * S, NOON);
    }
    schedule_book_own(book, 0);
    int64_t defined_us = clock_mono_us();
    int popped = 0;
    while (schedule_book_pop(book, NOON + 60 * S, &firing)) {
        popped++;
        snprintf(name, sizeof name, "%s", firing.production);
        schedule_book_settle(book, name, firing.ticket, true);
    }
    int64_t done_us = clock_mono_us();
    assert_int_equal(popped, MANY / 10);
    assert_int_equal(schedule_book_active(book), MANY);
    print_message("100,000 defined in %.0f ms, 10,000 fired in %.1f ms\n",
                  (double)(defined_us - began_us) / 1000, (double)(done_us - defined_us) / 1000);
    assert_true(done_us - defined_us < S);
    schedule_book_free(book);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_shard_of_ours_fires),
        cmocka_unit_test(what_is_in_flight_fires_nothing_else_until_it_is_settled),
        cmocka_unit_test(what_was_not_committed_fires_again),
        cmocka_unit_test(the_echo_of_an_older_write_is_not_heeded),
        cmocka_unit_test(a_ticket_from_before_a_loss_settles_nothing),
        cmocka_unit_test(a_clock_set_back_fires_nothing_again),
        cmocka_unit_test(other_times_do_not_catch_up_from_before_the_change),
        cmocka_unit_test(a_hundred_thousand_schedules_are_little_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
