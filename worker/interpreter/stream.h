/*
 * sys.stdout and sys.stderr of scripts: a small text stream that writes into the captured output at
 * once. Interpreter only.
 */
#ifndef ENGENHO_WORKER_INTERPRETER_STREAM_H
#define ENGENHO_WORKER_INTERPRETER_STREAM_H

#include "common/attributes.h"

/* Replace sys.stdout, sys.stderr and their dunder twins. Returns 0, or -1 with an exception. */
MUST_CHECK int streams_install(void);

#endif
