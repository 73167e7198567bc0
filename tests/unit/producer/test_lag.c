#include "producer/lag_status.h"
#include "producer/lag_table.h"
#include "producer/lag_work.h"

#include "common/base64.h"
#include "proto/lane.pb-c.h"
#include "tests/unit/common/unit.h"

#define S INT64_C(1000000)

static void the_age_of_an_offset_is_interpolated(void **state)
{
    (void)state;
    struct lag_table table = {.count = 0};
    bool at_least;
    lag_table_add(&table, 100, 10 * S);
    lag_table_add(&table, 200, 20 * S);
    lag_table_add(&table, 200, 30 * S);
    assert_int_equal(lag_table_age_us(&table, 200, 40 * S, &at_least), 0);
    assert_int_equal(lag_table_age_us(&table, 150, 40 * S, &at_least), 25 * S);
    assert_int_equal(lag_table_age_us(&table, 100, 40 * S, &at_least), 30 * S);
    assert_false(at_least);
}

static void after_a_quiet_time_the_age_counts_from_its_end(void **state)
{
    (void)state;
    struct lag_table table = {.count = 0};
    bool at_least;
    for (int second = 0; second <= 1000; second++) {
        lag_table_add(&table, 100, second * S);
    }
    lag_table_add(&table, 101, 1001 * S);
    assert_in_range(table.count, 2, 4);
    assert_int_equal(lag_table_age_us(&table, 100, 1002 * S, &at_least), 2 * S);
}

static void an_offset_older_than_the_table_is_at_least_as_old(void **state)
{
    (void)state;
    struct lag_table table = {.count = 0};
    bool at_least;
    assert_int_equal(lag_table_age_us(&table, 5, 9 * S, &at_least), 0);
    lag_table_add(&table, 100, 10 * S);
    assert_int_equal(lag_table_age_us(&table, 50, 15 * S, &at_least), 5 * S);
    assert_true(at_least);
}

static void a_full_table_keeps_its_oldest_and_newest_sample(void **state)
{
    (void)state;
    struct lag_table table = {.count = 0};
    bool at_least;
    for (int i = 0; i < 10000; i++) {
        lag_table_add(&table, i, i * S);
    }
    assert_in_range(table.count, LAG_TABLE_SAMPLES / 2, LAG_TABLE_SAMPLES);
    assert_int_equal(lag_table_age_us(&table, 0, 10000 * S, &at_least), 10000 * S);
    assert_false(at_least);
    assert_int_equal(lag_table_age_us(&table, 9990, 10000 * S, &at_least), 10 * S);
    assert_int_equal(lag_table_age_us(&table, 5000, 10000 * S, &at_least), 5000 * S);
}

static void an_end_that_goes_back_starts_the_table_anew(void **state)
{
    (void)state;
    struct lag_table table = {.count = 0};
    lag_table_add(&table, 100, 10 * S);
    lag_table_add(&table, 5, 20 * S);
    assert_int_equal(table.count, 1);
}

static enum lag_status status_of(const int64_t *committed, const int64_t *lag, size_t count,
                                 bool has_member)
{
    struct lag_history history = {.count = 0};
    for (size_t i = 0; i < count; i++) {
        lag_history_add(&history, committed[i], lag[i]);
    }
    return lag_status_of(&history, has_member);
}

static void verdicts_follow_the_last_ten_samples(void **state)
{
    static const int64_t still[10] = {5, 5, 5, 5, 5, 5, 5, 5, 5, 5};
    static const int64_t moving[10] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    static const int64_t growing[10] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    static const int64_t uneven[10] = {1, 2, 3, 4, 5, 4, 7, 8, 9, 10};
    static const int64_t zero_once[10] = {1, 2, 3, 4, 0, 6, 7, 8, 9, 10};
    static const int64_t back[10] = {5, 5, 5, 5, 4, 5, 5, 5, 5, 5};
    (void)state;
    assert_int_equal(status_of(still, growing, 10, true), LAG_STALL);
    assert_int_equal(status_of(still, still, 10, true), LAG_STALL);
    assert_int_equal(status_of(still, still, 10, false), LAG_STOP);
    assert_int_equal(status_of(still, zero_once, 10, false), LAG_OK);
    assert_int_equal(status_of(moving, growing, 10, true), LAG_WARN);
    assert_int_equal(status_of(moving, uneven, 10, true), LAG_OK);
    assert_int_equal(status_of(moving, zero_once, 10, true), LAG_OK);
    assert_int_equal(status_of(back, still, 10, true), LAG_REWIND);
    assert_int_equal(status_of(still, growing, 9, true), LAG_OK);
}

static void a_rewind_is_forgotten_after_ten_samples(void **state)
{
    (void)state;
    struct lag_history history = {.count = 0};
    lag_history_add(&history, 9, 1);
    for (int i = 0; i < 10; i++) {
        lag_history_add(&history, i, 0);
    }
    assert_int_equal(lag_status_of(&history, true), LAG_OK);
}

static void what_is_done_beyond_the_commit_is_counted(void **state)
{
    static uint8_t runs[] = {3, 200, 1, 5, 7}; /* 3 not done, 200 done, 5 not done, 7 done */
    (void)state;
    Engenho__CommitMetadata metadata = ENGENHO__COMMIT_METADATA__INIT;
    uint8_t packed[64];
    char text[BASE64_TEXT_BYTES(64)];
    metadata.slot = 4;
    metadata.done = (ProtobufCBinaryData){.len = sizeof runs, .data = runs};
    size_t bytes = engenho__commit_metadata__pack(&metadata, packed);
    base64_encode(packed, bytes, text);
    assert_int_equal(lag_work_done(text, strlen(text)), 200 + 7);
    assert_int_equal(lag_work_done("of somebody else", 16), 0);
    assert_int_equal(lag_work_done(NULL, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_age_of_an_offset_is_interpolated),
        cmocka_unit_test(after_a_quiet_time_the_age_counts_from_its_end),
        cmocka_unit_test(an_offset_older_than_the_table_is_at_least_as_old),
        cmocka_unit_test(a_full_table_keeps_its_oldest_and_newest_sample),
        cmocka_unit_test(an_end_that_goes_back_starts_the_table_anew),
        cmocka_unit_test(verdicts_follow_the_last_ten_samples),
        cmocka_unit_test(a_rewind_is_forgotten_after_ten_samples),
        cmocka_unit_test(what_is_done_beyond_the_commit_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
