/*
 * What an interpreter sends, and what becomes of its executions when it dies: each is answered
 * exactly once. Worker only.
 */
#include "worker/pool_interpreter.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "common/child.h"
#include "common/clock.h"
#include "common/duration.h"
#include "common/frames.h"
#include "common/log.h"
#include "common/memory.h"

#define SENTENCE_BYTES 512
/* What an interpreter that did not get ready has to say. */
#define START_OUTPUT_BYTES_MAX 700

/* What a death means for the execution that was running. */
struct verdict {
    Engenho__Outcome outcome;
    const char *error_class;
    char sentence[SENTENCE_BYTES];
};

static void describe_limit(const struct task *task, enum interpreter_exit reason,
                           struct verdict *verdict)
{
    char text[DURATION_TEXT_BYTES];
    switch (reason) {
    case EXIT_TIMEOUT:
        duration_print(task->code->time_limit_us, text);
        verdict->outcome = ENGENHO__OUTCOME__OUTCOME_TIMED_OUT;
        verdict->error_class = "TimeLimit";
        snprintf(verdict->sentence, sizeof(verdict->sentence),
                 "it ran longer than its time limit of %s", text);
        return;
    case EXIT_CANCEL:
        verdict->outcome = ENGENHO__OUTCOME__OUTCOME_CANCELLED;
        verdict->error_class = "Cancelled";
        snprintf(verdict->sentence, sizeof(verdict->sentence), "it was cancelled");
        return;
    case EXIT_MEMORY:
        verdict->outcome = ENGENHO__OUTCOME__OUTCOME_OUT_OF_MEMORY;
        verdict->error_class = "MemoryLimit";
        snprintf(verdict->sentence, sizeof(verdict->sentence),
                 "it used more memory than its limit of %llu MiB",
                 (unsigned long long)(task->code->memory_limit_bytes >> 20));
        return;
    default:
        verdict->outcome = ENGENHO__OUTCOME__OUTCOME_CRASHED;
        verdict->error_class = "InterpreterCrash";
        verdict->sentence[0] = '\0';
        return;
    }
}

static void answer(struct interpreter *self, struct task *task, const Engenho__Finished *finished)
{
    task->answered = true;
    self->task_left--;
    self->task_next = (size_t)(task - self->tasks) + 1;
    self->executed++;
    if (self->interrupted == task->number) {
        self->interrupted = 0;
        self->reason = EXIT_NONE;
    }
    self->pool->callbacks.finished(self->pool->context, finished);
}

/* An answer as the interpreter gave it, unless a limit was why. */
static void take_finished(struct interpreter *self, struct task *task, Engenho__Finished *finished)
{
    interpreter_tell_started(self, task, finished->start_us);
    struct verdict verdict;
    bool failed = finished->outcome == ENGENHO__OUTCOME__OUTCOME_FAILED;
    bool no_memory = failed && task->code->memory_limit_bytes > 0 &&
                     strcmp(finished->error_class, "MemoryError") == 0;
    self->retire = self->retire || no_memory;
    if (failed && (no_memory || self->interrupted == task->number)) {
        describe_limit(task, no_memory ? EXIT_MEMORY : self->reason, &verdict);
        finished->outcome = verdict.outcome;
        finished->error_class = (char *)verdict.error_class;
        finished->error = verdict.sentence;
        finished->not_retryable = false;
    }
    finished->number = task->number;
    answer(self, task, finished);
}

static void take_back(struct interpreter *self, struct task *task)
{
    task->answered = true;
    self->task_left--;
    self->pool->callbacks.returned(self->pool->context, task->number);
}

static void take_loaded(struct interpreter *self, const Engenho__Loaded *loaded)
{
    struct pool *pool = self->pool;
    struct held_code *held = interpreter_holds(self, loaded->code);
    if (held == NULL) {
        return;
    }
    const struct pool_code *code = held->code;
    metric_observe(pool->import_duration, (double)loaded->import_us / 1e6);
    if (loaded->error[0] == '\0') {
        held->loaded = true;
        struct held_code *told;
        HASH_FIND(hh, pool->told, &loaded->code, sizeof(loaded->code), told);
        if (told == NULL) {
            told = memory_new(1, sizeof(*told));
            told->number = loaded->code;
            HASH_ADD(hh, pool->told, number, sizeof(told->number), told);
            pool->callbacks.loaded(pool->context, code, loaded);
        }
        return;
    }
    HASH_DEL(self->codes, held);
    free(held);
    /* The interpreter passes them over. What a failed import left behind goes with the process. */
    self->retire = true;
    for (size_t i = 0; i < self->task_count; i++) {
        if (self->tasks[i].code == code && !self->tasks[i].answered) {
            take_back(self, &self->tasks[i]);
        }
    }
    pool->callbacks.not_loadable(pool->context, code, loaded);
}

static void take_ready(struct interpreter *self)
{
    struct pool *pool = self->pool;
    if (self->state != INTERPRETER_STARTING || self->got_ready) {
        return;
    }
    self->got_ready = true;
    pool->failed_starts = 0;
    metric_observe(pool->start_duration, (double)(clock_mono_us() - self->started_mono_us) / 1e6);
    self->state = self->task_left > 0 ? INTERPRETER_BUSY : INTERPRETER_IDLE;
    self->state_since_us = clock_mono_us();
    if (self->state == INTERPRETER_IDLE) {
        pool_idle(pool, self);
    }
}

/* One answer of a batch. Returns false when the interpreter speaks of what it was not given. */
static bool take_answer(struct interpreter *self, Engenho__Finished *finished)
{
    struct task *task = interpreter_task(self, finished->number);
    if (task == NULL) {
        return false;
    }
    if (!task->answered) {
        take_finished(self, task, finished);
    }
    return true;
}

static bool take_message(struct interpreter *self, Engenho__ToWorker *message)
{
    uint64_t generation = self->generation;
    switch (message->body_case) {
    case ENGENHO__TO_WORKER__BODY_READY:
        take_ready(self);
        break;
    case ENGENHO__TO_WORKER__BODY_LOADED:
        take_loaded(self, message->loaded);
        break;
    case ENGENHO__TO_WORKER__BODY_PONG:
        self->pool->answered_ping = true;
        break;
    case ENGENHO__TO_WORKER__BODY_FINISHED:
        if (!take_answer(self, message->finished)) {
            return false;
        }
        break;
    default:
        break;
    }
    for (size_t i = 0; i < message->n_answers && self->generation == generation; i++) {
        if (!take_answer(self, message->answers[i])) {
            return false;
        }
    }
    return true;
}

/*
 * Whole frames that have arrived. Returns 0, or -EBADMSG: what came is not what an interpreter
 * says.
 */
static int take_frames(struct interpreter *self)
{
    struct pool *pool = self->pool;
    uint64_t generation = self->generation;
    size_t taken = 0;
    int result = 0;
    for (;;) {
        const uint8_t *payload;
        size_t bytes;
        size_t frame_bytes;
        struct buf *in = &self->process.in;
        result = frame_next(in->data + taken, in->length - taken, PROCESS_FRAME_BYTES_MAX, &payload,
                            &bytes, &frame_bytes);
        if (result <= 0) {
            break;
        }
        taken += frame_bytes;
        arena_reset(&pool->arena);
        Engenho__ToWorker *message =
            engenho__to_worker__unpack(&pool->arena.allocator, bytes, payload);
        bool good = message != NULL && take_message(self, message);
        if (self->generation != generation) {
            return 0;
        }
        if (!good) {
            result = -EBADMSG;
            break;
        }
    }
    buf_consume(&self->process.in, taken);
    return result < 0 ? -EBADMSG : 0;
}

void interpreter_read(struct interpreter *self)
{
    int received = process_receive(&self->process);
    uint64_t generation = self->generation;
    int result = received == -EAGAIN ? 0 : take_frames(self);
    if (self->generation != generation || self->state == INTERPRETER_DYING) {
        return;
    }
    if (result < 0) {
        log_warn("an interpreter sent what is not an answer; it is killed",
                 LOG_INT("slot", self->slot));
        event_del(self->readable);
        interpreter_kill(self, EXIT_CRASH);
        return;
    }
    if (received == -EPIPE) {
        /* It may end by itself in a moment; if it does not, it is not heard any more. */
        event_del(self->readable);
        if (self->state == INTERPRETER_BUSY || self->state == INTERPRETER_STARTING) {
            interpreter_kill(self, self->got_ready ? EXIT_CRASH : EXIT_START);
        } else if (self->state == INTERPRETER_IDLE) {
            interpreter_kill(self, EXIT_RECYCLE);
        }
        return;
    }
    if (self->state == INTERPRETER_BUSY && self->task_left == 0) {
        self->task_count = 0;
        self->retire = self->retire || atomic_load(&self->process.shared->leaving) != 0;
        self->state = INTERPRETER_IDLE;
        self->state_since_us = clock_mono_us();
        pool_idle(self->pool, self);
    }
}

/* Answers that the dead process had not sent. */
static void take_unsent(struct interpreter *self)
{
    struct shared *shared = self->process.shared;
    uint32_t bytes = atomic_load(&shared->answers_bytes);
    if (bytes == 0 || bytes > SHARED_ANSWERS_BYTES) {
        return;
    }
    arena_reset(&self->pool->arena);
    Engenho__ToWorker *message =
        engenho__to_worker__unpack(&self->pool->arena.allocator, bytes, shared->answers);
    for (size_t i = 0; message != NULL && i < message->n_answers; i++) {
        (void)take_answer(self, message->answers[i]);
    }
}

/*
 * What had arrived, or was on its way, when it died. It is past any kill: a partial frame stays
 * one.
 */
static void take_rest(struct interpreter *self)
{
    while (process_receive(&self->process) == 0) {
        if (take_frames(self) < 0) {
            return;
        }
    }
    (void)take_frames(self);
    take_unsent(self);
}

static void answer_crashed(struct interpreter *self, struct task *task, const char *how)
{
    struct verdict verdict;
    describe_limit(task, self->reason, &verdict);
    if (verdict.sentence[0] == '\0') {
        snprintf(verdict.sentence, sizeof(verdict.sentence),
                 "the interpreter %s while the method ran", how);
    }
    Engenho__Finished finished = ENGENHO__FINISHED__INIT;
    struct buf output;
    bool truncated;
    buf_init(&output, SHARED_OUTPUT_BYTES);
    process_take_output(&self->process, &output, &truncated);
    int64_t now_us = clock_mono_us();
    int64_t since_us = atomic_load(&self->process.shared->since_mono_us);
    finished.number = task->number;
    finished.outcome = verdict.outcome;
    finished.error_class = (char *)verdict.error_class;
    finished.error = verdict.sentence;
    finished.end_us = clock_unix_us();
    finished.start_us =
        finished.end_us - (since_us > 0 && since_us <= now_us ? now_us - since_us : 0);
    finished.output.data = output.data;
    finished.output.len = output.length;
    finished.output_truncated = truncated;
    interpreter_tell_started(self, task, finished.start_us);
    answer(self, task, &finished);
    buf_release(&output);
}

static void fail_loading(struct interpreter *self, uint32_t number, const char *how)
{
    struct held_code *held = interpreter_holds(self, number);
    if (held == NULL || held->loaded) {
        return;
    }
    const struct pool_code *code = held->code;
    char sentence[SENTENCE_BYTES];
    snprintf(sentence, sizeof(sentence), "the interpreter %s while it imported the package%s", how,
             self->reason == EXIT_TIMEOUT ? ", which took longer than a minute" : "");
    Engenho__Loaded loaded = ENGENHO__LOADED__INIT;
    loaded.code = number;
    loaded.error_class = (char *)"InterpreterCrash";
    loaded.error = sentence;
    for (size_t i = 0; i < self->task_count; i++) {
        if (self->tasks[i].code == code && !self->tasks[i].answered) {
            take_back(self, &self->tasks[i]);
        }
    }
    self->pool->callbacks.not_loadable(self->pool->context, code, &loaded);
}

static const char *reason_of(struct interpreter *self, int status)
{
    static const char *const names[EXIT_COUNT] = {
        [EXIT_RECYCLE] = "recycle", [EXIT_CRASH] = "crash",   [EXIT_SIGNAL] = "signal",
        [EXIT_TIMEOUT] = "timeout", [EXIT_MEMORY] = "memory", [EXIT_CANCEL] = "cancel",
        [EXIT_ABANDON] = "abandon", [EXIT_START] = "start"};
    if (self->reason == EXIT_NONE) {
        bool by_signal = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        bool left = self->got_ready && WIFEXITED(status) && WEXITSTATUS(status) == 0 &&
                    self->task_left == 0;
        self->reason = left               ? EXIT_RECYCLE
                       : !self->got_ready ? EXIT_START
                       : by_signal        ? EXIT_SIGNAL
                                          : EXIT_CRASH;
    }
    metric_add(self->pool->exits[self->reason], 1);
    return names[self->reason];
}

static void answer_all(struct interpreter *self, int status)
{
    char how[64];
    child_describe(status, how);
    uint64_t running = atomic_load(&self->process.shared->running);
    bool abandoned = self->reason == EXIT_ABANDON;
    if (!abandoned && (running & SHARED_LOADING) != 0) {
        fail_loading(self, (uint32_t)running, how);
    }
    struct task *task = running != 0 ? interpreter_task(self, running) : NULL;
    if (!abandoned && task != NULL && !task->answered) {
        answer_crashed(self, task, how);
    }
    for (size_t i = 0; i < self->task_count; i++) {
        if (!self->tasks[i].answered) {
            take_back(self, &self->tasks[i]);
        }
    }
}

static void say_failed_start(struct interpreter *self, int status)
{
    char how[64];
    struct buf said;
    bool truncated;
    child_describe(status, how);
    buf_init(&said, START_OUTPUT_BYTES_MAX);
    process_take_output(&self->process, &said, &truncated);
    while (said.length > 0 && said.data[said.length - 1] == '\n') {
        said.data[--said.length] = '\0';
    }
    log_warn("an interpreter ended before it was ready", LOG_INT("slot", self->slot),
             LOG_TEXT("how", how), LOG_TEXT("said", said.length > 0 ? (char *)said.data : ""),
             LOG_INT("failed_in_a_row", self->pool->failed_starts));
    buf_release(&said);
}

void interpreter_settle(struct interpreter *self, int status)
{
    struct pool *pool = self->pool;
    self->state = INTERPRETER_DYING;
    take_rest(self);
    const char *reason = reason_of(self, status);
    bool ready = self->got_ready;
    if (self->reason != EXIT_RECYCLE && self->reason != EXIT_ABANDON && ready) {
        char how[64];
        child_describe(status, how);
        log_info("an interpreter ended", LOG_INT("slot", self->slot), LOG_TEXT("reason", reason),
                 LOG_TEXT("how", how));
    }
    if (self->stack_number != 0 && pool->callbacks.stack != NULL) {
        pool->callbacks.stack(pool->context, self->stack_number, NULL);
    }
    if (!ready && self->reason != EXIT_RECYCLE && self->reason != EXIT_ABANDON) {
        pool->failed_starts++;
        say_failed_start(self, status);
    }
    answer_all(self, status);
    interpreter_release(self);
    pool_replace(pool, self);
}
