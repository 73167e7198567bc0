/*
 * Processes that a script left behind. What runs while a script runs is its own affair. Interpreter
 * only.
 */
#include "worker/interpreter/children.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LIST_BYTES 4096
/* Killed ones hand their own children to us: some rounds of 10 ms. */
#define ROUNDS_MAX 100
#define ROUND_NS 10000000

void children_adopt(void)
{
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
}

bool children_exist(void)
{
    siginfo_t info = {0};
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static void kill_listed(void)
{
    char path[64];
    char list[LIST_BYTES];
    snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    ssize_t bytes = read(fd, list, sizeof(list) - 1);
    close(fd);
    list[bytes > 0 ? bytes : 0] = '\0';
    char *end;
    for (char *at = list;; at = end) {
        long pid = strtol(at, &end, 10);
        if (end == at) {
            return;
        }
        /* The last number of a full list may be cut. */
        if (pid > 1 && *end != '\0') {
            kill((pid_t)pid, SIGKILL);
        }
    }
}

void children_kill(void)
{
    for (int i = 0; i < ROUNDS_MAX; i++) {
        kill_listed();
        while (waitpid(-1, NULL, WNOHANG) > 0) {
        }
        if (!children_exist()) {
            return;
        }
        nanosleep(&(struct timespec){.tv_nsec = ROUND_NS}, NULL);
    }
}
