/*
 * Words of the store's port, and the memory of its answers. Core of the licensor; knows no Redis.
 */
#include "licensor/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const reason_words[] = {
    [STORE_NO_REASON] = "",
    [STORE_NO_KEY] = "no_key",
    [STORE_NAME_IN_USE] = "name_in_use",
    [STORE_POOL_LIMIT] = "pool_limit",
    [STORE_EDITION_LIMIT] = "edition_limit",
    [STORE_LINE_FULL] = "line_full",
    [STORE_UNKNOWN_POOL] = "unknown_pool",
    [STORE_UNKNOWN_SESSION] = "unknown_session",
    [STORE_RECOVERING] = "recovering",
    [STORE_STALE] = "stale",
    [STORE_LATE] = "late",
    [STORE_BAD_REQUEST] = "bad_request",
};

static const char *const use_words[] = {
    [SEAT_HELD] = "held",
    [SEAT_REQUEST] = "request",
    [SEAT_NOTIFIED] = "notified",
};

void store_answer_release(struct store_answer *answer)
{
    if (answer == NULL) {
        return;
    }
    free(answer->handed);
    free(answer->lost);
    free(answer->waited);
    free(answer->orphans);
    free(answer->pools);
    free(answer->seats);
    free(answer->processors);
    free(answer->records);
    free(answer->audit);
    memset(answer, 0, sizeof(*answer));
}

const char *store_reason_word(enum store_reason reason)
{
    return reason_words[reason];
}

const char *seat_use_word(enum seat_use use)
{
    return use_words[use];
}

int store_reason_parse(const char *word, enum store_reason *ret_reason)
{
    for (size_t i = 0; i < ARRAY_SIZE(reason_words); i++) {
        if (strcmp(word, reason_words[i]) == 0) {
            *ret_reason = (enum store_reason)i;
            return 0;
        }
    }
    return -EINVAL;
}

int seat_use_parse(const char *word, enum seat_use *ret_use)
{
    for (size_t i = 0; i < ARRAY_SIZE(use_words); i++) {
        if (strcmp(word, use_words[i]) == 0) {
            *ret_use = (enum seat_use)i;
            return 0;
        }
    }
    return -EINVAL;
}
