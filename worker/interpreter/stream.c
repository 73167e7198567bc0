/*
 * The stream type: what print, logging and libraries ask of a text stream, without buffers of its
 * own. Interpreter only.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "worker/interpreter/stream.h"

#include "worker/interpreter/output.h"

struct stream {
    PyObject_HEAD int fd; /* 1 or 2, for those who ask */
};

static int append_text(PyObject *text)
{
    Py_ssize_t bytes;
    const char *utf8 = PyUnicode_AsUTF8AndSize(text, &bytes);
    if (utf8 != NULL) {
        output_append(utf8, (size_t)bytes);
        return 0;
    }
    PyErr_Clear();
    PyObject *encoded = PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");
    if (encoded == NULL) {
        return -1;
    }
    output_append(PyBytes_AS_STRING(encoded), (size_t)PyBytes_GET_SIZE(encoded));
    Py_DECREF(encoded);
    return 0;
}

static PyObject *stream_write(PyObject *self, PyObject *what)
{
    (void)self;
    if (PyUnicode_Check(what)) {
        return append_text(what) == 0 ? PyLong_FromSsize_t(PyUnicode_GET_LENGTH(what)) : NULL;
    }
    Py_buffer bytes;
    if (PyObject_GetBuffer(what, &bytes, PyBUF_SIMPLE) < 0) {
        PyErr_Format(PyExc_TypeError, "write() takes text or bytes, not %s",
                     Py_TYPE(what)->tp_name);
        return NULL;
    }
    Py_ssize_t length = bytes.len;
    output_append(bytes.buf, (size_t)length);
    PyBuffer_Release(&bytes);
    return PyLong_FromSsize_t(length);
}

static PyObject *stream_writelines(PyObject *self, PyObject *lines)
{
    PyObject *iterator = PyObject_GetIter(lines);
    if (iterator == NULL) {
        return NULL;
    }
    for (PyObject *line = PyIter_Next(iterator); line != NULL; line = PyIter_Next(iterator)) {
        PyObject *written = stream_write(self, line);
        Py_DECREF(line);
        if (written == NULL) {
            break;
        }
        Py_DECREF(written);
    }
    Py_DECREF(iterator);
    if (PyErr_Occurred() != NULL) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *stream_nothing(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    Py_RETURN_NONE;
}

static PyObject *stream_reconfigure(PyObject *self, PyObject *arguments, PyObject *keywords)
{
    (void)self;
    (void)arguments;
    (void)keywords;
    Py_RETURN_NONE;
}

static PyObject *stream_no(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    Py_RETURN_FALSE;
}

static PyObject *stream_yes(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    Py_RETURN_TRUE;
}

static PyObject *stream_fileno(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyLong_FromLong(((struct stream *)self)->fd);
}

static PyObject *stream_self(PyObject *self, void *unused)
{
    (void)unused;
    return Py_NewRef(self);
}

static PyObject *stream_constant(PyObject *self, void *text)
{
    (void)self;
    return PyUnicode_FromString(text);
}

static PyObject *stream_false(PyObject *self, void *unused)
{
    (void)self;
    (void)unused;
    Py_RETURN_FALSE;
}

static PyObject *stream_name(PyObject *self, void *unused)
{
    (void)unused;
    return PyUnicode_FromString(((struct stream *)self)->fd == 1 ? "<stdout>" : "<stderr>");
}

static PyMethodDef stream_methods[] = {
    {"write", stream_write, METH_O, NULL},
    {"writelines", stream_writelines, METH_O, NULL},
    {"flush", stream_nothing, METH_NOARGS, NULL},
    {"close", stream_nothing, METH_NOARGS, NULL},
    {"isatty", stream_no, METH_NOARGS, NULL},
    {"readable", stream_no, METH_NOARGS, NULL},
    {"seekable", stream_no, METH_NOARGS, NULL},
    {"writable", stream_yes, METH_NOARGS, NULL},
    {"fileno", stream_fileno, METH_NOARGS, NULL},
    {"reconfigure", (PyCFunction)(void (*)(void))stream_reconfigure, METH_VARARGS | METH_KEYWORDS,
     NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef stream_members[] = {
    {"buffer", stream_self, NULL, NULL, NULL},
    {"encoding", stream_constant, NULL, NULL, (void *)"utf-8"},
    {"errors", stream_constant, NULL, NULL, (void *)"backslashreplace"},
    {"mode", stream_constant, NULL, NULL, (void *)"w"},
    {"name", stream_name, NULL, NULL, NULL},
    {"closed", stream_false, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot stream_slots[] = {
    {Py_tp_methods, stream_methods},
    {Py_tp_getset, stream_members},
    {Py_tp_doc, (void *)"What a script prints, captured by Engenho up to the production's limit."},
    {0, NULL},
};

static PyType_Spec stream_spec = {
    .name = "engenho.Stream",
    .basicsize = sizeof(struct stream),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = stream_slots,
};

static int install(PyTypeObject *type, int fd, const char *name, const char *twin)
{
    struct stream *stream = PyObject_New(struct stream, type);
    if (stream == NULL) {
        return -1;
    }
    stream->fd = fd;
    int result = PySys_SetObject(name, (PyObject *)stream);
    if (result == 0) {
        result = PySys_SetObject(twin, (PyObject *)stream);
    }
    Py_DECREF(stream);
    return result;
}

int streams_install(void)
{
    PyTypeObject *type = (PyTypeObject *)PyType_FromSpec(&stream_spec);
    if (type == NULL) {
        return -1;
    }
    int result = install(type, 1, "stdout", "__stdout__");
    if (result == 0) {
        result = install(type, 2, "stderr", "__stderr__");
    }
    Py_DECREF(type);
    return result;
}
