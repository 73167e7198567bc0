/*
 * Answers of a batch, one after the other.
 */
#include "licensor/store/batch_reply.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/memory.h"

#define GRANT_BYTES_MIN 10 /* a byte for each of its values */
#define FULL_VALUES 3

/* As SAY_... in functions/60-batch.lua. */
enum said {
    SAID_GRANTED = 1,
    SAID_WAITING,
    SAID_RELEASED,
    SAID_REFUSED,
    SAID_FRESH,
    SAID_REUSED,
    SAID_BACK
};
#define PLACE_BYTES 6 /* of an ordinary answer */

int batch_reply_open(const void *text, size_t bytes, struct batch_reply *ret_reply)
{
    struct unpacker values = {.data = text, .bytes = bytes};
    int64_t now_ms = unpack_number(&values);
    if (values.error == 0) {
        *ret_reply = (struct batch_reply){.values = values, .now_ms = now_ms};
    }
    return values.error;
}

/* From token on. */
static void read_grant(struct unpacker *values, struct store_grant *grant)
{
    grant->token = (uint64_t)unpack_number(values);
    unpack_text(values, grant->pool, sizeof(grant->pool));
    unpack_text(values, grant->requested, sizeof(grant->requested));
    grant->number = (uint64_t)unpack_number(values);
    grant->reused = unpack_number(values) != 0;
    grant->escalated = unpack_number(values) != 0;
    grant->waived = unpack_number(values) != 0;
    grant->life_left_ms = unpack_number(values);
}

static void read_handed(struct unpacker *values, struct store_answer *answer)
{
    uint64_t count = (uint64_t)unpack_number(values);
    if (values->error != 0 || count > (values->bytes - values->at) / GRANT_BYTES_MIN) {
        values->error = -EPROTO;
        return;
    }
    if (count > 0) {
        answer->handed = memory_new(count, sizeof(*answer->handed));
    }
    while (answer->handed_count < count && values->error == 0) {
        struct store_grant *grant = &answer->handed[answer->handed_count++];
        unpack_text(values, grant->session, sizeof(grant->session));
        unpack_text(values, grant->request, sizeof(grant->request));
        read_grant(values, grant);
    }
}

static void read_refused(struct unpacker *values, struct store_answer *answer)
{
    char word[32] = "";
    unpack_text(values, word, sizeof(word));
    uint64_t count = (uint64_t)unpack_number(values);
    if (values->error == 0 &&
        (store_reason_parse(word, &answer->reason) != 0 || count % FULL_VALUES != 0 ||
         count > (uint64_t)CHAIN_POOLS_MAX * FULL_VALUES)) {
        values->error = -EPROTO;
    }
    while (values->error == 0 && answer->full_count < count / FULL_VALUES) {
        struct store_full *full = &answer->full[answer->full_count++];
        unpack_text(values, full->pool, sizeof(full->pool));
        full->in_use = (uint32_t)unpack_number(values);
        full->limit = (uint32_t)unpack_number(values);
    }
}

static void read_rest(struct unpacker *values, int64_t said, struct store_answer *answer)
{
    switch (said) {
    case SAID_GRANTED:
        answer->word = STORE_GRANTED;
        read_grant(values, &answer->grant);
        return;
    case SAID_WAITING:
        answer->word = STORE_WAITING;
        answer->ahead = (uint32_t)unpack_number(values);
        return;
    case SAID_RELEASED:
        answer->word = STORE_RELEASED;
        answer->life_left_ms = unpack_number(values);
        answer->queued = answer->life_left_ms > 0;
        unpack_text(values, answer->pool, sizeof(answer->pool));
        answer->held_ms = unpack_number(values);
        return;
    case SAID_REFUSED:
        answer->word = STORE_REFUSED;
        read_refused(values, answer);
        return;
    default:
        values->error = -EPROTO;
    }
}

/* An ordinary grant: numbers in fixed places. */
static void read_plain_grant(struct unpacker *values, const char *pool, struct store_answer *answer)
{
    struct store_grant *grant = &answer->grant;
    answer->word = STORE_GRANTED;
    answer->op = unpack_fixed(values, PLACE_BYTES);
    grant->token = answer->op;
    grant->number = unpack_fixed(values, PLACE_BYTES);
    grant->life_left_ms = (int64_t)unpack_fixed(values, PLACE_BYTES);
    snprintf(grant->pool, sizeof(grant->pool), "%s", pool);
    snprintf(grant->requested, sizeof(grant->requested), "%s", pool);
}

static void read_plain_release(struct unpacker *values, struct store_answer *answer)
{
    answer->word = STORE_RELEASED;
    answer->op = unpack_fixed(values, PLACE_BYTES);
    answer->life_left_ms = (int64_t)unpack_fixed(values, PLACE_BYTES);
    answer->queued = answer->life_left_ms > 0;
    answer->held_ms = (int64_t)unpack_fixed(values, PLACE_BYTES);
    unpack_text(values, answer->pool, sizeof(answer->pool));
}

static void read_packed(struct unpacker *values, int64_t said, struct store_answer *answer)
{
    answer->op = (uint64_t)unpack_number(values);
    if (values->error == 0) {
        read_handed(values, answer);
    }
    if (values->error == 0) {
        read_rest(values, said, answer);
    }
}

int batch_reply_next(struct batch_reply *reply, const struct batch_question *question,
                     struct store_answer *ret_answer)
{
    memset(ret_answer, 0, sizeof(*ret_answer));
    struct unpacker *values = &reply->values;
    ret_answer->now_ms = reply->now_ms;
    int64_t said = unpack_number(values);
    if (said == SAID_FRESH || said == SAID_REUSED) {
        read_plain_grant(values, question->pool, ret_answer);
        ret_answer->grant.reused = said == SAID_REUSED;
    } else if (said == SAID_BACK) {
        read_plain_release(values, ret_answer);
    } else {
        read_packed(values, said, ret_answer);
    }
    if (ret_answer->word == STORE_GRANTED) {
        struct store_grant *grant = &ret_answer->grant;
        snprintf(grant->session, sizeof(grant->session), "%s", question->session);
        snprintf(grant->request, sizeof(grant->request), "%s", question->request);
    }
    return values->error;
}
