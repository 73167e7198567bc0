/*
 * Start Python isolated from the machine's users and environment, with Engenho's packages
 * importable. Interpreter only.
 */
#ifndef ENGENHO_WORKER_INTERPRETER_PYTHON_H
#define ENGENHO_WORKER_INTERPRETER_PYTHON_H

#include "common/attributes.h"
#include "common/error.h"

/*
 * `library`: folder of the packages engenho and epmprocessor. Returns 0, or -EIO with a sentence.
 */
MUST_CHECK int python_start(const char *library, struct error *error);
/* Run what scripts left for the end (atexit), and stop Python. */
void python_stop(void);

#endif
