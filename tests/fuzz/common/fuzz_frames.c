/*
 * Any bytes as a stream of frames: never a byte outside, and what comes out goes in again.
 */
#include "common/frames.h"

#include "tests/fuzz/fuzz.h"

#define FRAME_BYTES_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct buf out;
    buf_init(&out, bytes);
    size_t at = 0;
    for (;;) {
        const uint8_t *payload;
        size_t payload_bytes, frame_bytes;
        int result = frame_next(data + at, bytes - at, FRAME_BYTES_MAX, &payload, &payload_bytes,
                                &frame_bytes);
        if (result != 1) {
            break;
        }
        REQUIRE(payload_bytes <= FRAME_BYTES_MAX &&
                frame_bytes == payload_bytes + FRAME_HEADER_BYTES);
        REQUIRE(payload == data + at + FRAME_HEADER_BYTES && frame_bytes <= bytes - at);
        REQUIRE(!frame_append(&out, payload, payload_bytes));
        at += frame_bytes;
    }
    REQUIRE(out.length == at && (!at || !memcmp(out.data, data, at)));
    buf_release(&out);
    return 0;
}
