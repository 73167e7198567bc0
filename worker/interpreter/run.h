/*
 * Run one execution: arguments in, call, outcome out. Interpreter only.
 */
#ifndef ENGENHO_WORKER_INTERPRETER_RUN_H
#define ENGENHO_WORKER_INTERPRETER_RUN_H

#include <stdbool.h>

#include "common/attributes.h"
#include "worker/interpreter/request.h"
#include "worker/interpreter/shared.h"

#define RUN_RESULT_BYTES_MAX (4 * 1024 * 1024)
#define RUN_USER_CACHE_BYTES_MAX (1024 * 1024)

/* After Python started. Returns 0, or -1 with an exception. */
MUST_CHECK int run_open(struct shared *shared);
/* Clocks are read once a frame and advanced by the monotonic one: call before its executions. */
void run_begin_frame(void);
/*
 * Run `request` and queue its answer. An execution whose code did not load is passed over: the pool
 * has taken it back. `last`: nothing follows in this frame, so what is still in the output pipe is
 * waited for. A script that leaves child processes behind sets `leaving`. Returns 0, or -Exxx when
 * the pool is gone.
 */
MUST_CHECK int run_execution(const struct request *request, bool last);

#endif
