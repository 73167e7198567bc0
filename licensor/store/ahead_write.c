/*
 * What a batch that was worked out ahead writes, as one call of Redis: `ahead` in
 * functions/60-batch.lua says what stands where. Of sessions: ahead_session.c.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "licensor/store/ahead_private.h"
#include "licensor/store/mirror_pack.h"
#include "licensor/store/packed.h"

#define TIMES_BYTES_MAX 64
#define LIST_BYTES_MAX (8 * 1024 * 1024)

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

/* What the batch does to Redis. */
struct writes {
    struct words keys, expected; /* compared before */
    struct commands commands;
    struct commands texts; /* each ends with a text that is an argument by itself; they go first */
};

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
    char key[COMMANDS_KEY_BYTES_MAX];
    commands_key(&writes->commands, name, suffix, key);
    words_add(&writes->keys, key);
    words_add_bytes(&writes->expected, value, bytes);
}

/* Key and value of one that has changed, into an MSET that has begun. */
static void set_number(struct commands *commands, const char *name, const char *suffix,
                       const char *value)
{
    commands_add_key(commands, name, suffix);
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
    commands_add_key(commands, pool->name, ":stat");
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

/* What has changed of it, seat by seat. */
static void write_changes(struct commands *commands, struct ahead *ahead, struct mirror_pool *pool)
{
    if (pool->has_dead) {
        commands_begin(commands, "ZREMRANGEBYSCORE", pool->name, ":q");
        words_add(&commands->words, "-inf");
        words_add_int(&commands->words, ahead->now_ms);
    }
    if (pool->unqueued.count > 0) {
        commands_begin(commands, "ZREM", pool->name, ":q");
        words_add_all(&commands->words, &pool->unqueued);
    }
    bool is_begun = false;
    for (size_t i = 0; i < pool->pushed_count; i++) {
        const struct mirror_pushed *pushed = &pool->pushed[i];
        if (!pushed->is_taken) {
            if (!is_begun) {
                commands_begin(commands, "ZADD", pool->name, ":q");
                is_begun = true;
            }
            words_add_int(&commands->words, pushed->life_end_ms);
            words_add_pair(&commands->words, (int64_t)(MIRROR_QUEUED + pushed->number),
                           pushed->freed_ms);
        }
    }
}

/* All of it, as one text or as a sorted set; what was there in either form goes. */
static void write_all(struct writes *writes, struct mirror_pool *pool, bool packs)
{
    struct commands *commands = &writes->commands, *texts = &writes->texts;
    commands_begin(commands, "DEL", pool->name, ":q");
    if (!packs || pool->queue_count == 0) {
        commands_add_key(commands, pool->name, ":packed");
    }
    if (pool->queue_count == 0) {
        return;
    }
    if (packs) {
        struct buf packed;
        buf_init(&packed, LIST_BYTES_MAX);
        int rc = mirror_pack_queue(pool, &packed);
        commands_begin(texts, "SET", pool->name, ":packed");
        commands_add_text(texts, packed.data, packed.length);
        texts->error = texts->error != 0 ? texts->error : rc;
        buf_release(&packed);
        return;
    }
    commands_begin(commands, "ZADD", pool->name, ":q");
    for (size_t i = 0; i < pool->queue_count; i++) {
        const struct mirror_queued *queued = &pool->queue[i];
        words_add_int(&commands->words, queued->life_end_ms);
        words_add_pair(&commands->words, (int64_t)(MIRROR_QUEUED + queued->number),
                       queued->freed_ms);
    }
}

static void write_queue(struct writes *writes, struct ahead *ahead, struct mirror_pool *pool)
{
    if (!pool->has_dead && pool->unqueued.count == 0 && pool->pushed_count == 0) {
        return;
    }
    bool packs = ahead_packs(ahead, pool->is_packed, &pool->calm) && mirror_pack_fits_queue(pool);
    if (packs || pool->is_packed) {
        write_all(writes, pool, packs);
    } else {
        write_changes(&writes->commands, ahead, pool);
    }
    pool->is_packed = packs;
}

static void end_pool(struct mirror_pool *pool)
{
    pool->is_touched = pool->has_dead = false;
    pool->fresh = pool->reused = pool->top = 0;
    pool->pushed_count = 0;
    words_clear(&pool->unqueued);
}

/* Everything ----------------------------------------------------------------------------------- */

static void write_pools(struct writes *writes, struct ahead *ahead)
{
    struct mirror *mirror = &ahead->mirror;
    expect(writes, "op", "", mirror->op_text, strlen(mirror->op_text));
    snprintf(mirror->op_text, sizeof(mirror->op_text), "%" PRIu64, mirror->op);
    commands_begin(&writes->commands, "MSET", "op", "");
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
            write_queue(writes, ahead, pool);
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
        commands_begin(commands, "SET", life->pool, suffix);
        words_add(&commands->words, "1");
        words_add(&commands->words, "PXAT");
        words_add_int(&commands->words, life->life_end_ms);
    }
}

static void write_sessions(struct writes *writes, struct ahead *ahead)
{
    struct mirror_session *session;
    while ((session = LIST_FIRST(&ahead->touched)) != NULL) {
        LIST_REMOVE(session, change);
        ahead_write_session(ahead, &writes->commands, &writes->texts, session);
    }
}

static void write_memos(struct commands *commands, const struct ahead *ahead)
{
    if (ahead->memos.count > 0) {
        char name[MIRROR_NUMBER_BYTES + 8];
        snprintf(name, sizeof(name), "memo:%" PRIu64, ahead->mirror.generation);
        commands_begin(commands, "HSET", name, "");
        words_add_all(&commands->words, &ahead->memos);
    }
}

/* A list as one word of `call`, packed an array. */
static int add_list(struct words *call, const struct words *list)
{
    struct buf packed;
    buf_init(&packed, LIST_BYTES_MAX);
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
    rc = rc != 0 ? rc : commands_end(&writes->commands, &call);
    rc = rc != 0 ? rc : commands_end(&writes->texts, &call);
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
    commands_init(&writes.texts, ahead->tenant);
    write_pools(&writes, ahead);
    write_lives(&writes.commands, ahead);
    write_sessions(&writes, ahead);
    write_memos(&writes.commands, ahead);
    int rc = write_call(ahead, &writes, requests, out);
    words_release(&writes.keys);
    words_release(&writes.expected);
    commands_release(&writes.commands);
    commands_release(&writes.texts);
    return rc;
}
