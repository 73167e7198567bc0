/*
 * Base64 (RFC 4648, standard alphabet, padded), for the metadata of committed offsets. Pure.
 */
#ifndef ENGENHO_COMMON_BASE64_H
#define ENGENHO_COMMON_BASE64_H

#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"

/* Bytes of text for `bytes` bytes of data, with the NUL. */
#define BASE64_TEXT_BYTES(bytes) ((((bytes) + 2) / 3) * 4 + 1)

void base64_encode(const void *data, size_t bytes, char *text);
/* `data` holds length / 4 * 3 bytes. Returns 0, or -EINVAL for anything but well-formed base64. */
MUST_CHECK int base64_decode(const char *text, size_t length, uint8_t *data, size_t *ret_bytes);

#endif
