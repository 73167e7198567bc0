/*
 * Start and watch processes of our own: interpreters of a worker, everything of `engenho up`. fork
 * and exec only.
 */
#ifndef ENGENHO_COMMON_CHILD_H
#define ENGENHO_COMMON_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/attributes.h"
#include "common/error.h"

struct child_options {
    const char *path;         /* of the program */
    char *const *argv;        /* argv[0] included, NULL-terminated */
    char *const *environment; /* NULL: ours */
    const char *directory;    /* working directory; NULL: ours */
    /* becomes file descriptor 3; -1: none. All others but 0 to 2 are closed */
    int fd3;
    int out_fd, err_fd;      /* become stdout and stderr; -1: ours */
    bool own_group;          /* a process group of its own */
    int parent_death_signal; /* PR_SET_PDEATHSIG; 0: none */
};

/*
 * Returns 0 with the process id, or -Exxx with a sentence (the program is missing, no more
 * processes).
 */
MUST_CHECK int child_start(const struct child_options *options, pid_t *ret_pid,
                           struct error *error);

/*
 * How a process ended, in words: "exited with code 1", "was killed by signal 9 (Killed)". `text`
 * holds 64 bytes.
 */
void child_describe(int wait_status, char *text);

#endif
