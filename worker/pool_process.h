/*
 * One interpreter as the pool's operating system sees it: a process group, a connection, memory
 * shared with it, what it prints. An edge: processes, pipes, sockets. It knows no executions.
 * Worker only.
 *
 * Nothing here blocks, but process_release after a kill (milliseconds).
 */
#ifndef ENGENHO_WORKER_POOL_PROCESS_H
#define ENGENHO_WORKER_POOL_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/attributes.h"
#include "common/buf.h"
#include "common/error.h"
#include "worker/interpreter/shared.h"

#define PROCESS_FRAME_BYTES_MAX (16 * 1024 * 1024)
/* What waits for a slow reader: a batch of executions with large events. */
#define PROCESS_SEND_BYTES_MAX (160 * 1024 * 1024)

struct process {
    pid_t pid;             /* 0: none, or reaped */
    int pid_fd;            /* readable once it has ended; -1: none */
    int fd;                /* our end of the connection, non-blocking; -1: none */
    int capture_fd;        /* read end of its stdout and stderr; -1: none */
    int stack_fd;          /* read end of where SIGUSR1 writes stacks; -1: none */
    struct shared *shared; /* NULL: none */
    struct buf in, out;
    uint64_t data_limit_bytes; /* as last set; 0: none */
};

struct process_options {
    const char *program;
    const char *python_library;
    const char *directory; /* made anew: what a process before left there is removed */
};

/* An empty one. */
void process_init(struct process *process);
/* Start it, its first frame queued. Returns 0, or -Exxx with a sentence and nothing started. */
MUST_CHECK int process_start(struct process *process, const struct process_options *options,
                             struct error *error);
/* Kill what is left, reap it, close everything. Accepts an empty one. */
void process_release(struct process *process);

/*
 * Send what is in `out` as far as it goes. Returns 0 (all is sent), -EAGAIN (wait until writable),
 * or another -Exxx: it is gone.
 */
MUST_CHECK int process_send(struct process *process);
/*
 * Read what is there, a bounded amount, into `in`. Returns 0, -EAGAIN (nothing more now), -EPIPE
 * (its end is closed).
 */
MUST_CHECK int process_receive(struct process *process);
/* Nothing more will be sent: an idle interpreter ends. */
void process_finish(struct process *process);

/* SIGINT for one execution; another one never sees it. */
void process_interrupt(struct process *process, uint64_t number);
/* SIGKILL for the whole group. It is dead when `pid_fd` becomes readable. */
void process_kill(struct process *process);
/* Ask for the Python stacks: they arrive at stack_fd, ended by a NUL. */
void process_ask_stack(struct process *process);
/*
 * After its end: kill the rest of the group, reap it. *ret_status as waitpid's; 0 when somebody
 * else reaped it. Returns 0, or -EAGAIN: it has not ended yet.
 */
MUST_CHECK int process_reap(struct process *process, int *ret_status);

/* Bytes that the process may allocate; 0: any. A system call only when it changes. */
void process_limit_data(struct process *process, uint64_t bytes);
/* Resident bytes and processor seconds; 0 when it is gone. */
uint64_t process_rss_bytes(const struct process *process);
double process_cpu_seconds(const struct process *process);
/*
 * What it printed that nobody has answered yet: shared memory, then what is still in the pipe.
 * Appends to `out` up to its maximum; *ret_truncated says whether there was more.
 */
void process_take_output(struct process *process, struct buf *out, bool *ret_truncated);

#endif
