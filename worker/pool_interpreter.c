/*
 * One interpreter's life: started, given batches, retired, killed, replaced. Limits are in
 * pool_limits.c, answers in pool_answers.c, which interpreter gets a batch in pool.c. Worker only.
 */
#include "worker/pool_interpreter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/frames.h"
#include "common/log.h"
#include "common/memory.h"

#define BACKOFF_FIRST_US 200000
#define BACKOFF_MAX_US 5000000
/*
 * A batch frame is closed when it passes this; one execution may be larger, up to a frame's
 * maximum.
 */
#define BATCH_BYTES_SOFT (8 * 1024 * 1024)
#define STACK_BYTES_MAX (256 * 1024)

static void set_state(struct interpreter *self, enum interpreter_state state)
{
    self->state = state;
    self->state_since_us = clock_mono_us();
    self->stuck_since_us = 0;
}

static void free_event(struct event **event)
{
    if (*event != NULL) {
        event_free(*event);
        *event = NULL;
    }
}

static void forget_codes(struct held_code **codes)
{
    struct held_code *held;
    struct held_code *next;
    HASH_ITER (hh, *codes, held, next) {
        HASH_DEL(*codes, held);
        free(held);
    }
}

void interpreter_release(struct interpreter *self)
{
    free_event(&self->readable);
    free_event(&self->writable);
    free_event(&self->ended);
    free_event(&self->stack_readable);
    process_release(&self->process);
    forget_codes(&self->codes);
    buf_release(&self->stack);
    self->task_count = self->task_left = self->task_next = 0;
    self->interrupted = 0;
    self->kill_at_us = 0;
    self->rss_bytes = 0;
    self->generation++;
}

static int64_t backoff_us(unsigned failures)
{
    int64_t wait = BACKOFF_FIRST_US;
    for (unsigned i = 1; i < failures && wait < BACKOFF_MAX_US; i++) {
        wait *= 2;
    }
    return wait < BACKOFF_MAX_US ? wait : BACKOFF_MAX_US;
}

void interpreter_start_later(struct interpreter *self)
{
    set_state(self, INTERPRETER_WAITING);
    self->start_at_us = clock_mono_us() + backoff_us(self->pool->failed_starts);
    pool_keep_ticking(self->pool);
}

/* The process has ended, or has been killed and is now dead. */
static void on_ended(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct interpreter *self = context;
    int status;
    if (process_reap(&self->process, &status) == 0) {
        interpreter_settle(self, status);
    }
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    interpreter_read(context);
}

static void send_what_waits(struct interpreter *self)
{
    int result = process_send(&self->process);
    if (result == -EAGAIN) {
        event_add(self->writable, NULL);
    }
    /* Any other failure means that it is ending; its end is seen at pid_fd. */
}

static void on_writable(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    send_what_waits(context);
}

static void on_stack(evutil_socket_t fd, short what, void *context)
{
    (void)what;
    struct interpreter *self = context;
    char data[4096];
    ssize_t bytes = read(fd, data, sizeof(data));
    if (bytes <= 0) {
        if (bytes == 0) {
            event_del(self->stack_readable);
        }
        return;
    }
    const char *end = memchr(data, '\0', (size_t)bytes);
    (void)!buf_append(&self->stack, data, end != NULL ? (size_t)(end - data) : (size_t)bytes);
    if (end == NULL) {
        return;
    }
    uint64_t number = self->stack_number;
    self->stack_number = 0;
    if (number != 0 && self->pool->callbacks.stack != NULL) {
        metric_add(self->pool->stacks, 1);
        self->pool->callbacks.stack(self->pool->context, number,
                                    self->stack.length > 0 ? (char *)self->stack.data : "");
    }
    buf_clear(&self->stack);
}

static bool watch_events(struct interpreter *self)
{
    struct event_base *base = self->pool->base;
    self->readable = event_new(base, self->process.fd, EV_READ | EV_PERSIST, on_readable, self);
    self->writable = event_new(base, self->process.fd, EV_WRITE, on_writable, self);
    self->ended = event_new(base, self->process.pid_fd, EV_READ | EV_PERSIST, on_ended, self);
    self->stack_readable =
        event_new(base, self->process.stack_fd, EV_READ | EV_PERSIST, on_stack, self);
    return self->readable != NULL && self->writable != NULL && self->ended != NULL &&
           self->stack_readable != NULL && event_add(self->readable, NULL) == 0 &&
           event_add(self->ended, NULL) == 0 && event_add(self->stack_readable, NULL) == 0;
}

void interpreter_start(struct interpreter *self)
{
    struct pool *pool = self->pool;
    struct error error = {{0}};
    char *directory = memory_print("%s/interpreter-%u", pool->work_directory, self->slot);
    struct process_options options = {.program = pool->interpreter_path,
                                      .python_library = pool->python_library,
                                      .directory = directory};
    process_init(&self->process);
    buf_init(&self->stack, STACK_BYTES_MAX);
    self->generation++;
    self->executed = 0;
    self->retire = false;
    self->got_ready = false;
    self->reason = EXIT_NONE;
    self->stack_number = 0;
    self->started_mono_us = clock_mono_us();
    int result = process_start(&self->process, &options, &error);
    free(directory);
    if (result == 0 && !watch_events(self)) {
        result = error_set(&error, -ENOMEM, "no memory to watch an interpreter");
    }
    if (result < 0) {
        interpreter_release(self);
        pool->failed_starts++;
        log_warn("an interpreter did not start; it is tried again", LOG_TEXT("error", error.text),
                 LOG_INT("slot", self->slot), LOG_INT("failed_in_a_row", pool->failed_starts));
        interpreter_start_later(self);
    } else {
        metric_add(pool->starts, 1);
        set_state(self, INTERPRETER_STARTING);
    }
    pool_keep_ticking(pool);
}

void interpreter_retire(struct interpreter *self)
{
    self->retire = true;
    if (self->state == INTERPRETER_IDLE ||
        (self->state == INTERPRETER_STARTING && self->task_count == 0)) {
        self->reason = EXIT_RECYCLE;
        set_state(self, INTERPRETER_RETIRING);
        process_finish(&self->process);
        pool_keep_ticking(self->pool);
    }
}

void interpreter_kill(struct interpreter *self, enum interpreter_exit reason)
{
    if (self->process.pid <= 0) {
        return;
    }
    /* The first reason is the one that counts; an abandoned pool overrides it. */
    if (self->state != INTERPRETER_DYING || reason == EXIT_ABANDON) {
        self->reason = reason;
    }
    process_kill(&self->process);
    set_state(self, INTERPRETER_DYING);
    pool_keep_ticking(self->pool);
}

struct held_code *interpreter_holds(const struct interpreter *self, uint32_t code)
{
    struct held_code *held;
    HASH_FIND(hh, self->codes, &code, sizeof(code), held);
    return held;
}

bool interpreter_conflicts(const struct interpreter *self, const struct pool_code *code)
{
    for (const struct held_code *held = self->codes; held != NULL; held = held->hh.next) {
        if (strcmp(held->code->load->package, code->load->package) == 0 &&
            strcmp(held->code->load->directory, code->load->directory) != 0) {
            return true;
        }
    }
    return false;
}

static int append_message(struct interpreter *self, const Engenho__ToInterpreter *message)
{
    size_t bytes = engenho__to_interpreter__get_packed_size(message);
    if (bytes > PROCESS_FRAME_BYTES_MAX) {
        return -EMSGSIZE;
    }
    uint8_t *room = buf_reserve(&self->process.out, FRAME_HEADER_BYTES + bytes);
    if (room == NULL) {
        return -EMSGSIZE;
    }
    frame_header(room, (uint32_t)bytes);
    engenho__to_interpreter__pack(message, room + FRAME_HEADER_BYTES);
    buf_commit(&self->process.out, FRAME_HEADER_BYTES + bytes);
    return 0;
}

static int append_load(struct interpreter *self, const struct pool_code *code)
{
    struct held_code *held = interpreter_holds(self, code->number);
    if (held != NULL) {
        return 0;
    }
    Engenho__ToInterpreter message = ENGENHO__TO_INTERPRETER__INIT;
    message.body_case = ENGENHO__TO_INTERPRETER__BODY_LOAD;
    message.load = (Engenho__Load *)code->load;
    int result = append_message(self, &message);
    if (result < 0) {
        return result;
    }
    held = memory_new(1, sizeof(*held));
    held->number = code->number;
    held->code = code;
    HASH_ADD(hh, self->codes, number, sizeof(held->number), held);
    return 0;
}

static int append_executions(struct interpreter *self, Engenho__Execution **executions,
                             size_t count)
{
    Engenho__ToInterpreter message = ENGENHO__TO_INTERPRETER__INIT;
    Engenho__Batch batch = ENGENHO__BATCH__INIT;
    batch.executions = executions;
    batch.n_executions = count;
    message.body_case = ENGENHO__TO_INTERPRETER__BODY_BATCH;
    message.batch = &batch;
    return append_message(self, &message);
}

static int append_batch(struct interpreter *self, const struct pool_execution *executions,
                        size_t count)
{
    Engenho__Execution copies[POOL_BATCH_MAX];
    Engenho__Execution *pointers[POOL_BATCH_MAX];
    size_t first = 0;
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        copies[i] = executions[i].message;
        copies[i].number = executions[i].number;
        copies[i].code = executions[i].code->number;
        pointers[i] = &copies[i];
        size_t size = copies[i].event_bytes.len + strlen(copies[i].user_cache_json) +
                      strlen(copies[i].last_executed_json);
        for (size_t p = 0; p < copies[i].n_parameters; p++) {
            size += strlen(copies[i].parameters[p]->json);
        }
        if (i > first && bytes + size > BATCH_BYTES_SOFT) {
            int result = append_executions(self, pointers + first, i - first);
            if (result < 0) {
                return result;
            }
            first = i;
            bytes = 0;
        }
        bytes += size;
    }
    return append_executions(self, pointers + first, count - first);
}

static void take_tasks(struct interpreter *self, const struct pool_execution *executions,
                       size_t count)
{
    uint64_t limit = 0;
    bool limited = true;
    for (size_t i = 0; i < count; i++) {
        self->tasks[i] = (struct task){.number = executions[i].number, .code = executions[i].code};
        uint64_t own = executions[i].code->memory_limit_bytes;
        limited = limited && own > 0;
        limit = own > limit ? own : limit;
    }
    self->task_count = self->task_left = count;
    self->task_next = 0;
    self->interrupted = 0;
    self->kill_at_us = 0;
    /*
     * A backstop for what allocates faster than anybody watches; what is watched is resident
     * memory.
     */
    process_limit_data(&self->process, limited ? limit + limit / 2 + 64 * 1024 * 1024 : 0);
}

int interpreter_give(struct interpreter *self, const struct pool_execution *executions,
                     size_t count)
{
    int result = 0;
    for (size_t i = 0; result == 0 && i < count; i++) {
        result = append_load(self, executions[i].code);
    }
    size_t after_loads = self->process.out.length;
    if (result == 0) {
        result = append_batch(self, executions, count);
    }
    if (result < 0) {
        /* What is to be loaded stays; a part of the batch must not run. */
        self->process.out.length = after_loads;
        return result;
    }
    take_tasks(self, executions, count);
    if (self->state == INTERPRETER_IDLE) {
        set_state(self, INTERPRETER_BUSY);
    }
    send_what_waits(self);
    pool_keep_ticking(self->pool);
    return 0;
}

struct task *interpreter_task(struct interpreter *self, uint64_t number)
{
    /* Answers come in the batch's order. */
    for (size_t i = 0; i < self->task_count; i++) {
        size_t at = self->task_next + i < self->task_count ? self->task_next + i
                                                           : self->task_next + i - self->task_count;
        if (self->tasks[at].number == number) {
            self->task_next = at;
            return &self->tasks[at];
        }
    }
    return NULL;
}

void interpreter_tell_started(struct interpreter *self, struct task *task, int64_t start_unix_us)
{
    if (!task->told_started) {
        task->told_started = true;
        if (self->pool->callbacks.started != NULL) {
            self->pool->callbacks.started(self->pool->context, task->number, start_unix_us);
        }
    }
}
