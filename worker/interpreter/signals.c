/*
 * Interrupts and the stack on demand. Limits are the pool's: nothing here decides when. Interpreter
 * only.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "worker/interpreter/signals.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static struct {
    struct shared *shared;
    int stack_fd;
    _Atomic uint64_t interruptible; /* 0: nothing */
    volatile sig_atomic_t pending;
} signals;

static void on_interrupt(int number)
{
    (void)number;
    uint64_t running = atomic_load_explicit(&signals.interruptible, memory_order_relaxed);
    if (running != 0 &&
        atomic_load_explicit(&signals.shared->interrupt, memory_order_relaxed) == running) {
        signals.pending = 1;
        PyErr_SetInterrupt();
    }
}

/* faulthandler calls it after its dump (chain=True). */
static void on_stack(int number)
{
    (void)number;
    int saved = errno;
    (void)!write(signals.stack_fd, "", 1);
    errno = saved;
}

static int set_handler(int number, void (*handler)(int))
{
    /* No SA_RESTART: a sleeping C call must come back for the interrupt to be seen. */
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    return sigaction(number, &action, NULL);
}

void signals_restore(void)
{
    (void)!set_handler(SIGINT, on_interrupt);
}

int signals_open(struct shared *shared, int stack_fd, struct error *error)
{
    signals.shared = shared;
    signals.stack_fd = stack_fd;
    if (set_handler(SIGUSR1, on_stack) < 0 || set_handler(SIGINT, on_interrupt) < 0) {
        return error_set(error, -errno, "cannot set signal handlers: %s", strerror(errno));
    }
    PyObject *faulthandler = PyImport_ImportModule("faulthandler");
    PyObject *method =
        faulthandler != NULL ? PyObject_GetAttrString(faulthandler, "register") : NULL;
    PyObject *arguments = Py_BuildValue("(ii)", SIGUSR1, stack_fd);
    PyObject *keywords = Py_BuildValue("{s:O,s:O}", "all_threads", Py_True, "chain", Py_True);
    PyObject *done = method != NULL && arguments != NULL && keywords != NULL
                         ? PyObject_Call(method, arguments, keywords)
                         : NULL;
    Py_XDECREF(faulthandler);
    Py_XDECREF(method);
    Py_XDECREF(arguments);
    Py_XDECREF(keywords);
    if (done == NULL) {
        PyErr_Clear();
        return error_set(error, -EIO,
                         "cannot register the Python stack's signal with faulthandler");
    }
    Py_DECREF(done);
    return 0;
}

void signals_begin(uint64_t number)
{
    atomic_store_explicit(&signals.interruptible, number, memory_order_relaxed);
}

void signals_end(void)
{
    atomic_store_explicit(&signals.interruptible, 0, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    if (!signals.pending) {
        return;
    }
    signals.pending = 0;
    PyObject *type;
    PyObject *value;
    PyObject *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (PyErr_CheckSignals() < 0) {
        PyErr_Clear();
    }
    PyErr_Restore(type, value, traceback);
}
