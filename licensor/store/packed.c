/*
 * MessagePack of numbers and texts. See https://github.com/msgpack/msgpack/blob/master/spec.md.
 */
#include "licensor/store/packed.h"

#include <errno.h>
#include <string.h>

#define POSITIVE_MAX 0x7f
#define NEGATIVE 0xe0
#define SHORT_TEXT 0xa0
#define SHORT_TEXT_MAX 31
#define UINT_8 0xcc /* then 16, 32, 64 bits */
#define INT_8 0xd0  /* so, too */
#define TEXT_8 0xd9 /* then 16, 32 bits of length */
#define TEXT_16 0xda
#define ARRAY_32 0xdd

static int pack_bytes(struct buf *out, uint8_t tag, uint64_t value, int bytes)
{
    uint8_t packed[9] = {tag};
    for (int i = 0; i < bytes; i++) {
        packed[1 + i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
    }
    return buf_append(out, packed, (size_t)bytes + 1);
}

int pack_number(struct buf *out, uint64_t value)
{
    if (value <= POSITIVE_MAX) {
        return pack_bytes(out, (uint8_t)value, 0, 0);
    }
    if (value <= UINT16_MAX) {
        return pack_bytes(out, UINT_8 + 1, value, 2);
    }
    if (value <= UINT32_MAX) {
        return pack_bytes(out, UINT_8 + 2, value, 4);
    }
    return pack_bytes(out, UINT_8 + 3, value, 8);
}

int pack_text_header(struct buf *out, size_t bytes)
{
    return bytes <= SHORT_TEXT_MAX ? pack_bytes(out, (uint8_t)(SHORT_TEXT | bytes), 0, 0)
                                   : pack_bytes(out, TEXT_16, bytes, 2);
}

int pack_text(struct buf *out, const char *text)
{
    size_t bytes = strlen(text);
    int rc = pack_text_header(out, bytes);
    return rc != 0 ? rc : buf_append(out, text, bytes);
}

int pack_array_header(struct buf *out, uint32_t values)
{
    return pack_bytes(out, ARRAY_32, values, 4);
}

int pack_fixed(struct buf *out, uint64_t value, size_t bytes)
{
    uint8_t fixed[8];
    for (size_t i = 0; i < bytes; i++) {
        fixed[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
    }
    return buf_append(out, fixed, bytes);
}

/* So many bytes, which are there; NULL: they are not, or there was an error before. */
static const uint8_t *take(struct unpacker *unpacker, size_t bytes)
{
    if (unpacker->error != 0 || unpacker->bytes - unpacker->at < bytes) {
        unpacker->error = -EPROTO;
        return NULL;
    }
    const uint8_t *taken = unpacker->data + unpacker->at;
    unpacker->at += bytes;
    return taken;
}

uint64_t unpack_fixed(struct unpacker *unpacker, size_t bytes)
{
    const uint8_t *taken = take(unpacker, bytes);
    uint64_t value = 0;
    for (size_t i = 0; taken != NULL && i < bytes; i++) {
        value = value << 8 | taken[i];
    }
    return value;
}

/* The same with a sign. */
static int64_t unpack_signed(struct unpacker *unpacker, size_t bytes)
{
    uint64_t value = unpack_fixed(unpacker, bytes);
    uint64_t sign = (uint64_t)1 << (8 * bytes - 1);
    return (int64_t)((value ^ sign) - sign);
}

int64_t unpack_number(struct unpacker *unpacker)
{
    const uint8_t *tag = take(unpacker, 1);
    if (tag == NULL) {
        return 0;
    }
    if (*tag <= POSITIVE_MAX) {
        return *tag;
    }
    if (*tag >= NEGATIVE) {
        return (int8_t)*tag;
    }
    if (*tag >= UINT_8 && *tag < UINT_8 + 4) {
        uint64_t value = unpack_fixed(unpacker, (size_t)1 << (*tag - UINT_8));
        if (value <= INT64_MAX) {
            return (int64_t)value;
        }
    } else if (*tag >= INT_8 && *tag < INT_8 + 4) {
        return unpack_signed(unpacker, (size_t)1 << (*tag - INT_8));
    }
    unpacker->error = -EPROTO;
    return 0;
}

const uint8_t *unpack_bytes(struct unpacker *unpacker, size_t *ret_bytes)
{
    const uint8_t *tag = take(unpacker, 1);
    size_t length = 0;
    if (tag != NULL && *tag >= TEXT_8 && *tag < TEXT_8 + 3) {
        length = unpack_fixed(unpacker, (size_t)1 << (*tag - TEXT_8));
    } else if (tag != NULL && (*tag & ~SHORT_TEXT_MAX) == SHORT_TEXT) {
        length = *tag & SHORT_TEXT_MAX;
    } else {
        unpacker->error = -EPROTO;
    }
    *ret_bytes = length;
    return take(unpacker, length);
}

void unpack_text(struct unpacker *unpacker, char *text, size_t bytes)
{
    size_t length = 0;
    const uint8_t *taken = unpack_bytes(unpacker, &length);
    if (taken == NULL || length >= bytes) {
        unpacker->error = -EPROTO;
        return;
    }
    memcpy(text, taken, length);
    text[length] = '\0';
}
