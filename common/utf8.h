/*
 * Well-formed UTF-8, character by character. Pure. Every process.
 */
#ifndef ENGENHO_COMMON_UTF8_H
#define ENGENHO_COMMON_UTF8_H

#include <stddef.h>

/*
 * The bytes of the character at `data` (1 to 4), or 0 when it is not well-formed: overlong, a
 * surrogate, cut, above U+10FFFF.
 */
size_t utf8_character(const void *data, size_t bytes);

#endif
