/*
 * Frames on a stream: a 4-byte big-endian length, then that many bytes. What the worker speaks with
 * interpreters and the licensor. Pure: bytes in, frames out.
 */
#ifndef ENGENHO_COMMON_FRAMES_H
#define ENGENHO_COMMON_FRAMES_H

#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/buf.h"

#define FRAME_HEADER_BYTES 4

/*
 * Whether `data` starts with a whole frame of at most `max` bytes. Returns 1 with the payload
 * (borrowed from data) and the bytes that the frame takes in all; 0: more bytes are needed;
 * -EMSGSIZE: longer than `max`, the stream can't go on.
 */
MUST_CHECK int frame_next(const uint8_t *data, size_t bytes, size_t max,
                          const uint8_t **ret_payload, size_t *ret_payload_bytes,
                          size_t *ret_frame_bytes);
/* Append a frame. Returns 0, -EMSGSIZE or -ENOMEM as buf_append does. */
MUST_CHECK int frame_append(struct buf *out, const void *payload, size_t bytes);
/* Write the header of a frame of `bytes` bytes at `header`. */
void frame_header(uint8_t header[FRAME_HEADER_BYTES], uint32_t bytes);

#endif
