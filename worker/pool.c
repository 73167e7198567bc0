/*
 * The pool: which interpreter gets a batch, how many there are, what is seen of them. One
 * interpreter's life is in pool_interpreter.c, its limits in pool_limits.c, its answers in
 * pool_answers.c. Worker only.
 */
#include "worker/pool.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/memory.h"
#include "worker/pool_interpreter.h"

#define KILL_GRACE_US 1000000
/* How well an interpreter suits a code; the highest wins. */
enum fit { FIT_NONE, FIT_CONFLICT, FIT_EMPTY_OR_OTHER, FIT_SAME_PACKAGE, FIT_LOADED };

/*
 * What killed interpreters leave comes to us, as their reaper or as process 1 of a container: wait
 * for it, so that it is no zombie for ever. Interpreters are waited for by themselves.
 */
static void reap_orphans(const struct pool *pool)
{
    for (int i = 0; i < POOL_INTERPRETERS_MAX; i++) {
        siginfo_t info = {0};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0) {
            return;
        }
        for (unsigned slot = 0; slot < POOL_INTERPRETERS_MAX; slot++) {
            if (pool->interpreters[slot].process.pid == info.si_pid) {
                return;
            }
        }
        (void)waitpid(info.si_pid, NULL, WNOHANG);
    }
}

static void on_tick(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct pool *pool = context;
    int64_t now_us = clock_mono_us();
    pool->ticking = false;
    reap_orphans(pool);
    for (unsigned i = 0; i < POOL_INTERPRETERS_MAX; i++) {
        interpreter_watch(&pool->interpreters[i], now_us);
    }
    for (unsigned i = 0; i < POOL_INTERPRETERS_MAX; i++) {
        enum interpreter_state state = pool->interpreters[i].state;
        if (state != INTERPRETER_OFF && state != INTERPRETER_IDLE) {
            pool_keep_ticking(pool);
            return;
        }
    }
}

void pool_keep_ticking(struct pool *pool)
{
    if (!pool->ticking) {
        static const struct timeval period = {.tv_sec = 0, .tv_usec = POOL_TICK_US};
        pool->ticking = event_add(pool->tick, &period) == 0;
    }
}

static void make_metrics(struct pool *pool, struct metrics *metrics)
{
    static const char *const reasons[EXIT_COUNT] = {
        [EXIT_RECYCLE] = "recycle", [EXIT_CRASH] = "crash",   [EXIT_SIGNAL] = "signal",
        [EXIT_TIMEOUT] = "timeout", [EXIT_MEMORY] = "memory", [EXIT_CANCEL] = "cancel",
        [EXIT_ABANDON] = "abandon", [EXIT_START] = "start"};
    pool->starts =
        metrics_series(metrics, "engenho_interpreter_starts_total", METRIC_VALUES(pool->agent));
    for (size_t i = EXIT_RECYCLE; i < EXIT_COUNT; i++) {
        pool->exits[i] = metrics_series(metrics, "engenho_interpreter_exits_total",
                                        METRIC_VALUES(pool->agent, reasons[i]));
    }
    pool->start_duration = metrics_series(metrics, "engenho_interpreter_start_duration_seconds",
                                          METRIC_VALUES(pool->agent));
    pool->import_duration = metrics_series(metrics, "engenho_interpreter_import_duration_seconds",
                                           METRIC_VALUES(pool->agent));
    pool->stacks = metrics_series(metrics, "engenho_interpreter_captured_stacks_total",
                                  METRIC_VALUES(pool->agent));
}

static int check_options(const struct pool_options *options, struct error *error)
{
    if (options->count < 1 || options->count > POOL_INTERPRETERS_MAX) {
        return error_set(error, -EINVAL, "a worker has 1 to %d interpreters, not %u",
                         POOL_INTERPRETERS_MAX, options->count);
    }
    if (access(options->interpreter, X_OK) < 0) {
        return error_set(error, -errno, "the interpreter %s can't be run: %s: check --interpreter",
                         options->interpreter, strerror(errno));
    }
    if (access(options->python_library, R_OK | X_OK) < 0) {
        return error_set(
            error, -errno,
            "the folder of Python packages %s can't be read: %s: check --python-library",
            options->python_library, strerror(errno));
    }
    if (mkdir(options->work_directory, 0700) < 0 && errno != EEXIST) {
        return error_set(error, -errno,
                         "the work folder %s can't be made: %s: check --work-directory",
                         options->work_directory, strerror(errno));
    }
    if (access(options->work_directory, W_OK | X_OK) < 0) {
        return error_set(error, -errno,
                         "the work folder %s can't be written: %s: check --work-directory",
                         options->work_directory, strerror(errno));
    }
    return 0;
}

static char *absolute(const char *path)
{
    char *real = realpath(path, NULL);
    return real != NULL ? real : memory_copy_text(path);
}

struct pool *pool_new(struct event_base *base, const struct pool_options *options,
                      const struct pool_callbacks *callbacks, void *context, struct error *error)
{
    if (check_options(options, error) < 0) {
        return NULL;
    }
    struct pool *pool = memory_new(1, sizeof(*pool));
    pool->base = base;
    pool->options = *options;
    pool->options.kill_grace_us =
        options->kill_grace_us > 0 ? options->kill_grace_us : KILL_GRACE_US;
    pool->callbacks = *callbacks;
    pool->context = context;
    /* Interpreters run in folders of their own. */
    pool->interpreter_path = absolute(options->interpreter);
    pool->python_library = absolute(options->python_library);
    pool->work_directory = absolute(options->work_directory);
    pool->agent = memory_copy_text(options->agent != NULL ? options->agent : "");
    arena_init(&pool->arena);
    make_metrics(pool, options->metrics);
    pool->tick = event_new(base, -1, 0, on_tick, pool);
    for (unsigned i = 0; i < POOL_INTERPRETERS_MAX; i++) {
        pool->interpreters[i].pool = pool;
        pool->interpreters[i].slot = i;
        process_init(&pool->interpreters[i].process);
    }
    if (pool->tick == NULL) {
        pool_free(pool);
        error_set(error, -ENOMEM, "no memory for the pool of interpreters");
        return NULL;
    }
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    pool_resize(pool, options->count);
    return pool;
}

void pool_free(struct pool *pool)
{
    if (pool == NULL) {
        return;
    }
    /* All at once, so that the waits for them overlap. */
    for (unsigned i = 0; i < POOL_INTERPRETERS_MAX; i++) {
        process_kill(&pool->interpreters[i].process);
    }
    for (unsigned i = 0; i < POOL_INTERPRETERS_MAX; i++) {
        interpreter_release(&pool->interpreters[i]);
    }
    struct held_code *told;
    struct held_code *next;
    HASH_ITER (hh, pool->told, told, next) {
        HASH_DEL(pool->told, told);
        free(told);
    }
    if (pool->tick != NULL) {
        event_free(pool->tick);
    }
    arena_release(&pool->arena);
    free(pool->interpreter_path);
    free(pool->python_library);
    free(pool->work_directory);
    free(pool->agent);
    free(pool);
}

void pool_resize(struct pool *pool, unsigned count)
{
    pool->wanted = count < 1 ? 1 : count > POOL_INTERPRETERS_MAX ? POOL_INTERPRETERS_MAX : count;
    for (unsigned i = 0; i < POOL_INTERPRETERS_MAX; i++) {
        struct interpreter *interpreter = &pool->interpreters[i];
        if (i < pool->wanted && interpreter->state == INTERPRETER_OFF) {
            interpreter_start(interpreter);
        } else if (i >= pool->wanted && interpreter->state == INTERPRETER_WAITING) {
            interpreter->state = INTERPRETER_OFF;
        } else if (i >= pool->wanted && interpreter->state != INTERPRETER_OFF) {
            interpreter_retire(interpreter);
        }
    }
}

void pool_replace(struct pool *pool, struct interpreter *interpreter)
{
    if (interpreter->slot >= pool->wanted) {
        interpreter->state = INTERPRETER_OFF;
        return;
    }
    if (pool->failed_starts == 0) {
        interpreter_start(interpreter);
        return;
    }
    interpreter_start_later(interpreter);
}

static bool is_due(const struct interpreter *interpreter)
{
    const struct pool_options *options = &interpreter->pool->options;
    return interpreter->retire || interpreter->slot >= interpreter->pool->wanted ||
           (options->recycle_executions > 0 &&
            interpreter->executed >= options->recycle_executions) ||
           (options->recycle_age_us > 0 &&
            clock_mono_us() - interpreter->started_mono_us >= options->recycle_age_us) ||
           (options->recycle_rss_bytes > 0 && interpreter->rss_bytes >= options->recycle_rss_bytes);
}

void pool_idle(struct pool *pool, struct interpreter *interpreter)
{
    if (is_due(interpreter)) {
        interpreter_retire(interpreter);
        return;
    }
    if (pool->callbacks.free_again != NULL) {
        pool->callbacks.free_again(pool->context);
    }
}

static enum fit fit_of(const struct interpreter *interpreter,
                       const struct pool_execution *executions, size_t count)
{
    if (interpreter->state != INTERPRETER_IDLE) {
        return FIT_NONE;
    }
    for (size_t i = 0; i < count; i++) {
        if (interpreter_conflicts(interpreter, executions[i].code)) {
            return FIT_CONFLICT;
        }
    }
    if (interpreter_holds(interpreter, executions[0].code->number) != NULL) {
        return FIT_LOADED;
    }
    for (const struct held_code *held = interpreter->codes; held != NULL; held = held->hh.next) {
        if (strcmp(held->code->load->directory, executions[0].code->load->directory) == 0) {
            return FIT_SAME_PACKAGE;
        }
    }
    return FIT_EMPTY_OR_OTHER;
}

static struct interpreter *choose(struct pool *pool, const struct pool_execution *executions,
                                  size_t count, enum fit *ret_fit)
{
    struct interpreter *best = NULL;
    *ret_fit = FIT_NONE;
    for (unsigned i = 0; i < POOL_INTERPRETERS_MAX && *ret_fit != FIT_LOADED; i++) {
        struct interpreter *interpreter = &pool->interpreters[i];
        enum fit fit = fit_of(interpreter, executions, count);
        bool emptier = fit == *ret_fit && best != NULL &&
                       HASH_COUNT(interpreter->codes) < HASH_COUNT(best->codes);
        if (fit > *ret_fit || emptier) {
            best = interpreter;
            *ret_fit = fit;
        }
    }
    return best;
}

int pool_submit(struct pool *pool, const struct pool_execution *executions, size_t count)
{
    assert(count >= 1 && count <= POOL_BATCH_MAX);
    enum fit fit;
    struct interpreter *interpreter = choose(pool, executions, count, &fit);
    if (interpreter == NULL) {
        return -EAGAIN;
    }
    if (fit == FIT_CONFLICT) {
        /*
         * Another version of the package: a fresh process, which gets the batch as soon as it is
         * ready.
         */
        metric_add(pool->exits[EXIT_RECYCLE], 1);
        interpreter_release(interpreter);
        interpreter_start(interpreter);
        if (interpreter->state != INTERPRETER_STARTING) {
            return -EAGAIN;
        }
    }
    return interpreter_give(interpreter, executions, count);
}

unsigned pool_free_interpreters(const struct pool *pool)
{
    unsigned count = 0;
    for (unsigned i = 0; i < POOL_INTERPRETERS_MAX; i++) {
        count += pool->interpreters[i].state == INTERPRETER_IDLE;
    }
    return count;
}

bool pool_has_answered(const struct pool *pool)
{
    return pool->answered_ping;
}

unsigned pool_live(const struct pool *pool)
{
    unsigned count = 0;
    for (unsigned i = 0; i < POOL_INTERPRETERS_MAX; i++) {
        enum interpreter_state state = pool->interpreters[i].state;
        count += pool->interpreters[i].got_ready &&
                 (state == INTERPRETER_IDLE || state == INTERPRETER_BUSY);
    }
    return count;
}

static struct interpreter *find(struct pool *pool, uint64_t number, struct task **ret_task)
{
    for (unsigned i = 0; i < POOL_INTERPRETERS_MAX; i++) {
        struct interpreter *interpreter = &pool->interpreters[i];
        struct task *task =
            interpreter->task_left > 0 ? interpreter_task(interpreter, number) : NULL;
        if (task != NULL && !task->answered) {
            *ret_task = task;
            return interpreter;
        }
    }
    return NULL;
}

int pool_cancel(struct pool *pool, uint64_t number)
{
    struct task *task;
    struct interpreter *interpreter = find(pool, number, &task);
    if (interpreter == NULL) {
        return -ENOENT;
    }
    /* The next tick interrupts it if it runs, or the first one after its start. */
    task->cancelled = true;
    interpreter_watch(interpreter, clock_mono_us());
    return 0;
}

int pool_stack(struct pool *pool, uint64_t number)
{
    struct task *task;
    struct interpreter *interpreter = find(pool, number, &task);
    if (interpreter == NULL || interpreter->state != INTERPRETER_BUSY ||
        atomic_load(&interpreter->process.shared->running) != number) {
        return -ENOENT;
    }
    bool under_way = interpreter->stack_number != 0;
    interpreter->stack_number = number;
    if (!under_way) {
        process_ask_stack(&interpreter->process);
    }
    return 0;
}

void pool_forget(struct pool *pool, const struct pool_code *code)
{
    struct held_code *held;
    HASH_FIND(hh, pool->told, &code->number, sizeof(code->number), held);
    if (held != NULL) {
        HASH_DEL(pool->told, held);
        free(held);
    }
    for (unsigned i = 0; i < POOL_INTERPRETERS_MAX; i++) {
        struct interpreter *interpreter = &pool->interpreters[i];
        held = interpreter_holds(interpreter, code->number);
        if (held == NULL) {
            continue;
        }
        HASH_DEL(interpreter->codes, held);
        free(held);
        /* Its module may be of a version that nobody wants any more. */
        interpreter_retire(interpreter);
    }
}

void pool_abandon(struct pool *pool)
{
    for (unsigned i = 0; i < POOL_INTERPRETERS_MAX; i++) {
        if (pool->interpreters[i].task_left > 0) {
            interpreter_kill(&pool->interpreters[i], EXIT_ABANDON);
        }
    }
}

static void scrape_one(struct pool *pool, const struct interpreter *interpreter)
{
    char slot[12];
    snprintf(slot, sizeof(slot), "%u", interpreter->slot);
    const char *const *labels = METRIC_VALUES(pool->agent, slot);
    if (interpreter->process.pid <= 0) {
        metrics_remove(pool->options.metrics, "engenho_interpreter_rss_bytes", labels);
        metrics_remove(pool->options.metrics, "engenho_interpreter_cpu_seconds_total", labels);
        metrics_remove(pool->options.metrics, "engenho_interpreter_uptime_seconds", labels);
        return;
    }
    metric_set(metrics_series(pool->options.metrics, "engenho_interpreter_rss_bytes", labels),
               (double)process_rss_bytes(&interpreter->process));
    metric_set(
        metrics_series(pool->options.metrics, "engenho_interpreter_cpu_seconds_total", labels),
        process_cpu_seconds(&interpreter->process));
    metric_set(metrics_series(pool->options.metrics, "engenho_interpreter_uptime_seconds", labels),
               (double)(clock_mono_us() - interpreter->started_mono_us) / 1e6);
}

void pool_scrape(struct pool *pool)
{
    enum { STARTING, IDLE, BUSY, DRAINING, SHOWN };
    static const char *const names[SHOWN] = {"starting", "idle", "busy", "draining"};
    static const int shown[] = {[INTERPRETER_OFF] = -1,
                                [INTERPRETER_WAITING] = STARTING,
                                [INTERPRETER_STARTING] = STARTING,
                                [INTERPRETER_IDLE] = IDLE,
                                [INTERPRETER_BUSY] = BUSY,
                                [INTERPRETER_RETIRING] = DRAINING,
                                [INTERPRETER_DYING] = DRAINING};
    unsigned counts[SHOWN] = {0};
    for (unsigned i = 0; i < POOL_INTERPRETERS_MAX; i++) {
        int state = shown[pool->interpreters[i].state];
        if (state >= 0) {
            counts[state]++;
        }
        scrape_one(pool, &pool->interpreters[i]);
    }
    for (size_t i = 0; i < SHOWN; i++) {
        metric_set(metrics_series(pool->options.metrics, "engenho_interpreters",
                                  METRIC_VALUES(pool->agent, names[i])),
                   counts[i]);
    }
}
