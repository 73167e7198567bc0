#include "common/error.h"

#include <errno.h>

#include "tests/unit/common/unit.h"

static void set_writes_the_sentence_and_returns_the_code(void **state)
{
    (void)state;
    struct error error;
    assert_int_equal(error_set(&error, -EINVAL, "line %d: no %s", 3, "name"), -EINVAL);
    assert_string_equal(error.text, "line 3: no name");
}

static void set_without_an_error_only_returns_the_code(void **state)
{
    (void)state;
    assert_int_equal(error_set(NULL, -ENOENT, "%s", "x"), -ENOENT);
}

static void a_long_sentence_is_cut_and_stays_a_string(void **state)
{
    (void)state;
    char words[3000];
    memset(words, 'a', sizeof words);
    words[sizeof words - 1] = 0;
    struct error error;
    error_set(&error, -1, "%s", words);
    assert_int_equal(strlen(error.text), ERROR_TEXT_BYTES_MAX - 1);
}

static void a_sentence_can_be_wrapped_in_another(void **state)
{
    (void)state;
    struct error error;
    error_set(&error, -1, "no such file");
    error_set(&error, -1, "licence: %s", error.text);
    assert_string_equal(error.text, "licence: no such file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_writes_the_sentence_and_returns_the_code),
        cmocka_unit_test(set_without_an_error_only_returns_the_code),
        cmocka_unit_test(a_long_sentence_is_cut_and_stays_a_string),
        cmocka_unit_test(a_sentence_can_be_wrapped_in_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
