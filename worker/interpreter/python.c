/*
 * Python's configuration: one main interpreter, no user site, no environment variables, no signal
 * surprises. Interpreter only.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "worker/interpreter/python.h"

#include <errno.h>

#include "worker/interpreter/event.h"

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_engenho",
    .m_doc = "What the engenho package gets from the interpreter's C side.",
    .m_size = -1,
};

static PyObject *make_module(void)
{
    PyObject *module = PyModule_Create(&module_definition);
    if (module != NULL && event_type_add(module) < 0) {
        Py_CLEAR(module);
    }
    return module;
}

static PyStatus start(const char *library)
{
    PyPreConfig before;
    PyPreConfig_InitIsolatedConfig(&before);
    before.utf8_mode = 1;
    PyStatus status = Py_PreInitialize(&before);
    if (PyStatus_Exception(status)) {
        return status;
    }
    PyConfig config;
    PyConfig_InitIsolatedConfig(&config);
    /*
     * SIGINT must have Python's handler for PyErr_SetInterrupt; signals_open then puts ours in
     * front.
     */
    config.install_signal_handlers = 1;
    config.write_bytecode = 0;
    config.user_site_directory = 0;
    status = PyConfig_SetBytesString(&config, &config.program_name, ENGENHO_PYTHON);
    if (!PyStatus_Exception(status)) {
        status = Py_InitializeFromConfig(&config);
    }
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status)) {
        return status;
    }
    PyObject *path = PySys_GetObject("path");
    PyObject *folder = PyUnicode_DecodeFSDefault(library);
    if (path == NULL || folder == NULL || PyList_Insert(path, 0, folder) < 0) {
        status = PyStatus_Error("the folder of Engenho's packages cannot be put into sys.path");
    }
    Py_XDECREF(folder);
    return status;
}

int python_start(const char *library, struct error *error)
{
    if (PyImport_AppendInittab("_engenho", make_module) < 0) {
        return error_set(error, -EIO, "Python does not start: no memory for the list of modules");
    }
    PyStatus status = start(library);
    if (PyStatus_Exception(status)) {
        return error_set(
            error, -EIO,
            "Python %s does not start: %s: check that its standard library is installed",
            PY_VERSION, status.err_msg != NULL ? status.err_msg : "it asked to exit");
    }
    return 0;
}

void python_stop(void)
{
    (void)Py_FinalizeEx();
}
