/*
 * What a fuzz target is made of: libFuzzer's entry, and an assert that no build switches off.
 */
#ifndef ENGENHO_TESTS_FUZZ_FUZZ_H
#define ENGENHO_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* One input, of any bytes. Returns 0; what is wrong aborts. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* The input as a text of its own, so that a sanitizer sees a read past its end. Returns owned. */
static inline char *fuzz_text(const uint8_t *data, size_t bytes)
{
    char *text = malloc(bytes + 1);
    REQUIRE(text);
    if (bytes) {
        memcpy(text, data, bytes);
    }
    text[bytes] = 0;
    return text;
}

#endif
