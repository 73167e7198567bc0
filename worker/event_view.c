#include "worker/event_view.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define DEPTH_MAX 8

struct cursor {
    const uint8_t *at, *end;
};

static bool read_varint(struct cursor *cursor, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && cursor->at < cursor->end; shift += 7) {
        uint8_t byte = *cursor->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

struct field {
    uint32_t number;
    unsigned wire;
    uint64_t value;         /* varint */
    struct text_view bytes; /* length-delimited */
};

static bool read_field(struct cursor *cursor, struct field *ret_field)
{
    uint64_t tag, length;
    if (!read_varint(cursor, &tag) || tag >> 3 == 0 || tag >> 32 != 0) {
        return false;
    }
    *ret_field = (struct field){.number = (uint32_t)(tag >> 3), .wire = (unsigned)(tag & 7)};
    switch (ret_field->wire) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        return read_varint(cursor, &ret_field->value);
    case PROTOBUF_C_WIRE_TYPE_64BIT:
        length = 8;
        break;
    case PROTOBUF_C_WIRE_TYPE_32BIT:
        length = 4;
        break;
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        if (!read_varint(cursor, &length)) {
            return false;
        }
        break;
    default:
        return false;
    }
    if (length > (uint64_t)(cursor->end - cursor->at)) {
        return false;
    }
    ret_field->bytes = (struct text_view){(const char *)cursor->at, (size_t)length};
    cursor->at += length;
    return true;
}

static unsigned wire_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
    case PROTOBUF_C_TYPE_DOUBLE:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return PROTOBUF_C_WIRE_TYPE_64BIT;
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return PROTOBUF_C_WIRE_TYPE_32BIT;
    default:
        return PROTOBUF_C_WIRE_TYPE_VARINT;
    }
}

/*
 * Every field of a known number has its type, all the way down, and no message stands twice (nobody
 * writes that, and libraries merge it in their own ways); unknown numbers are passed over.
 */
static bool is_well_formed(const ProtobufCMessageDescriptor *descriptor, struct text_view bytes,
                           unsigned depth)
{
    struct cursor cursor = {(const uint8_t *)bytes.data, (const uint8_t *)bytes.data + bytes.bytes};
    struct field field;
    uint64_t seen = 0;
    while (cursor.at < cursor.end) {
        if (!read_field(&cursor, &field)) {
            return false;
        }
        const ProtobufCFieldDescriptor *known =
            protobuf_c_message_descriptor_get_field(descriptor, field.number);
        if (known == NULL) {
            continue;
        }
        if (wire_of(known->type) != field.wire) {
            return false;
        }
        if (known->type == PROTOBUF_C_TYPE_MESSAGE &&
            (depth == DEPTH_MAX || !is_well_formed(known->descriptor, field.bytes, depth + 1))) {
            return false;
        }
        if (known->type == PROTOBUF_C_TYPE_MESSAGE && known->label != PROTOBUF_C_LABEL_REPEATED) {
            uint64_t bit = UINT64_C(1) << (field.number & 63);
            if (seen & bit) {
                return false;
            }
            seen |= bit;
        }
        if (known->type == PROTOBUF_C_TYPE_STRING &&
            memchr(field.bytes.data, '\0', field.bytes.bytes) != NULL) {
            return false;
        }
    }
    return true;
}

static struct text_view member_text(struct text_view message, uint32_t number)
{
    struct cursor cursor = {(const uint8_t *)message.data,
                            (const uint8_t *)message.data + message.bytes};
    struct text_view text = {"", 0};
    struct field field;
    while (cursor.at < cursor.end && read_field(&cursor, &field)) {
        if (field.number == number && field.wire == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED) {
            text = field.bytes;
        }
    }
    return text;
}

enum {
    EVENT_CONNECTION = 1,
    EVENT_OBJECT = 2,
    EVENT_TIMESTAMP = 6,
    EVENT_NAMED_NUMBER = 7,
    EVENT_TRANSITION_NUMBER = 8
};

static void take_field(const struct field *field, struct event_view *view)
{
    switch (field->number) {
    case EVENT_CONNECTION:
        view->connection = field->bytes;
        break;
    case EVENT_OBJECT:
        if (view->kind == EVENT_DATA) {
            view->object = field->bytes;
        }
        break;
    case EVENT_TIMESTAMP:
        view->timestamp_us = (int64_t)field->value;
        break;
    case EVENT_NAMED_NUMBER:
        view->kind = EVENT_NAMED;
        view->object = member_text(field->bytes, 1);
        break;
    case EVENT_TRANSITION_NUMBER:
        view->kind = EVENT_TRANSITION;
        view->process = member_text(field->bytes, 1);
        view->from_stage = member_text(field->bytes, 3);
        view->to_stage = member_text(field->bytes, 4);
        break;
    default:
        break;
    }
}

int event_view_read(const uint8_t *data, size_t bytes, struct event_view *ret_view)
{
    struct event_view view = {.connection = {"", 0},
                              .object = {"", 0},
                              .process = {"", 0},
                              .from_stage = {"", 0},
                              .to_stage = {"", 0}};
    struct text_view whole = {(const char *)data, bytes};
    if (bytes == 0 || !is_well_formed(&engenho__event__descriptor, whole, 0)) {
        return -EBADMSG;
    }
    struct cursor cursor = {data, data + bytes};
    struct field field;
    while (cursor.at < cursor.end && read_field(&cursor, &field)) {
        take_field(&field, &view);
    }
    *ret_view = view;
    return 0;
}

static struct when_value value_of(const Engenho__Value *value)
{
    struct when_value result = {.type = WHEN_NULL};
    if (value == NULL) {
        return result;
    }
    switch (value->kind_case) {
    case ENGENHO__VALUE__KIND_NUMBER:
        result.type = WHEN_NUMBER;
        result.number = value->number;
        break;
    case ENGENHO__VALUE__KIND_INTEGER:
        result.type = WHEN_INTEGER;
        result.integer = value->integer;
        break;
    case ENGENHO__VALUE__KIND_BOOLEAN:
        result.type = WHEN_BOOLEAN;
        result.integer = value->boolean ? 1 : 0;
        break;
    case ENGENHO__VALUE__KIND_TEXT:
        result.type = WHEN_TEXT;
        result.text = value->text;
        result.text_bytes = strlen(value->text);
        break;
    default:
        break;
    }
    return result;
}

static struct when_value member_of(Engenho__Field *const *fields, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (!strcmp(fields[i]->name, name)) {
            return value_of(fields[i]->value);
        }
    }
    return (struct when_value){.type = WHEN_NULL};
}

struct when_value event_lookup(void *context, enum when_name name, const char *member)
{
    const Engenho__Event *event = context;
    switch (name) {
    case WHEN_NAME_VALUE:
        return value_of(event->value);
    case WHEN_NAME_PREVIOUS:
        return value_of(event->previous);
    case WHEN_NAME_QUALITY:
        return (struct when_value){.type = WHEN_INTEGER, .integer = event->quality};
    case WHEN_NAME_TIMESTAMP:
        return (struct when_value){.type = WHEN_INTEGER, .integer = event->timestamp_us};
    case WHEN_NAME_PAYLOAD:
        return event->named == NULL
                   ? (struct when_value){.type = WHEN_NULL}
                   : member_of(event->named->payload, event->named->n_payload, member);
    case WHEN_NAME_FIELDS:
        return event->transition == NULL
                   ? (struct when_value){.type = WHEN_NULL}
                   : member_of(event->transition->fields, event->transition->n_fields, member);
    }
    return (struct when_value){.type = WHEN_NULL};
}
