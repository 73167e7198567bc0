#include "common/buf.h"

#include <errno.h>

#include "tests/unit/common/unit.h"

static void append_grows_and_ends_with_nul(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 100000);
    assert_null(buf.data);
    for (int i = 0; i < 5000; i++) {
        assert_int_equal(buf_append(&buf, "abc", 3), 0);
        assert_int_equal(buf.data[buf.length], 0);
    }
    assert_int_equal(buf.length, 15000);
    assert_memory_equal(buf.data + 14997, "abc", 4);
    buf_release(&buf);
    assert_null(buf.data);
    assert_int_equal(buf_append_text(&buf, "again"), 0);
    buf_release(&buf);
}

static void append_past_max_fails_and_changes_nothing(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 5);
    assert_int_equal(buf_append(&buf, "12345", 5), 0);
    assert_int_equal(buf_append(&buf, "6", 1), -EMSGSIZE);
    assert_int_equal(buf_print(&buf, "%d", 6), -EMSGSIZE);
    assert_null(buf_reserve(&buf, 1));
    assert_int_equal(buf_append(&buf, "", 0), 0);
    assert_int_equal(buf_append(&buf, NULL, SIZE_MAX), -EMSGSIZE);
    assert_string_equal((char *)buf.data, "12345");
    assert_true(buf.capacity <= buf.max + 1);
    buf_release(&buf);
}

static void print_writes_exactly_up_to_max(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 8);
    assert_int_equal(buf_print(&buf, "%s=%d", "abc", 1234), 0);
    assert_string_equal((char *)buf.data, "abc=1234");
    buf_release(&buf);
}

static void reserved_room_counts_only_when_committed(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 1000);
    uint8_t *room = buf_reserve(&buf, 300);
    assert_non_null(room);
    memset(room, 'x', 300);
    assert_int_equal(buf.length, 0);
    buf_commit(&buf, 10);
    assert_int_equal(buf.length, 10);
    assert_string_equal((char *)buf.data, "xxxxxxxxxx");
    buf_commit(&buf, 0);
    buf_release(&buf);
}

static void consume_takes_from_the_front(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 100);
    buf_consume(&buf, 0);
    assert_int_equal(buf_append_text(&buf, "header-body"), 0);
    buf_consume(&buf, 7);
    assert_string_equal((char *)buf.data, "body");
    buf_consume(&buf, 4);
    assert_int_equal(buf.length, 0);
    assert_string_equal((char *)buf.data, "");
    buf_release(&buf);
}

static void clear_forgets_and_keeps_the_memory(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 100);
    buf_clear(&buf);
    assert_int_equal(buf_append_text(&buf, "old"), 0);
    uint8_t *data = buf.data;
    buf_clear(&buf);
    assert_ptr_equal(buf.data, data);
    assert_string_equal((char *)buf.data, "");
    buf_release(&buf);
    buf_release(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(append_grows_and_ends_with_nul),
        cmocka_unit_test(append_past_max_fails_and_changes_nothing),
        cmocka_unit_test(print_writes_exactly_up_to_max),
        cmocka_unit_test(reserved_room_counts_only_when_committed),
        cmocka_unit_test(consume_takes_from_the_front),
        cmocka_unit_test(clear_forgets_and_keeps_the_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
