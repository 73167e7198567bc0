/*
 * A Python exception as people see it: class, one sentence, the script's part of the traceback.
 * Interpreter only.
 */
#ifndef ENGENHO_WORKER_INTERPRETER_FAILURE_H
#define ENGENHO_WORKER_INTERPRETER_FAILURE_H

#include <stdbool.h>

#include "common/attributes.h"

/* engenho/_errors.py caps what it writes; these hold more, so that nothing is cut twice. */
#define FAILURE_CLASS_BYTES 256
#define FAILURE_SENTENCE_BYTES 4096
#define FAILURE_TRACEBACK_BYTES (8192 + 1)

struct failure {
    char error_class[FAILURE_CLASS_BYTES];
    char sentence[FAILURE_SENTENCE_BYTES];
    char traceback[FAILURE_TRACEBACK_BYTES];
    bool not_retryable;
};

/* Import what describes exceptions. Returns 0, or -1 with an exception. */
MUST_CHECK int failure_open(void);
/* Take the exception that is set (there must be one) and describe it; never fails. */
void failure_take(struct failure *failure);
/* The same for an exception of an import: the sentence says where in the package. */
void failure_take_package(struct failure *failure, const char *directory);

#endif
