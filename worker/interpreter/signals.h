/*
 * Interrupts that hit the execution they are meant for and no other, and the Python stack on
 * demand. Interpreter only.
 */
#ifndef ENGENHO_WORKER_INTERPRETER_SIGNALS_H
#define ENGENHO_WORKER_INTERPRETER_SIGNALS_H

#include <stdint.h>

#include "common/attributes.h"
#include "common/error.h"
#include "worker/interpreter/shared.h"

/*
 * SIGINT becomes Python's KeyboardInterrupt only while the execution runs whose number the pool
 * wrote into `shared->interrupt`. SIGUSR1 writes the Python stacks of all threads to `stack_fd`
 * (takes it), then a NUL byte; no script's cooperation is needed. After Python started. Returns 0,
 * or -Exxx with a sentence.
 */
MUST_CHECK int signals_open(struct shared *shared, int stack_fd, struct error *error);
/* Put our handler back: a script may have set its own. Once a frame. */
void signals_restore(void);

/* From now on, interrupts for `number` count. */
void signals_begin(uint64_t number);
/*
 * No interrupt counts any more, and one that came too late is forgotten. An exception that is set
 * stays. With the GIL.
 */
void signals_end(void);

#endif
