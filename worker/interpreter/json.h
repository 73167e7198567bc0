/*
 * Python objects as JSON text, strictly: what is not JSON is refused with its place, and NaN and
 * infinities are the strings that EPM uses. Interpreter only.
 */
#ifndef ENGENHO_WORKER_INTERPRETER_JSON_H
#define ENGENHO_WORKER_INTERPRETER_JSON_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>

#include "common/attributes.h"
#include "common/buf.h"

/*
 * Append `object`: None, bool, int, float, str, list, tuple, dict, and what has __index__ or is a
 * subclass. Keys are str; with `any_key` also bool, int, float and None, as text. Returns 0, or -1
 * with a TypeError or ValueError whose text names the place ("['a'][3] is a datetime, which is not
 * JSON") starting with `name`.
 */
MUST_CHECK int json_write(PyObject *object, const char *name, bool any_key, struct buf *out);
/* JSON text to Python. New reference, or NULL with an exception. */
PyObject *json_read(const char *text, size_t bytes);

#endif
