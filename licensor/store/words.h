/*
 * The words of a command of Redis while it is written: in RESP, or packed (packed.h), for a
 * function that passes the command on. Pure.
 */
#ifndef ENGENHO_LICENSOR_STORE_WORDS_H
#define ENGENHO_LICENSOR_STORE_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/buf.h"

struct words {
    bool is_packed; /* else RESP */
    struct buf body;
    size_t count;
    int error; /* the first one stays */
};

void words_init(struct words *words);
void words_init_packed(struct words *words);
void words_release(struct words *words);
/* Forget them, keep the memory. */
void words_clear(struct words *words);
/* FCALL of a function of the library, with the tenant's key: its arguments follow. */
void words_call(struct words *words, const char *function, const char *tenant);
void words_add(struct words *words, const char *text);
void words_add_bytes(struct words *words, const void *data, size_t bytes);
void words_add_int(struct words *words, int64_t value);
/* "<a>:<b>" as one word. */
void words_add_pair(struct words *words, int64_t a, int64_t b);
/* What `more` has behind what is there, in the same form. */
void words_add_all(struct words *words, const struct words *more);
/* Append the command, packed an array. Returns 0, or why not, as buf_append does. */
MUST_CHECK int words_write(const struct words *words, struct buf *out);

#endif
