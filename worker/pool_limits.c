/*
 * Limits, enforced from outside: time, memory, and patience with an interpreter that does nothing.
 * Everything is looked at every POOL_TICK_US while anything runs; the interpreter says in shared
 * memory what runs and since when. Worker only.
 */
#include "common/clock.h"
#include "worker/pool_interpreter.h"

#define RSS_EVERY_US 100000

void interpreter_interrupt(struct interpreter *self, uint64_t number, enum interpreter_exit reason,
                           int64_t now_us)
{
    self->interrupted = number;
    self->reason = reason;
    self->kill_at_us = now_us + self->pool->options.kill_grace_us;
    process_interrupt(&self->process, number);
}

static void watch_memory(struct interpreter *self, uint64_t limit, int64_t now_us)
{
    /* With a limit at every tick, as memory can grow by gigabytes a second. */
    if (limit == 0 && now_us - self->rss_at_us < RSS_EVERY_US) {
        return;
    }
    self->rss_at_us = now_us;
    self->rss_bytes = process_rss_bytes(&self->process);
    if (limit > 0 && self->rss_bytes > limit) {
        interpreter_kill(self, EXIT_MEMORY);
    }
}

static void watch_task(struct interpreter *self, struct task *task, int64_t since_us,
                       int64_t now_us)
{
    if (!task->told_started) {
        interpreter_tell_started(self, task, clock_unix_us() - (now_us - since_us));
    }
    if (self->state != INTERPRETER_BUSY) {
        return;
    }
    if (self->interrupted == task->number) {
        if (now_us >= self->kill_at_us) {
            interpreter_kill(self, self->reason);
        }
    } else if (task->cancelled) {
        interpreter_interrupt(self, task->number, EXIT_CANCEL, now_us);
    } else if (task->code->time_limit_us > 0 && now_us - since_us >= task->code->time_limit_us) {
        interpreter_interrupt(self, task->number, EXIT_TIMEOUT, now_us);
    }
    if (self->state == INTERPRETER_BUSY) {
        watch_memory(self, task->code->memory_limit_bytes, now_us);
    }
}

static void watch_busy(struct interpreter *self, int64_t now_us)
{
    struct shared *shared = self->process.shared;
    uint64_t running = atomic_load(&shared->running);
    int64_t since_us = atomic_load(&shared->since_mono_us);
    if (atomic_load(&shared->running) != running) {
        return;
    }
    since_us = since_us > now_us ? now_us : since_us;
    if ((running & SHARED_LOADING) != 0) {
        self->stuck_since_us = 0;
        if (now_us - since_us >= POOL_IMPORT_LIMIT_US) {
            interpreter_kill(self, EXIT_TIMEOUT);
        }
        return;
    }
    struct task *task = running != 0 ? interpreter_task(self, running) : NULL;
    if (task != NULL && !task->answered) {
        self->stuck_since_us = 0;
        watch_task(self, task, since_us, now_us);
        return;
    }
    if (self->stuck_since_us == 0) {
        self->stuck_since_us = now_us;
    } else if (now_us - self->stuck_since_us >= POOL_STUCK_LIMIT_US) {
        interpreter_kill(self, EXIT_CRASH);
    }
}

void interpreter_watch(struct interpreter *self, int64_t now_us)
{
    switch (self->state) {
    case INTERPRETER_WAITING:
        if (now_us >= self->start_at_us) {
            interpreter_start(self);
        }
        return;
    case INTERPRETER_STARTING:
        if (now_us - self->started_mono_us >= POOL_START_LIMIT_US) {
            interpreter_kill(self, EXIT_START);
        }
        return;
    case INTERPRETER_BUSY:
        watch_busy(self, now_us);
        return;
    case INTERPRETER_RETIRING:
        if (now_us - self->state_since_us >= POOL_RETIRE_LIMIT_US) {
            interpreter_kill(self, EXIT_RECYCLE);
        }
        return;
    case INTERPRETER_OFF:
    case INTERPRETER_IDLE:
    case INTERPRETER_DYING:
        return;
    }
}
