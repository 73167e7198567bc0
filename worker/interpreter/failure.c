/*
 * Exceptions for people. The wording is in engenho/_errors.py; this is what holds when even that
 * fails. Interpreter only.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "worker/interpreter/failure.h"

#include <string.h>

static struct {
    PyObject *describe;
    PyObject *describe_package;
} describers;

int failure_open(void)
{
    PyObject *errors = PyImport_ImportModule("engenho._errors");
    PyObject *packages = PyImport_ImportModule("engenho._packages");
    describers.describe = errors != NULL ? PyObject_GetAttrString(errors, "describe") : NULL;
    describers.describe_package =
        packages != NULL ? PyObject_GetAttrString(packages, "describe") : NULL;
    Py_XDECREF(errors);
    Py_XDECREF(packages);
    return describers.describe != NULL && describers.describe_package != NULL ? 0 : -1;
}

/* As much of a text as fits, never half a character. */
static void copy(char *target, size_t room, PyObject *text)
{
    Py_ssize_t length = 0;
    const char *utf8 =
        text != NULL && PyUnicode_Check(text) ? PyUnicode_AsUTF8AndSize(text, &length) : NULL;
    PyObject *encoded = NULL;
    if (utf8 == NULL && text != NULL && PyUnicode_Check(text)) {
        PyErr_Clear();
        encoded = PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");
        utf8 = encoded != NULL ? PyBytes_AS_STRING(encoded) : NULL;
        length = encoded != NULL ? PyBytes_GET_SIZE(encoded) : 0;
    }
    size_t bytes = (size_t)length < room ? (size_t)length : room - 1;
    while (bytes > 0 && bytes < (size_t)length && ((uint8_t)utf8[bytes] & 0xc0) == 0x80) {
        bytes--;
    }
    size_t written = 0;
    for (size_t i = 0; i < bytes; i++) {
        /* The frame's strings end at a NUL. */
        target[written++] = utf8[i] != '\0' ? utf8[i] : '?';
    }
    target[written] = '\0';
    Py_XDECREF(encoded);
}

static void fill_plainly(struct failure *failure, PyObject *value)
{
    snprintf(failure->error_class, sizeof(failure->error_class), "%s", Py_TYPE(value)->tp_name);
    snprintf(failure->sentence, sizeof(failure->sentence),
             "%s (it cannot be described: memory or stack is exhausted)", Py_TYPE(value)->tp_name);
    failure->traceback[0] = '\0';
}

static PyObject *take_exception(void)
{
    PyObject *type;
    PyObject *value;
    PyObject *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(value, traceback);
    }
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return value;
}

/* Takes ownership of both. */
static void fill(struct failure *failure, PyObject *value, PyObject *described, Py_ssize_t fields)
{
    if (described == NULL || !PyTuple_Check(described) || PyTuple_GET_SIZE(described) != fields) {
        PyErr_Clear();
        fill_plainly(failure, value);
    } else {
        copy(failure->error_class, sizeof(failure->error_class), PyTuple_GET_ITEM(described, 0));
        copy(failure->sentence, sizeof(failure->sentence), PyTuple_GET_ITEM(described, 1));
        copy(failure->traceback, sizeof(failure->traceback), PyTuple_GET_ITEM(described, 2));
        failure->not_retryable = fields > 3 && PyTuple_GET_ITEM(described, 3) == Py_True;
    }
    Py_XDECREF(described);
    /* Its traceback holds the frames, and they hold everything the script had. */
    PyException_SetTraceback(value, Py_None);
    Py_DECREF(value);
}

void failure_take(struct failure *failure)
{
    failure->not_retryable = false;
    PyObject *value = take_exception();
    if (describers.describe == NULL) {
        /* Engenho's own packages do not import. */
        PyObject *text = PyObject_Str(value);
        copy(failure->sentence, sizeof(failure->sentence), text);
        Py_XDECREF(text);
        Py_DECREF(value);
        return;
    }
    fill(failure, value, PyObject_CallOneArg(describers.describe, value), 4);
}

void failure_take_package(struct failure *failure, const char *directory)
{
    failure->not_retryable = false;
    PyObject *value = take_exception();
    fill(failure, value, PyObject_CallFunction(describers.describe_package, "Os", value, directory),
         3);
}
