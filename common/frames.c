/*
 * Frames on a stream: a 4-byte big-endian length and that many bytes. Worker, interpreter,
 * licensor.
 */
#include "common/frames.h"

#include <errno.h>

/* long: what a frame is and where it stands are three answers */
int frame_next(const uint8_t *data, size_t bytes, size_t max, const uint8_t **ret_payload,
               size_t *ret_payload_bytes, size_t *ret_frame_bytes)
{
    if (bytes < FRAME_HEADER_BYTES) {
        return 0;
    }
    size_t length = (size_t)data[0] << 24 | (size_t)data[1] << 16 | (size_t)data[2] << 8 | data[3];
    if (length > max) {
        return -EMSGSIZE;
    }
    if (bytes - FRAME_HEADER_BYTES < length) {
        return 0;
    }
    *ret_payload = data + FRAME_HEADER_BYTES;
    *ret_payload_bytes = length;
    *ret_frame_bytes = FRAME_HEADER_BYTES + length;
    return 1;
}

void frame_header(uint8_t header[FRAME_HEADER_BYTES], uint32_t bytes)
{
    header[0] = (uint8_t)(bytes >> 24);
    header[1] = (uint8_t)(bytes >> 16);
    header[2] = (uint8_t)(bytes >> 8);
    header[3] = (uint8_t)bytes;
}

int frame_append(struct buf *out, const void *payload, size_t bytes)
{
    if (bytes > UINT32_MAX || bytes > SIZE_MAX - FRAME_HEADER_BYTES) {
        return -EMSGSIZE;
    }
    /* Room for both first, so that a failure leaves no header behind. */
    uint8_t *header = buf_reserve(out, FRAME_HEADER_BYTES + bytes);
    if (!header) {
        return bytes + FRAME_HEADER_BYTES > out->max - out->length ? -EMSGSIZE : -ENOMEM;
    }
    frame_header(header, (uint32_t)bytes);
    buf_commit(out, FRAME_HEADER_BYTES);
    return buf_append(out, payload, bytes);
}
