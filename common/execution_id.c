/*
 * Execution ids as text. Producer, worker, command line.
 */
#include "common/execution_id.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* long: an id has these five parts */
size_t execution_id_print(const char *agent, const char *topic, int32_t partition, int64_t offset,
                          const char *production, char *text)
{
    int length = snprintf(text, EXECUTION_ID_BYTES_MAX, "%s/%s/%" PRId32 "/%" PRId64 "/%s", agent,
                          topic, partition, offset, production ? production : "");
    assert(length > 0 && length < EXECUTION_ID_BYTES_MAX);
    return (size_t)length;
}

/*
 * Copies what stands before the next slash, at most `max` bytes and at least one, and moves *at
 * behind the slash.
 */
static bool read_word(const char **at, char *word, size_t max)
{
    size_t bytes = strcspn(*at, "/");
    if (!bytes || bytes > max || (*at)[bytes] != '/') {
        return false;
    }
    memcpy(word, *at, bytes);
    word[bytes] = 0;
    *at += bytes + 1;
    return true;
}

/* A number as execution_id_print writes it: digits without a needless 0 in front, at most `max`. */
static bool read_number(const char **at, int64_t max, int64_t *ret_value)
{
    char digits[20];
    int64_t value = 0;
    if (!read_word(at, digits, sizeof digits - 1) || (digits[0] == '0' && digits[1])) {
        return false;
    }
    for (const char *digit = digits; *digit; digit++) {
        if (*digit < '0' || *digit > '9' || value > (max - (*digit - '0')) / 10) {
            return false;
        }
        value = value * 10 + (*digit - '0');
    }
    *ret_value = value;
    return true;
}

int execution_id_parse(const char *text, struct execution_id *ret_id)
{
    struct execution_id id;
    int64_t partition;
    const char *at = text;
    if (!read_word(&at, id.agent, sizeof id.agent - 1) || !name_is_agent(id.agent) ||
        !read_word(&at, id.topic, sizeof id.topic - 1) ||
        !read_number(&at, INT32_MAX, &partition) || !read_number(&at, INT64_MAX, &id.offset)) {
        return -EINVAL;
    }
    size_t bytes = strlen(at);
    if (bytes > NAME_BYTES_MAX || (bytes && !name_is_valid(at))) {
        return -EINVAL;
    }
    memcpy(id.production, at, bytes + 1);
    id.partition = (int32_t)partition;
    *ret_id = id;
    return 0;
}
