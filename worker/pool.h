/*
 * The pool of interpreters of a worker: starts them as processes, hands them batches, enforces
 * limits from outside, replaces what dies. An edge: processes, a socketpair to each, libevent. It
 * knows no Kafka and no seats.
 *
 * Every execution that was submitted is answered exactly once: by `finished` or by `returned`. An
 * interpreter that is killed is reaped before its executions are answered, so nobody is at work on
 * a key that is given away (PITFALLS, Scripts).
 *
 * The process that has a pool becomes the reaper of what scripts leave behind, and waits for it: it
 * must have no children of its own beside the interpreters.
 */
#ifndef ENGENHO_WORKER_POOL_H
#define ENGENHO_WORKER_POOL_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/error.h"
#include "common/metrics.h"
#include "proto/interpreter.pb-c.h"

#define POOL_BATCH_MAX 64

struct pool;

/*
 * What to run: a method of one version of a package with its parameters. Made by the worker once
 * for each production it serves.
 */
struct pool_code {
    uint32_t number;           /* never used twice in a worker's life */
    const Engenho__Load *load; /* lives as long as the code is in use; load->code == number */
    int64_t time_limit_us;
    uint64_t memory_limit_bytes; /* 0: none */
};

struct pool_execution {
    uint64_t number; /* never used twice in a worker's life */
    const struct pool_code *code;
    /* borrowed for the call of pool_submit; number and code are filled by the pool */
    Engenho__Execution message;
};

struct pool_callbacks {
    /* An interpreter is free: pool_submit may succeed. */
    void (*free_again)(void *context);
    /*
     * An execution has begun: seen within 20 ms, or when it is over at the latest. NULL: nobody
     * wants to know.
     */
    void (*started)(void *context, uint64_t number, int64_t start_unix_us);
    /*
     * An execution is over. `finished` is borrowed for the call. Time limit, crash and memory limit
     * arrive here too, with their outcome, error_class (TimeLimit, InterpreterCrash, MemoryLimit),
     * one sentence, and the output captured so far.
     */
    void (*finished)(void *context, const Engenho__Finished *finished);
    /*
     * An execution that had not started when its interpreter died: run it again, it is not an
     * attempt.
     */
    void (*returned)(void *context, uint64_t number);
    /*
     * A code does not import, or the method is not there; its executions come back by `returned`
     * first.
     */
    void (*not_loadable)(void *context, const struct pool_code *code,
                         const Engenho__Loaded *loaded);
    /*
     * A code was loaded for the first time: what is known of the method (epm_method decides the
     * default ordering).
     */
    void (*loaded)(void *context, const struct pool_code *code, const Engenho__Loaded *loaded);
    /*
     * What pool_stack asked for: the Python stacks of all threads, newest call first; NULL: the
     * interpreter died before. May be NULL.
     */
    void (*stack)(void *context, uint64_t number, const char *text);
};

struct pool_options {
    const char *interpreter;     /* path of engenho-interpreter */
    const char *python_library;  /* folder of the Python packages engenho and epmprocessor */
    const char *work_directory;  /* writable; each interpreter gets a folder below it */
    unsigned count;              /* how many interpreters, from the licence; 1 to 64 */
    int64_t kill_grace_us;       /* between SIGINT and SIGKILL: 1 s */
    uint64_t recycle_executions; /* after so many; 0: never */
    int64_t recycle_age_us;      /* 0: never */
    uint64_t recycle_rss_bytes;  /* 0: never */
    const char *agent;           /* label of metrics */
    struct metrics *metrics;
};

/* Returns owned, or NULL with a sentence. Interpreters start at once, in the background. */
struct pool *pool_new(struct event_base *base, const struct pool_options *options,
                      const struct pool_callbacks *callbacks, void *context, struct error *error);
/* Kills what is left, process groups and all, and reaps it. No callbacks. */
void pool_free(struct pool *pool);

/* Change the number of interpreters (the licence changed). Surplus ones retire when idle. */
void pool_resize(struct pool *pool, unsigned count);

/*
 * Hand a batch to one free interpreter that has, or can load, the code of its executions (all of
 * one environment; different codes are allowed). Copies what it needs. An interpreter that holds
 * another version of a package is replaced by a fresh one, which takes the batch when it is ready.
 * Returns 0; -EAGAIN: no interpreter is free (wait for free_again); -EMSGSIZE: an execution with
 * its event and userCache is larger than a frame (16 MiB), and nothing was taken.
 */
MUST_CHECK int pool_submit(struct pool *pool, const struct pool_execution *executions,
                           size_t count);
/* How many batches pool_submit would take now. */
unsigned pool_free_interpreters(const struct pool *pool);
/*
 * Whether one interpreter has answered a ping since the start (for /startupz), and how many live
 * now.
 */
bool pool_has_answered(const struct pool *pool);
unsigned pool_live(const struct pool *pool);

/*
 * Stop an execution: interrupt, then kill. It ends with outcome cancelled, unless it succeeds all
 * the same before it is hit. Returns 0 or -ENOENT.
 */
MUST_CHECK int pool_cancel(struct pool *pool, uint64_t number);
/*
 * Ask for the Python stack of an execution, which comes by the callback `stack`. Returns 0, or
 * -ENOENT: it does not run now.
 */
MUST_CHECK int pool_stack(struct pool *pool, uint64_t number);
/* No execution uses `code` any more, and none will: interpreters that hold it may retire. */
void pool_forget(struct pool *pool, const struct pool_code *code);
/*
 * Kill what runs (a drain's end, fenced): executions are answered by `returned`, not by `finished`.
 */
void pool_abandon(struct pool *pool);
/* Bring the gauges up to date (rss, states). */
void pool_scrape(struct pool *pool);

#endif
