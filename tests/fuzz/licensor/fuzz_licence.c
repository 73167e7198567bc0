/*
 * Licence files: bytes from anybody. Whatever is not accepted is refused with a sentence.
 */
#include "licensor/licence.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct licence licence;
    struct error error = {.text = ""};
    size_t count;
    const struct licence_key *keys = licence_trusted_keys(&count);
    if (licence_read(data, bytes, keys, count, &licence, &error) != 0) {
        REQUIRE(error.text[0]);
        return 0;
    }
    struct limits limits;
    limits_init(&limits);
    const struct licence_time time = {.now_us = INT64_C(1767225600000000)};
    if (limits_add(&limits, &licence, NULL, &time, &error) != 0) {
        REQUIRE(error.text[0]);
    }
    limits_close(&limits);
    REQUIRE(limits.processors > 0);
    return 0;
}
