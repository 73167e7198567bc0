/*
 * Starts processes of our own: fork, then only what is safe there, then exec. Worker, command line.
 */
#include "common/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* What failed in the child, sent through a pipe that a successful exec closes. */
struct failure {
    int code;
    char step[16];
};

static void fail(int report_fd, const char *step)
{
    struct failure failure = {.code = errno};
    snprintf(failure.step, sizeof failure.step, "%s", step);
    ssize_t written = write(report_fd, &failure, sizeof failure);
    (void)written;
    _exit(127);
}

static void move(int from, int to, int report_fd)
{
    if (from >= 0 && dup2(from, to) < 0) {
        fail(report_fd, "dup2");
    }
}

/*
 * Between fork and exec: only calls that are safe there. `report_fd` is close-on-exec and above 3.
 */
static void become(const struct child_options *options, int report_fd, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int number = 1; number < NSIG; number++) {
        signal(number, SIG_DFL);
    }
    if (options->own_group && setpgid(0, 0) != 0) {
        fail(report_fd, "setpgid");
    }
    if (options->parent_death_signal != 0) {
        prctl(PR_SET_PDEATHSIG, options->parent_death_signal);
        if (getppid() != parent) {
            _exit(127); /* the parent died before we asked */
        }
    }
    move(options->out_fd, STDOUT_FILENO, report_fd);
    move(options->err_fd, STDERR_FILENO, report_fd);
    move(options->fd3, 3, report_fd);
    if (options->fd3 == 3) {
        fcntl(3, F_SETFD, 0);
    }
    unsigned first = options->fd3 >= 0 ? 4 : 3;
    if ((unsigned)report_fd > first) {
        syscall(SYS_close_range, first, (unsigned)report_fd - 1, 0);
    }
    syscall(SYS_close_range, (unsigned)report_fd + 1, ~0U, 0);
    if (options->directory != NULL && chdir(options->directory) != 0) {
        fail(report_fd, "chdir");
    }
    execve(options->path, options->argv,
           options->environment != NULL ? options->environment : environ);
    fail(report_fd, "exec");
}

int child_start(const struct child_options *options, pid_t *ret_pid, struct error *error)
{
    int report[2];
    if (pipe2(report, O_CLOEXEC) != 0) {
        return error_set(error, -errno, "can't start %s: no pipe: %s", options->path,
                         strerror(errno));
    }
    /* Above the descriptors that the child rearranges. */
    int report_fd = fcntl(report[1], F_DUPFD_CLOEXEC, 10);
    close(report[1]);
    if (report_fd < 0) {
        int code = -errno;
        close(report[0]);
        return error_set(error, code, "can't start %s: %s", options->path, strerror(-code));
    }
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        become(options, report_fd, parent);
    }
    int fork_code = errno;
    close(report_fd);
    struct failure failure;
    ssize_t got = -1;
    if (pid > 0) {
        do {
            got = read(report[0], &failure, sizeof failure);
        } while (got < 0 && errno == EINTR);
    }
    close(report[0]);
    if (pid < 0) {
        return error_set(error, -fork_code, "can't start %s: fork: %s", options->path,
                         strerror(fork_code));
    }
    if (got == (ssize_t)sizeof failure) {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
        }
        return error_set(error, -failure.code, "can't start %s: %s: %s", options->path,
                         failure.step, strerror(failure.code));
    }
    *ret_pid = pid;
    return 0;
}

void child_describe(int wait_status, char *text)
{
    if (WIFEXITED(wait_status)) {
        snprintf(text, 64, "exited with code %d", WEXITSTATUS(wait_status));
    } else if (WIFSIGNALED(wait_status)) {
        snprintf(text, 64, "was killed by signal %d (%s)", WTERMSIG(wait_status),
                 strsignal(WTERMSIG(wait_status)));
    } else {
        snprintf(text, 64, "changed its state to %d", wait_status);
    }
}
