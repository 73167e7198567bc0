/*
 * Numbers and texts in MessagePack, there and back.
 */
#include "tests/unit/licensor/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/buf.h"
#include "licensor/store/packed.h"

static void numbers_and_texts_come_back_as_they_went(void **state)
{
    (void)state;
    static const uint64_t numbers[] = {
        0, 1, 127, 128, 255, 256, 65535, 65536, UINT32_MAX, (uint64_t)UINT32_MAX + 1, INT64_MAX};
    static const size_t lengths[] = {0, 1, 31, 32, 255, 256, 65535};
    char *text = calloc(1, 65536), *read = calloc(1, 65536);
    struct buf packed;
    buf_init(&packed, 1 << 20);
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        assert_int_equal(pack_number(&packed, numbers[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        memset(text, 'a' + (int)i, lengths[i]);
        text[lengths[i]] = '\0';
        assert_int_equal(pack_text(&packed, text), 0);
    }
    struct unpacker values = {.data = packed.data, .bytes = packed.length};
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        assert_int_equal(unpack_number(&values), numbers[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        memset(text, 'a' + (int)i, lengths[i]);
        text[lengths[i]] = '\0';
        unpack_text(&values, read, 65536);
        assert_string_equal(read, text);
    }
    assert_int_equal(values.error, 0);
    assert_int_equal(values.at, values.bytes);
    buf_release(&packed);
    free(text);
    free(read);
}

static void what_redis_packs_otherwise_is_read_too(void **state)
{
    (void)state;
    static const uint8_t data[] = {0xff, 0xcc, 200,  0xd0, 0x80, 0xd1, 0xff, 0x00, 0xd3, 0xff, 0xff,
                                   0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xd9, 2,    'h',  'i'};
    struct unpacker values = {.data = data, .bytes = sizeof(data)};
    char text[8] = "";
    assert_int_equal(unpack_number(&values), -1);
    assert_int_equal(unpack_number(&values), 200);
    assert_int_equal(unpack_number(&values), -128);
    assert_int_equal(unpack_number(&values), -256);
    assert_int_equal(unpack_number(&values), -2);
    unpack_text(&values, text, sizeof(text));
    assert_string_equal(text, "hi");
    assert_int_equal(values.error, 0);
}

static void the_first_wrong_value_stays_the_error(void **state)
{
    (void)state;
    char text[4] = "old";
    struct unpacker too_long = {.data = (const uint8_t *)"\xa4"
                                                         "four\x01",
                                .bytes = 6};
    unpack_text(&too_long, text, sizeof(text));
    assert_int_equal(too_long.error, -EPROTO);
    assert_string_equal(text, "old");
    assert_int_equal(unpack_number(&too_long), 0);
    struct unpacker huge = {.data = (const uint8_t *)"\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
                            .bytes = 9};
    assert_int_equal(unpack_number(&huge), 0);
    assert_int_equal(huge.error, -EPROTO);
    struct unpacker cut = {.data = (const uint8_t *)"\xcd\x01", .bytes = 2};
    assert_int_equal(unpack_number(&cut), 0);
    assert_int_equal(cut.error, -EPROTO);
    struct unpacker empty = {.data = (const uint8_t *)"", .bytes = 0};
    unpack_text(&empty, text, sizeof(text));
    assert_int_equal(empty.error, -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_and_texts_come_back_as_they_went),
        cmocka_unit_test(what_redis_packs_otherwise_is_read_too),
        cmocka_unit_test(the_first_wrong_value_stays_the_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
