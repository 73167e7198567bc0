/*
 * Any text as base64: what is read is written the same, byte by byte.
 */
#include "common/base64.h"

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    uint8_t *decoded = malloc(bytes / 4 * 3 + 1);
    REQUIRE(decoded);
    size_t decoded_bytes;
    if (!base64_decode((const char *)data, bytes, decoded, &decoded_bytes)) {
        char *text = malloc(BASE64_TEXT_BYTES(decoded_bytes));
        REQUIRE(text);
        base64_encode(decoded, decoded_bytes, text);
        REQUIRE(strlen(text) == bytes && !memcmp(text, data, bytes));
        free(text);
    }
    free(decoded);
    return 0;
}
