/*
 * The memory store: one transition at a time. See memory.h.
 */
#include "licensor/store/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "licensor/store/memory_state.h"

static struct memory *of_store(struct store *store)
{
    return (struct memory *)((char *)store - offsetof(struct memory, store));
}

static void apply(struct memory *memory, const struct store_request *request,
                  struct store_answer *answer)
{
    switch (request->verb) {
    case STORE_HELLO:
        memory_recover(memory, request->highest_op, request->lease_ms);
        answer->word = STORE_DONE;
        answer->recovering = memory_recovering(memory);
        return;
    case STORE_LIMITS:
        memory_limits(memory, request, answer);
        return;
    case STORE_REGISTER:
        memory_register(memory, request, answer);
        return;
    case STORE_HEARTBEAT:
        memory_heartbeat(memory, request, answer);
        return;
    case STORE_DISCONNECT:
        memory_disconnect(memory, request, answer);
        return;
    case STORE_GOODBYE:
        memory_goodbye(memory, request, answer);
        return;
    case STORE_ACQUIRE:
        memory_acquire(memory, request, answer);
        return;
    case STORE_RELEASE:
        memory_release(memory, request, answer);
        return;
    case STORE_OPERATOR_RELEASE:
        memory_operator_release(memory, request, answer);
        return;
    case STORE_TICK:
        memory_tick(memory, request, answer);
        return;
    case STORE_LIST:
        memory_list(memory, request, answer);
        return;
    case STORE_EXPLAIN:
        memory_explain(memory, request, answer);
        return;
    case STORE_MASTER:
        memory_master(memory, request, answer);
        return;
    case STORE_USAGE:
        memory_usage(memory, request, answer);
        return;
    case STORE_ACKNOWLEDGE:
        memory_acknowledge(memory, request, answer);
        return;
    case STORE_AUDIT:
        memory_write_audit(memory, request, answer);
        return;
    case STORE_LIST_AUDIT:
        memory_list_audit(memory, request, answer);
        return;
    }
}

static void submit(struct store *store, const struct store_request *request, store_done done,
                   void *context)
{
    struct memory *memory = of_store(store);
    struct store_answer answer;
    memset(&answer, 0, sizeof(answer));
    memory->handed_count = 0;
    apply(memory, request, &answer);
    if (answer.op == 0) {
        answer.op = memory->op;
    }
    answer.now_ms = memory->now_ms;
    answer.handed = memory->handed;
    answer.handed_count = memory->handed_count;
    done(context, &answer);
    answer.handed = NULL;
    store_answer_release(&answer);
}

struct memory *memory_store_new(void)
{
    struct memory *memory = memory_new(1, sizeof(*memory));
    memory->store.submit = submit;
    return memory;
}

void memory_store_free(struct memory *memory)
{
    if (memory == NULL) {
        return;
    }
    struct member *member, *next_member;
    HASH_ITER (hh, memory->members, member, next_member) {
        memory_end_session(memory, member, NULL);
    }
    struct memo *memo, *next_memo;
    HASH_ITER (hh, memory->memos, memo, next_memo) {
        HASH_DEL(memory->memos, memo);
        free(memo->request);
        free(memo);
    }
    struct pool *pool, *next_pool;
    HASH_ITER (hh, memory->pools, pool, next_pool) {
        HASH_DEL(memory->pools, pool);
        free(pool->queue);
        free(pool);
    }
    free(memory->handed);
    for (size_t i = 0; i < memory->records_count; i++) {
        free(memory->records[i]);
    }
    free(memory->records);
    memory_audit_free(memory);
    free(memory);
}

void memory_store_set_now(struct memory *memory, int64_t now_ms)
{
    memory->now_ms = now_ms;
}

struct store *memory_store(struct memory *memory)
{
    return &memory->store;
}

void memory_store_set_op(struct memory *memory, uint64_t op)
{
    memory->op = op;
}

/* Invariants ----------------------------------------------------------------------------------- */

static uint32_t busy_of(const struct memory *memory, const struct pool *pool)
{
    uint32_t busy = 0;
    for (const struct member *member = memory->members; member != NULL; member = member->hh.next) {
        for (const struct seat *seat = member->seats; seat != NULL; seat = seat->hh.next) {
            busy += seat->pool == pool;
        }
    }
    return busy;
}

static bool number_is_busy(const struct memory *memory, const struct pool *pool, uint64_t number)
{
    for (const struct member *member = memory->members; member != NULL; member = member->hh.next) {
        for (const struct seat *seat = member->seats; seat != NULL; seat = seat->hh.next) {
            if (seat->pool == pool && seat->number == number) {
                return true;
            }
        }
    }
    return false;
}

static int check_pool(struct memory *memory, struct pool *pool, bool served, struct error *error)
{
    pool_purge(memory, pool);
    uint32_t busy = busy_of(memory, pool);
    if (pool->used != busy + pool->queue_count) {
        return error_set(error, -EBADMSG, "pool %s: %u used, but %u busy and %zu queued",
                         pool->name, pool->used, busy, pool->queue_count);
    }
    if (pool->used > pool->cap && pool->used > pool->over) {
        return error_set(error, -EBADMSG, "pool %s: %u used of %u", pool->name, pool->used,
                         pool->cap);
    }
    pool->over = pool->used > pool->cap ? pool->used : 0;
    for (size_t i = 0; i < pool->queue_count; i++) {
        if (number_is_busy(memory, pool, pool->queue[i].number)) {
            return error_set(error, -EBADMSG, "pool %s: L%" PRIu64 " is queued and busy",
                             pool->name, pool->queue[i].number);
        }
    }
    if (!served || memory_recovering(memory) || !pool_has_seat(memory, pool)) {
        return 0;
    }
    const struct place *place;
    TAILQ_FOREACH (place, &pool->line, next) {
        const struct member *member = place->ask->member;
        if ((place->ask->use != SEAT_HELD || hold_productions(member) < memory->productions) &&
            pool_has_room(memory, pool, member->agent)) {
            return error_set(error, -EBADMSG, "pool %s: request %s waits although there is a seat",
                             pool->name, place->ask->request);
        }
    }
    return 0;
}

static int check_member(const struct memory *memory, const struct member *member,
                        struct error *error)
{
    uint32_t requests = 0, hanging = 0, running = 0;
    for (const struct seat *seat = member->seats; seat != NULL; seat = seat->hh.next) {
        requests += seat->use == SEAT_HELD ? seat->others + !seat->ended : 0;
        hanging += seat->others;
        if (seat->ended && seat->others == 0) {
            return error_set(error, -EBADMSG, "session %s: L%" PRIu64 " has no execution",
                             member->id, seat->number);
        }
        if (seat->token > memory->op) {
            return error_set(error, -EBADMSG, "session %s: token %" PRIu64 " is of the future",
                             member->id, seat->token);
        }
    }
    for (const struct holding *holding = member->holdings; holding != NULL;
         holding = holding->hh.next) {
        running += holding->requests;
    }
    if (requests != running || HASH_COUNT(member->waived) != hanging) {
        return error_set(
            error, -EBADMSG,
            "session %s: %u requests on held seats, %u of productions; %u of %u waived", member->id,
            requests, running, HASH_COUNT(member->waived), hanging);
    }
    return 0;
}

int memory_store_check(struct memory *memory, bool served, struct error *error)
{
    int rc = 0;
    for (struct pool *pool = memory->pools; pool != NULL && rc == 0; pool = pool->hh.next) {
        rc = check_pool(memory, pool, served, error);
    }
    for (const struct member *member = memory->members; member != NULL && rc == 0;
         member = member->hh.next) {
        rc = check_member(memory, member, error);
    }
    return rc;
}
