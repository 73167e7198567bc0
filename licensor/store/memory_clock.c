/*
 * The tick of the memory store (deadlines, the only reaper), and the licence's limits.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "licensor/store/memory_state.h"

#define AWAY_MS_MOST 5000
#define AWAY_MS_LEAST 1500

/* Add `step` to each deadline, then let none be later than `most`. */
static void move_lives(struct memory *memory, int64_t step, int64_t most)
{
    for (struct pool *pool = memory->pools; pool != NULL; pool = pool->hh.next) {
        for (size_t i = 0; i < pool->queue_count; i++) {
            int64_t to = pool->queue[i].life_end_ms + step;
            pool->queue[i].life_end_ms = to < most ? to : most;
        }
        pool_sort_queue(pool);
    }
    for (struct member *member = memory->members; member != NULL; member = member->hh.next) {
        for (struct seat *seat = member->seats; seat != NULL; seat = seat->hh.next) {
            int64_t to = seat->life_end_ms + step;
            seat->life_end_ms = to < most ? to : most;
        }
    }
}

/* The same for leases, and none earlier than `least`. */
static void move_leases(struct memory *memory, int64_t step, int64_t least, int64_t most)
{
    for (struct member *member = memory->members; member != NULL; member = member->hh.next) {
        int64_t to = member->lease_end_ms + step;
        to = to < most ? to : most;
        member->lease_end_ms = to > least ? to : least;
    }
}

/*
 * No tick for so long: nobody could have kept a lease alive. More than a tick may be late by, and
 * so much less than the lease that sessions also outlive an absence which is not told: with
 * heartbeats each quarter of a lease, two are missed at most before one arrives.
 */
static int64_t away_after_ms(int64_t lease_ms)
{
    int64_t third_ms = lease_ms / 3;
    return third_ms < AWAY_MS_LEAST  ? AWAY_MS_LEAST
           : third_ms > AWAY_MS_MOST ? AWAY_MS_MOST
                                     : third_ms;
}

static void follow_clock(struct memory *memory, const struct store_request *request)
{
    int64_t now = memory->now_ms;
    int64_t last = memory->ticked ? memory->last_tick_ms : now;
    if (request->step_ms != 0 && request->steps == memory->steps) {
        move_leases(memory, request->step_ms, INT64_MIN, INT64_MAX);
        move_lives(memory, request->step_ms, INT64_MAX);
        if (memory->recover_ms > 0) {
            memory->recover_ms += request->step_ms;
        }
        memory->steps++;
        last += request->step_ms;
    }
    if (now - last > away_after_ms(request->lease_ms)) {
        move_leases(memory, 0, now + request->lease_ms, INT64_MAX);
    } else if (now < last) {
        move_leases(memory, 0, INT64_MIN, now + request->lease_ms);
        move_lives(memory, 0, now + request->reuse_ms);
    }
    memory->ticked = true;
    memory->last_tick_ms = now;
    if (now > memory->latest_ms) {
        memory->latest_ms = now;
    }
}

static void reap(struct memory *memory, struct store_answer *answer)
{
    struct member *member, *next;
    HASH_ITER (hh, memory->members, member, next) {
        if (member->lease_end_ms <= memory->now_ms) {
            memory_end_session(memory, member, answer);
            memory_next_op(memory);
        }
    }
    if (memory_recovering(memory) || memory->epoch == 0) {
        return;
    }
    HASH_ITER (hh, memory->members, member, next) {
        if (member->claimed != memory->epoch) {
            memory_end_session(memory, member, NULL);
            memory_next_op(memory);
        }
    }
}

static int orphan_by_pool(const void *a, const void *b)
{
    return strcmp(((const struct pool_count *)a)->pool, ((const struct pool_count *)b)->pool);
}

void memory_tick(struct memory *memory, const struct store_request *request,
                 struct store_answer *answer)
{
    follow_clock(memory, request);
    memory_turn_memos(memory, request->memo_ms);
    reap(memory, answer);
    memory_count_holders(memory, request);
    for (struct pool *pool = memory->pools; pool != NULL; pool = pool->hh.next) {
        if (pool->listed) {
            pool_purge(memory, pool);
            memory_hand_over(memory, pool);
        }
    }
    memory_close_minutes(memory);
    if (answer->orphans_count > 1) {
        qsort(answer->orphans, answer->orphans_count, sizeof(*answer->orphans), orphan_by_pool);
    }
    answer->word = STORE_TICKED;
    answer->steps = memory->steps;
    answer->recovering = memory_recovering(memory);
    answer->latest_ms = memory->latest_ms;
    answer->demo = memory->demo;
    answer->alive = HASH_COUNT(memory->members);
    memory_list_pools(memory, "", answer);
}

void memory_limits(struct memory *memory, const struct store_request *request,
                   struct store_answer *answer)
{
    for (struct pool *pool = memory->pools; pool != NULL; pool = pool->hh.next) {
        pool->licensed = pool->shared = false;
        pool->cap = 0;
        pool->reserved_count = 0;
    }
    memory->processors = request->limits.keys;
    memory->productions = request->limits.productions;
    for (size_t i = 0; i < request->limits.pools_count; i++) {
        struct pool *pool = pool_get(memory, request->limits.pools[i].pool);
        pool->licensed = pool->listed = true;
        pool->cap = request->limits.pools[i].cap;
        pool->shared = request->limits.pools[i].shared;
        pool->reserved_count = request->limits.pools[i].reserved_count;
        memcpy(pool->reserved, request->limits.pools[i].reserved, sizeof(pool->reserved));
    }
    for (struct pool *pool = memory->pools; pool != NULL; pool = pool->hh.next) {
        pool->over = pool->used;
    }
    answer->word = STORE_DONE;
    answer->op = memory_next_op(memory);
    memory_hand_over_all(memory);
}
