/*
 * Execution ids as text. Producer, worker, command line.
 */
#include "common/execution_id.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Both put a part and a slash at `at`, and return what follows. Each execution has an id: no
 * printf. */
static char *put_text(char *at, const char *end, const char *word)
{
    size_t bytes = strlen(word);
    assert(bytes < (size_t)(end - at));
    memcpy(at, word, bytes);
    at[bytes] = '/';
    return at + bytes + 1;
}

static char *put_number(char *at, const char *end, int64_t value)
{
    char digits[20];
    size_t first = sizeof digits;
    assert(value >= 0 && sizeof digits < (size_t)(end - at));
    do {
        digits[--first] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    memcpy(at, digits + first, sizeof digits - first);
    at += sizeof digits - first;
    *at = '/';
    return at + 1;
}

/* long: an id has these five parts */
size_t execution_id_print(const char *agent, const char *topic, int32_t partition, int64_t offset,
                          const char *production, char *text)
{
    const char *end = text + EXECUTION_ID_BYTES_MAX;
    char *at = put_text(text, end, agent);
    at = put_text(at, end, topic);
    at = put_number(at, end, partition);
    at = put_number(at, end, offset);
    at = put_text(at, end, production != NULL ? production : "");
    *--at = '\0'; /* the last slash */
    return (size_t)(at - text);
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
