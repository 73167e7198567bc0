/*
 * Conditions of productions: `value > 100 and previous <= 100` (DESIGN section 13). Pure.
 *
 * `or` < `and` < `not` < comparison (= == != <> < <= > >=); parentheses; names value, previous,
 * quality, timestamp, payload.NAME, fields.NAME; numbers, 'text' or "text", true, false, null. No
 * arithmetic. A comparison with null or NaN is false (so is `!=`), values of different types are
 * different and have no order, and integers compare with numbers exactly. The producer compiles to
 * check what people write; the worker compiles once and evaluates each event.
 */
#ifndef ENGENHO_COMMON_WHEN_H
#define ENGENHO_COMMON_WHEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/error.h"

#define WHEN_BYTES_MAX 4096
#define WHEN_NODES_MAX 256
#define WHEN_DEPTH_MAX 32

enum when_type { WHEN_NULL, WHEN_NUMBER, WHEN_INTEGER, WHEN_BOOLEAN, WHEN_TEXT };

struct when_value {
    enum when_type type;
    double number;
    int64_t integer;  /* WHEN_INTEGER, and WHEN_BOOLEAN as 0 or 1 */
    const char *text; /* not NUL-terminated */
    size_t text_bytes;
};

enum when_name {
    WHEN_NAME_VALUE,
    WHEN_NAME_PREVIOUS,
    WHEN_NAME_QUALITY,
    WHEN_NAME_TIMESTAMP,
    WHEN_NAME_PAYLOAD,
    WHEN_NAME_FIELDS
};

/*
 * Gives the value of a name; `member` is NAME of payload.NAME and fields.NAME, else NULL. What the
 * value borrows must live until when_holds returns. A name that the event does not have is
 * WHEN_NULL. The timestamp is WHEN_INTEGER microseconds since 1970; a text it is compared with is
 * read as an instant when compiled.
 */
typedef struct when_value (*when_lookup)(void *context, enum when_name name, const char *member);

struct when;

/*
 * Compile. Returns owned, or NULL with a sentence that says the column, what was found and what was
 * expected.
 */
struct when *when_new(const char *text, struct error *error);
void when_free(struct when *when);
bool when_holds(const struct when *when, when_lookup lookup, void *context);

#endif
