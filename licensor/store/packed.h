/*
 * MessagePack, as much of it as the licensor and its functions in Redis say to each other: whole
 * numbers and texts, one after the other. Pure.
 */
#ifndef ENGENHO_LICENSOR_STORE_PACKED_H
#define ENGENHO_LICENSOR_STORE_PACKED_H

#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/buf.h"

/* Each returns as buf_append does. */
MUST_CHECK int pack_number(struct buf *out, uint64_t value);
MUST_CHECK int pack_text(struct buf *out, const char *text);
/* A text of so many bytes follows; less than 64 KiB. */
MUST_CHECK int pack_text_header(struct buf *out, size_t bytes);
/* An array of so many values follows. */
MUST_CHECK int pack_array_header(struct buf *out, uint32_t values);

/* A number in so many bytes, 1 to 8, in a fixed place: big-endian, not packed. */
MUST_CHECK int pack_fixed(struct buf *out, uint64_t value, size_t bytes);

/* Values while they are read; the bytes are borrowed. The first thing that is not as expected stays
 * as the error: -EPROTO. */
struct unpacker {
    const uint8_t *data;
    size_t bytes, at;
    int error;
};

/* A whole number; 0 after an error. */
int64_t unpack_number(struct unpacker *unpacker);
/* A number of so many bytes, 1 to 8, in a fixed place: big-endian, not packed; 0 after an error. */
uint64_t unpack_fixed(struct unpacker *unpacker, size_t bytes);
/* A text into `text`, with a zero behind it; left alone after an error, which one is that does not
 * fit, too. */
void unpack_text(struct unpacker *unpacker, char *text, size_t bytes);
/* A text where it stands, not copied, without a zero behind it; NULL after an error. */
const uint8_t *unpack_bytes(struct unpacker *unpacker, size_t *ret_bytes);

#endif
