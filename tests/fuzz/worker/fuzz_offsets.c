/*
 * Any bytes as the completion map of a committed offset: refused, or restored and encoded to the
 * same bytes again.
 */
#include "worker/offsets.h"

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct offsets offsets, again;
    struct buf first, second;
    offsets_init(&offsets, 1000);
    if (offsets_restore(&offsets, data, bytes) != 0) {
        REQUIRE(offsets.end == 1000);
        offsets_release(&offsets);
        return 0;
    }
    buf_init(&first, OFFSETS_WINDOW_MAX);
    buf_init(&second, OFFSETS_WINDOW_MAX);
    REQUIRE(offsets_position(&offsets) == 1000);
    REQUIRE(offsets_encode(&offsets, &first) == 0);
    offsets_init(&again, 1000);
    REQUIRE(offsets_restore(&again, first.data, first.length) == 0);
    REQUIRE(offsets_encode(&again, &second) == 0);
    REQUIRE(first.length == second.length &&
            (!first.length || !memcmp(first.data, second.data, first.length)));
    offsets_release(&offsets);
    offsets_release(&again);
    buf_release(&first);
    buf_release(&second);
    return 0;
}
