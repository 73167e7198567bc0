/*
 * JSON out in C (the standard encoder writes NaN as a bare word, and says no place); JSON in by
 * Python's own module. Interpreter only.
 */
#include "worker/interpreter/json.h"

#include <math.h>
#include <string.h>

#define DEPTH_MAX 200
#define PLACE_BYTES_MAX 200

struct writer {
    struct buf *out;
    const char *name;
    bool any_key;
    size_t depth;
    PyObject *path[DEPTH_MAX]; /* borrowed keys and owned indices of the containers around */
};

static int write_any(struct writer *writer, PyObject *object);

static int append(struct writer *writer, const char *text, size_t bytes)
{
    int result = buf_append(writer->out, text, bytes);
    if (result == 0) {
        return 0;
    }
    if (result == -ENOMEM) {
        PyErr_NoMemory();
    } else {
        PyErr_Format(PyExc_ValueError, "%s is longer than %zu bytes as JSON", writer->name,
                     writer->out->max);
    }
    return -1;
}

static PyObject *place_of(const struct writer *writer)
{
    PyObject *place = PyUnicode_FromString(writer->name);
    for (size_t i = 0; place != NULL && i < writer->depth; i++) {
        PyObject *longer = PyUnicode_FromFormat("%U[%R]", place, writer->path[i]);
        Py_SETREF(place, longer);
        if (place != NULL && PyUnicode_GET_LENGTH(place) > PLACE_BYTES_MAX) {
            break;
        }
    }
    return place;
}

static int refuse(const struct writer *writer, const char *why, PyObject *object)
{
    PyObject *place = place_of(writer);
    if (place != NULL) {
        PyErr_Format(PyExc_TypeError, "%U is a %s, %s", place, Py_TYPE(object)->tp_name, why);
        Py_DECREF(place);
    }
    return -1;
}

static int write_text(struct writer *writer, PyObject *object)
{
    Py_ssize_t bytes;
    const char *text = PyUnicode_AsUTF8AndSize(object, &bytes);
    PyObject *encoded = NULL;
    if (text == NULL) {
        /* A lone surrogate: no UTF-8 has it. */
        PyErr_Clear();
        encoded = PyUnicode_AsEncodedString(object, "utf-8", "replace");
        if (encoded == NULL) {
            return -1;
        }
        text = PyBytes_AS_STRING(encoded);
        bytes = PyBytes_GET_SIZE(encoded);
    }
    int result = append(writer, "\"", 1);
    Py_ssize_t from = 0;
    for (Py_ssize_t at = 0; result == 0 && at < bytes; at++) {
        unsigned char byte = (unsigned char)text[at];
        if (byte >= 0x20 && byte != '"' && byte != '\\') {
            continue;
        }
        char escape[8];
        int length = byte == '"' || byte == '\\' ? snprintf(escape, sizeof(escape), "\\%c", byte)
                     : byte == '\n'              ? snprintf(escape, sizeof(escape), "\\n")
                                    : snprintf(escape, sizeof(escape), "\\u%04x", byte);
        result = append(writer, text + from, (size_t)(at - from));
        if (result == 0) {
            result = append(writer, escape, (size_t)length);
        }
        from = at + 1;
    }
    if (result == 0) {
        result = append(writer, text + from, (size_t)(bytes - from));
    }
    if (result == 0) {
        result = append(writer, "\"", 1);
    }
    Py_XDECREF(encoded);
    return result;
}

static int write_float(struct writer *writer, double number)
{
    if (isnan(number)) {
        return append(writer, "\"NaN\"", 5);
    }
    if (isinf(number)) {
        return number > 0 ? append(writer, "\"Infinity\"", 10)
                          : append(writer, "\"-Infinity\"", 11);
    }
    char *text = PyOS_double_to_string(number, 'r', 0, Py_DTSF_ADD_DOT_0, NULL);
    if (text == NULL) {
        return -1;
    }
    int result = append(writer, text, strlen(text));
    PyMem_Free(text);
    return result;
}

static int write_integer(struct writer *writer, PyObject *object)
{
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(object, &overflow);
    if (overflow == 0) {
        char text[24];
        int length = snprintf(text, sizeof(text), "%lld", number);
        return PyErr_Occurred() != NULL ? -1 : append(writer, text, (size_t)length);
    }
    PyObject *plain = PyNumber_ToBase(object, 10);
    if (plain == NULL) {
        return -1;
    }
    Py_ssize_t bytes = 0;
    const char *text = PyUnicode_AsUTF8AndSize(plain, &bytes);
    int result = text != NULL ? append(writer, text, (size_t)bytes) : -1;
    Py_DECREF(plain);
    return result;
}

static int write_key(struct writer *writer, PyObject *key)
{
    if (PyUnicode_Check(key)) {
        return write_text(writer, key);
    }
    if (!writer->any_key || !(key == Py_None || PyLong_Check(key) || PyFloat_Check(key))) {
        PyObject *place = place_of(writer);
        if (place != NULL) {
            PyErr_Format(PyExc_TypeError,
                         "%U has the key %R, which is not text: JSON has no other keys", place,
                         key);
            Py_DECREF(place);
        }
        return -1;
    }
    bool quoted_already = PyFloat_Check(key) && !isfinite(PyFloat_AS_DOUBLE(key));
    if (quoted_already) {
        return write_any(writer, key);
    }
    int result = append(writer, "\"", 1);
    if (result == 0) {
        result = write_any(writer, key);
    }
    return result == 0 ? append(writer, "\"", 1) : result;
}

static int write_dictionary(struct writer *writer, PyObject *object)
{
    PyObject *key;
    PyObject *value;
    Py_ssize_t position = 0;
    bool first = true;
    int result = append(writer, "{", 1);
    while (result == 0 && PyDict_Next(object, &position, &key, &value)) {
        result = first ? 0 : append(writer, ",", 1);
        first = false;
        if (result == 0) {
            result = write_key(writer, key);
        }
        if (result == 0) {
            result = append(writer, ":", 1);
        }
        if (result == 0) {
            writer->path[writer->depth++] = key;
            result = write_any(writer, value);
            writer->depth--;
        }
    }
    return result == 0 ? append(writer, "}", 1) : result;
}

static int write_sequence(struct writer *writer, PyObject *object)
{
    int result = append(writer, "[", 1);
    for (Py_ssize_t i = 0; result == 0 && i < PySequence_Fast_GET_SIZE(object); i++) {
        result = i == 0 ? 0 : append(writer, ",", 1);
        PyObject *index = result == 0 ? PyLong_FromSsize_t(i) : NULL;
        if (index == NULL) {
            return -1;
        }
        writer->path[writer->depth++] = index;
        result = write_any(writer, PySequence_Fast_GET_ITEM(object, i));
        writer->depth--;
        Py_DECREF(index);
    }
    return result == 0 ? append(writer, "]", 1) : result;
}

static int write_any(struct writer *writer, PyObject *object)
{
    if (object == Py_None) {
        return append(writer, "null", 4);
    }
    if (PyBool_Check(object)) {
        return object == Py_True ? append(writer, "true", 4) : append(writer, "false", 5);
    }
    if (PyFloat_Check(object)) {
        return write_float(writer, PyFloat_AS_DOUBLE(object));
    }
    if (PyLong_Check(object)) {
        return write_integer(writer, object);
    }
    if (PyUnicode_Check(object)) {
        return write_text(writer, object);
    }
    if (PyDict_Check(object) || PyList_Check(object) || PyTuple_Check(object)) {
        if (writer->depth == DEPTH_MAX) {
            PyErr_Format(PyExc_ValueError, "%s is nested deeper than %d levels, or holds itself",
                         writer->name, DEPTH_MAX);
            return -1;
        }
        return PyDict_Check(object) ? write_dictionary(writer, object)
                                    : write_sequence(writer, object);
    }
    if (PyIndex_Check(object)) {
        PyObject *number = PyNumber_Index(object);
        int result = number != NULL ? write_integer(writer, number) : -1;
        Py_XDECREF(number);
        return result;
    }
    return refuse(writer,
                  "which is not JSON: give a number, text, true or false, None, a list or a dict",
                  object);
}

int json_write(PyObject *object, const char *name, bool any_key, struct buf *out)
{
    struct writer writer = {.out = out, .name = name, .any_key = any_key};
    return write_any(&writer, object);
}

PyObject *json_read(const char *text, size_t bytes)
{
    static PyObject *loads;
    if (loads == NULL) {
        PyObject *module = PyImport_ImportModule("json");
        loads = module != NULL ? PyObject_GetAttrString(module, "loads") : NULL;
        Py_XDECREF(module);
        if (loads == NULL) {
            return NULL;
        }
    }
    PyObject *string = PyUnicode_DecodeUTF8(text, (Py_ssize_t)bytes, "replace");
    PyObject *value = string != NULL ? PyObject_CallOneArg(loads, string) : NULL;
    Py_XDECREF(string);
    return value;
}
