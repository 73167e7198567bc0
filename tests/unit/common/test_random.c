#include "common/random.h"

#include "tests/unit/common/unit.h"

static void the_same_seed_gives_the_same_stream(void **state)
{
    (void)state;
    struct random a, b, c;
    random_init(&a, 42);
    random_init(&b, 42);
    random_init(&c, 43);
    int same = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t value = random_next(&a);
        assert_int_equal(value, random_next(&b));
        same += value == random_next(&c);
    }
    assert_int_equal(same, 0);
}

static void below_stays_below_and_reaches_everything(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 0);
    int seen[7] = {0};
    for (int i = 0; i < 7000; i++) {
        uint64_t value = random_below(&random, 7);
        assert_true(value < 7);
        seen[value]++;
    }
    for (int i = 0; i < 7; i++) {
        /* 1,000 expected; 5 standard deviations are 146. */
        assert_in_range(seen[i], 850, 1150);
    }
    assert_int_equal(random_below(&random, 1), 0);
    assert_true(random_below(&random, UINT64_MAX) < UINT64_MAX);
}

static void hex_writes_two_digits_for_each_byte(void **state)
{
    (void)state;
    char first[65], second[65];
    memset(first, 'z', sizeof first);
    random_hex(first, 32);
    random_hex(second, 32);
    assert_int_equal(strlen(first), 64);
    assert_int_equal(strspn(first, "0123456789abcdef"), 64);
    assert_string_not_equal(first, second);
    random_hex(first, 0);
    assert_string_equal(first, "");
}

static void system_bytes_fill_all_that_was_asked_for(void **state)
{
    (void)state;
    uint8_t bytes[1000];
    memset(bytes, 0, sizeof bytes);
    random_bytes(bytes, sizeof bytes);
    int zeros = 0;
    for (size_t i = 0; i < sizeof bytes; i++) {
        zeros += !bytes[i];
    }
    assert_in_range(zeros, 0, 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_gives_the_same_stream),
        cmocka_unit_test(below_stays_below_and_reaches_everything),
        cmocka_unit_test(hex_writes_two_digits_for_each_byte),
        cmocka_unit_test(system_bytes_fill_all_that_was_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
