/*
 * common/secret_file: the first line, and no word of the file in what is said about it.
 */
#include "common/secret_file.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[64];

static void write_file(const char *text)
{
    snprintf(path, sizeof path, "/tmp/engenho-test-secret-%d", (int)getpid());
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int remove_file(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

static void the_first_line_is_the_secret_without_its_end(void **state)
{
    (void)state;
    const char *const texts[] = {"open sesame", "open sesame\n", "open sesame\r\n",
                                 "open sesame\nmore\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char secret[12];
        write_file(texts[i]);
        assert_int_equal(secret_file_read("password-file", path, secret, sizeof secret, NULL), 0);
        assert_string_equal(secret, "open sesame");
    }
}

static void an_empty_or_long_line_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    const char *const texts[] = {"", "\nopen sesame", "open sesame!"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char secret[12] = "as it was";
        struct error error;
        write_file(texts[i]);
        assert_int_equal(secret_file_read("password-file", path, secret, sizeof secret, &error),
                         -EINVAL);
        assert_string_equal(secret, "as it was");
        assert_non_null(strstr(error.text, "must have 1 to 11 bytes"));
        assert_null(strstr(error.text, "sesame"));
    }
}

static void a_file_that_is_not_there_is_named_with_the_option(void **state)
{
    (void)state;
    char secret[12];
    struct error error;
    assert_int_equal(
        secret_file_read("password-file", "/nonexistent/secret", secret, sizeof secret, &error),
        -ENOENT);
    assert_string_equal(
        error.text, "password-file: cannot read /nonexistent/secret: No such file or directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_first_line_is_the_secret_without_its_end, remove_file),
        cmocka_unit_test_teardown(an_empty_or_long_line_is_refused_and_changes_nothing,
                                  remove_file),
        cmocka_unit_test(a_file_that_is_not_there_is_named_with_the_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
