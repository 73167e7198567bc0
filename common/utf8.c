/*
 * Well-formed UTF-8 (RFC 3629). Every process.
 */
#include "common/utf8.h"

#include <stdbool.h>
#include <stdint.h>

static bool continues(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

size_t utf8_character(const void *data, size_t bytes)
{
    const uint8_t *s = data;
    if (!bytes) {
        return 0;
    }
    if (s[0] < 0x80) {
        return 1;
    }
    if (s[0] >= 0xc2 && s[0] <= 0xdf) {
        return bytes >= 2 && continues(s[1]) ? 2 : 0;
    }
    if ((s[0] & 0xf0) == 0xe0) {
        if (bytes < 3 || !continues(s[1]) || !continues(s[2])) {
            return 0;
        }
        bool overlong = s[0] == 0xe0 && s[1] < 0xa0;
        bool surrogate = s[0] == 0xed && s[1] >= 0xa0;
        return overlong || surrogate ? 0 : 3;
    }
    if (s[0] >= 0xf0 && s[0] <= 0xf4) {
        if (bytes < 4 || !continues(s[1]) || !continues(s[2]) || !continues(s[3])) {
            return 0;
        }
        bool overlong = s[0] == 0xf0 && s[1] < 0x90;
        bool too_high = s[0] == 0xf4 && s[1] >= 0x90;
        return overlong || too_high ? 0 : 4;
    }
    return 0;
}
