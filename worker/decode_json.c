#include "worker/decode_json.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/duration.h"
#include "common/memory.h"
#include "common/names.h"
#include "proto/event.pb-c.h"

enum format { FORMAT_NONE, FORMAT_OURS, FORMAT_STRUCTURED, FORMAT_BINARY };

/* A header's text, cut to what its buffer holds; NULL: there is none. */
static const char *header_text(const struct decode_header *headers, size_t count, const char *name,
                               char *text, size_t text_bytes)
{
    for (size_t i = 0; i < count; i++) {
        if (!strcasecmp(headers[i].name, name) && headers[i].value != NULL &&
            headers[i].bytes < text_bytes) {
            memcpy(text, headers[i].value, headers[i].bytes);
            text[headers[i].bytes] = '\0';
            return text;
        }
    }
    return NULL;
}

static enum format format_of(const struct decode_header *headers, size_t count)
{
    char text[128];
    if (header_text(headers, count, "ce_specversion", text, sizeof text) != NULL) {
        return FORMAT_BINARY;
    }
    if (header_text(headers, count, "content-type", text, sizeof text) == NULL) {
        return FORMAT_NONE;
    }
    if (!strncasecmp(text, "application/cloudevents+json", 28)) {
        return FORMAT_STRUCTURED;
    }
    return !strncasecmp(text, "application/json", 16) ? FORMAT_OURS : FORMAT_NONE;
}

/* What an Event is made of; texts are borrowed from the JSON or the caller's buffers. */
struct parts {
    const char *connection, *object, *id;
    const json_t *value, *previous, *quality;
    const char *time;
};

static int set_value(const json_t *json, Engenho__Value *value)
{
    engenho__value__init(value);
    switch (json_typeof(json)) {
    case JSON_REAL:
        value->kind_case = ENGENHO__VALUE__KIND_NUMBER;
        value->number = json_real_value(json);
        return 0;
    case JSON_INTEGER:
        value->kind_case = ENGENHO__VALUE__KIND_INTEGER;
        value->integer = json_integer_value(json);
        return 0;
    case JSON_TRUE:
    case JSON_FALSE:
        value->kind_case = ENGENHO__VALUE__KIND_BOOLEAN;
        value->boolean = json_is_true(json);
        return 0;
    case JSON_STRING:
        value->kind_case = ENGENHO__VALUE__KIND_TEXT;
        value->text = (char *)json_string_value(json);
        return 0;
    case JSON_NULL:
        return 0;
    default:
        return -EBADMSG;
    }
}

static const char *check_parts(const struct parts *parts)
{
    if (parts->connection == NULL || !name_is_valid(parts->connection) ||
        strchr(parts->connection, '/') != NULL) {
        return "its connection (a CloudEvent's source) is missing or not a name without '/'";
    }
    if (parts->object == NULL || !name_is_valid(parts->object)) {
        return "its object (a CloudEvent's subject) is missing or not a name";
    }
    if (parts->value == NULL) {
        return "it has no value (a CloudEvent's data): write null when there is none";
    }
    if (parts->quality != NULL &&
        (!json_is_integer(parts->quality) || json_integer_value(parts->quality) < 0 ||
         json_integer_value(parts->quality) > UINT32_MAX)) {
        return "its quality is no OPC UA status code";
    }
    return NULL;
}

/* Returns NULL, or the reason. */
static const char *pack(const struct parts *parts, int64_t fallback_us, uint8_t **ret_event,
                        size_t *ret_bytes)
{
    Engenho__Event event = ENGENHO__EVENT__INIT;
    Engenho__Value value, previous;
    const char *reason = check_parts(parts);
    if (reason != NULL) {
        return reason;
    }
    event.timestamp_us = fallback_us;
    if (parts->time != NULL && instant_parse(parts->time, &event.timestamp_us) != 0) {
        return "its time is not RFC 3339";
    }
    if (set_value(parts->value, &value) != 0) {
        return "its value is a list or an object";
    }
    event.value = &value;
    if (parts->previous != NULL) {
        if (set_value(parts->previous, &previous) != 0) {
            return "its previous value is a list or an object";
        }
        event.previous = &previous;
    }
    event.connection = (char *)parts->connection;
    event.object = (char *)parts->object;
    event.quality = parts->quality != NULL ? (uint32_t)json_integer_value(parts->quality) : 0;
    event.id = (char *)(parts->id != NULL ? parts->id : "");
    *ret_bytes = engenho__event__get_packed_size(&event);
    *ret_event = memory_new(1, *ret_bytes + 1);
    engenho__event__pack(&event, *ret_event);
    return NULL;
}

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

/* A CloudEvent's data: the value itself, or an object with value, previous and quality. */
static void take_data(struct parts *parts, const json_t *data)
{
    parts->value = data;
    if (json_is_object(data)) {
        parts->value = json_object_get(data, "value");
        parts->previous = json_object_get(data, "previous");
        parts->quality = json_object_get(data, "quality");
    }
}

static const char *decode_ours(const json_t *json, int64_t fallback_us, uint8_t **ret_event,
                               size_t *ret_bytes)
{
    struct parts parts = {
        .connection = text_of(json, "connection"),
        .object = text_of(json, "object"),
        .id = text_of(json, "id"),
        .value = json_object_get(json, "value"),
        .previous = json_object_get(json, "previous"),
        .quality = json_object_get(json, "quality"),
        .time = text_of(json, "timestamp"),
    };
    return pack(&parts, fallback_us, ret_event, ret_bytes);
}

static const char *decode_structured(const json_t *json, int64_t fallback_us, uint8_t **ret_event,
                                     size_t *ret_bytes)
{
    const char *version = text_of(json, "specversion");
    if (version == NULL || strcmp(version, "1.0") != 0) {
        return "its specversion is not 1.0";
    }
    struct parts parts = {.connection = text_of(json, "source"),
                          .object = text_of(json, "subject"),
                          .id = text_of(json, "id"),
                          .time = text_of(json, "time")};
    take_data(&parts, json_object_get(json, "data"));
    return pack(&parts, fallback_us, ret_event, ret_bytes);
}

/* long: a record as it came, and the two things it gives */
static const char *decode_binary(const struct decode_header *headers, size_t count,
                                 const json_t *data, int64_t fallback_us, uint8_t **ret_event,
                                 size_t *ret_bytes)
{
    char version[16], source[NAME_BYTES_MAX + 1], subject[NAME_BYTES_MAX + 1],
        id[NAME_BYTES_MAX + 1], time[64];
    if (header_text(headers, count, "ce_specversion", version, sizeof version) == NULL ||
        strcmp(version, "1.0") != 0) {
        return "its ce_specversion is not 1.0";
    }
    struct parts parts = {
        .connection = header_text(headers, count, "ce_source", source, sizeof source),
        .object = header_text(headers, count, "ce_subject", subject, sizeof subject),
        .id = header_text(headers, count, "ce_id", id, sizeof id),
        .time = header_text(headers, count, "ce_time", time, sizeof time)};
    take_data(&parts, data);
    return pack(&parts, fallback_us, ret_event, ret_bytes);
}

/* long: a record as it came, and the three things it gives */
int decode_json(const struct decode_header *headers, size_t count, const void *value, size_t bytes,
                int64_t fallback_us, uint8_t **ret_event, size_t *ret_bytes,
                const char **ret_reason)
{
    enum format format = format_of(headers, count);
    if (format == FORMAT_NONE) {
        return 0;
    }
    json_t *json = value == NULL || bytes > DECODE_BYTES_MAX
                       ? NULL
                       : json_loadb(value, bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    const char *reason = NULL;
    if (json == NULL) {
        reason =
            bytes > DECODE_BYTES_MAX ? "it is larger than 1 MiB" : "it is not well-formed JSON";
    } else if (format == FORMAT_BINARY) {
        reason = decode_binary(headers, count, json, fallback_us, ret_event, ret_bytes);
    } else if (!json_is_object(json)) {
        reason = "it is JSON, but not an object";
    } else if (format == FORMAT_OURS) {
        reason = decode_ours(json, fallback_us, ret_event, ret_bytes);
    } else {
        reason = decode_structured(json, fallback_us, ret_event, ret_bytes);
    }
    json_decref(json);
    if (reason != NULL) {
        *ret_reason = reason;
        return -EBADMSG;
    }
    return 1;
}
