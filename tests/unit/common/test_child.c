#include "common/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/common/unit.h"

/*
 * A shell that runs `script`; what it writes to stdout comes back in `output`, and how it ended as
 * the result.
 */
static int run(const char *script, struct child_options options, char *output, size_t bytes)
{
    const char *argv[] = {"sh", "-c", script, NULL};
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    options.path = "/bin/sh";
    options.argv = (char *const *)argv;
    options.out_fd = ends[1];
    options.err_fd = -1;
    pid_t pid;
    struct error error;
    assert_int_equal(child_start(&options, &pid, &error), 0);
    close(ends[1]);
    size_t length = 0;
    ssize_t got;
    while ((got = read(ends[0], output + length, bytes - 1 - length)) > 0) {
        length += (size_t)got;
    }
    output[length] = 0;
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void a_program_runs_with_its_output_and_directory(void **state)
{
    (void)state;
    char output[256];
    int status = run("pwd; exit 3", (struct child_options){.directory = "/usr", .fd3 = -1}, output,
                     sizeof output);
    assert_string_equal(output, "/usr\n");
    assert_int_equal(WEXITSTATUS(status), 3);
}

static void the_environment_is_what_was_given(void **state)
{
    (void)state;
    char output[256];
    const char *environment[] = {"ONLY=this", NULL};
    run("echo $ONLY-$HOME",
        (struct child_options){.environment = (char *const *)environment, .fd3 = -1}, output,
        sizeof output);
    assert_string_equal(output, "this-\n");
}

static void descriptor_3_arrives_and_all_others_are_closed(void **state)
{
    (void)state;
    char output[256], text[8] = "";
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    int stray = open("/dev/null", O_RDONLY);
    int high = fcntl(stray, F_DUPFD, 200);
    run("echo hello >&3; ls /proc/self/fd | wc -l", (struct child_options){.fd3 = pair[1]}, output,
        sizeof output);
    assert_int_equal(read(pair[0], text, sizeof text - 1), 6);
    assert_string_equal(text, "hello\n");
    /* 0 to 3, and the one with which ls reads the directory. */
    assert_int_equal(strtol(output, NULL, 10), 5);
    close(stray);
    close(high);
    close(pair[0]);
    close(pair[1]);
}

static void without_descriptor_3_nothing_is_there(void **state)
{
    (void)state;
    char output[256];
    run("test -e /proc/self/fd/3 || echo none", (struct child_options){.fd3 = -1}, output,
        sizeof output);
    assert_string_equal(output, "none\n");
}

static void a_child_in_its_own_group_has_no_signals_blocked(void **state)
{
    (void)state;
    char output[256];
    sigset_t blocked, before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    /* It leads its group, so that killing the group does not reach us. */
    int status = run("kill -TERM 0; echo survived",
                     (struct child_options){.own_group = true, .fd3 = -1}, output, sizeof output);
    sigprocmask(SIG_SETMASK, &before, NULL);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
    assert_string_equal(output, "");
}

static void a_missing_program_is_said_and_leaves_no_child(void **state)
{
    (void)state;
    const char *argv[] = {"x", NULL};
    struct child_options options = {.path = "/nonexistent/program",
                                    .argv = (char *const *)argv,
                                    .fd3 = -1,
                                    .out_fd = -1,
                                    .err_fd = -1};
    pid_t pid = 77;
    struct error error;
    assert_int_equal(child_start(&options, &pid, &error), -ENOENT);
    assert_int_equal(pid, 77);
    assert_contains(error.text, "/nonexistent/program");
    assert_contains(error.text, "No such file");
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    options.path = "/bin/true";
    options.directory = "/nonexistent";
    assert_int_equal(child_start(&options, &pid, &error), -ENOENT);
    assert_contains(error.text, "chdir");
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void the_death_of_the_parent_is_noticed(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t parent = fork();
    if (!parent) {
        const char *argv[] = {"sleep", "1000", NULL};
        struct child_options options = {.path = "/bin/sleep",
                                        .argv = (char *const *)argv,
                                        .fd3 = ends[1],
                                        .out_fd = -1,
                                        .err_fd = -1,
                                        .parent_death_signal = SIGKILL};
        pid_t pid;
        _exit(child_start(&options, &pid, NULL) ? 1 : 0);
    }
    close(ends[1]);
    int status;
    waitpid(parent, &status, 0);
    assert_int_equal(status, 0);
    /* End of file comes when the child, which holds the other end, is gone. */
    char byte;
    assert_int_equal(read(ends[0], &byte, 1), 0);
    close(ends[0]);
}

static void an_end_is_described_in_words(void **state)
{
    (void)state;
    char output[16], text[64];
    child_describe(run("exit 1", (struct child_options){.fd3 = -1}, output, sizeof output), text);
    assert_string_equal(text, "exited with code 1");
    child_describe(run("kill -9 $$", (struct child_options){.fd3 = -1}, output, sizeof output),
                   text);
    assert_string_equal(text, "was killed by signal 9 (Killed)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_runs_with_its_output_and_directory),
        cmocka_unit_test(the_environment_is_what_was_given),
        cmocka_unit_test(descriptor_3_arrives_and_all_others_are_closed),
        cmocka_unit_test(without_descriptor_3_nothing_is_there),
        cmocka_unit_test(a_child_in_its_own_group_has_no_signals_blocked),
        cmocka_unit_test(a_missing_program_is_said_and_leaves_no_child),
        cmocka_unit_test(the_death_of_the_parent_is_noticed),
        cmocka_unit_test(an_end_is_described_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
