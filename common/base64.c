/*
 * Base64 (RFC 4648), strict: one text for every sequence of bytes, so that what we read is what we
 * would write.
 */
#include "common/base64.h"

#include <errno.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(const void *data, size_t bytes, char *text)
{
    const uint8_t *in = data;
    while (bytes >= 3) {
        uint32_t bits = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
        *text++ = alphabet[bits >> 18];
        *text++ = alphabet[bits >> 12 & 63];
        *text++ = alphabet[bits >> 6 & 63];
        *text++ = alphabet[bits & 63];
        in += 3;
        bytes -= 3;
    }
    if (bytes) {
        uint32_t bits = (uint32_t)in[0] << 16 | (bytes == 2 ? (uint32_t)in[1] << 8 : 0);
        *text++ = alphabet[bits >> 18];
        *text++ = alphabet[bits >> 12 & 63];
        *text++ = bytes == 2 ? alphabet[bits >> 6 & 63] : '=';
        *text++ = '=';
    }
    *text = 0;
}

/* 0 to 63, or -1. */
static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/*
 * The last four characters, which may be padded. Returns how many bytes they stand for, or -EINVAL.
 */
static int decode_last(const char *text, uint8_t data[3])
{
    int a = value_of(text[0]), b = value_of(text[1]);
    if (a < 0 || b < 0) {
        return -EINVAL;
    }
    data[0] = (uint8_t)(a << 2 | b >> 4);
    if (text[2] == '=' && text[3] == '=') {
        /* Bits that are not of the data must be 0, else two texts would mean the same. */
        return b & 15 ? -EINVAL : 1;
    }
    int c = value_of(text[2]);
    if (c < 0) {
        return -EINVAL;
    }
    data[1] = (uint8_t)(b << 4 | c >> 2);
    if (text[3] == '=') {
        return c & 3 ? -EINVAL : 2;
    }
    int d = value_of(text[3]);
    if (d < 0) {
        return -EINVAL;
    }
    data[2] = (uint8_t)(c << 6 | d);
    return 3;
}

int base64_decode(const char *text, size_t length, uint8_t *data, size_t *ret_bytes)
{
    if (length % 4) {
        return -EINVAL;
    }
    size_t bytes = 0;
    for (size_t i = 0; i < length; i += 4) {
        uint8_t group[3];
        int got = decode_last(text + i, group);
        if (got < 0 || (got < 3 && i + 4 < length)) {
            return -EINVAL;
        }
        for (int k = 0; k < got; k++) {
            data[bytes++] = group[k];
        }
    }
    *ret_bytes = bytes;
    return 0;
}
