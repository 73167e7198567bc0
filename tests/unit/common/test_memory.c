#include "common/memory.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/common/unit.h"

static void new_memory_is_zeroed_even_when_it_is_nothing(void **state)
{
    (void)state;
    uint8_t *memory = memory_new(100, 1);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(memory[i], 0);
    }
    free(memory);
    free(memory_new(0, 8));
}

static void resize_keeps_what_was_there(void **state)
{
    (void)state;
    int *array = memory_new(2, sizeof *array);
    array[1] = 7;
    array = memory_resize(array, 1000, sizeof *array);
    assert_int_equal(array[1], 7);
    array = memory_resize(array, 0, sizeof *array);
    free(array);
}

static void copies_end_with_nul_and_null_stays_null(void **state)
{
    (void)state;
    assert_null(memory_copy_text(NULL));
    char *text = memory_copy_text("abc");
    assert_string_equal(text, "abc");
    free(text);
    char *bytes = memory_copy("a\0b", 3);
    assert_memory_equal(bytes, "a\0b", 4);
    free(bytes);
    char *nothing = memory_copy(NULL, 0);
    assert_string_equal(nothing, "");
    free(nothing);
    char *printed = memory_print("%s-%d", "x", 5);
    assert_string_equal(printed, "x-5");
    free(printed);
}

static int status_of_a_process_that_resizes_past_all_memory(void)
{
    pid_t pid = fork();
    if (!pid) {
        close(STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        free(memory_resize(NULL, SIZE_MAX / 2, 3));
        _exit(0);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    return status;
}

static void an_array_that_overflows_stops_the_process(void **state)
{
    (void)state;
    int status = status_of_a_process_that_resizes_past_all_memory();
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_memory_is_zeroed_even_when_it_is_nothing),
        cmocka_unit_test(resize_keeps_what_was_there),
        cmocka_unit_test(copies_end_with_nul_and_null_stays_null),
        cmocka_unit_test(an_array_that_overflows_stops_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
