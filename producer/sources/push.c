#include "producer/sources/push.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/duration.h"
#include "common/memory.h"
#include "common/names.h"
#include "producer/definitions_reader.h"
#include "producer/suggest.h"

static Engenho__Value *new_value(const struct node *node)
{
    Engenho__Value *value = memory_new(1, sizeof *value);
    engenho__value__init(value);
    switch (node->type) {
    case NODE_BOOL:
        value->kind_case = ENGENHO__VALUE__KIND_BOOLEAN;
        value->boolean = node->integer != 0;
        break;
    case NODE_INTEGER:
        value->kind_case = ENGENHO__VALUE__KIND_INTEGER;
        value->integer = node->integer;
        break;
    case NODE_REAL:
        value->kind_case = ENGENHO__VALUE__KIND_NUMBER;
        value->number = node->real;
        break;
    case NODE_TEXT:
        value->kind_case = ENGENHO__VALUE__KIND_TEXT;
        value->text = memory_copy_text(node->text);
        break;
    default:
        break; /* null */
    }
    return value;
}

static int read_value(const struct node *node, const char *name, Engenho__Value **ret_value,
                      struct error *error)
{
    if (node->type == NODE_LIST || node->type == NODE_MAP) {
        return error_set(error, -EINVAL, "%s must be a number, true, false, text or null, not %s",
                         name, node_type_name(node->type));
    }
    if (node->type == NODE_TEXT && strlen(node->text) > PUSH_TEXT_BYTES_MAX) {
        return error_set(error, -EINVAL, "%s is too long: %d bytes at most", name,
                         PUSH_TEXT_BYTES_MAX);
    }
    *ret_value = new_value(node);
    return 0;
}

static int read_name(const struct node *node, const char *name, bool slash, char **ret_text,
                     struct error *error)
{
    if (node == NULL) {
        return error_set(error, -EINVAL, "%s is missing", name);
    }
    if (node->type != NODE_TEXT || !name_is_valid(node->text)) {
        return error_set(error, -EINVAL,
                         "%s must be a name: 1 to %d bytes of UTF-8 without control characters",
                         name, NAME_BYTES_MAX);
    }
    if (!slash && strchr(node->text, '/') != NULL) {
        return error_set(error, -EINVAL, "%s '%.100s' can't hold a '/': keys are connection/object",
                         name, node->text);
    }
    definition_set_text(ret_text, node->text);
    return 0;
}

static int read_timestamp(const struct node *node, int64_t *ret_us, struct error *error)
{
    if (node != NULL && (node->type != NODE_TEXT || instant_parse(node->text, ret_us) != 0)) {
        return error_set(error, -EINVAL,
                         "the time must be RFC 3339 text such as 2026-01-31T12:00:00.5Z");
    }
    return 0;
}

static int read_quality(const struct node *node, uint32_t *ret_quality, struct error *error)
{
    if (node == NULL) {
        return 0;
    }
    if (node->type != NODE_INTEGER || node->integer < 0 || node->integer > UINT32_MAX) {
        return error_set(
            error, -EINVAL,
            "quality must be an OPC UA status code: a whole number from 0 (good) to 4294967295");
    }
    *ret_quality = (uint32_t)node->integer;
    return 0;
}

static int read_id(const struct node *node, char **ret_id, struct error *error)
{
    if (node == NULL) {
        return 0;
    }
    if (node->type != NODE_TEXT || strlen(node->text) > NAME_BYTES_MAX) {
        return error_set(error, -EINVAL, "id must be text of %d bytes at most", NAME_BYTES_MAX);
    }
    definition_set_text(ret_id, node->text);
    return 0;
}

static int check_keys(const struct node *map, const char *const *names, size_t count,
                      struct error *error)
{
    for (const struct node *child = map->first; child != NULL; child = child->next) {
        size_t i = 0;
        while (i < count && strcmp(child->key, names[i]) != 0) {
            i++;
        }
        if (i == count) {
            const char *near = suggest(child->key, names, count);
            return error_set(error, -EINVAL, "unknown key '%.60s'%s%s%s", child->key,
                             near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "");
        }
    }
    return 0;
}

/* {value, previous, quality}: of ours, and of a CloudEvent's data when that is an object. */
static int read_values(const struct node *map, Engenho__Event *event, struct error *error)
{
    const struct node *value = node_get(map, "value"), *previous = node_get(map, "previous");
    if (value == NULL) {
        return error_set(error, -EINVAL, "value is missing: write null when there is none");
    }
    int result = read_value(value, "value", &event->value, error);
    if (result == 0 && previous != NULL) {
        result = read_value(previous, "previous", &event->previous, error);
    }
    return result == 0 ? read_quality(node_get(map, "quality"), &event->quality, error) : result;
}

static int read_ours(const struct node *node, Engenho__Event *event, struct error *error)
{
    static const char *const names[] = {"connection", "object",  "value", "previous",
                                        "timestamp",  "quality", "id"};
    int result = check_keys(node, names, ARRAY_SIZE(names), error);
    result = result == 0 ? read_name(node_get(node, "connection"), "connection", false,
                                     &event->connection, error)
                         : result;
    result = result == 0
                 ? read_name(node_get(node, "object"), "object", true, &event->object, error)
                 : result;
    result = result == 0 ? read_values(node, event, error) : result;
    result = result == 0 ? read_timestamp(node_get(node, "timestamp"), &event->timestamp_us, error)
                         : result;
    return result == 0 ? read_id(node_get(node, "id"), &event->id, error) : result;
}

static int read_cloudevent(const struct node *node, Engenho__Event *event, struct error *error)
{
    static const char *const data_names[] = {"value", "previous", "quality"};
    const struct node *data = node_get(node, "data");
    const char *version = node_text(node, "specversion");
    if (version == NULL || strcmp(version, "1.0") != 0) {
        return error_set(error, -EINVAL, "not a CloudEvent 1.0: specversion must be \"1.0\"");
    }
    if (node_text(node, "id") == NULL || node_text(node, "type") == NULL) {
        return error_set(error, -EINVAL, "not a CloudEvent: id and type must be there");
    }
    if (data == NULL) {
        return error_set(
            error, -EINVAL,
            "data is missing (data_base64 is not taken): the value, or an object with value, previous and quality");
    }
    int result = read_name(node_get(node, "source"), "source", false, &event->connection, error);
    result = result == 0
                 ? read_name(node_get(node, "subject"), "subject", true, &event->object, error)
                 : result;
    if (result == 0 && data->type == NODE_MAP) {
        result = check_keys(data, data_names, ARRAY_SIZE(data_names), error);
        result = result == 0 ? read_values(data, event, error) : result;
    } else if (result == 0) {
        result = read_value(data, "data", &event->value, error);
    }
    result =
        result == 0 ? read_timestamp(node_get(node, "time"), &event->timestamp_us, error) : result;
    return result == 0 ? read_id(node_get(node, "id"), &event->id, error) : result;
}

static int read_event(const struct node *node, enum push_format format, int64_t now_us,
                      Engenho__Event **ret_event, struct error *error)
{
    if (node->type != NODE_MAP) {
        return error_set(error, -EINVAL, "an event must be an object, not %s",
                         node_type_name(node->type));
    }
    Engenho__Event *event = memory_new(1, sizeof *event);
    engenho__event__init(event);
    event->timestamp_us = now_us;
    int result =
        format == PUSH_OURS ? read_ours(node, event, error) : read_cloudevent(node, event, error);
    if (result != 0) {
        engenho__event__free_unpacked(event, NULL);
        return result;
    }
    *ret_event = event;
    return 0;
}

int push_read(const struct node *body, enum push_format format, int64_t now_us,
              struct push *ret_push, int *ret_index, struct error *error)
{
    struct push push = {0};
    int result = 0;
    *ret_index = -1;
    if (body->type == NODE_LIST ? format == PUSH_CLOUDEVENT
                                : format == PUSH_CLOUDEVENTS || body->type != NODE_MAP) {
        return error_set(error, -EINVAL, "the body must be %s, not %s",
                         format == PUSH_OURS         ? "an event or a list of events"
                         : format == PUSH_CLOUDEVENT ? "one CloudEvent"
                                                     : "a list of CloudEvents",
                         node_type_name(body->type));
    }
    const struct node *child = body->type == NODE_LIST ? body->first : body;
    size_t count = body->type == NODE_LIST ? body->count : 1;
    push.events = memory_new(count + 1, sizeof *push.events);
    while (push.count < count && result == 0) {
        result = read_event(child, format, now_us, &push.events[push.count], error);
        if (result != 0) {
            *ret_index = (int)push.count;
            break;
        }
        push.count++;
        child = child->next;
    }
    if (result != 0) {
        push_release(&push);
        return result;
    }
    *ret_push = push;
    return 0;
}

void push_release(struct push *push)
{
    for (size_t i = 0; i < push->count; i++) {
        engenho__event__free_unpacked(push->events[i], NULL);
    }
    free(push->events);
    memset(push, 0, sizeof *push);
}

char *push_key(const Engenho__Event *event)
{
    return memory_print("%s/%s", event->connection, event->object);
}
