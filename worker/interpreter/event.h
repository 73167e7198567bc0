/*
 * What a script sees as `event`: a light object that keeps the packed record and decodes a member
 * when the script looks at it. Interpreter only.
 */
#ifndef ENGENHO_WORKER_INTERPRETER_EVENT_H
#define ENGENHO_WORKER_INTERPRETER_EVENT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "worker/interpreter/wire.h"

/* Make the type and add it to `module` as Event. Returns 0, or -1 with an exception. */
MUST_CHECK int event_type_add(PyObject *module);
/* A new Event of a packed engenho.Event (copied). New reference, or NULL with an exception. */
PyObject *event_new(struct wire_span packed);

/*
 * An aware datetime in UTC, of microseconds since 1970. New reference, or NULL with an exception
 * (years 1 to 9999).
 */
PyObject *event_datetime(int64_t unix_us);

#endif
