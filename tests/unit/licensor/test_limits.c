/*
 * Editions, and licences that add up.
 */
#include "tests/unit/licensor/unit.h"

#include <stdio.h>

#include "licensor/limits.h"

#define DAY INT64_C(86400000000)

static struct licence licence_of(enum edition edition, uint32_t keys)
{
    struct licence licence = {.customer = "Plant",
                              .edition = edition,
                              .keys = keys,
                              .valid_from_us = 10 * DAY,
                              .valid_until_us = 20 * DAY,
                              .grace_days = 3,
                              .contact = "us"};
    return licence;
}

static uint32_t cap_of(const struct limits *limits, const char *pool)
{
    for (size_t i = 0; i < limits->pools_count; i++) {
        if (strcmp(limits->pools[i].pool, pool) == 0) {
            return limits->pools[i].cap;
        }
    }
    return UINT32_MAX;
}

static void add(struct limits *limits, const struct licence *licence, int64_t now_us, int expected)
{
    struct error error = {0};
    assert_int_equal(
        limits_add(limits, licence, NULL, &(struct licence_time){.now_us = now_us}, &error),
        expected);
    assert_int_equal(error.text[0] == '\0', expected == 0);
}

static void without_a_licence_one_processor_runs_in_demo(void **state)
{
    (void)state;
    struct limits limits;
    limits_init(&limits);
    limits_close(&limits);
    assert_int_equal(limits.edition, EDITION_DEMO);
    assert_int_equal(limits.processors, 1);
    assert_int_equal(limits.keys, 0);
    assert_int_equal(limits.interpreters, 4);
    assert_int_equal(limits.productions, 10);
    assert_int_equal(cap_of(&limits, "productions"), 10);
    assert_int_equal(cap_of(&limits, "requests"), 4);
}

static void licences_of_one_edition_add_up(void **state)
{
    (void)state;
    struct limits limits;
    limits_init(&limits);
    struct licence licence = licence_of(EDITION_ENTERPRISE, 4);
    add(&limits, &licence, 15 * DAY, 0);
    licence.keys = 3;
    licence.valid_until_us = 18 * DAY;
    add(&limits, &licence, 15 * DAY, 0);
    limits_close(&limits);
    assert_int_equal(limits.keys, 7);
    assert_int_equal(cap_of(&limits, "productions"), 7000);
    assert_int_equal(cap_of(&limits, "requests"), 28);
    assert_int_equal(limits.valid_until_us, 18 * DAY);
}

static void the_figures_of_lite_are_fixed_and_those_of_full_open(void **state)
{
    (void)state;
    struct limits limits;
    limits_init(&limits);
    struct licence licence = licence_of(EDITION_LITE, 2);
    licence.interpreters = 60;
    licence.productions = 5000;
    add(&limits, &licence, 15 * DAY, 0);
    limits_close(&limits);
    assert_int_equal(limits.interpreters, 1);
    assert_int_equal(limits.productions, 100);
    limits_init(&limits);
    licence.edition = EDITION_FULL;
    add(&limits, &licence, 15 * DAY, 0);
    limits_close(&limits);
    assert_int_equal(limits.interpreters, 60);
    assert_int_equal(limits.productions, 5000);
}

static void another_edition_needs_an_upgrade_which_moves_all_keys(void **state)
{
    (void)state;
    struct limits limits;
    limits_init(&limits);
    struct licence licence = licence_of(EDITION_LITE, 2);
    add(&limits, &licence, 15 * DAY, 0);
    licence.edition = EDITION_FULL;
    add(&limits, &licence, 15 * DAY, -EXDEV);
    assert_int_equal(limits.keys, 2);
    licence.upgrade = true;
    add(&limits, &licence, 15 * DAY, 0);
    limits_close(&limits);
    assert_int_equal(limits.edition, EDITION_FULL);
    assert_int_equal(limits.keys, 4);
}

static void a_licence_holds_from_its_first_day_to_the_end_of_its_grace(void **state)
{
    (void)state;
    const struct {
        int64_t now_us;
        int rc;
        bool in_grace;
    } cases[] = {{10 * DAY - 1, -EKEYEXPIRED, false},
                 {10 * DAY, 0, false},
                 {20 * DAY - 1, 0, false},
                 {20 * DAY, 0, true},
                 {23 * DAY - 1, 0, true},
                 {23 * DAY, -EKEYEXPIRED, false}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct limits limits;
        limits_init(&limits);
        struct licence licence = licence_of(EDITION_ENTERPRISE, 1);
        add(&limits, &licence, cases[i].now_us, cases[i].rc);
        assert_int_equal(limits.in_grace, cases[i].in_grace);
    }
}

static void a_licence_for_another_customer_is_refused(void **state)
{
    (void)state;
    struct limits limits;
    limits_init(&limits);
    struct licence licence = licence_of(EDITION_ENTERPRISE, 1);
    struct error error;
    assert_int_equal(
        limits_add(&limits, &licence, "Other", &(struct licence_time){.now_us = 15 * DAY}, &error),
        -EPERM);
    add(&limits, &licence, 15 * DAY, 0);
    memcpy(licence.customer, "Third", 6);
    add(&limits, &licence, 15 * DAY, -EPERM);
    assert_int_equal(limits.keys, 1);
}

static void huge_numbers_stop_at_the_largest(void **state)
{
    (void)state;
    struct limits limits;
    limits_init(&limits);
    struct licence licence = licence_of(EDITION_ENTERPRISE, UINT32_MAX);
    licence.pools_count = 1;
    memcpy(licence.pools[0].pool, "full", 5);
    licence.pools[0].cap = UINT32_MAX;
    add(&limits, &licence, 15 * DAY, 0);
    add(&limits, &licence, 15 * DAY, 0);
    limits_close(&limits);
    assert_true(limits.keys == UINT32_MAX);
    assert_true(cap_of(&limits, "full") == UINT32_MAX);
    assert_true(cap_of(&limits, "productions") == UINT32_MAX);
}

static void a_clock_set_back_makes_no_licence_young_again(void **state)
{
    (void)state;
    struct licence licence = licence_of(EDITION_FULL, 1);
    struct licence_time in_grace = {.now_us = 15 * DAY, .latest_us = 21 * DAY};
    struct licence_time after_grace = {.now_us = 15 * DAY, .latest_us = 24 * DAY};
    struct licence_time before_its_end = {.now_us = 15 * DAY, .latest_us = 19 * DAY};
    struct limits limits;
    struct error error;
    limits_init(&limits);
    assert_int_equal(limits_add(&limits, &licence, NULL, &in_grace, &error), 0);
    assert_true(limits.in_grace);
    limits_init(&limits);
    assert_int_equal(limits_add(&limits, &licence, NULL, &after_grace, &error), -EKEYEXPIRED);
    assert_int_equal(limits_add(&limits, &licence, NULL, &before_its_end, &error), 0);
    assert_false(limits.in_grace);
}

static void reservations_and_shared_seats_add_up(void **state)
{
    (void)state;
    struct licence licence = licence_of(EDITION_FULL, 1);
    licence.pools_count = 1;
    licence.pools[0] = (struct pool_limit){.pool = "full", .cap = 5, .reserved_count = 1};
    licence.pools[0].reserved[0] = (struct reservation){.agent = "critical", .seats = 2};
    struct limits limits;
    limits_init(&limits);
    add(&limits, &licence, 15 * DAY, 0);
    licence.pools[0].shared = true;
    add(&limits, &licence, 15 * DAY, 0);
    assert_int_equal(limits.pools[0].cap, 10);
    assert_true(limits.pools[0].shared);
    assert_int_equal(limits.pools[0].reserved_count, 1);
    assert_int_equal(limits.pools[0].reserved[0].seats, 4);
    for (unsigned i = 0; i < RESERVATIONS_MAX; i++) {
        snprintf(licence.pools[0].reserved[i].agent, 8, "a%u", i);
    }
    licence.pools[0].reserved_count = RESERVATIONS_MAX;
    struct limits before = limits;
    add(&limits, &licence, 15 * DAY, -E2BIG);
    assert_memory_equal(&before, &limits, sizeof(limits));
}

static void an_upgrade_moves_all_keys(void **state)
{
    (void)state;
    struct licence lite = licence_of(EDITION_LITE, 3), full = licence_of(EDITION_FULL, 2);
    struct limits limits;
    limits_init(&limits);
    add(&limits, &lite, 15 * DAY, 0);
    add(&limits, &full, 15 * DAY, -EXDEV);
    full.upgrade = true;
    add(&limits, &full, 15 * DAY, 0);
    limits_close(&limits);
    assert_int_equal(limits.edition, EDITION_FULL);
    assert_int_equal(limits.processors, 5);
    assert_int_equal(limits.productions, 1000);
    assert_int_equal(cap_of(&limits, "productions"), 5000);
}

static void a_master_in_demo_gives_demo_limits_and_keeps_the_keys(void **state)
{
    (void)state;
    struct licence full = licence_of(EDITION_FULL, 2);
    struct limits limits;
    limits_init(&limits);
    add(&limits, &full, 15 * DAY, 0);
    limits_set_demo(&limits);
    limits_close(&limits);
    assert_int_equal(limits.edition, EDITION_DEMO);
    assert_int_equal(limits.productions, 10);
    assert_int_equal(limits.processors, 2);
    assert_int_equal(cap_of(&limits, "productions"), 20);
}

static void too_many_pools_change_nothing(void **state)
{
    (void)state;
    struct limits limits;
    limits_init(&limits);
    struct licence licence = licence_of(EDITION_FULL, 1);
    int rc = 0;
    for (int file = 0; file < 3; file++) {
        licence.pools_count = LICENCE_POOLS_MAX;
        for (size_t i = 0; i < LICENCE_POOLS_MAX; i++) {
            snprintf(licence.pools[i].pool, sizeof(licence.pools[i].pool), "p%d-%zu", file, i);
        }
        size_t before = limits.pools_count;
        struct error error;
        rc =
            limits_add(&limits, &licence, NULL, &(struct licence_time){.now_us = 15 * DAY}, &error);
        assert_true(rc == 0 || limits.pools_count == before);
    }
    assert_int_equal(rc, -E2BIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_licence_one_processor_runs_in_demo),
        cmocka_unit_test(licences_of_one_edition_add_up),
        cmocka_unit_test(the_figures_of_lite_are_fixed_and_those_of_full_open),
        cmocka_unit_test(another_edition_needs_an_upgrade_which_moves_all_keys),
        cmocka_unit_test(a_licence_holds_from_its_first_day_to_the_end_of_its_grace),
        cmocka_unit_test(a_licence_for_another_customer_is_refused),
        cmocka_unit_test(huge_numbers_stop_at_the_largest),
        cmocka_unit_test(a_clock_set_back_makes_no_licence_young_again),
        cmocka_unit_test(reservations_and_shared_seats_add_up),
        cmocka_unit_test(an_upgrade_moves_all_keys),
        cmocka_unit_test(a_master_in_demo_gives_demo_limits_and_keeps_the_keys),
        cmocka_unit_test(too_many_pools_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
