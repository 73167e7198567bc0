/*
 * What a batch that was worked out ahead writes, as one call of Redis: `ahead` in
 * functions/60-batch.lua says what stands where.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "licensor/store/ahead_private.h"
#include "licensor/store/packed.h"

#define KEY_BYTES_MAX 256
#define TIMES_BYTES_MAX 64
#define COMMANDS_BYTES_MAX (8 * 1024 * 1024)

/* Places in a pool's counters, as 10-begin.lua has them, from 0. */
enum {
    OPENED = 0,
    GRANTED = 2,
    REUSED = 3,
    PEAK = 13,
    GRANTED_EVER = 14,
    REUSED_EVER = 15,
    PEAK_EVER = 20
};

/* Commands that a function of Redis runs, packed: an array of arrays of words. */
struct commands {
    const char *tenant;
    struct words words; /* of the one that is being made */
    struct buf made;    /* those before it */
    uint32_t count;
    int error;
};

/* What the batch does to Redis. */
struct writes {
    struct words keys, expected; /* compared before */
    struct commands commands;
};

static void commands_init(struct commands *commands, const char *tenant)
{
    memset(commands, 0, sizeof(*commands));
    commands->tenant = tenant;
    words_init_packed(&commands->words);
    buf_init(&commands->made, COMMANDS_BYTES_MAX);
}

static void commands_release(struct commands *commands)
{
    words_release(&commands->words);
    buf_release(&commands->made);
}

static void end_command(struct commands *commands)
{
    if (commands->words.count > 0) {
        int rc = words_write(&commands->words, &commands->made);
        commands->error = commands->error != 0 ? commands->error : rc;
        commands->count++;
    }
    words_clear(&commands->words);
}

static void make_key(const char *tenant, const char *name, const char *suffix,
                     char key[KEY_BYTES_MAX])
{
    snprintf(key, KEY_BYTES_MAX, "{%s}:%s%s", tenant, name, suffix);
}

static void begin_command(struct commands *commands, const char *command, const char *name,
                          const char *suffix)
{
    end_command(commands);
    char key[KEY_BYTES_MAX];
    make_key(commands->tenant, name, suffix, key);
    words_add(&commands->words, command);
    words_add(&commands->words, key);
}

/* All of them as one more word of `call`. */
static int add_commands(struct words *call, struct commands *commands)
{
    struct buf packed;
    buf_init(&packed, COMMANDS_BYTES_MAX);
    end_command(commands);
    int rc = commands->error;
    rc = rc != 0 ? rc : pack_array_header(&packed, commands->count);
    rc = rc != 0 ? rc : buf_append(&packed, commands->made.data, commands->made.length);
    words_add_bytes(call, packed.data, rc == 0 ? packed.length : 0);
    buf_release(&packed);
    return rc;
}

/* Pools ---------------------------------------------------------------------------------------- */

/* As write_pool, count and peak do. Returns whether they are others than before. */
static bool count_grants(const struct ahead *ahead, struct mirror_pool *pool)
{
    int64_t *counters = pool->counters;
    if (pool->fresh + pool->reused == 0) {
        return false;
    }
    if (counters[OPENED] == 0) {
        counters[OPENED] = ahead->now_ms;
        counters[PEAK] = (int64_t)pool->used - (int64_t)pool->queue_count;
    }
    counters[GRANTED] += pool->fresh;
    counters[GRANTED_EVER] += pool->fresh;
    counters[REUSED] += pool->reused;
    counters[REUSED_EVER] += pool->reused;
    counters[PEAK] = pool->top > counters[PEAK] ? pool->top : counters[PEAK];
    counters[PEAK_EVER] = pool->top > counters[PEAK_EVER] ? pool->top : counters[PEAK_EVER];
    return true;
}

/* What is compared: a key and what it holds. */
static void expect(struct writes *writes, const char *name, const char *suffix, const void *value,
                   size_t bytes)
{
    char key[KEY_BYTES_MAX];
    make_key(writes->commands.tenant, name, suffix, key);
    words_add(&writes->keys, key);
    words_add_bytes(&writes->expected, value, bytes);
}

/* Key and value of one that has changed, into an MSET that has begun. */
static void set_number(struct commands *commands, const char *name, const char *suffix,
                       const char *value)
{
    char key[KEY_BYTES_MAX];
    make_key(commands->tenant, name, suffix, key);
    words_add(&commands->words, key);
    words_add(&commands->words, value);
}

static void set_counters(struct commands *commands, const struct ahead *ahead,
                         struct mirror_pool *pool)
{
    if (!count_grants(ahead, pool)) {
        return;
    }
    struct buf packed;
    buf_init(&packed, MIRROR_COUNTERS_BYTES_MAX);
    for (size_t i = 0; i < MIRROR_COUNTERS && commands->error == 0; i++) {
        commands->error = pack_number(&packed, (uint64_t)pool->counters[i]);
    }
    if (commands->error == 0) {
        memcpy(pool->counters_text, packed.data, packed.length);
        pool->counters_bytes = packed.length;
    }
    buf_release(&packed);
    char key[KEY_BYTES_MAX];
    make_key(commands->tenant, pool->name, ":stat", key);
    words_add(&commands->words, key);
    words_add_bytes(&commands->words, pool->counters_text, pool->counters_bytes);
}

static void set_pool(struct commands *commands, const struct ahead *ahead, struct mirror_pool *pool)
{
    char number[MIRROR_NUMBER_BYTES];
    snprintf(number, sizeof(number), "%" PRIu32, pool->used);
    if (strcmp(number, pool->used_text) != 0) {
        memcpy(pool->used_text, number, sizeof(number));
        set_number(commands, pool->name, ":used", number);
    }
    if (pool->sequence != pool->sequence_was) {
        snprintf(number, sizeof(number), "%" PRIu64, pool->sequence);
        set_number(commands, pool->name, ":seq", number);
    }
    set_counters(commands, ahead, pool);
}

static void write_queue(struct commands *commands, struct ahead *ahead, struct mirror_pool *pool)
{
    if (pool->has_dead) {
        begin_command(commands, "ZREMRANGEBYSCORE", pool->name, ":q");
        words_add(&commands->words, "-inf");
        words_add_int(&commands->words, ahead->now_ms);
    }
    if (pool->unqueued.count > 0) {
        begin_command(commands, "ZREM", pool->name, ":q");
        words_add_all(&commands->words, &pool->unqueued);
    }
    bool is_begun = false;
    for (size_t i = 0; i < pool->pushed_count; i++) {
        const struct mirror_pushed *pushed = &pool->pushed[i];
        if (!pushed->is_taken) {
            if (!is_begun) {
                begin_command(commands, "ZADD", pool->name, ":q");
                is_begun = true;
            }
            words_add_int(&commands->words, pushed->life_end_ms);
            words_add_pair(&commands->words, (int64_t)(MIRROR_QUEUED + pushed->number),
                           pushed->freed_ms);
        }
    }
}

static void end_pool(struct mirror_pool *pool)
{
    pool->is_touched = pool->has_dead = false;
    pool->fresh = pool->reused = pool->top = 0;
    pool->pushed_count = 0;
    words_clear(&pool->unqueued);
}

/* Sessions ------------------------------------------------------------------------------------- */

static void add_hold(struct words *words, const char *production)
{
    char field[NAME_BYTES_MAX + 3];
    snprintf(field, sizeof(field), "h %s", production);
    words_add(words, field);
}

/* Fields of the session and their values. */
static void add_set(const struct mirror_session *session, struct words *words)
{
    if (session->top != session->top_was) {
        words_add(words, "is top");
        words_add_int(words, (int64_t)session->top);
    }
    if (session->productions != session->productions_was) {
        words_add(words, "is prod");
        words_add_int(words, session->productions);
    }
    const struct mirror_seat *seat;
    LIST_FOREACH (seat, &session->fresh, change) {
        words_add(words, seat->request);
        words_add_bytes(words, seat->record, seat->record_bytes);
    }
    const struct mirror_hold *hold;
    LIST_FOREACH (hold, &session->changed, change) {
        if (hold->is_held) {
            add_hold(words, hold->production);
            words_add(words, hold->seat->request);
        }
    }
}

static void add_unset(const struct mirror_session *session, struct words *words)
{
    const struct mirror_seat *seat;
    LIST_FOREACH (seat, &session->gone, change) {
        words_add(words, seat->request);
    }
    const struct mirror_hold *hold;
    LIST_FOREACH (hold, &session->changed, change) {
        if (!hold->is_held && hold->in_redis) {
            add_hold(words, hold->production);
        }
    }
}

/* Redis has it now. */
static void end_session(struct mirror_session *session)
{
    struct mirror_seat *seat;
    while ((seat = LIST_FIRST(&session->fresh)) != NULL) {
        LIST_REMOVE(seat, change);
        seat->in_redis = true;
    }
    while ((seat = LIST_FIRST(&session->gone)) != NULL) {
        LIST_REMOVE(seat, change);
        mirror_seat_free(seat);
    }
    struct mirror_hold *hold;
    while ((hold = LIST_FIRST(&session->changed)) != NULL) {
        LIST_REMOVE(hold, change);
        hold->is_changed = false;
        hold->in_redis = hold->is_held;
        hold->seat = NULL;
        if (!hold->is_held) {
            mirror_hold_free(session, hold);
        }
    }
    session->top_was = session->top;
    session->productions_was = session->productions;
    session->is_touched = false;
}

static void write_session(struct commands *commands, struct mirror_session *session)
{
    char name[SESSION_BYTES_MAX + 3];
    snprintf(name, sizeof(name), "w:%s", session->id);
    struct words fields;
    words_init_packed(&fields);
    add_set(session, &fields);
    if (fields.count > 0) {
        begin_command(commands, "HSET", name, "");
        words_add_all(&commands->words, &fields);
    }
    words_clear(&fields);
    add_unset(session, &fields);
    if (fields.count > 0) {
        begin_command(commands, "HDEL", name, "");
        words_add_all(&commands->words, &fields);
    }
    words_release(&fields);
    end_session(session);
}

/* Everything ----------------------------------------------------------------------------------- */

static void write_pools(struct writes *writes, struct ahead *ahead)
{
    struct mirror *mirror = &ahead->mirror;
    expect(writes, "op", "", mirror->op_text, strlen(mirror->op_text));
    snprintf(mirror->op_text, sizeof(mirror->op_text), "%" PRIu64, mirror->op);
    begin_command(&writes->commands, "MSET", "op", "");
    words_add(&writes->commands.words, mirror->op_text);
    struct mirror_pool *pool, *next_pool;
    HASH_ITER (hh, mirror->pools, pool, next_pool) {
        if (pool->is_touched) {
            expect(writes, pool->name, ":used", pool->used_text, strlen(pool->used_text));
            expect(writes, pool->name, ":stat", pool->counters_text, pool->counters_bytes);
            set_pool(&writes->commands, ahead, pool);
        }
    }
    HASH_ITER (hh, mirror->pools, pool, next_pool) {
        if (pool->is_touched) {
            write_queue(&writes->commands, ahead, pool);
            end_pool(pool);
        }
    }
}

static void write_lives(struct commands *commands, const struct ahead *ahead)
{
    for (size_t i = 0; i < ahead->fresh_count; i++) {
        const struct ahead_life *life = &ahead->fresh[i];
        char suffix[MIRROR_NUMBER_BYTES + 8];
        snprintf(suffix, sizeof(suffix), ":life:%" PRIu64, life->number);
        begin_command(commands, "SET", life->pool, suffix);
        words_add(&commands->words, "1");
        words_add(&commands->words, "PXAT");
        words_add_int(&commands->words, life->life_end_ms);
    }
}

static void write_sessions(struct commands *commands, struct ahead *ahead)
{
    struct mirror_session *session;
    while ((session = LIST_FIRST(&ahead->touched)) != NULL) {
        LIST_REMOVE(session, change);
        write_session(commands, session);
    }
}

static void write_memos(struct commands *commands, const struct ahead *ahead)
{
    if (ahead->memos.count > 0) {
        char name[MIRROR_NUMBER_BYTES + 8];
        snprintf(name, sizeof(name), "memo:%" PRIu64, ahead->mirror.generation);
        begin_command(commands, "HSET", name, "");
        words_add_all(&commands->words, &ahead->memos);
    }
}

/* A list as one word of `call`, packed an array. */
static int add_list(struct words *call, const struct words *list)
{
    struct buf packed;
    buf_init(&packed, COMMANDS_BYTES_MAX);
    int rc = words_write(list, &packed);
    words_add_bytes(call, packed.data, rc == 0 ? packed.length : 0);
    buf_release(&packed);
    return rc;
}

static int add_times(struct words *call, const struct ahead *ahead)
{
    struct buf packed;
    buf_init(&packed, TIMES_BYTES_MAX);
    int rc = pack_number(&packed, (uint64_t)ahead->now_ms);
    rc = rc != 0 ? rc : pack_number(&packed, (uint64_t)ahead->dies_ms);
    words_add_bytes(call, packed.data, packed.length);
    buf_release(&packed);
    return rc;
}

static int write_call(const struct ahead *ahead, struct writes *writes, const struct buf *requests,
                      struct buf *out)
{
    struct words call;
    words_init(&call);
    words_call(&call, "ahead", ahead->tenant);
    int rc = add_times(&call, ahead);
    words_add_bytes(&call, requests->data, requests->length);
    words_add(&call, ahead->mirror.clock);
    rc = rc != 0 ? rc : add_list(&call, &writes->keys);
    rc = rc != 0 ? rc : add_list(&call, &writes->expected);
    rc = rc != 0 ? rc : add_list(&call, &ahead->lives);
    rc = rc != 0 ? rc : add_commands(&call, &writes->commands);
    rc = rc != 0 ? rc : words_write(&call, out);
    words_release(&call);
    return rc;
}

int ahead_write(struct ahead *ahead, const struct buf *requests, struct buf *out)
{
    struct writes writes;
    words_init_packed(&writes.keys);
    words_init_packed(&writes.expected);
    commands_init(&writes.commands, ahead->tenant);
    write_pools(&writes, ahead);
    write_lives(&writes.commands, ahead);
    write_sessions(&writes.commands, ahead);
    write_memos(&writes.commands, ahead);
    int rc = write_call(ahead, &writes, requests, out);
    words_release(&writes.keys);
    words_release(&writes.expected);
    commands_release(&writes.commands);
    return rc;
}
