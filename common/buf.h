/*
 * A growable byte buffer with a maximum. Every process.
 *
 * Invariants: length <= capacity <= max + 1; data[length] is 0 whenever data is not NULL, so that
 * text can be read in place.
 */
#ifndef ENGENHO_COMMON_BUF_H
#define ENGENHO_COMMON_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"

struct buf {
    uint8_t *data;
    size_t length;   /* bytes in use */
    size_t capacity; /* bytes allocated */
    size_t max;      /* length never passes it */
};

/* An empty buffer that holds `max` bytes at most. Allocates nothing yet. */
void buf_init(struct buf *buf, size_t max);
/* Give the memory back; the buffer is empty and may be used again. */
void buf_release(struct buf *buf);
/* Forget the content, keep the memory. */
void buf_clear(struct buf *buf);

/* Append bytes. Returns 0, or -EMSGSIZE past the maximum or -ENOMEM: then nothing has changed. */
MUST_CHECK int buf_append(struct buf *buf, const void *data, size_t bytes);
MUST_CHECK int buf_append_text(struct buf *buf, const char *text);
MUST_CHECK int buf_print(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);
/*
 * Make room for `bytes` more and return where they go (valid until the next call), or NULL as
 * above. Length stays.
 */
uint8_t *buf_reserve(struct buf *buf, size_t bytes);
/* Count `bytes` that were written into reserved room. */
void buf_commit(struct buf *buf, size_t bytes);
/* Remove `bytes` from the front; bytes <= length. */
void buf_consume(struct buf *buf, size_t bytes);

#endif
