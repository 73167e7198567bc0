/*
 * Pools of the memory store: what is consumed, and the queue of freed seats.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "licensor/store/memory_state.h"

struct pool *pool_find(struct memory *memory, const char *name)
{
    struct pool *pool;
    HASH_FIND_STR(memory->pools, name, pool);
    return pool;
}

struct pool *pool_get(struct memory *memory, const char *name)
{
    struct pool *pool = pool_find(memory, name);
    if (pool == NULL) {
        pool = memory_new(1, sizeof(*pool));
        snprintf(pool->name, sizeof(pool->name), "%s", name);
        TAILQ_INIT(&pool->line);
        HASH_ADD_STR(memory->pools, name, pool);
        HASH_SORT(memory->pools, pool_by_name);
    }
    return pool;
}

int pool_by_name(const struct pool *a, const struct pool *b)
{
    return strcmp(a->name, b->name);
}

static int by_life(const void *a, const void *b)
{
    const struct queued *left = a, *right = b;
    if (left->life_end_ms != right->life_end_ms) {
        return left->life_end_ms < right->life_end_ms ? -1 : 1;
    }
    return left->number < right->number ? -1 : left->number > right->number;
}

void pool_sort_queue(struct pool *pool)
{
    if (pool->queue_count > 1) {
        qsort(pool->queue, pool->queue_count, sizeof(*pool->queue), by_life);
    }
}

static void remove_at(struct pool *pool, size_t at)
{
    pool->queue_count--;
    memmove(&pool->queue[at], &pool->queue[at + 1],
            (pool->queue_count - at) * sizeof(*pool->queue));
}

void pool_purge(struct memory *memory, struct pool *pool)
{
    while (pool->queue_count > 0 && pool->queue[0].life_end_ms <= memory->now_ms) {
        remove_at(pool, 0);
        pool->used--;
    }
}

uint32_t pool_busy(const struct pool *pool)
{
    return pool->used - (uint32_t)pool->queue_count;
}

bool pool_has_seat(struct memory *memory, struct pool *pool)
{
    pool_purge(memory, pool);
    return pool_busy(pool) < pool->cap;
}

static uint32_t busy_of_agent(const struct memory *memory, const struct pool *pool,
                              const char *agent)
{
    uint32_t busy = 0;
    for (const struct member *member = memory->members; member != NULL; member = member->hh.next) {
        const struct seat *seat = strcmp(member->agent, agent) == 0 ? member->seats : NULL;
        for (; seat != NULL; seat = seat->hh.next) {
            busy += seat->pool == pool;
        }
    }
    return busy;
}

bool pool_has_room(struct memory *memory, struct pool *pool, const char *agent)
{
    if (!pool_has_seat(memory, pool)) {
        return false;
    }
    uint64_t kept = 0;
    for (size_t i = 0; i < pool->reserved_count; i++) {
        const struct reservation *reserved = &pool->reserved[i];
        if (strcmp(reserved->agent, agent) != 0) {
            uint32_t busy = busy_of_agent(memory, pool, reserved->agent);
            kept += reserved->seats > busy ? reserved->seats - busy : 0;
        }
    }
    return pool->cap - pool_busy(pool) > kept;
}

bool pool_take(struct memory *memory, struct pool *pool, const char *agent, int64_t reuse_ms,
               struct seat *seat)
{
    if (!pool_has_room(memory, pool, agent)) {
        return false;
    }
    seat->reused = pool->queue_count > 0;
    if (seat->reused) {
        seat->number = pool->queue[0].number;
        seat->life_end_ms = pool->queue[0].life_end_ms;
        remove_at(pool, 0);
    } else {
        pool->used++;
        pool->listed = true;
        seat->number = ++pool->seq;
        seat->life_end_ms = memory->now_ms + reuse_ms;
    }
    seat->used = pool->used;
    seat->cap = pool->cap;
    return true;
}

int64_t pool_give(struct memory *memory, struct pool *pool, uint64_t number, int64_t life_end_ms,
                  bool may_queue)
{
    if (!may_queue || life_end_ms <= memory->now_ms) {
        pool->used--;
        return 0;
    }
    if (pool->queue_count == pool->queue_room) {
        pool->queue_room = pool->queue_room * 2 + 8;
        pool->queue = memory_resize(pool->queue, pool->queue_room, sizeof(*pool->queue));
    }
    struct queued queued = {
        .number = number, .life_end_ms = life_end_ms, .freed_ms = memory->now_ms};
    size_t at = pool->queue_count++;
    while (at > 0 && by_life(&queued, &pool->queue[at - 1]) < 0) {
        pool->queue[at] = pool->queue[at - 1];
        at--;
    }
    pool->queue[at] = queued;
    return life_end_ms - memory->now_ms;
}

bool pool_unqueue(struct pool *pool, uint64_t number)
{
    for (size_t i = 0; i < pool->queue_count; i++) {
        if (pool->queue[i].number == number) {
            remove_at(pool, i);
            return true;
        }
    }
    return false;
}
