/*
 * The public keys that licence files are checked with. ENGENHO_LICENCE_KEYS, given when it is
 * built, names the vendor's: "name:base64,name:base64". The key of tests/keys is trusted by builds
 * for development only.
 */
#include <stdio.h>
#include <string.h>

#include "common/base64.h"
#include "licensor/licence.h"

#define KEYS_MAX 16

#ifndef ENGENHO_LICENCE_KEYS
#define ENGENHO_LICENCE_KEYS ""
#endif

#ifdef ENGENHO_DEVELOPMENT
#define TEST_KEYS ",engenho-test:KNkyJbVIJIzP6nR+miUg2BSptZIIQ+Z7XkPhGWePwCE="
#else
#define TEST_KEYS ""
#endif

static struct licence_key keys[KEYS_MAX];
static size_t count;

static void add_key(const char *text, size_t bytes)
{
    const char *colon = memchr(text, ':', bytes);
    if (colon == NULL || count == KEYS_MAX) {
        return;
    }
    uint8_t raw[LICENCE_KEY_BYTES + 8];
    size_t raw_bytes = 0, digits = bytes - (size_t)(colon - text) - 1;
    if (digits == 44 && base64_decode(colon + 1, digits, raw, &raw_bytes) == 0 &&
        raw_bytes == LICENCE_KEY_BYTES) {
        snprintf(keys[count].name, sizeof(keys[count].name), "%.*s", (int)(colon - text), text);
        memcpy(keys[count].bytes, raw, LICENCE_KEY_BYTES);
        count++;
    }
}

const struct licence_key *licence_trusted_keys(size_t *ret_count)
{
    if (count == 0) {
        const char *rest = ENGENHO_LICENCE_KEYS TEST_KEYS;
        while (*rest != '\0') {
            size_t bytes = strcspn(rest, ",");
            add_key(rest, bytes);
            rest += bytes + (rest[bytes] == ',');
        }
    }
    *ret_count = count;
    return keys;
}
