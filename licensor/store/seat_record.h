/*
 * A seat as it stands in its session's hash, and in the answer that is remembered of it: as
 * `encode` and `decode` have it (functions/20-pools.lua). Pure.
 */
#ifndef ENGENHO_LICENSOR_STORE_SEAT_RECORD_H
#define ENGENHO_LICENSOR_STORE_SEAT_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/buf.h"
#include "licensor/store.h"

struct seat_record {
    char pool[POOL_BYTES_MAX + 1], use[12], production[NAME_BYTES_MAX + 1];
    bool is_ended, is_shared; /* its own request is over; all productions of its session have it */
    uint32_t others;          /* waived requests on it */
    int64_t since_ms, life_end_ms;
    uint64_t number, token;
};

/* Returns 0, or -EPROTO when the text is no seat's. */
MUST_CHECK int seat_record_read(const void *text, size_t bytes, struct seat_record *ret_record);
struct seat_numbers {
    bool is_reused;
    int64_t since_ms, life_end_ms;
    uint32_t used, cap; /* of the pool, right after it was granted */
    uint64_t number, token;
};

/*
 * Append the record of a seat that an acquire just got of the first pool it asked for. Returns 0,
 * or why not, as buf_append does.
 */
MUST_CHECK int seat_record_write(const struct store_request *request,
                                 const struct seat_numbers *numbers, struct buf *out);

#endif
