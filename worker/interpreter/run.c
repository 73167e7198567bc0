/*
 * Run one execution. The path that a trivial method takes makes no system call. Interpreter only.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "worker/interpreter/run.h"

#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "worker/interpreter/channel.h"
#include "worker/interpreter/code.h"
#include "worker/interpreter/event.h"
#include "worker/interpreter/failure.h"
#include "worker/interpreter/json.h"
#include "worker/interpreter/output.h"
#include "worker/interpreter/signals.h"

/* Writing to a descriptor takes longer than this, and so does making a process: below it, nobody looks for either. */
#define LOOK_AT_PIPE_US 3
#define LOOK_FOR_CHILDREN_US 50

static struct {
    struct shared *shared;
    bool is_child; /* a script forked and its child came back from the method */
    int64_t unix_minus_mono_us;
    PyObject *make_session;
    PyObject *scope_result;
    struct buf result;
    struct buf user_cache;
    struct failure failure;
} run;

/* One execution under way. */
struct frame {
    const struct code *code;
    const Engenho__Execution *execution;
    PyObject *event;   /* owned, or NULL until asked for */
    PyObject *session; /* owned, or NULL */
    PyObject *arguments[CODE_ARGUMENTS_MAX + 1]; /* owned; [0] is room for vectorcall */
    size_t count;
};

static void in_child(void)
{
    run.is_child = true;
    channel_close_in_child();
}

int run_open(struct shared *shared)
{
    run.shared = shared;
    if (pthread_atfork(NULL, NULL, in_child) != 0) {
        PyErr_NoMemory();
        return -1;
    }
    buf_init(&run.result, RUN_RESULT_BYTES_MAX);
    buf_init(&run.user_cache, RUN_USER_CACHE_BYTES_MAX);
    PyObject *module = PyImport_ImportModule("engenho._session");
    run.make_session = module != NULL ? PyObject_GetAttrString(module, "make") : NULL;
    run.scope_result = module != NULL ? PyObject_GetAttrString(module, "ScopeResult") : NULL;
    Py_XDECREF(module);
    return run.make_session != NULL && run.scope_result != NULL ? 0 : -1;
}

void run_begin_frame(void)
{
    run.unix_minus_mono_us = clock_unix_us() - clock_mono_us();
}

static PyObject *event_of(struct frame *frame)
{
    if (frame->event == NULL) {
        const Engenho__Execution *execution = frame->execution;
        if (execution->event_bytes.len > 0) {
            frame->event = event_new_packed(execution->event_bytes.data, execution->event_bytes.len);
        } else if (execution->event != NULL) {
            frame->event = event_new(execution->event);
        } else {
            frame->event = Py_NewRef(Py_None);
        }
    }
    return Py_XNewRef(frame->event);
}

static PyObject *session_of(struct frame *frame)
{
    const struct code *code = frame->code;
    const Engenho__Execution *execution = frame->execution;
    PyObject *event = event_of(frame);
    if (event == NULL) {
        return NULL;
    }
    int64_t time_us = execution->time_event_us != 0 ? execution->time_event_us : execution->nominal_us;
    unsigned attempt = execution->attempt > 0 ? execution->attempt : 1;
    frame->session = PyObject_CallFunction(
        run.make_session, "OOLLOLisssIO", code->epm ? Py_True : Py_False, code->state ? Py_True : Py_False,
        (long long)code->range_us, (long long)code->process_interval_us, code->session_parameters, (long long)time_us,
        (int)execution->kind, execution->user_cache_json, execution->last_executed_json, execution->execution_id, attempt, event);
    Py_DECREF(event);
    return Py_XNewRef(frame->session);
}

static const char *parameter_of_run(const Engenho__Execution *execution, PyObject *name)
{
    for (size_t i = 0; i < execution->n_parameters; i++) {
        if (PyUnicode_CompareWithASCIIString(name, execution->parameters[i]->name) == 0) {
            return execution->parameters[i]->json;
        }
        PyObject *other = PyUnicode_FromString(execution->parameters[i]->name);
        bool same = other != NULL && PyUnicode_Compare(name, other) == 0;
        PyErr_Clear();
        Py_XDECREF(other);
        if (same) {
            return execution->parameters[i]->json;
        }
    }
    return NULL;
}

static PyObject *argument_of(struct frame *frame, const struct slot *slot)
{
    const char *json = frame->execution->n_parameters > 0 ? parameter_of_run(frame->execution, slot->name) : NULL;
    if (json != NULL) {
        return json_read(json);
    }
    switch (slot->kind) {
    case SLOT_EVENT:
        return event_of(frame);
    case SLOT_SESSION:
        return session_of(frame);
    case SLOT_VALUE:
        return Py_NewRef(slot->value);
    case SLOT_JSON:
        return json_read(PyUnicode_AsUTF8(slot->value));
    case SLOT_MISSING:
        break;
    }
    PyErr_Format(PyExc_TypeError, "the method's parameter '%U' has no value and no default: set it in the application", slot->name);
    return NULL;
}

static int check_run_parameters(const struct code *code, const Engenho__Execution *execution)
{
    for (size_t i = 0; i < execution->n_parameters; i++) {
        PyObject *name = PyUnicode_FromString(execution->parameters[i]->name);
        bool known = false;
        for (size_t s = 0; name != NULL && !known && s < code->slot_count; s++) {
            known = PyUnicode_Compare(name, code->slots[s].name) == 0;
        }
        if (name != NULL && !known) {
            PyErr_Format(PyExc_TypeError, "the method has no parameter '%U', which this run sets", name);
        }
        Py_XDECREF(name);
        if (!known) {
            return -1;
        }
    }
    return 0;
}

static int bind(struct frame *frame)
{
    const struct code *code = frame->code;
    if (frame->execution->n_parameters > 0 && check_run_parameters(code, frame->execution) < 0) {
        return -1;
    }
    for (size_t i = 0; i < code->slot_count; i++) {
        PyObject *argument = argument_of(frame, &code->slots[i]);
        if (argument == NULL) {
            return -1;
        }
        frame->arguments[1 + frame->count++] = argument;
    }
    return 0;
}

static void release(struct frame *frame)
{
    for (size_t i = 0; i < frame->count; i++) {
        Py_DECREF(frame->arguments[1 + i]);
    }
    Py_XDECREF(frame->session);
    Py_XDECREF(frame->event);
}

static void fail(Engenho__Finished *finished)
{
    failure_take(&run.failure);
    finished->outcome = ENGENHO__OUTCOME__OUTCOME_FAILED;
    finished->error_class = run.failure.error_class;
    finished->error = run.failure.sentence;
    finished->traceback = run.failure.traceback;
    finished->not_retryable = run.failure.not_retryable;
}

/* What the method returned becomes the result. Returns 0, or -1 with an exception. */
static int take_result(const struct code *code, PyObject *returned, Engenho__Finished *finished)
{
    finished->outcome = ENGENHO__OUTCOME__OUTCOME_SUCCEEDED;
    if (returned == Py_None) {
        return 0;
    }
    int is_scope_result = code->epm ? PyObject_IsInstance(returned, run.scope_result) : 0;
    if (is_scope_result > 0) {
        PyObject *succeeded = PyObject_GetAttrString(returned, "succeeded");
        int truth = succeeded != NULL ? PyObject_IsTrue(succeeded) : -1;
        Py_XDECREF(succeeded);
        if (truth == 0) {
            finished->outcome = ENGENHO__OUTCOME__OUTCOME_FAILED;
            finished->error_class = (char *)"ScopeResult";
            finished->error = (char *)"the method returned ScopeResult(False)";
        }
        finished->result = (char *)(truth > 0 ? "true" : "false");
        return truth < 0 ? -1 : 0;
    }
    buf_clear(&run.result);
    if (is_scope_result < 0 || json_write(returned, "the returned value", true, &run.result) < 0) {
        if (!code->epm || is_scope_result < 0) {
            return -1;
        }
        /* EPM Processor makes nothing of other values. */
        PyErr_Clear();
        return 0;
    }
    finished->result = (char *)run.result.data;
    return 0;
}

static int take_user_cache(const struct frame *frame, Engenho__Finished *finished)
{
    if (frame->session == NULL || !frame->code->state) {
        return 0;
    }
    PyObject *cache = PyObject_GetAttrString(frame->session, "userCache");
    if (cache == NULL) {
        return -1;
    }
    buf_clear(&run.user_cache);
    int result = PyDict_Check(cache) ? json_write(cache, "session.userCache", false, &run.user_cache) : -1;
    if (!PyDict_Check(cache)) {
        PyErr_Format(PyExc_TypeError, "session.userCache is a %s: it must stay a dict", Py_TYPE(cache)->tp_name);
    }
    Py_DECREF(cache);
    if (result < 0) {
        return -1;
    }
    const char *before = frame->execution->user_cache_json;
    const char *after = (const char *)run.user_cache.data;
    if (strcmp(after, before[0] != '\0' ? before : "{}") != 0) {
        finished->user_cache_changed = true;
        finished->user_cache_json = (char *)after;
    }
    return 0;
}

static void tell_last_executed(const struct frame *frame, Engenho__Finished *finished, char *text, size_t room)
{
    if (!frame->code->epm) {
        return;
    }
    const Engenho__Execution *execution = frame->execution;
    int64_t time_us = execution->time_event_us != 0 ? execution->time_event_us : execution->nominal_us;
    snprintf(text, room, "{\"when_us\":%lld,\"succeeded\":%s}", (long long)time_us,
             finished->outcome == ENGENHO__OUTCOME__OUTCOME_SUCCEEDED ? "true" : "false");
    finished->last_executed_changed = true;
    finished->last_executed_json = text;
}

static PyObject *call(struct frame *frame)
{
    const struct code *code = frame->code;
    signals_begin(frame->execution->number);
    PyObject *returned = NULL;
    if (code_activate(code) == 0 && bind(frame) == 0) {
        returned = PyObject_Vectorcall(code->function, frame->arguments + 1,
                                       code->positional_count | PY_VECTORCALL_ARGUMENTS_OFFSET, code->keywords);
    }
    signals_end();
    return returned;
}

static bool has_children(void)
{
    siginfo_t info = {0};
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

int run_execution(const Engenho__Execution *execution, bool last)
{
    struct frame frame = {.code = codes_find(execution->code), .execution = execution};
    if (frame.code == NULL) {
        return 0;
    }
    Engenho__Finished finished = ENGENHO__FINISHED__INIT;
    char last_executed[80];
    channel_may_last();
    output_begin(frame.code->output_limit_bytes);
    int64_t start_us = clock_mono_us();
    atomic_store_explicit(&run.shared->since_mono_us, start_us, memory_order_relaxed);
    atomic_store_explicit(&run.shared->running, execution->number, memory_order_release);
    PyObject *returned = call(&frame);
    if (run.is_child) {
        /* The execution is the parent's; a child that returns is over. */
        if (returned == NULL) {
            PyErr_Print();
        }
        _exit(returned == NULL);
    }
    if (returned == NULL || take_result(frame.code, returned, &finished) < 0 || take_user_cache(&frame, &finished) < 0) {
        finished.result = (char *)protobuf_c_empty_string;
        fail(&finished);
    }
    Py_XDECREF(returned);
    tell_last_executed(&frame, &finished, last_executed, sizeof(last_executed));
    release(&frame);
    int64_t end_us = clock_mono_us();
    bool truncated;
    const uint8_t *printed;
    output_end(last || end_us - start_us >= LOOK_AT_PIPE_US, &printed, &finished.output.len, &truncated);
    finished.output.data = (uint8_t *)printed;
    finished.output_truncated = truncated;
    finished.number = execution->number;
    finished.start_us = start_us + run.unix_minus_mono_us;
    finished.end_us = end_us + run.unix_minus_mono_us;
    if ((last || end_us - start_us >= LOOK_FOR_CHILDREN_US) && has_children()) {
        /* The pool kills this process group then, and starts another interpreter. Said before the answer leaves. */
        atomic_store(&run.shared->leaving, 1);
    }
    int result = channel_answer(&finished);
    atomic_store_explicit(&run.shared->running, 0, memory_order_release);
    return result;
}
