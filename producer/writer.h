/*
 * Writes JSON into a buffer, for the answers of the API. Remembers the first failure, so that
 * callers check once. Pure. Producer.
 *
 *     writer_init(&json, &buf); writer_object(&json, NULL); writer_text(&json, "name", name); writer_end(&json);
 */
#ifndef ENGENHO_PRODUCER_WRITER_H
#define ENGENHO_PRODUCER_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/buf.h"

#define WRITER_DEPTH_MAX 64

struct writer {
    struct buf *out;
    int result; /* 0, or the first failure: nothing is written after it */
    int depth;
    bool filled[WRITER_DEPTH_MAX];  /* a value stands already at this depth */
    char closing[WRITER_DEPTH_MAX]; /* '}' or ']' */
};

void writer_init(struct writer *json, struct buf *out);
/* `key` is NULL in arrays and at the top, in all of these. */
void writer_object(struct writer *json, const char *key);
void writer_array(struct writer *json, const char *key);
void writer_end(struct writer *json);
/* Bytes that are not UTF-8 are replaced by U+FFFD; NULL: null. */
void writer_text(struct writer *json, const char *key, const char *text);
void writer_bytes(struct writer *json, const char *key, const void *text, size_t bytes);
void writer_integer(struct writer *json, const char *key, int64_t value);
/* NaN and infinities are null. */
void writer_real(struct writer *json, const char *key, double value);
void writer_bool(struct writer *json, const char *key, bool value);
void writer_null(struct writer *json, const char *key);
/* RFC 3339; 0: the key is left out. */
void writer_instant(struct writer *json, const char *key, int64_t unix_us);
/* Text that is JSON already. */
void writer_raw(struct writer *json, const char *key, const char *text, size_t bytes);
/* 0, or -EMSGSIZE or -ENOMEM of the buffer. */
MUST_CHECK int writer_result(const struct writer *json);

#endif
