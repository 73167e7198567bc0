/*
 * The interpreter's end of the socketpair: frames in, answers out in batches. Interpreter only.
 *
 * Answers collect in shared memory, so that the pool finds them after a crash, and leave when the
 * input is empty, when the area is full, or about 1 ms after the first of them, even while a script
 * runs (a timer's signal handler sends them then). All functions are the main thread's. One channel
 * a process.
 */
#ifndef ENGENHO_WORKER_INTERPRETER_CHANNEL_H
#define ENGENHO_WORKER_INTERPRETER_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/error.h"
#include "proto/interpreter.pb-c.h"
#include "worker/interpreter/shared.h"

#define CHANNEL_FRAME_BYTES_MAX (16 * 1024 * 1024)

/*
 * Take over file descriptor 3 (it moves to a number that scripts do not meet by accident), wait for
 * the pool's first bytes and what travels with them. *ret_shared lives as long as the process;
 * *ret_capture_fd and *ret_stack_fd are owned by the caller. Returns 0, or -Exxx with a sentence.
 */
MUST_CHECK int channel_open(struct shared **ret_shared, int *ret_capture_fd, int *ret_stack_fd,
                            struct error *error);

/*
 * A whole frame that is already here: 1 with its payload (borrowed until the next call), else 0;
 * -EMSGSIZE: a bad stream.
 */
MUST_CHECK int channel_next(const uint8_t **ret_payload, size_t *ret_bytes);
/*
 * Wait for more bytes. Returns 0, -EPIPE at the end of the stream, or another -Exxx. Call it
 * without the GIL.
 */
MUST_CHECK int channel_wait(void);

/* Queue one answer. Returns 0, or -Exxx when the pool is gone. */
MUST_CHECK int channel_answer(const Engenho__Finished *finished);
/* Send what is queued, then `message` when it is not NULL. */
MUST_CHECK int channel_flush(const Engenho__ToWorker *message);
/* About to run something that may last: queued answers leave within 1 ms. */
void channel_may_last(void);
/* Whether no script has closed it. */
bool channel_is_open(void);
/* In a forked child of a script: the channel is the parent's. */
void channel_close_in_child(void);

#endif
