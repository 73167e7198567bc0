/*
 * A mirror from what Redis told: `state_of` in functions/60-batch.lua says what stands where.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "licensor/store/mirror.h"
#include "licensor/store/mirror_pack.h"
#include "licensor/store/packed.h"
#include "licensor/store/seat_record.h"

/* Digits and nothing else; else the error is set. */
static uint64_t read_digits(struct unpacker *values, char end, const char **text)
{
    uint64_t number = 0;
    const char *at = *text;
    while (*at >= '0' && *at <= '9') {
        number = number * 10 + (uint64_t)(*at++ - '0');
    }
    if (at == *text || *at != end) {
        values->error = -EPROTO;
    }
    *text = *at == '\0' ? at : at + 1;
    return number;
}

static uint64_t read_digits_text(struct unpacker *values)
{
    char text[MIRROR_NUMBER_BYTES] = "";
    const char *at = text;
    unpack_text(values, text, sizeof(text));
    return values->error == 0 ? read_digits(values, '\0', &at) : 0;
}

/* Pools ---------------------------------------------------------------------------------------- */

static void read_queue(struct unpacker *values, struct mirror_pool *pool)
{
    int64_t count = unpack_number(values);
    for (int64_t i = 0; i < count && values->error == 0; i++) {
        char member[2 * MIRROR_NUMBER_BYTES] = "";
        const char *at = member;
        struct mirror_queued queued = {0};
        unpack_text(values, member, sizeof(member));
        if (values->error == 0) {
            queued.number = read_digits(values, ':', &at) - MIRROR_QUEUED;
            queued.freed_ms = (int64_t)read_digits(values, '\0', &at);
            queued.life_end_ms = (int64_t)read_digits_text(values);
            mirror_push(pool, &queued);
        }
    }
}

static void read_counters(struct unpacker *values, struct mirror_pool *pool)
{
    size_t bytes = 0;
    const uint8_t *text = unpack_bytes(values, &bytes);
    if (values->error != 0 || bytes > sizeof(pool->counters_text)) {
        values->error = -EPROTO;
        return;
    }
    memcpy(pool->counters_text, text, bytes);
    pool->counters_bytes = bytes;
    struct unpacker counters = {.data = text, .bytes = bytes};
    for (size_t i = 0; i < MIRROR_COUNTERS && bytes > 0; i++) {
        pool->counters[i] = unpack_number(&counters);
    }
    values->error = counters.error;
}

static void read_pool(struct unpacker *values, struct mirror *mirror)
{
    char name[POOL_BYTES_MAX + 1] = "";
    unpack_text(values, name, sizeof(name));
    int64_t cap = unpack_number(values);
    if (values->error != 0) {
        return;
    }
    struct mirror_pool *pool = mirror_pool(mirror, name);
    if (pool != NULL) {
        mirror_pool_free(mirror, pool);
    }
    pool = memory_new(1, sizeof(*pool));
    snprintf(pool->name, sizeof(pool->name), "%s", name);
    words_init_packed(&pool->unqueued);
    HASH_ADD_STR(mirror->pools, name, pool);
    if (cap < 0) {
        return;
    }
    pool->is_plain = true;
    pool->cap = (uint32_t)cap;
    unpack_text(values, pool->used_text, sizeof(pool->used_text));
    pool->used = (uint32_t)strtoul(pool->used_text, NULL, 10);
    pool->sequence = (uint64_t)unpack_number(values);
    read_counters(values, pool);
    size_t bytes = 0;
    const uint8_t *packed = unpack_bytes(values, &bytes);
    if (values->error == 0 && bytes > 0) {
        pool->is_packed = true;
        values->error = mirror_unpack_queue(pool, packed, bytes);
    }
    read_queue(values, pool);
}

/* Sessions ------------------------------------------------------------------------------------- */

/* Returns 0, or -EPROTO when the session has such a request already. */
static int read_seat(struct mirror_session *session, const char *request, const uint8_t *record,
                     size_t bytes)
{
    struct seat_record read;
    if (seat_record_read(record, bytes, &read) != 0) {
        session->has_others = true; /* one that waits or is waived, which is nothing ordinary */
        return 0;
    }
    if (mirror_seat(session, request) != NULL) {
        return -EPROTO;
    }
    struct mirror_seat *seat =
        mirror_seat_new(session, request, strcmp(read.use, "held") == 0 ? read.production : "");
    seat->record = memory_copy(record, bytes);
    seat->record_bytes = bytes;
    snprintf(seat->pool, sizeof(seat->pool), "%s", read.pool);
    seat->number = read.number;
    seat->token = read.token;
    seat->since_ms = read.since_ms;
    seat->life_end_ms = read.life_end_ms;
    seat->is_plain = !read.is_ended && !read.is_shared && read.others == 0;
    seat->in_redis = true;
    return 0;
}

/* Returns 0, or -EPROTO when the production has a holder already. */
static int read_hold(struct mirror_session *session, const char *production, bool in_redis)
{
    if (mirror_hold(session, production) != NULL) {
        return -EPROTO;
    }
    struct mirror_hold *hold = mirror_hold_new(session, production);
    hold->is_held = true;
    hold->in_redis = in_redis;
    return 0;
}

/* One of a packed session, and the hold that stands nowhere else. */
static int read_packed_seat(struct mirror_session *session, const struct mirror_packed_seat *packed)
{
    int rc = read_seat(session, packed->request, packed->record, packed->record_bytes);
    struct mirror_seat *seat = rc == 0 ? mirror_seat(session, packed->request) : NULL;
    if (seat == NULL) {
        return -EPROTO;
    }
    seat->in_redis = false;
    return seat->production[0] != '\0' ? read_hold(session, seat->production, false) : 0;
}

/* "is <what>": about the session; "h <production>": who has its seat; others have a space too. */
static int read_field(struct mirror_session *session, const char *name, const uint8_t *value,
                      size_t bytes)
{
    if (strchr(name, ' ') == NULL) {
        return read_seat(session, name, value, bytes);
    }
    if (strncmp(name, "h ", 2) == 0) {
        return read_hold(session, name + 2, true);
    }
    if (strcmp(name, "is waits") == 0) {
        session->waits = (uint32_t)strtoul((const char *)value, NULL, 10);
    } else if (strcmp(name, "is prod") == 0) {
        session->productions = (uint32_t)strtoul((const char *)value, NULL, 10);
    } else if (strcmp(name, "is top") == 0) {
        session->top = strtoull((const char *)value, NULL, 10);
    } else if (strncmp(name, "is ", 3) != 0) {
        session->has_others = true;
    }
    return 0;
}

static void read_session(struct unpacker *values, struct mirror *mirror)
{
    char id[SESSION_BYTES_MAX + 1] = "";
    unpack_text(values, id, sizeof(id));
    int64_t texts = unpack_number(values);
    struct mirror_session *session = mirror_session(mirror, id);
    if (session != NULL) {
        mirror_session_free(mirror, session);
    }
    if (values->error != 0 || texts <= 0) {
        return; /* there is none, or it is too large to be told */
    }
    session = mirror_session_new(mirror, id);
    const uint8_t *packed = NULL; /* it stands above what fields say */
    size_t packed_bytes = 0;
    for (int64_t i = 0; i < texts && values->error == 0; i += 2) {
        char name[NAME_BYTES_MAX + 3] = "", number[MIRROR_NUMBER_BYTES] = "";
        unpack_text(values, name, sizeof(name));
        size_t bytes = 0;
        const uint8_t *value = unpack_bytes(values, &bytes);
        if (values->error == 0 && strcmp(name, "is packed") == 0) {
            packed = value;
            packed_bytes = bytes;
            continue;
        }
        if (values->error == 0 && strncmp(name, "is ", 3) == 0) {
            snprintf(number, sizeof(number), "%.*s", (int)bytes, (const char *)value);
            value = (const uint8_t *)number;
        }
        if (values->error == 0) {
            values->error = read_field(session, name, value, bytes);
        }
    }
    if (packed != NULL && values->error == 0) {
        session->is_packed = true;
        values->error = mirror_unpack_session(session, packed, packed_bytes, read_packed_seat);
    }
    session->productions_was = session->productions;
    session->top_was = session->top;
}

/* Everything ----------------------------------------------------------------------------------- */

/* Returns whether requests may be granted. */
static bool read_times(struct unpacker *values, struct mirror *mirror)
{
    char clock[MIRROR_CLOCK_BYTES] = "", op[MIRROR_NUMBER_BYTES] = "";
    uint64_t op_was = (uint64_t)unpack_number(values);
    unpack_text(values, op, sizeof(op));
    unpack_text(values, clock, sizeof(clock));
    if (!mirror->is_known || op_was != mirror->op || strcmp(clock, mirror->clock) != 0) {
        mirror_clear(mirror);
    }
    mirror->op = strtoull(op, NULL, 10);
    snprintf(mirror->op_text, sizeof(mirror->op_text), "%s", op);
    snprintf(mirror->clock, sizeof(mirror->clock), "%s", clock);
    mirror->productions = (uint32_t)unpack_number(values);
    mirror->generation = (uint64_t)unpack_number(values);
    return unpack_number(values) == 0;
}

int mirror_learn(struct mirror *mirror, const void *text, size_t bytes)
{
    struct unpacker values = {.data = text, .bytes = bytes};
    bool grants = read_times(&values, mirror);
    int64_t pools = unpack_number(&values);
    for (int64_t i = 0; i < pools && values.error == 0; i++) {
        read_pool(&values, mirror);
    }
    int64_t sessions = unpack_number(&values);
    for (int64_t i = 0; i < sessions && values.error == 0; i++) {
        read_session(&values, mirror);
    }
    mirror->is_known = grants && values.error == 0;
    if (!mirror->is_known) {
        mirror_clear(mirror);
    }
    return values.error;
}
