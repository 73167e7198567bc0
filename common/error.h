/*
 * One sentence for a person: what was wrong, where, and what to do. Lower case, no full stop.
 *
 * Used where a return code is not enough: options, scripts, definitions, licences. Every process.
 */
#ifndef ENGENHO_COMMON_ERROR_H
#define ENGENHO_COMMON_ERROR_H

#include "common/attributes.h"

#define ERROR_TEXT_BYTES_MAX 1024

struct error {
    char text[ERROR_TEXT_BYTES_MAX]; /* NUL-terminated; cut at the end when too long */
};

/*
 * Write the sentence into `error`, which may be NULL (then nothing happens). Returns `code` (a
 * negative errno), so that a function can end with `return error_set(error, -EINVAL, "...")`.
 */
int error_set(struct error *error, int code, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
