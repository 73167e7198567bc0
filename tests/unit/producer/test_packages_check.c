/*
 * Packages as they are uploaded: what is taken, and what could do harm where it is unpacked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "producer/packages_check.h"
#include "producer/packages_hash.h"

#define BLOCK 512

/* One entry of a ustar archive, with its content in the next block. */
static size_t put_entry(char *archive, const char *path, char type, const char *content)
{
    char *header = archive;
    unsigned sum = 0;
    memset(archive, 0, 2 * BLOCK);
    snprintf(header, 100, "%s", path);
    snprintf(header + 100, 8, "0000644");
    snprintf(header + 108, 8, "0000000");
    snprintf(header + 116, 8, "0000000");
    snprintf(header + 124, 12, "%011o", (unsigned)strlen(content));
    snprintf(header + 136, 12, "00000000000");
    memset(header + 148, ' ', 8);
    header[156] = type;
    if (type == '2') {
        snprintf(header + 157, 100, "/etc/passwd");
    }
    memcpy(header + 257, "ustar\00000", 8);
    for (int i = 0; i < BLOCK; i++) {
        sum += (unsigned char)header[i];
    }
    snprintf(header + 148, 8, "%06o", sum);
    memcpy(archive + BLOCK, content, strlen(content));
    return content[0] != '\0' ? 2 * BLOCK : BLOCK;
}

static int check_tar(const char *path, char type, const char *content, struct error *error)
{
    static char archive[6 * BLOCK];
    memset(archive, 0, sizeof archive);
    put_entry(archive, path, type, content);
    return packages_check("p.tar", archive, sizeof archive, error);
}

static void a_source_and_an_archive_are_taken(void **state)
{
    (void)state;
    struct error error = {""};
    assert_int_equal(packages_check("main.py", "print(1)\n", 9, &error), 0);
    assert_int_equal(check_tar("lib/main.py", '0', "print(1)\n", &error), 0);
}

static void what_would_leave_its_folder_is_refused(void **state)
{
    (void)state;
    static const char *const paths[] = {"../evil.py", "a/../../evil.py", "/etc/evil.py",
                                        "a\\..\\..\\evil.py", "C:evil.py"};
    struct error error;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        assert_int_equal(check_tar(paths[i], '0', "x", &error), -EINVAL);
        assert_non_null(strstr(error.text, "outside of its folder"));
    }
    assert_int_equal(check_tar("a..b/..c.py", '0', "x", &error), 0);
}

static void links_and_devices_are_refused(void **state)
{
    (void)state;
    struct error error;
    assert_int_equal(check_tar("link", '2', "", &error), -EINVAL);
    assert_non_null(strstr(error.text, "a link"));
    assert_int_equal(check_tar("device", '3', "", &error), -EINVAL);
}

static void what_is_no_package_is_refused(void **state)
{
    (void)state;
    struct error error;
    assert_int_equal(packages_check("main.py", "", 0, &error), -EINVAL);
    assert_string_equal(error.text, "main.py is empty");
    assert_int_equal(packages_check("main.py", "\xff\xfe", 2, &error), -EINVAL);
    assert_int_equal(packages_check("p.zip", "this is not an archive", 22, &error), -EINVAL);
    assert_non_null(strstr(error.text, "is not a package"));
    assert_int_equal(packages_check("a/b.py", "x", 1, &error), -EINVAL);
}

static void secrets_compare(void **state)
{
    (void)state;
    assert_true(secret_equal("abc", "abc"));
    assert_false(secret_equal("abd", "abc"));
    assert_false(secret_equal("", "abc"));
    assert_false(secret_equal("abcd", "abc"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_source_and_an_archive_are_taken),
        cmocka_unit_test(what_would_leave_its_folder_is_refused),
        cmocka_unit_test(links_and_devices_are_refused),
        cmocka_unit_test(what_is_no_package_is_refused),
        cmocka_unit_test(secrets_compare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
