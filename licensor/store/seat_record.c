/*
 * Seats as packed texts. See seat_record.h.
 */
#include "licensor/store/seat_record.h"

#include <errno.h>

#include "licensor/store/packed.h"

#define SEAT 1           /* the first byte */
#define NUMBERS_BYTES 39 /* behind the texts, in fixed places */
#define TIME_BYTES 6     /* and L-numbers and tokens */
#define COUNT_BYTES 4

int seat_record_read(const void *text, size_t bytes, struct seat_record *ret_record)
{
    const uint8_t *data = text;
    if (bytes <= NUMBERS_BYTES || data[0] != SEAT) {
        return -EPROTO;
    }
    *ret_record = (struct seat_record){0};
    struct unpacker texts = {.data = data, .bytes = bytes - NUMBERS_BYTES, .at = 1};
    unpack_text(&texts, ret_record->pool, sizeof(ret_record->pool));
    unpack_text(&texts, ret_record->use, sizeof(ret_record->use));
    unpack_text(&texts, ret_record->production, sizeof(ret_record->production));
    struct unpacker numbers = {.data = data, .bytes = bytes, .at = bytes - NUMBERS_BYTES};
    unpack_fixed(&numbers, 1); /* re-used */
    ret_record->is_ended = unpack_fixed(&numbers, 1) != 0;
    ret_record->is_shared = unpack_fixed(&numbers, 1) != 0;
    ret_record->others = (uint32_t)unpack_fixed(&numbers, COUNT_BYTES);
    ret_record->since_ms = (int64_t)unpack_fixed(&numbers, TIME_BYTES);
    ret_record->life_end_ms = (int64_t)unpack_fixed(&numbers, TIME_BYTES);
    unpack_fixed(&numbers, COUNT_BYTES); /* used */
    unpack_fixed(&numbers, COUNT_BYTES); /* cap */
    ret_record->number = unpack_fixed(&numbers, TIME_BYTES);
    ret_record->token = unpack_fixed(&numbers, TIME_BYTES);
    return texts.error;
}

int seat_record_write(const struct store_request *request, const struct seat_numbers *numbers,
                      struct buf *out)
{
    int rc = pack_fixed(out, SEAT, 1);
    rc = rc != 0 ? rc : pack_text(out, request->ask.pools[0]);
    rc = rc != 0 ? rc : pack_text(out, seat_use_word(request->ask.use));
    rc = rc != 0 ? rc : pack_text(out, request->ask.production);
    rc = rc != 0 ? rc : pack_text(out, ""); /* it asked for that pool */
    rc = rc != 0 ? rc : pack_text(out, request->ask.user);
    rc = rc != 0 ? rc : pack_fixed(out, numbers->is_reused ? 1 : 0, 1);
    rc = rc != 0 ? rc
                 : pack_fixed(out, 0, 2 + COUNT_BYTES); /* neither ended nor shared, no others */
    rc = rc != 0 ? rc : pack_fixed(out, (uint64_t)numbers->since_ms, TIME_BYTES);
    rc = rc != 0 ? rc : pack_fixed(out, (uint64_t)numbers->life_end_ms, TIME_BYTES);
    rc = rc != 0 ? rc : pack_fixed(out, numbers->used, COUNT_BYTES);
    rc = rc != 0 ? rc : pack_fixed(out, numbers->cap, COUNT_BYTES);
    rc = rc != 0 ? rc : pack_fixed(out, numbers->number, TIME_BYTES);
    return rc != 0 ? rc : pack_fixed(out, numbers->token, TIME_BYTES);
}
