/*
 * engenho-interpreter: runs one execution at a time for the worker that started it. It alone links
 * libpython3; it knows no Kafka, no seats and no other interpreter. Started by
 * worker/pool_process.c, over a socketpair that is descriptor 3.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/attributes.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/options.h"
#include "proto/interpreter.pb-c.h"
#include "worker/interpreter/channel.h"
#include "worker/interpreter/children.h"
#include "worker/interpreter/code.h"
#include "worker/interpreter/failure.h"
#include "worker/interpreter/json.h"
#include "worker/interpreter/output.h"
#include "worker/interpreter/python.h"
#include "worker/interpreter/request.h"
#include "worker/interpreter/run.h"
#include "worker/interpreter/shared.h"
#include "worker/interpreter/signals.h"
#include "worker/interpreter/stream.h"
#include "worker/interpreter/wire.h"

/* Of proto/interpreter.proto: what is read in place. */
enum { TO_INTERPRETER_BATCH = 2, BATCH_EXECUTIONS = 1 };

struct config {
    const char *library;
};

static const struct option options[] = {
    {.name = "library",
     .type = OPTION_TEXT,
     .offset = offsetof(struct config, library),
     .required = true,
     .placeholder = "DIR",
     .help = "folder of the Python packages engenho and epmprocessor"},
};

static const struct option_table table = {
    .program = "engenho-interpreter",
    .summary = "Runs Python scripts for the worker that starts it; people do not start it.",
    .options = options,
    .count = ARRAY_SIZE(options),
};

/* The pool's side of the connection, and what is shared with it. */
struct interpreter {
    struct shared *shared;
};

static int start_python(const struct config *config, struct shared *shared, int stack_fd,
                        struct error *error)
{
    int result = python_start(config->library, error);
    if (result < 0) {
        return result;
    }
    if (streams_install() < 0 || failure_open() < 0 || codes_open() < 0 || run_open(shared) < 0) {
        struct failure failure;
        failure_take(&failure);
        return error_set(error, -EIO,
                         "the Python packages in %s cannot be used: %.600s: check --library",
                         config->library, failure.sentence);
    }
    PyObject *warm = json_read("null", 4);
    Py_XDECREF(warm);
    return signals_open(shared, stack_fd, error);
}

static int send_ready(void)
{
    Engenho__ToWorker message = ENGENHO__TO_WORKER__INIT;
    Engenho__Ready ready = ENGENHO__READY__INIT;
    ready.python = (char *)PY_VERSION;
    ready.pid = getpid();
    message.body_case = ENGENHO__TO_WORKER__BODY_READY;
    message.ready = &ready;
    return channel_flush(&message);
}

static int answer_ping(void)
{
    Engenho__ToWorker message = ENGENHO__TO_WORKER__INIT;
    Engenho__Pong pong = ENGENHO__PONG__INIT;
    message.body_case = ENGENHO__TO_WORKER__BODY_PONG;
    message.pong = &pong;
    return channel_flush(&message);
}

/* Nothing runs while this is read: a running script's stack comes by SIGUSR1. */
static int answer_inspect(void)
{
    Engenho__ToWorker message = ENGENHO__TO_WORKER__INIT;
    Engenho__Stack stack = ENGENHO__STACK__INIT;
    message.body_case = ENGENHO__TO_WORKER__BODY_STACK;
    message.stack = &stack;
    return channel_flush(&message);
}

static int load(struct shared *shared, const Engenho__Load *request)
{
    Engenho__ToWorker message = ENGENHO__TO_WORKER__INIT;
    Engenho__Loaded loaded = ENGENHO__LOADED__INIT;
    output_begin(request->output_limit_bytes);
    atomic_store_explicit(&shared->since_mono_us, clock_mono_us(), memory_order_relaxed);
    atomic_store_explicit(&shared->running, SHARED_LOADING | request->code, memory_order_release);
    codes_load(request, &loaded);
    atomic_store_explicit(&shared->running, 0, memory_order_release);
    message.body_case = ENGENHO__TO_WORKER__BODY_LOADED;
    message.loaded = &loaded;
    return channel_flush(&message);
}

/* The executions of a packed Batch, read in place. */
static int run_batch(struct wire_span batch)
{
    struct wire_field field;
    signals_restore();
    run_begin_frame();
    while (batch.bytes > 0) {
        struct request request;
        if (wire_next(&batch, &field) < 0) {
            return -EBADMSG;
        }
        if (field.number != BATCH_EXECUTIONS || field.type != WIRE_BYTES) {
            continue;
        }
        /* Nobody would get its answer, and it would be blamed for the end that another one made. */
        int result = channel_is_open() ? request_read(field.span, &request) : -EBADF;
        if (result == 0) {
            result = run_execution(&request, batch.bytes == 0);
        }
        if (result < 0) {
            return result;
        }
    }
    return 0;
}

static int handle(struct interpreter *self, const uint8_t *payload, size_t bytes)
{
    struct wire_span whole = {payload, bytes};
    struct wire_field field;
    if (wire_next(&whole, &field) == 1 && field.number == TO_INTERPRETER_BATCH &&
        field.type == WIRE_BYTES) {
        return run_batch(field.span);
    }
    Engenho__ToInterpreter *message = engenho__to_interpreter__unpack(NULL, bytes, payload);
    if (message == NULL) {
        return -EBADMSG;
    }
    int result = 0;
    if (message->body_case == ENGENHO__TO_INTERPRETER__BODY_LOAD) {
        result = load(self->shared, message->load);
    } else if (message->body_case == ENGENHO__TO_INTERPRETER__BODY_PING) {
        result = answer_ping();
    } else if (message->body_case == ENGENHO__TO_INTERPRETER__BODY_INSPECT) {
        result = answer_inspect();
    }
    engenho__to_interpreter__free_unpacked(message, NULL);
    return result;
}

/* Returns -EPIPE when the worker closed its end: the ordinary end. */
static int serve(struct interpreter *self)
{
    for (;;) {
        const uint8_t *payload;
        size_t bytes;
        int result = channel_next(&payload, &bytes);
        if (result == 1) {
            result = handle(self, payload, bytes);
        } else if (result == 0) {
            result = channel_flush(NULL);
            if (result == 0 && atomic_load(&self->shared->leaving) != 0) {
                children_kill();
                return -EPIPE;
            }
            if (result == 0) {
                Py_BEGIN_ALLOW_THREADS result = channel_wait();
                Py_END_ALLOW_THREADS
            }
        }
        if (result < 0) {
            return result;
        }
    }
}

/* A script that asks for input gets none, instead of the worker's terminal. */
static void take_input_away(void)
{
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (nothing > 0) {
        dup2(nothing, STDIN_FILENO);
        close(nothing);
    }
}

int main(int argc, char **argv)
{
    struct config config = {0};
    struct error error = {{0}};
    int operand;
    switch (options_parse(&table, argc, argv, &config, &operand, &error)) {
    case OPTIONS_ANSWERED:
        return 0;
    case OPTIONS_WRONG:
        fprintf(stderr, "engenho-interpreter: %s\n", error.text);
        return 2;
    case OPTIONS_RUN:
        break;
    }
    struct interpreter self = {0};
    take_input_away();
    children_adopt();
    int capture_fd;
    int stack_fd;
    int result = channel_open(&self.shared, &capture_fd, &stack_fd, &error);
    if (result == 0) {
        result = start_python(&config, self.shared, stack_fd, &error);
    }
    if (result == 0) {
        result = output_open(self.shared, capture_fd, &error);
    }
    if (result < 0) {
        /* The pool reads it from the capture pipe and says it. */
        fprintf(stderr, "engenho-interpreter: %s\n", error.text);
        return 1;
    }
    result = send_ready();
    if (result == 0) {
        result = serve(&self);
    }
    python_stop();
    return result == -EPIPE ? 0 : 1;
}
