#include "common/base64.h"

#include <errno.h>

#include "common/random.h"
#include "tests/unit/common/unit.h"

static void assert_coded(const char *data, size_t bytes, const char *text)
{
    char coded[64];
    uint8_t back[64];
    size_t back_bytes;
    base64_encode(data, bytes, coded);
    assert_string_equal(coded, text);
    assert_int_equal(strlen(coded) + 1, BASE64_TEXT_BYTES(bytes));
    assert_int_equal(base64_decode(text, strlen(text), back, &back_bytes), 0);
    assert_int_equal(back_bytes, bytes);
    assert_memory_equal(back, data, bytes);
}

static void the_vectors_of_rfc_4648_hold(void **state)
{
    (void)state;
    assert_coded("", 0, "");
    assert_coded("f", 1, "Zg==");
    assert_coded("fo", 2, "Zm8=");
    assert_coded("foo", 3, "Zm9v");
    assert_coded("foob", 4, "Zm9vYg==");
    assert_coded("fooba", 5, "Zm9vYmE=");
    assert_coded("foobar", 6, "Zm9vYmFy");
    assert_coded("\0\xff\xfe", 3, "AP/+");
}

static void what_is_not_well_formed_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "Z",    "Zg",   "Zg=",      "Zg===",    "=",    "====",   "Z===", "Zh==",       "Zm9=",
        "Z*==", "Zm8 ", "Zg==Zg==", "Zm8=Zm8=", "Zg=a", "Zm9v\n", "Zm-_", "\xc3\xa9gg", "=m9v"};
    uint8_t data[16];
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        size_t bytes = 99;
        if (base64_decode(bad[i], strlen(bad[i]), data, &bytes) != -EINVAL) {
            fail_msg("'%s' was not refused", bad[i]);
        }
        assert_int_equal(bytes, 99);
    }
}

static void any_bytes_come_back(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 1);
    for (size_t bytes = 0; bytes < 200; bytes++) {
        uint8_t data[200], back[204];
        char text[BASE64_TEXT_BYTES(200)];
        for (size_t i = 0; i < bytes; i++) {
            data[i] = (uint8_t)random_next(&random);
        }
        size_t back_bytes;
        base64_encode(data, bytes, text);
        assert_int_equal(base64_decode(text, strlen(text), back, &back_bytes), 0);
        assert_int_equal(back_bytes, bytes);
        assert_memory_equal(back, data, bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_rfc_4648_hold),
        cmocka_unit_test(what_is_not_well_formed_is_refused),
        cmocka_unit_test(any_bytes_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
