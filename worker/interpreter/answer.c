/*
 * A Finished as bytes. The numbers are those of proto/interpreter.proto; test_answer.c holds them
 * to it. Interpreter only.
 */
#include "worker/interpreter/answer.h"

#include <string.h>

#include "worker/interpreter/wire.h"

/* ToWorker.answers, length-delimited. */
#define ANSWERS_TAG (7 << 3 | WIRE_BYTES)
/* The numbers of a Finished, and the tags and lengths of its texts, at their longest. */
#define NUMBERS_BYTES_MAX 160
#define HEADER_BYTES 6

enum {
    FINISHED_NUMBER = 1,
    FINISHED_OUTCOME = 2,
    FINISHED_START = 3,
    FINISHED_END = 4,
    FINISHED_RESULT = 5,
    FINISHED_OUTPUT = 6,
    FINISHED_OUTPUT_TRUNCATED = 7,
    FINISHED_ERROR_CLASS = 8,
    FINISHED_ERROR = 9,
    FINISHED_TRACEBACK = 10,
    FINISHED_NOT_RETRYABLE = 11,
    FINISHED_CACHE_CHANGED = 12,
    FINISHED_CACHE = 13,
    FINISHED_LAST_CHANGED = 14,
    FINISHED_LAST = 15
};

size_t answer_bytes_max(const Engenho__Finished *finished)
{
    size_t bytes =
        HEADER_BYTES + NUMBERS_BYTES_MAX + finished->output.len + strlen(finished->result);
    /* These are rare: most answers are a success without state. */
    if (finished->error_class[0] != '\0') {
        bytes +=
            strlen(finished->error_class) + strlen(finished->error) + strlen(finished->traceback);
    }
    return bytes + strlen(finished->user_cache_json) + strlen(finished->last_executed_json);
}

static uint8_t *put_text(uint8_t *out, uint32_t number, const char *text)
{
    return text[0] == '\0' ? out : wire_put_bytes(out, number, text, strlen(text));
}

static uint8_t *pack(const Engenho__Finished *finished, uint8_t *out)
{
    out = wire_put_number(out, FINISHED_NUMBER, finished->number);
    out = wire_put_number(out, FINISHED_OUTCOME, (uint64_t)finished->outcome);
    out = wire_put_number(out, FINISHED_START, (uint64_t)finished->start_us);
    out = wire_put_number(out, FINISHED_END, (uint64_t)finished->end_us);
    out = put_text(out, FINISHED_RESULT, finished->result);
    out = wire_put_bytes(out, FINISHED_OUTPUT, finished->output.data, finished->output.len);
    out = wire_put_number(out, FINISHED_OUTPUT_TRUNCATED, (uint64_t)finished->output_truncated);
    if (finished->error_class[0] != '\0') {
        out = put_text(out, FINISHED_ERROR_CLASS, finished->error_class);
        out = put_text(out, FINISHED_ERROR, finished->error);
        out = put_text(out, FINISHED_TRACEBACK, finished->traceback);
    }
    out = wire_put_number(out, FINISHED_NOT_RETRYABLE, (uint64_t)finished->not_retryable);
    out = wire_put_number(out, FINISHED_CACHE_CHANGED, (uint64_t)finished->user_cache_changed);
    out = put_text(out, FINISHED_CACHE, finished->user_cache_json);
    out = wire_put_number(out, FINISHED_LAST_CHANGED, (uint64_t)finished->last_executed_changed);
    return put_text(out, FINISHED_LAST, finished->last_executed_json);
}

size_t answer_pack(const Engenho__Finished *finished, uint8_t *out)
{
    /* The length comes first, in as few bytes as it takes: known only afterwards. */
    uint8_t *body = out + HEADER_BYTES;
    size_t bytes = (size_t)(pack(finished, body) - body);
    uint8_t *at = out;
    *at++ = ANSWERS_TAG;
    at = wire_put_varint(at, bytes);
    memmove(at, body, bytes);
    return (size_t)(at - out) + bytes;
}
