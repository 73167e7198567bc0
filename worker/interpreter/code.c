/*
 * Methods by number. What importing means is in engenho/_packages.py; here is what the fast path
 * needs of it. Interpreter only.
 */
#include "worker/interpreter/code.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/memory.h"
#include "worker/interpreter/failure.h"

#define METHODS_MAX 1000

static struct {
    PyObject *load;
    PyObject *activate;
    PyObject *current_view; /* borrowed: views live as long as the process */
    struct code *by_number;
    struct failure failure;
    char *methods[METHODS_MAX];
    size_t method_count;
} codes;

int codes_open(void)
{
    PyObject *packages = PyImport_ImportModule("engenho._packages");
    if (packages == NULL) {
        return -1;
    }
    codes.load = PyObject_GetAttrString(packages, "load");
    codes.activate = PyObject_GetAttrString(packages, "activate");
    Py_DECREF(packages);
    return codes.load != NULL && codes.activate != NULL ? 0 : -1;
}

struct code *codes_find(uint32_t number)
{
    struct code *code;
    HASH_FIND(hh, codes.by_number, &number, sizeof(number), code);
    return code;
}

int code_activate(const struct code *code)
{
    if (code->view == codes.current_view) {
        return 0;
    }
    PyObject *done = PyObject_CallOneArg(codes.activate, code->view);
    if (done == NULL) {
        return -1;
    }
    Py_DECREF(done);
    codes.current_view = code->view;
    return 0;
}

static void code_free(struct code *code)
{
    if (code == NULL) {
        return;
    }
    for (size_t i = 0; i < code->slot_count; i++) {
        Py_XDECREF(code->slots[i].name);
        Py_XDECREF(code->slots[i].value);
    }
    Py_XDECREF(code->view);
    Py_XDECREF(code->function);
    Py_XDECREF(code->session_parameters);
    Py_XDECREF(code->keywords);
    free(code);
}

static PyObject *text_of(const char *text)
{
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
}

static PyObject *parameters_to_python(Engenho__Parameter *const *parameters, size_t count)
{
    PyObject *tuple = PyTuple_New((Py_ssize_t)count);
    for (size_t i = 0; tuple != NULL && i < count; i++) {
        PyObject *pair =
            Py_BuildValue("(NN)", text_of(parameters[i]->name), text_of(parameters[i]->json));
        if (pair == NULL) {
            Py_CLEAR(tuple);
            break;
        }
        PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, pair);
    }
    return tuple;
}

static int take_slots(struct code *code, PyObject *slots)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(slots); i++) {
        int kind;
        PyObject *name;
        PyObject *value;
        if (code->slot_count == CODE_ARGUMENTS_MAX) {
            PyErr_Format(PyExc_ValueError, "the method has more than %d parameters",
                         CODE_ARGUMENTS_MAX);
            return -1;
        }
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(slots, i), "OiO", &name, &kind, &value)) {
            return -1;
        }
        code->slots[code->slot_count++] = (struct slot){
            .kind = (enum slot_kind)kind, .name = Py_NewRef(name), .value = Py_NewRef(value)};
        code->wants_session = code->wants_session || kind == SLOT_SESSION;
    }
    return 0;
}

static int take_keywords(struct code *code, PyObject *slots)
{
    Py_ssize_t count = PyTuple_GET_SIZE(slots);
    if (count == 0) {
        return 0;
    }
    code->keywords = PyTuple_New(count);
    for (Py_ssize_t i = 0; code->keywords != NULL && i < count; i++) {
        PyTuple_SET_ITEM(code->keywords, i,
                         Py_NewRef(PyTuple_GET_ITEM(PyTuple_GET_ITEM(slots, i), 0)));
    }
    return code->keywords != NULL ? take_slots(code, slots) : -1;
}

static void take_methods(PyObject *methods)
{
    for (size_t i = 0; i < codes.method_count; i++) {
        free(codes.methods[i]);
    }
    codes.method_count = 0;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(methods) && codes.method_count < METHODS_MAX; i++) {
        const char *name = PyUnicode_AsUTF8(PyList_GET_ITEM(methods, i));
        if (name == NULL) {
            PyErr_Clear();
            continue;
        }
        codes.methods[codes.method_count++] = memory_copy_text(name);
    }
}

static int take_loaded(struct code *code, PyObject *result)
{
    PyObject *view;
    PyObject *function;
    PyObject *positional;
    PyObject *keyword;
    PyObject *methods;
    int epm;
    if (!PyArg_ParseTuple(result, "OOpO!O!O!", &view, &function, &epm, &PyTuple_Type, &positional,
                          &PyTuple_Type, &keyword, &PyList_Type, &methods)) {
        return -1;
    }
    code->view = Py_NewRef(view);
    code->function = Py_NewRef(function);
    code->epm = epm != 0;
    if (take_slots(code, positional) < 0) {
        return -1;
    }
    code->positional_count = code->slot_count;
    take_methods(methods);
    return take_keywords(code, keyword);
}

static struct code *code_load(const Engenho__Load *load)
{
    PyObject *result = NULL;
    struct code *code = memory_new(1, sizeof(*code));
    code->number = load->code;
    code->output_limit_bytes = load->output_limit_bytes;
    code->range_us = load->range_us;
    code->process_interval_us = load->process_interval_us;
    code->session_parameters =
        parameters_to_python(load->session_parameters, load->n_session_parameters);
    PyObject *parameters = parameters_to_python(load->parameters, load->n_parameters);
    if (code->session_parameters != NULL && parameters != NULL) {
        result = PyObject_CallFunction(codes.load, "sssO", load->directory, load->main,
                                       load->method, parameters);
    }
    bool good = result != NULL && take_loaded(code, result) == 0;
    Py_XDECREF(result);
    Py_XDECREF(parameters);
    if (!good) {
        codes.current_view = NULL;
        code_free(code);
        return NULL;
    }
    code->state = code->epm || load->state;
    codes.current_view = code->view;
    return code;
}

void codes_load(const Engenho__Load *load, Engenho__Loaded *loaded)
{
    struct code *known = codes_find(load->code);
    if (known != NULL) {
        HASH_DEL(codes.by_number, known);
        code_free(known);
    }
    int64_t before_us = clock_mono_us();
    struct code *code = code_load(load);
    loaded->code = load->code;
    loaded->import_us = clock_mono_us() - before_us;
    if (code == NULL) {
        failure_take_package(&codes.failure, load->directory);
        loaded->error_class = codes.failure.error_class;
        loaded->error = codes.failure.sentence;
        loaded->traceback = codes.failure.traceback;
        return;
    }
    HASH_ADD(hh, codes.by_number, number, sizeof(code->number), code);
    loaded->epm_method = code->epm;
    loaded->methods = codes.methods;
    loaded->n_methods = codes.method_count;
}
