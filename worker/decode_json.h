/*
 * Records on `events` that others wrote as JSON or as CloudEvents 1.0 (DESIGN section 3), as packed
 * Events: the same mapping as the producer's push. An edge: jansson. Worker.
 *
 * Ours:        {"connection", "object", "value", "previous", "timestamp", "quality", "id"}
 * CloudEvent:  source is the connection, subject the object, time the timestamp; data is the value,
 * or an object with value,
 *              previous and quality. Structured: all of it in the record's value. Binary: attributes in ce_* headers, data in the value.
 */
#ifndef ENGENHO_WORKER_DECODE_JSON_H
#define ENGENHO_WORKER_DECODE_JSON_H

#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"

#define DECODE_BYTES_MAX (1024 * 1024)

struct decode_header {
    const char *name;
    const char *value; /* not NUL-terminated */
    size_t bytes;
};

/*
 * Look at a record's headers and decode it when they say that it is not ours. `fallback_us`: its
 * timestamp, for an event without one.
 *
 * Returns 1 with a packed Event (owned: free); 0: no header says so, it is a packed Event itself;
 * -EBADMSG with a reason that lives for ever.
 */
MUST_CHECK int decode_json(const struct decode_header *headers, size_t count, const void *value,
                           size_t bytes, int64_t fallback_us, uint8_t **ret_event,
                           size_t *ret_bytes, const char **ret_reason);

#endif
