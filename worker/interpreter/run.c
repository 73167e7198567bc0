/*
 * Run one execution. The path that a trivial method takes makes no system call. Interpreter only.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "worker/interpreter/run.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "worker/interpreter/channel.h"
#include "worker/interpreter/children.h"
#include "worker/interpreter/code.h"
#include "worker/interpreter/event.h"
#include "worker/interpreter/failure.h"
#include "worker/interpreter/json.h"
#include "worker/interpreter/output.h"
#include "worker/interpreter/signals.h"

/*
 * Writing to a descriptor takes longer than this, and so does making a process: below it, nobody
 * looks for either.
 */
#define LOOK_AT_PIPE_US 3
#define LOOK_FOR_CHILDREN_US 50

static struct {
    struct shared *shared;
    bool is_child; /* a script forked and its child came back from the method */
    int64_t unix_minus_mono_us;
    /* when the last execution of the frame ended, which is when the next begins */
    int64_t now_mono_us;
    PyObject *make_session;
    PyObject *scope_result;
    struct buf result;
    struct buf user_cache;
    struct failure failure;
} run;

/* One execution under way. */
struct frame {
    const struct code *code;
    const struct request *request;
    PyObject *event;                             /* owned, or NULL until asked for */
    PyObject *session;                           /* owned, or NULL */
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
    run.now_mono_us = clock_mono_us();
    run.unix_minus_mono_us = clock_unix_us() - run.now_mono_us;
}

static PyObject *event_of(struct frame *frame)
{
    if (frame->event == NULL) {
        const struct wire_span *event = &frame->request->event;
        frame->event = event->data != NULL ? event_new(*event) : Py_NewRef(Py_None);
    }
    return Py_XNewRef(frame->event);
}

static PyObject *text_of(struct wire_span span)
{
    return PyUnicode_DecodeUTF8((const char *)span.data, (Py_ssize_t)span.bytes, "replace");
}

/* A run on demand may be for no time: then it is for now. */
static int64_t time_of(const struct frame *frame)
{
    int64_t time_us = frame->request->time_us;
    return time_us != 0 ? time_us
                        : atomic_load(&run.shared->since_mono_us) + run.unix_minus_mono_us;
}

static PyObject *session_of(struct frame *frame)
{
    const struct code *code = frame->code;
    const struct request *request = frame->request;
    PyObject *event = event_of(frame);
    if (event == NULL) {
        return NULL;
    }
    frame->session = PyObject_CallFunction(
        run.make_session, "OOLLOLiNNNIO", code->epm ? Py_True : Py_False,
        code->state ? Py_True : Py_False, (long long)code->range_us,
        (long long)code->process_interval_us, code->session_parameters, (long long)time_of(frame),
        request->kind, text_of(request->user_cache), text_of(request->last_executed),
        text_of(request->execution_id), (unsigned)request->attempt, event);
    Py_DECREF(event);
    return Py_XNewRef(frame->session);
}

/*
 * The value that this run gives to a parameter: 1 with a new reference, 0: none, -1 with an
 * exception.
 */
static int value_of_run(const struct request *request, PyObject *name, PyObject **ret_value)
{
    for (size_t i = 0; i < request->parameter_count; i++) {
        struct wire_span given;
        struct wire_span json;
        if (request_parameter(request, i, &given, &json) <= 0) {
            break;
        }
        PyObject *other = text_of(given);
        bool same = other != NULL && PyUnicode_Compare(name, other) == 0;
        Py_XDECREF(other);
        if (same) {
            *ret_value = json_read((const char *)json.data, json.bytes);
            return *ret_value != NULL ? 1 : -1;
        }
    }
    return PyErr_Occurred() != NULL ? -1 : 0;
}

static PyObject *argument_of(struct frame *frame, const struct slot *slot)
{
    PyObject *given = NULL;
    if (frame->request->parameter_count > 0 &&
        value_of_run(frame->request, slot->name, &given) != 0) {
        return given;
    }
    switch (slot->kind) {
    case SLOT_EVENT:
        return event_of(frame);
    case SLOT_SESSION:
        return session_of(frame);
    case SLOT_VALUE:
        return Py_NewRef(slot->value);
    case SLOT_JSON: {
        Py_ssize_t bytes;
        const char *json = PyUnicode_AsUTF8AndSize(slot->value, &bytes);
        return json != NULL ? json_read(json, (size_t)bytes) : NULL;
    }
    case SLOT_MISSING:
        break;
    }
    PyErr_Format(
        PyExc_TypeError,
        "the method's parameter '%U' has no value and no default: set it in the application",
        slot->name);
    return NULL;
}

static int check_run_parameters(const struct code *code, const struct request *request)
{
    for (size_t i = 0; i < request->parameter_count; i++) {
        struct wire_span given;
        struct wire_span json;
        if (request_parameter(request, i, &given, &json) <= 0) {
            break;
        }
        PyObject *name = text_of(given);
        bool known = false;
        for (size_t s = 0; name != NULL && !known && s < code->slot_count; s++) {
            known = PyUnicode_Compare(name, code->slots[s].name) == 0;
        }
        if (name != NULL && !known) {
            PyErr_Format(PyExc_TypeError, "the method has no parameter '%U', which this run sets",
                         name);
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
    if (frame->request->parameter_count > 0 && check_run_parameters(code, frame->request) < 0) {
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
    int result =
        PyDict_Check(cache) ? json_write(cache, "session.userCache", false, &run.user_cache) : -1;
    if (!PyDict_Check(cache)) {
        PyErr_Format(PyExc_TypeError, "session.userCache is a %s: it must stay a dict",
                     Py_TYPE(cache)->tp_name);
    }
    Py_DECREF(cache);
    if (result < 0) {
        return -1;
    }
    static const struct wire_span nothing = {(const uint8_t *)"{}", 2};
    const struct wire_span *before =
        frame->request->user_cache.bytes > 0 ? &frame->request->user_cache : &nothing;
    if (run.user_cache.length != before->bytes ||
        memcmp(run.user_cache.data, before->data, before->bytes) != 0) {
        finished->user_cache_changed = true;
        finished->user_cache_json = (char *)run.user_cache.data;
    }
    return 0;
}

static void tell_last_executed(const struct frame *frame, Engenho__Finished *finished, char *text,
                               size_t room)
{
    if (!frame->code->epm) {
        return;
    }
    snprintf(text, room, "{\"when_us\":%lld,\"succeeded\":%s}", (long long)time_of(frame),
             finished->outcome == ENGENHO__OUTCOME__OUTCOME_SUCCEEDED ? "true" : "false");
    finished->last_executed_changed = true;
    finished->last_executed_json = text;
}

static PyObject *call(struct frame *frame)
{
    const struct code *code = frame->code;
    signals_begin(frame->request->number);
    PyObject *returned = NULL;
    if (code_activate(code) == 0 && bind(frame) == 0) {
        returned = PyObject_Vectorcall(code->function, frame->arguments + 1,
                                       code->positional_count | PY_VECTORCALL_ARGUMENTS_OFFSET,
                                       code->keywords);
    }
    signals_end();
    return returned;
}

int run_execution(const struct request *request, bool last)
{
    struct frame frame = {.code = codes_find(request->code), .request = request};
    if (frame.code == NULL) {
        return 0;
    }
    Engenho__Finished finished = ENGENHO__FINISHED__INIT;
    char last_executed[80];
    channel_may_last();
    output_begin(frame.code->output_limit_bytes);
    int64_t start_us = run.now_mono_us;
    atomic_store_explicit(&run.shared->since_mono_us, start_us, memory_order_relaxed);
    atomic_store_explicit(&run.shared->running, request->number, memory_order_release);
    PyObject *returned = call(&frame);
    if (run.is_child) {
        /* The execution is the parent's; a child that returns is over. */
        if (returned == NULL) {
            PyErr_Print();
        }
        _exit(returned == NULL);
    }
    if (returned == NULL || take_result(frame.code, returned, &finished) < 0 ||
        take_user_cache(&frame, &finished) < 0) {
        finished.result = (char *)protobuf_c_empty_string;
        fail(&finished);
    }
    Py_XDECREF(returned);
    tell_last_executed(&frame, &finished, last_executed, sizeof(last_executed));
    release(&frame);
    int64_t end_us = clock_mono_us();
    run.now_mono_us = end_us;
    bool truncated;
    const uint8_t *printed;
    output_end(last || end_us - start_us >= LOOK_AT_PIPE_US, &printed, &finished.output.len,
               &truncated);
    finished.output.data = (uint8_t *)printed;
    finished.output_truncated = truncated;
    finished.number = request->number;
    finished.start_us = start_us + run.unix_minus_mono_us;
    finished.end_us = end_us + run.unix_minus_mono_us;
    if ((last || end_us - start_us >= LOOK_FOR_CHILDREN_US) && children_exist()) {
        /*
         * The pool kills this process group then, and starts another interpreter. Said before the
         * answer leaves.
         */
        atomic_store(&run.shared->leaving, 1);
    }
    int result = channel_answer(&finished);
    atomic_store_explicit(&run.shared->running, 0, memory_order_release);
    return result;
}
