/*
 * What an execution prints, captured to a limit into shared memory: Python's sys.stdout and
 * sys.stderr write there directly, what C code and child processes write to descriptors 1 and 2
 * comes through a pipe that one small thread of ours empties, so that nobody blocks on a full pipe
 * and memory stays bounded. Interpreter only.
 *
 * Appending is one atomic addition and a copy: no lock.
 */
#ifndef ENGENHO_WORKER_INTERPRETER_OUTPUT_H
#define ENGENHO_WORKER_INTERPRETER_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/error.h"
#include "worker/interpreter/shared.h"

/*
 * `capture_fd`: the read end of the pipe; takes ownership. Starts the thread. Returns 0, or -Exxx
 * with a sentence.
 */
MUST_CHECK int output_open(struct shared *shared, int capture_fd, struct error *error);
/* Forget what was printed; from now on `limit_bytes` are kept (cut to SHARED_OUTPUT_BYTES). */
void output_begin(uint32_t limit_bytes);
/* Append, up to the limit. Any thread. */
void output_append(const void *data, size_t bytes);
/*
 * What was printed since output_begin, as UTF-8 (what is not is replaced by '?', and a character
 * that the limit cuts is left out). `look`: also wait for what is still in the pipe. Borrowed until
 * the next output_begin.
 */
void output_end(bool look, const uint8_t **ret_data, size_t *ret_bytes, bool *ret_truncated);

#endif
