/* The completion map: what is done, what is committed, and the encoding that survives a crash. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/random.h"
#include "worker/offsets.h"

static void see(struct offsets *offsets, int64_t offset, enum offsets_seen expected)
{
    enum offsets_seen seen;
    assert_int_equal(offsets_see(offsets, offset, &seen), 0);
    assert_int_equal(seen, expected);
}

static void position_stays_at_the_first_record_that_is_not_done(void **state)
{
    struct offsets offsets;
    (void)state;
    offsets_init(&offsets, 10);
    for (int64_t offset = 10; offset < 15; offset++) {
        see(&offsets, offset, OFFSETS_SEEN_NEW);
    }
    offsets_fill(&offsets, 12);
    assert_int_equal(offsets_position(&offsets), 10);
    offsets_fill(&offsets, 10);
    assert_int_equal(offsets_position(&offsets), 11);
    offsets_fill(&offsets, 11);
    assert_int_equal(offsets_position(&offsets), 13);
    assert_int_equal(offsets.base, 10);
    offsets_settle(&offsets, 10);
    offsets_settle(&offsets, 11);
    offsets_settle(&offsets, 12);
    assert_int_equal(offsets.base, 13);
    offsets_release(&offsets);
}

static void holes_count_as_done_once_reading_has_passed_them(void **state)
{
    struct offsets offsets;
    (void)state;
    offsets_init(&offsets, 0);
    see(&offsets, 0, OFFSETS_SEEN_NEW);
    see(&offsets, 5, OFFSETS_SEEN_NEW);
    offsets_fill(&offsets, 0);
    assert_int_equal(offsets_position(&offsets), 5);
    offsets_fill(&offsets, 5);
    assert_int_equal(offsets_see_end(&offsets, 9), 0);
    assert_int_equal(offsets_position(&offsets), 9);
    offsets_release(&offsets);
}

static void an_empty_window_moves_over_a_hole_of_any_width(void **state)
{
    struct offsets offsets;
    (void)state;
    offsets_init(&offsets, 0);
    see(&offsets, INT64_C(5000000000), OFFSETS_SEEN_NEW);
    assert_int_equal(offsets.base, INT64_C(5000000000));
    offsets_release(&offsets);
}

static void a_window_past_its_maximum_is_refused_and_nothing_changes(void **state)
{
    struct offsets offsets;
    enum offsets_seen seen;
    (void)state;
    offsets_init(&offsets, 0);
    see(&offsets, 0, OFFSETS_SEEN_NEW);
    assert_int_equal(offsets_see(&offsets, OFFSETS_WINDOW_MAX, &seen), -ENOBUFS);
    assert_int_equal(offsets.cursor, 1);
    assert_int_equal(offsets.open, 1);
    offsets_release(&offsets);
}

static void what_an_aborted_transaction_filled_is_open_again(void **state)
{
    struct offsets offsets;
    (void)state;
    offsets_init(&offsets, 0);
    see(&offsets, 0, OFFSETS_SEEN_NEW);
    see(&offsets, 1, OFFSETS_SEEN_NEW);
    offsets_fill(&offsets, 0);
    offsets_unfill(&offsets, 0);
    assert_int_equal(offsets_position(&offsets), 0);
    assert_int_equal(offsets.open, 2);
    assert_int_equal(offsets.runs, 0);
    offsets_release(&offsets);
}

static void a_rewind_gives_only_what_is_not_in_memory_again(void **state)
{
    struct offsets offsets;
    (void)state;
    offsets_init(&offsets, 0);
    for (int64_t offset = 0; offset < 4; offset++) {
        see(&offsets, offset, OFFSETS_SEEN_NEW);
    }
    offsets_fill(&offsets, 1);
    offsets_unload(&offsets, 2);
    offsets_rewind(&offsets);
    see(&offsets, 0, OFFSETS_SEEN_BEFORE);
    see(&offsets, 1, OFFSETS_SEEN_BEFORE);
    see(&offsets, 2, OFFSETS_SEEN_NEW);
    see(&offsets, 3, OFFSETS_SEEN_BEFORE);
    offsets_release(&offsets);
}

static void bytes_that_are_no_encoding_are_refused(void **state)
{
    static const struct {
        uint8_t bytes[8];
        size_t count;
    } wrong[] = {{{1}, 1},
                 {{0, 1}, 2},
                 {{1, 0}, 2},
                 {{0x80}, 1},
                 {{1, 0x80}, 2},
                 {{1, 1, 1}, 3},
                 {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1}, 8}};
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct offsets offsets;
        offsets_init(&offsets, 7);
        assert_int_equal(offsets_restore(&offsets, wrong[i].bytes, wrong[i].count), -EINVAL);
        assert_int_equal(offsets.end, 7);
        offsets_release(&offsets);
    }
}

static void check_against_copy(const struct offsets *offsets, int64_t position)
{
    struct offsets restored;
    struct buf done;
    buf_init(&done, OFFSETS_WINDOW_MAX);
    assert_int_equal(offsets_encode(offsets, &done), 0);
    assert_true(done.length <= offsets_encoded_bytes(offsets, 0));
    assert_true(done.length <= offsets_encoded_bytes(offsets, SIZE_MAX));
    offsets_init(&restored, position);
    assert_int_equal(offsets_restore(&restored, done.data, done.length), 0);
    for (int64_t offset = position; offset < offsets->end; offset++) {
        assert_int_equal(offsets_is_done(&restored, offset), offsets_is_done(offsets, offset));
    }
    offsets_release(&restored);
    buf_release(&done);
}

static void random_work_survives_encoding_and_agrees_with_a_plain_model(void **state)
{
    static bool open[2000], done[2000];
    struct random random;
    (void)state;
    random_init(&random, 42);
    for (unsigned round = 0; round < 50; round++) {
        struct offsets offsets;
        int64_t next = 0;
        offsets_init(&offsets, 0);
        for (int64_t i = 0; i < 2000; i++) {
            open[i] = done[i] = false;
        }
        for (unsigned step = 0; step < 3000 && next < 1990; step++) {
            int64_t offset = next > 0 ? (int64_t)random_below(&random, (uint64_t)next) : 0;
            if (random_below(&random, 3) == 0) {
                next += (int64_t)random_below(&random, 3);
                for (int64_t hole = offsets.cursor; hole < next; hole++) {
                    done[hole] = true;
                }
                see(&offsets, next, OFFSETS_SEEN_NEW);
                open[next++] = true;
            } else if (open[offset]) {
                offsets_fill(&offsets, offset);
                done[offset] = true;
                open[offset] = false;
                if (random_below(&random, 2) == 0) {
                    offsets_settle(&offsets, offset);
                } else if (random_below(&random, 3) == 0) {
                    offsets_unfill(&offsets, offset);
                    done[offset] = false;
                    open[offset] = true;
                } else {
                    offsets_settle(&offsets, offset);
                }
            }
        }
        int64_t position = 0;
        while (position < next && done[position]) {
            position++;
        }
        assert_int_equal(offsets_position(&offsets), position);
        for (int64_t offset = position; offset < next; offset++) {
            assert_int_equal(offsets_is_done(&offsets, offset), done[offset]);
        }
        check_against_copy(&offsets, position);
        offsets_release(&offsets);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(position_stays_at_the_first_record_that_is_not_done),
        cmocka_unit_test(holes_count_as_done_once_reading_has_passed_them),
        cmocka_unit_test(an_empty_window_moves_over_a_hole_of_any_width),
        cmocka_unit_test(a_window_past_its_maximum_is_refused_and_nothing_changes),
        cmocka_unit_test(what_an_aborted_transaction_filled_is_open_again),
        cmocka_unit_test(a_rewind_gives_only_what_is_not_in_memory_again),
        cmocka_unit_test(bytes_that_are_no_encoding_are_refused),
        cmocka_unit_test(random_work_survives_encoding_and_agrees_with_a_plain_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
