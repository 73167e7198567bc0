#include "common/frames.h"

#include <errno.h>

#include "tests/unit/common/unit.h"

static const uint8_t *payload;
static size_t payload_bytes, frame_bytes;

static int next(const void *data, size_t bytes, size_t max)
{
    payload = NULL;
    payload_bytes = frame_bytes = 777;
    return frame_next(data, bytes, max, &payload, &payload_bytes, &frame_bytes);
}

static void frames_come_out_as_they_went_in(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 100);
    assert_int_equal(frame_append(&buf, "hello", 5), 0);
    assert_int_equal(frame_append(&buf, "", 0), 0);
    assert_int_equal(next(buf.data, buf.length, 100), 1);
    assert_int_equal(payload_bytes, 5);
    assert_int_equal(frame_bytes, 9);
    assert_memory_equal(payload, "hello", 5);
    assert_int_equal(next(buf.data + 9, buf.length - 9, 100), 1);
    assert_int_equal(payload_bytes, 0);
    assert_int_equal(frame_bytes, 4);
    buf_release(&buf);
}

static void a_frame_cut_at_any_byte_needs_more_and_says_nothing(void **state)
{
    (void)state;
    const uint8_t frame[] = {0, 0, 0, 5, 'h', 'e', 'l', 'l', 'o'};
    for (size_t bytes = 0; bytes < sizeof frame; bytes++) {
        assert_int_equal(next(frame, bytes, 100), 0);
        assert_null(payload);
        assert_int_equal(payload_bytes, 777);
    }
}

static void a_frame_longer_than_max_is_refused_by_its_header_alone(void **state)
{
    (void)state;
    const uint8_t header[] = {0, 0, 1, 1};
    assert_int_equal(next(header, 4, 256), -EMSGSIZE);
    assert_int_equal(next(header, 4, 257), 0);
    const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff};
    assert_int_equal(next(huge, 4, 1 << 24), -EMSGSIZE);
}

static void append_past_max_leaves_no_header_behind(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 8);
    assert_int_equal(frame_append(&buf, "12345", 5), -EMSGSIZE);
    assert_int_equal(buf.length, 0);
    assert_int_equal(frame_append(&buf, "1234", 4), 0);
    assert_int_equal(frame_append(&buf, "", 0), -EMSGSIZE);
    assert_int_equal(buf.length, 8);
    buf_release(&buf);
}

static void the_header_is_big_endian(void **state)
{
    (void)state;
    uint8_t header[4];
    frame_header(header, 0x01020304);
    assert_memory_equal(header, "\x01\x02\x03\x04", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_come_out_as_they_went_in),
        cmocka_unit_test(a_frame_cut_at_any_byte_needs_more_and_says_nothing),
        cmocka_unit_test(a_frame_longer_than_max_is_refused_by_its_header_alone),
        cmocka_unit_test(append_past_max_leaves_no_header_behind),
        cmocka_unit_test(the_header_is_big_endian),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
