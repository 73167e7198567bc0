/*
 * common/ready_file: whole or not there, with the ports that were really bound.
 */
#include "common/ready_file.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct ready_place places[] = {
    {.name = "admin", .listen = "127.0.0.1:0", .port = 9464},
    {.name = "api", .listen = "[::1]:0", .port = 8480},
};

static void the_file_names_the_process_and_the_ports_that_were_bound(void **state)
{
    char path[64], wanted[160], got[160] = "";
    struct error error;
    (void)state;
    snprintf(path, sizeof path, "/tmp/engenho-test-ready-%d", (int)getpid());
    snprintf(wanted, sizeof wanted,
             "{\"pid\":%d,\"admin\":\"127.0.0.1:9464\",\"api\":\"[::1]:8480\"}\n", (int)getpid());
    assert_int_equal(ready_file_write(path, places, ARRAY_SIZE(places), &error), 0);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_non_null(fgets(got, sizeof got, file));
    fclose(file);
    assert_string_equal(got, wanted);
    assert_int_equal(unlink(path), 0);
}

static void a_place_that_is_not_there_is_said_with_the_option(void **state)
{
    struct error error;
    (void)state;
    assert_int_equal(ready_file_write("/nowhere/at/all", places, 1, &error), -ENOENT);
    assert_non_null(strstr(error.text, "/nowhere/at/all"));
    assert_non_null(strstr(error.text, "--ready-file"));
}

static void without_a_path_nothing_is_written(void **state)
{
    struct error error;
    (void)state;
    assert_int_equal(ready_file_write(NULL, places, 1, &error), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_file_names_the_process_and_the_ports_that_were_bound),
        cmocka_unit_test(a_place_that_is_not_there_is_said_with_the_option),
        cmocka_unit_test(without_a_path_nothing_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
