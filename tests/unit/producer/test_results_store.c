/*
 * The newest results in memory: bounds, questions, cursors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "common/random.h"
#include "producer/results_json.h"
#include "producer/results_store.h"

static void add(struct results_store *store, int32_t partition, int64_t offset,
                const char *production, int outcome)
{
    Engenho__Result result = ENGENHO__RESULT__INIT;
    uint8_t packed[500];
    char id[100];
    snprintf(id, sizeof id, "default/events/%d/%lld/%s", partition, (long long)offset, production);
    result.execution_id = id;
    result.production = (char *)production;
    result.outcome = (Engenho__Outcome)outcome;
    result.end_us = 1000 + offset;
    results_store_add(store, partition, offset, packed, engenho__result__pack(&result, packed));
}

static void join(void *context, const Engenho__Result *result)
{
    snprintf((char *)context + strlen(context), 1000 - strlen(context), "%s%lld",
             ((char *)context)[0] ? " " : "", (long long)result->end_us - 1000);
}

static const char *ask(struct results_store *store, struct results_query query,
                       struct results_cursor *ret_next)
{
    static char text[1000];
    text[0] = '\0';
    results_store_find(store, &query, join, text, ret_next);
    return text;
}

static struct results_store *store_of(size_t count_max, size_t bytes_max)
{
    struct results_store *store = results_store_new(count_max, bytes_max);
    results_store_partition(store, 0, 0);
    results_store_partition(store, 1, 0);
    return store;
}

static void questions_filter_and_the_newest_come_oldest_first(void **state)
{
    (void)state;
    struct results_store *store = store_of(100, 100000);
    for (int i = 0; i < 10; i++) {
        add(store, i % 2, i, i % 3 == 0 ? "three" : "other", i == 6 ? 2 : i == 7 ? 7 : 1);
    }
    assert_string_equal(ask(store, (struct results_query){.limit = 3, .newest = true}, NULL),
                        "7 8 9");
    assert_string_equal(ask(store, (struct results_query){.limit = 3}, NULL), "0 1 2");
    assert_string_equal(ask(store, (struct results_query){.limit = 9, .production = "three"}, NULL),
                        "0 3 6 9");
    assert_string_equal(
        ask(store, (struct results_query){.limit = 2, .production = "three", .newest = true}, NULL),
        "6 9");
    assert_string_equal(ask(store, (struct results_query){.limit = 9, .failed = true}, NULL), "6");
    assert_string_equal(ask(store, (struct results_query){.limit = 9, .since_us = 1008}, NULL),
                        "8 9");
    results_store_free(store);
}

static void the_next_cursor_goes_on_where_the_page_ended(void **state)
{
    (void)state;
    struct results_store *store = store_of(100, 100000);
    struct results_cursor cursor, parsed;
    char text[RESULTS_CURSOR_BYTES];
    for (int i = 0; i < 7; i++) {
        add(store, i % 2, i, "p", 1);
    }
    assert_string_equal(ask(store, (struct results_query){.limit = 3}, &cursor), "0 1 2");
    results_cursor_print(&cursor, text);
    assert_string_equal(text, "2,1");
    assert_int_equal(results_cursor_parse(text, 2, &parsed), 0);
    assert_string_equal(ask(store, (struct results_query){.limit = 3, .after = &parsed}, &cursor),
                        "3 4 5");
    struct results_cursor second = cursor;
    assert_string_equal(ask(store, (struct results_query){.limit = 3, .after = &second}, &cursor),
                        "6");
    add(store, 1, 9, "p", 1);
    second = cursor;
    assert_string_equal(ask(store, (struct results_query){.limit = 3, .after = &second}, &cursor),
                        "9");
    assert_int_equal(results_cursor_parse("1", 2, &parsed), -EINVAL);
    assert_int_equal(results_cursor_parse("1,2,3", 2, &parsed), -EINVAL);
    assert_int_equal(results_cursor_parse("1,x", 2, &parsed), -EINVAL);
    assert_int_equal(results_cursor_parse("1,-2", 2, &parsed), -EINVAL);
    results_store_free(store);
}

static void the_oldest_go_at_either_bound_and_the_store_says_what_it_lacks(void **state)
{
    (void)state;
    struct results_store *store = store_of(3, 100000);
    struct results_cursor cursor;
    results_cursor_init(&cursor, 2);
    for (int i = 0; i < 3; i++) {
        add(store, 0, i, "p", 1);
    }
    assert_true(results_store_covers(store, &(struct results_query){.after = &cursor}));
    add(store, 0, 3, "p", 1);
    assert_int_equal(results_store_count(store), 3);
    assert_string_equal(ask(store, (struct results_query){.limit = 9}, NULL), "1 2 3");
    assert_false(results_store_covers(store, &(struct results_query){.after = &cursor}));
    cursor.seen[0] = 0;
    assert_true(results_store_covers(store, &(struct results_query){.after = &cursor}));
    assert_false(results_store_covers(store, &(struct results_query){.since_us = 1000}));
    assert_true(results_store_covers(store, &(struct results_query){.since_us = 1001}));
    assert_true(results_store_covers(store, &(struct results_query){.newest = true}));
    results_store_free(store);
    store = store_of(1000, 200);
    for (int i = 0; i < 100; i++) {
        add(store, 0, i, "p", 1);
    }
    assert_in_range(results_store_count(store), 1, 10);
    results_store_free(store);
}

static void what_was_not_loaded_at_the_start_is_known_to_be_missing(void **state)
{
    (void)state;
    struct results_store *store = results_store_new(10, 1000);
    results_store_partition(store, 0, 500);
    assert_false(results_store_covers(store, &(struct results_query){.since_us = 5}));
    add(store, 0, 500, "p", 1);
    assert_false(results_store_covers(store, &(struct results_query){.since_us = 1499}));
    assert_true(results_store_covers(store, &(struct results_query){.since_us = 1500}));
    results_store_free(store);
}

static void the_same_offset_twice_and_garbage_change_nothing(void **state)
{
    (void)state;
    struct results_store *store = store_of(10, 1000);
    add(store, 0, 5, "p", 1);
    add(store, 0, 5, "p", 1);
    results_store_add(store, 0, 6, "\xff\xff\xff", 3);
    results_store_add(store, 7, 6, "", 0);
    assert_int_equal(results_store_count(store), 1);
    assert_int_equal(results_store_unreadable(store), 1);
    char text[100] = "";
    assert_true(results_store_show(store, "default/events/0/5/p", join, text));
    assert_false(results_store_show(store, "default/events/0/6/p", join, text));
    results_store_free(store);
}

static void partitions_read_one_after_the_other_are_merged_by_time(void **state)
{
    (void)state;
    struct results_store *store = store_of(5, 1000000);
    struct results_cursor cursor;
    static const int offsets[] = {0, 3, 9};
    for (size_t i = 0; i < 3; i++) {
        add(store, 1, offsets[i], "p", 1);
    }
    for (int i = 0; i < 4; i++) {
        add(store, 0, 2 + 2 * i, "p", 1); /* two of partition 1 have to go: the ring turns */
    }
    results_store_merge(store);
    assert_string_equal(ask(store, (struct results_query){.limit = 9}, NULL), "2 4 6 8 9");
    add(store, 0, 20, "p", 1);
    assert_string_equal(ask(store, (struct results_query){.limit = 2}, &cursor), "4 6");
    struct results_cursor after = cursor;
    assert_string_equal(ask(store, (struct results_query){.limit = 9, .after = &after}, NULL),
                        "8 9 20");
    results_store_free(store);
}

/* Against a list that keeps everything. */
static void it_answers_as_a_plain_list_does(void **state)
{
    (void)state;
    enum { ROUNDS = 20, RECORDS = 300 };
    struct random random;
    random_init(&random, 7);
    for (int round = 0; round < ROUNDS; round++) {
        struct results_store *store = store_of(50, 1000000);
        int64_t offsets[2] = {0, 0};
        struct results_cursor cursor, next;
        results_cursor_init(&cursor, 2);
        size_t seen = 0;
        for (int i = 0; i < RECORDS; i++) {
            int32_t partition = (int32_t)random_below(&random, 2);
            add(store, partition, offsets[partition], "p", 1);
            offsets[partition] += 1 + (int64_t)random_below(&random, 3);
            if (random_below(&random, 10) == 0) {
                size_t found;
                do { /* a reader that keeps up misses nothing and sees nothing twice */
                    char text[1000] = "";
                    struct results_query query = {.limit = 1 + random_below(&random, 20),
                                                  .after = &cursor};
                    assert_true(results_store_covers(store, &query));
                    found = results_store_find(store, &query, join, text, &next);
                    cursor = next;
                    seen += found;
                } while (found > 0);
                assert_int_equal(seen, i + 1);
            }
            if (i - (int)seen > 40) {
                seen += results_store_find(store,
                                           &(struct results_query){.limit = 100, .after = &cursor},
                                           join, (char[1000]){""}, &next);
                cursor = next;
            }
        }
        results_store_free(store);
    }
}

static void only_json_is_taken_for_json(void **state)
{
    (void)state;
    static const char *const good[] = {
        "1", "-0.5e+3", "\"a\\u00e7\\n\"", "[1, [2], {\"a\": null}]", " {} ", "true"};
    static const char *const bad[] = {"",        "01",       "1.",      "[1,]", "{\"a\"}",
                                      "\"a",     "\"\x01\"", "tru",     "1 2",  "{a: 1}",
                                      "\"\\x\"", "NaN",      "\"\xff\""};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(json_is_valid(good[i], strlen(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(json_is_valid(bad[i], strlen(bad[i])));
    }
    char deep[500];
    memset(deep, '[', sizeof deep);
    assert_false(json_is_valid(deep, sizeof deep));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(questions_filter_and_the_newest_come_oldest_first),
        cmocka_unit_test(the_next_cursor_goes_on_where_the_page_ended),
        cmocka_unit_test(the_oldest_go_at_either_bound_and_the_store_says_what_it_lacks),
        cmocka_unit_test(what_was_not_loaded_at_the_start_is_known_to_be_missing),
        cmocka_unit_test(the_same_offset_twice_and_garbage_change_nothing),
        cmocka_unit_test(partitions_read_one_after_the_other_are_merged_by_time),
        cmocka_unit_test(it_answers_as_a_plain_list_does),
        cmocka_unit_test(only_json_is_taken_for_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
