/*
 * Who was granted seats between two ticks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "licensor/holders.h"

static void seats_of_one_holder_are_one_row_until_cleared(void **state)
{
    struct holders *holders = holders_new();
    size_t count = 0;
    (void)state;
    holders_add(holders, "full", "w1", "p");
    holders_add(holders, "full", "w1", "p");
    holders_add(holders, "requests", "w1", "");
    const struct store_holder *rows = holders_rows(holders, &count);
    assert_int_equal(count, 2);
    assert_string_equal(rows[0].pool, "full");
    assert_int_equal(rows[0].granted, 2);
    assert_string_equal(rows[1].production, "");
    holders_clear(holders);
    holders_rows(holders, &count);
    assert_int_equal(count, 0);
    holders_free(holders);
}

static void past_the_maximum_they_have_no_name_and_all_are_counted(void **state)
{
    struct holders *holders = holders_new();
    size_t count = 0;
    uint64_t granted = 0;
    (void)state;
    for (int i = 0; i < 3 * HOLDERS_MAX; i++) {
        char production[32];
        snprintf(production, sizeof(production), "p%d", i);
        holders_add(holders, "full", "w1", production);
    }
    const struct store_holder *rows = holders_rows(holders, &count);
    assert_int_equal(count, HOLDERS_MAX + 1);
    for (size_t i = 0; i < count; i++) {
        granted += rows[i].granted;
    }
    assert_int_equal(granted, 3 * HOLDERS_MAX);
    assert_string_equal(rows[HOLDERS_MAX].processor, "");
    assert_int_equal(rows[HOLDERS_MAX].granted, 2 * HOLDERS_MAX);
    holders_free(holders);
}

static void who_held_before_is_named_without_a_grant(void **state)
{
    struct holders *holders = holders_new();
    size_t count = 0;
    (void)state;
    holders_note(holders, "full", "w1", "long");
    holders_add(holders, "full", "w1", "short");
    holders_note(holders, "full", "w1", "short");
    const struct store_holder *rows = holders_rows(holders, &count);
    assert_int_equal(count, 2);
    assert_string_equal(rows[0].production, "long");
    assert_int_equal(rows[0].granted, 0);
    assert_int_equal(rows[1].granted, 1);
    holders_free(holders);
}

static void who_holds_is_asked_once_a_minute_for_each_pool(void **state)
{
    struct holders *holders = holders_new();
    (void)state;
    assert_true(holders_ask(holders, "full", 7));
    assert_false(holders_ask(holders, "full", 7));
    assert_true(holders_ask(holders, "requests", 7));
    assert_true(holders_ask(holders, "full", 8));
    assert_false(holders_ask(holders, "full", 8));
    holders_free(holders);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seats_of_one_holder_are_one_row_until_cleared),
        cmocka_unit_test(who_held_before_is_named_without_a_grant),
        cmocka_unit_test(who_holds_is_asked_once_a_minute_for_each_pool),
        cmocka_unit_test(past_the_maximum_they_have_no_name_and_all_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
