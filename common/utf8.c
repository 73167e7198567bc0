/*
 * Well-formed UTF-8 (RFC 3629). Every process.
 */
#include "common/utf8.h"

#include <stdint.h>

/*
 * What the first byte of a character says of the rest: how many bytes in all, and the limits of the
 * second one.
 */
struct lead {
    uint8_t first, last;
    uint8_t bytes;
    uint8_t second_min, second_max;
};

/*
 * The table of RFC 3629: limits of the second byte leave out overlong forms, surrogates and what is
 * above U+10FFFF.
 */
static const struct lead leads[] = {
    {0x00, 0x7f, 1, 0, 0},       {0xc2, 0xdf, 2, 0x80, 0xbf}, {0xe0, 0xe0, 3, 0xa0, 0xbf},
    {0xe1, 0xec, 3, 0x80, 0xbf}, {0xed, 0xed, 3, 0x80, 0x9f}, {0xee, 0xef, 3, 0x80, 0xbf},
    {0xf0, 0xf0, 4, 0x90, 0xbf}, {0xf1, 0xf3, 4, 0x80, 0xbf}, {0xf4, 0xf4, 4, 0x80, 0x8f},
};

static const struct lead *find_lead(uint8_t byte)
{
    for (size_t i = 0; i < sizeof leads / sizeof leads[0]; i++) {
        if (byte >= leads[i].first && byte <= leads[i].last) {
            return &leads[i];
        }
    }
    return NULL;
}

size_t utf8_character(const void *data, size_t bytes)
{
    const uint8_t *at = data;
    const struct lead *lead = bytes ? find_lead(at[0]) : NULL;
    if (!lead || bytes < lead->bytes) {
        return 0;
    }
    if (lead->bytes > 1 && (at[1] < lead->second_min || at[1] > lead->second_max)) {
        return 0;
    }
    for (size_t i = 2; i < lead->bytes; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return lead->bytes;
}
