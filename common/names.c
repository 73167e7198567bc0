/*
 * Which names are allowed, and patterns over them. Every process.
 */
#include "common/names.h"

#include <stdint.h>
#include <string.h>

#include "common/utf8.h"

bool name_is_agent(const char *text)
{
    size_t bytes = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return bytes >= 1 && bytes <= AGENT_NAME_BYTES_MAX && !text[bytes];
}

bool utf8_is_valid(const void *data, size_t bytes)
{
    const char *at = data;
    while (bytes) {
        size_t character = utf8_character(at, bytes);
        if (!character) {
            return false;
        }
        at += character;
        bytes -= character;
    }
    return true;
}

/* C0, DEL, and C1 in its two bytes of UTF-8. */
static bool is_control(const char *text)
{
    uint8_t first = (uint8_t)text[0];
    return first < 0x20 || first == 0x7f || (first == 0xc2 && (uint8_t)text[1] < 0xa0);
}

bool name_is_valid(const char *text)
{
    size_t bytes = strlen(text);
    if (!bytes || bytes > NAME_BYTES_MAX || !utf8_is_valid(text, bytes)) {
        return false;
    }
    for (; *text; text++) {
        if (is_control(text)) {
            return false;
        }
    }
    return true;
}

/* Bytes of the character at `text`; a byte that is no UTF-8 stands for itself. */
static size_t character_bytes(const char *text)
{
    size_t bytes = utf8_character(text, strlen(text));
    return bytes ? bytes : 1;
}

bool name_matches(const char *pattern, const char *name)
{
    /*
     * The last * and where the name stood there: after a mismatch that * takes one character more.
     * Never worse than n * m.
     */
    const char *star = NULL, *star_name = NULL;
    while (*name) {
        if (*pattern == '*') {
            star = ++pattern;
            star_name = name;
        } else if (*pattern == '?') {
            pattern++;
            name += character_bytes(name);
        } else if (*pattern == *name) {
            pattern++;
            name++;
        } else if (star) {
            star_name += character_bytes(star_name);
            name = star_name;
            pattern = star;
        } else {
            return false;
        }
    }
    while (*pattern == '*') {
        pattern++;
    }
    return !*pattern;
}

bool name_is_pattern(const char *text)
{
    return text[strcspn(text, "*?")] != 0;
}
