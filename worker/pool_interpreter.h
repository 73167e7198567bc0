/*
 * One interpreter of the pool: its state, the codes it holds, the batch it is at work on, and how
 * each execution of it ends. Shared by pool.c, pool_interpreter.c and pool_limits.c; nobody else
 * includes it. Worker only.
 */
#ifndef ENGENHO_WORKER_POOL_INTERPRETER_H
#define ENGENHO_WORKER_POOL_INTERPRETER_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "common/attributes.h"
#include "common/metrics.h"
#include "worker/arena.h"
#include "worker/pool.h"
#include "worker/pool_process.h"

#define POOL_INTERPRETERS_MAX 64
#define POOL_TICK_US 20000
#define POOL_START_LIMIT_US (30 * INT64_C(1000000))
/*
 * Importing a package may take this long, and being neither running nor done this long means that
 * it hangs.
 */
#define POOL_IMPORT_LIMIT_US (60 * INT64_C(1000000))
#define POOL_STUCK_LIMIT_US (10 * INT64_C(1000000))
#define POOL_RETIRE_LIMIT_US (1 * INT64_C(1000000))

enum interpreter_state {
    INTERPRETER_OFF,      /* beyond the pool's size */
    INTERPRETER_WAITING,  /* to be started at start_at_us */
    INTERPRETER_STARTING, /* a process that is not ready; it may have a batch already */
    INTERPRETER_IDLE,
    INTERPRETER_BUSY,     /* a batch is with it */
    INTERPRETER_RETIRING, /* told to end */
    INTERPRETER_DYING     /* killed, not reaped */
};

enum interpreter_exit {
    EXIT_NONE,
    EXIT_RECYCLE,
    EXIT_CRASH,
    EXIT_SIGNAL,
    EXIT_TIMEOUT,
    EXIT_MEMORY,
    EXIT_CANCEL,
    EXIT_ABANDON,
    EXIT_START,
    EXIT_COUNT
};

/* An execution of the batch. */
struct task {
    uint64_t number;
    const struct pool_code *code;
    bool answered;
    bool told_started;
    bool cancelled;
};

/* A code that an interpreter was told to load. */
struct held_code {
    uint32_t number;
    const struct pool_code *code;
    bool loaded;
    UT_hash_handle hh;
};

struct interpreter {
    struct pool *pool;
    unsigned slot;
    enum interpreter_state state;
    struct process process;
    struct event *readable, *writable, *ended, *stack_readable;
    struct held_code *codes;
    struct task tasks[POOL_BATCH_MAX];
    /* task_next: where the next answer is looked for first */
    size_t task_count, task_left, task_next;
    uint64_t generation; /* of the process: callbacks may have replaced it */
    bool retire;         /* when idle */
    bool got_ready;
    uint64_t executed;
    int64_t started_mono_us, start_at_us, state_since_us, stuck_since_us, rss_at_us;
    uint64_t rss_bytes;
    /* An interrupt under way: which execution, why, and when the group is killed. */
    uint64_t interrupted;
    enum interpreter_exit reason; /* why it is interrupted or dying */
    int64_t kill_at_us;
    /* A stack that was asked for. */
    uint64_t stack_number;
    struct buf stack;
};

struct pool {
    struct event_base *base;
    struct pool_options options;
    char *interpreter_path, *python_library, *work_directory, *agent;
    struct pool_callbacks callbacks;
    void *context;
    unsigned wanted; /* interpreters */
    struct interpreter interpreters[POOL_INTERPRETERS_MAX];
    struct held_code *told; /* codes that `loaded` was called for */
    struct event *tick;
    bool ticking;
    bool answered_ping;
    unsigned failed_starts; /* in a row */
    struct metric *starts, *exits[EXIT_COUNT], *start_duration, *import_duration, *stacks;
    struct arena arena;
};

/* Start its process now; on failure it waits for its back-off. */
void interpreter_start(struct interpreter *self);
/* Start it after the back-off that the failed starts in a row ask for. */
void interpreter_start_later(struct interpreter *self);
/* Have it end when it has nothing to do; at once when it is idle. */
void interpreter_retire(struct interpreter *self);
/* Kill its group; its executions are answered once it is reaped. */
void interpreter_kill(struct interpreter *self, enum interpreter_exit reason);
/* Whether it holds another version of the code's package. */
bool interpreter_conflicts(const struct interpreter *self, const struct pool_code *code);
/* Whether it has loaded, or is loading, the code. */
struct held_code *interpreter_holds(const struct interpreter *self, uint32_t code);
/*
 * Queue the batch, and the codes it needs. Returns 0, or -EMSGSIZE: too large; then nothing has
 * changed.
 */
MUST_CHECK int interpreter_give(struct interpreter *self, const struct pool_execution *executions,
                                size_t count);
/* Free the process and everything it held, without callbacks. */
void interpreter_release(struct interpreter *self);
struct task *interpreter_task(struct interpreter *self, uint64_t number);
/* Call `started` for a task once. */
void interpreter_tell_started(struct interpreter *self, struct task *task, int64_t start_unix_us);

/* pool_limits.c: look at one interpreter's clock and memory. */
void interpreter_watch(struct interpreter *self, int64_t now_us);
/* Send SIGINT to what runs; SIGKILL follows after the grace. */
void interpreter_interrupt(struct interpreter *self, uint64_t number, enum interpreter_exit reason,
                           int64_t now_us);

/* pool_answers.c: what an interpreter sends, and what is left when it dies. */
void interpreter_read(struct interpreter *self);
/* After its death: answer everything. `status` as waitpid's. */
void interpreter_settle(struct interpreter *self, int status);

/* pool.c */
void pool_keep_ticking(struct pool *pool);
/*
 * Its process is gone: start another if it is still wanted, after the back-off while starts fail.
 */
void pool_replace(struct pool *pool, struct interpreter *self);
/* An interpreter has nothing to do: let it retire, or tell that it is free. */
void pool_idle(struct pool *pool, struct interpreter *self);

#endif
