/*
 * Protobuf's wire format, read and written in place: the hand-off decodes and encodes a few small
 * messages an execution, and protobuf-c's general way (allocation, descriptors) cost more than the
 * Python call. The schemas stay in proto/. Interpreter only.
 */
#ifndef ENGENHO_WORKER_INTERPRETER_WIRE_H
#define ENGENHO_WORKER_INTERPRETER_WIRE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/attributes.h"

#define WIRE_VARINT_BYTES_MAX 10

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct wire_span {
    const uint8_t *data; /* borrowed; NULL: not there */
    size_t bytes;
};

struct wire_field {
    uint32_t number;
    enum wire_type type;
    uint64_t value;        /* of a varint or fixed field */
    struct wire_span span; /* of WIRE_BYTES */
};

/* Returns 0, or -EBADMSG: cut, or longer than ten bytes. */
static inline MUST_CHECK int wire_varint(struct wire_span *from, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (size_t i = 0; i < from->bytes && i < WIRE_VARINT_BYTES_MAX; i++) {
        uint8_t byte = from->data[i];
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            from->data += i + 1;
            from->bytes -= i + 1;
            *ret_value = value;
            return 0;
        }
    }
    return -EBADMSG;
}

static inline MUST_CHECK int wire_fixed(struct wire_span *from, size_t bytes, uint64_t *ret_value)
{
    if (from->bytes < bytes) {
        return -EBADMSG;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) {
        value |= (uint64_t)from->data[i] << (8 * i);
    }
    from->data += bytes;
    from->bytes -= bytes;
    *ret_value = value;
    return 0;
}

/* The next field of a message. Returns 1, 0 at the end, -EBADMSG when it is not a message. */
static inline MUST_CHECK int wire_next(struct wire_span *from, struct wire_field *ret_field)
{
    uint64_t key;
    uint64_t length;
    if (from->bytes == 0) {
        return 0;
    }
    if (wire_varint(from, &key) < 0 || key >> 3 == 0 || key >> 32 != 0) {
        return -EBADMSG;
    }
    ret_field->number = (uint32_t)(key >> 3);
    ret_field->type = (enum wire_type)(key & 7);
    switch (ret_field->type) {
    case WIRE_VARINT:
        return wire_varint(from, &ret_field->value) < 0 ? -EBADMSG : 1;
    case WIRE_FIXED64:
        return wire_fixed(from, 8, &ret_field->value) < 0 ? -EBADMSG : 1;
    case WIRE_FIXED32:
        return wire_fixed(from, 4, &ret_field->value) < 0 ? -EBADMSG : 1;
    case WIRE_BYTES:
        if (wire_varint(from, &length) < 0 || length > from->bytes) {
            return -EBADMSG;
        }
        ret_field->span = (struct wire_span){from->data, (size_t)length};
        from->data += length;
        from->bytes -= (size_t)length;
        return 1;
    }
    return -EBADMSG;
}

/*
 * The last field of this number and type, as protobuf has it. Returns 1, 0: it is not there,
 * -EBADMSG.
 */
static inline MUST_CHECK int wire_find(struct wire_span message, uint32_t number,
                                       enum wire_type type, struct wire_field *ret_field)
{
    struct wire_field field;
    int found = 0;
    for (;;) {
        int result = wire_next(&message, &field);
        if (result <= 0) {
            return result < 0 ? result : found;
        }
        if (field.number == number && field.type == type) {
            *ret_field = field;
            found = 1;
        }
    }
}

/*
 * The functions that write return where the next byte goes; their caller has made sure of the room.
 */
static inline uint8_t *wire_put_varint(uint8_t *out, uint64_t value)
{
    while (value >= 0x80) {
        *out++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *out++ = (uint8_t)value;
    return out;
}

/* Numbers and bytes that are 0 or empty are left out, as proto3 has it. */
static inline uint8_t *wire_put_number(uint8_t *out, uint32_t number, uint64_t value)
{
    if (value == 0) {
        return out;
    }
    out = wire_put_varint(out, number << 3 | WIRE_VARINT);
    return wire_put_varint(out, value);
}

static inline uint8_t *wire_put_bytes(uint8_t *out, uint32_t number, const void *data, size_t bytes)
{
    if (bytes == 0) {
        return out;
    }
    out = wire_put_varint(out, number << 3 | WIRE_BYTES);
    out = wire_put_varint(out, bytes);
    memcpy(out, data, bytes);
    return out + bytes;
}

#endif
