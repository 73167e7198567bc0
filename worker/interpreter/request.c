/*
 * An Execution read in place. The numbers are those of proto/interpreter.proto; test_request.c
 * holds them to it. Interpreter only.
 */
#include "worker/interpreter/request.h"

#include <errno.h>

enum {
    EXECUTION_NUMBER = 1,
    EXECUTION_CODE = 2,
    EXECUTION_ID = 3,
    EXECUTION_EVENT = 4,
    EXECUTION_TIME_EVENT = 5,
    EXECUTION_NOMINAL = 6,
    EXECUTION_ATTEMPT = 7,
    EXECUTION_KIND = 8,
    EXECUTION_PARAMETERS = 9,
    EXECUTION_USER_CACHE = 10,
    EXECUTION_LAST_EXECUTED = 11,
    EXECUTION_EVENT_BYTES = 12
};
enum { PARAMETER_NAME = 1, PARAMETER_JSON = 2 };

static void take_number(struct request *request, const struct wire_field *field,
                        int64_t *nominal_us)
{
    switch (field->number) {
    case EXECUTION_NUMBER:
        request->number = field->value;
        break;
    case EXECUTION_CODE:
        request->code = (uint32_t)field->value;
        break;
    case EXECUTION_TIME_EVENT:
        request->time_us = (int64_t)field->value;
        break;
    case EXECUTION_NOMINAL:
        *nominal_us = (int64_t)field->value;
        break;
    case EXECUTION_ATTEMPT:
        request->attempt = (uint32_t)field->value;
        break;
    case EXECUTION_KIND:
        request->kind = (int)field->value;
        break;
    default:
        break;
    }
}

static void take_bytes(struct request *request, const struct wire_field *field)
{
    switch (field->number) {
    case EXECUTION_ID:
        request->execution_id = field->span;
        break;
    case EXECUTION_EVENT:
        /* A decoded and a packed event are the same bytes here. */
        request->event = request->event.bytes == 0 ? field->span : request->event;
        break;
    case EXECUTION_EVENT_BYTES:
        request->event = field->span.bytes > 0 ? field->span : request->event;
        break;
    case EXECUTION_USER_CACHE:
        request->user_cache = field->span;
        break;
    case EXECUTION_LAST_EXECUTED:
        request->last_executed = field->span;
        break;
    case EXECUTION_PARAMETERS:
        request->parameter_count++;
        break;
    default:
        break;
    }
}

int request_read(struct wire_span message, struct request *ret_request)
{
    struct request request = {.message = message};
    struct wire_field field;
    int64_t nominal_us = 0;
    int result;
    while ((result = wire_next(&message, &field)) > 0) {
        if (field.type == WIRE_VARINT) {
            take_number(&request, &field, &nominal_us);
        } else if (field.type == WIRE_BYTES) {
            take_bytes(&request, &field);
        }
    }
    if (result < 0) {
        return result;
    }
    request.time_us = request.time_us != 0 ? request.time_us : nominal_us;
    request.attempt = request.attempt > 0 ? request.attempt : 1;
    *ret_request = request;
    return 0;
}

int request_parameter(const struct request *request, size_t index, struct wire_span *ret_name,
                      struct wire_span *ret_json)
{
    struct wire_span message = request->message;
    struct wire_field field;
    int result;
    while ((result = wire_next(&message, &field)) > 0) {
        if (field.number != EXECUTION_PARAMETERS || field.type != WIRE_BYTES || index-- > 0) {
            continue;
        }
        struct wire_field name = {0};
        struct wire_field json = {0};
        if (wire_find(field.span, PARAMETER_NAME, WIRE_BYTES, &name) < 0 ||
            wire_find(field.span, PARAMETER_JSON, WIRE_BYTES, &json) < 0) {
            return -EBADMSG;
        }
        *ret_name = name.span;
        *ret_json = json.span;
        return 1;
    }
    return result;
}
