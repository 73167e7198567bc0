/*
 * A Finished as bytes of a frame. Interpreter only.
 */
#ifndef ENGENHO_WORKER_INTERPRETER_ANSWER_H
#define ENGENHO_WORKER_INTERPRETER_ANSWER_H

#include <stddef.h>
#include <stdint.h>

#include "proto/interpreter.pb-c.h"

/* At least as many bytes as answer_pack writes. */
size_t answer_bytes_max(const Engenho__Finished *finished);
/* Write it as field `answers` of a ToWorker. Returns the bytes written. */
size_t answer_pack(const Engenho__Finished *finished, uint8_t *out);

#endif
