/*
 * The methods that an interpreter can call, by the worker's numbers: imported package, function,
 * how its arguments bind. Interpreter only.
 */
#ifndef ENGENHO_WORKER_INTERPRETER_CODE_H
#define ENGENHO_WORKER_INTERPRETER_CODE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "common/attributes.h"
#include "proto/interpreter.pb-c.h"

#define CODE_ARGUMENTS_MAX 64

/* As in engenho/_packages.py. */
enum slot_kind { SLOT_EVENT, SLOT_SESSION, SLOT_VALUE, SLOT_JSON, SLOT_MISSING };

struct slot {
    enum slot_kind kind;
    PyObject *name;
    PyObject *value; /* SLOT_VALUE: the object; SLOT_JSON: its text; else None */
};

struct code {
    uint32_t number;
    bool epm;
    bool state; /* session.userCache is kept */
    bool wants_session;
    uint32_t output_limit_bytes;
    int64_t range_us, process_interval_us;
    PyObject *view; /* of the package; its imports are seen while it is the current one */
    PyObject *function;
    PyObject *session_parameters; /* tuple of (name, JSON text) */
    PyObject *keywords;           /* tuple of names of the last slots, or NULL */
    size_t positional_count, slot_count;
    struct slot slots[CODE_ARGUMENTS_MAX];
    UT_hash_handle hh;
};

/* Import engenho's own modules. Returns 0, or -1 with an exception. */
MUST_CHECK int codes_open(void);
/*
 * Import the package as far as `load` needs, and keep the method under its number. Fills `loaded`,
 * whose strings live until the next call. The script's code runs here; what it raises is in
 * `loaded`.
 */
void codes_load(const Engenho__Load *load, Engenho__Loaded *loaded);
/* NULL: not loaded, or it failed. */
struct code *codes_find(uint32_t number);
/* Make the code's package the one that imports see. Returns 0, or -1 with an exception. */
MUST_CHECK int code_activate(const struct code *code);

#endif
