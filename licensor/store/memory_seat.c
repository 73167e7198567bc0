/*
 * Seats of the memory store: asked for, waived, freed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "licensor/store/memory_state.h"

uint64_t memory_next_op(struct memory *memory)
{
    return ++memory->op;
}

bool memory_recovering(const struct memory *memory)
{
    return memory->recover_ms > memory->now_ms;
}

void memory_refuse(struct store_answer *answer, enum store_reason reason)
{
    answer->word = STORE_REFUSED;
    answer->reason = reason;
}

void memory_grant_of(const struct memory *memory, const struct member *member, const char *request,
                     const struct seat *seat, struct store_grant *ret_grant)
{
    *ret_grant =
        (struct store_grant){.token = seat->token, .number = seat->number, .reused = seat->reused};
    snprintf(ret_grant->session, sizeof(ret_grant->session), "%s", member->id);
    snprintf(ret_grant->request, sizeof(ret_grant->request), "%s", request);
    snprintf(ret_grant->pool, sizeof(ret_grant->pool), "%s", seat->pool->name);
    snprintf(ret_grant->requested, sizeof(ret_grant->requested), "%s", seat->requested);
    ret_grant->escalated = strcmp(seat->pool->name, seat->requested) != 0;
    ret_grant->life_left_ms =
        seat->life_end_ms > memory->now_ms ? seat->life_end_ms - memory->now_ms : 0;
}

void memory_add_seat(struct member *member, struct seat *seat)
{
    HASH_ADD_KEYPTR(hh, member->seats, seat->request, strlen(seat->request), seat);
    if (seat->use == SEAT_HELD) {
        hold_begin(member, seat, seat->production);
    }
}

static void free_seat(struct seat *seat)
{
    free(seat->request);
    free(seat->production);
    free(seat->user);
    free(seat);
}

int64_t memory_end_seat(struct memory *memory, struct member *member, struct seat *seat,
                        bool may_queue)
{
    HASH_DEL(member->seats, seat);
    hold_end_all(member, seat);
    int64_t life_left_ms =
        pool_give(memory, seat->pool, seat->number, seat->life_end_ms, may_queue);
    free_seat(seat);
    return life_left_ms;
}

void memory_add_waived(struct member *member, struct seat *seat, const char *request,
                       const char *production)
{
    struct waived *waived = memory_new(1, sizeof(*waived));
    waived->request = memory_copy_text(request);
    waived->production = memory_copy_text(production);
    waived->seat = seat;
    HASH_ADD_KEYPTR(hh, member->waived, waived->request, strlen(waived->request), waived);
    seat->others++;
    if (seat->use == SEAT_HELD) {
        hold_begin(member, seat, production);
    }
}

void memory_end_waived(struct member *member, struct waived *waived)
{
    HASH_DEL(member->waived, waived);
    waived->seat->others--;
    hold_end(member, waived->seat, waived->production);
    free(waived->request);
    free(waived->production);
    free(waived);
}

void memory_end_own(struct member *member, struct seat *seat)
{
    seat->ended = true;
    hold_end(member, seat, seat->production);
}

struct seat *memory_grant_seat(struct memory *memory, struct member *member, const struct ask *ask,
                               struct pool *pool, const struct seat *taken)
{
    struct seat *seat = memory_new(1, sizeof(*seat));
    *seat = *taken;
    seat->request = memory_copy_text(ask->request);
    seat->production = memory_copy_text(ask->production);
    seat->user = memory_copy_text(ask->user);
    seat->use = ask->use;
    seat->pool = pool;
    snprintf(seat->requested, sizeof(seat->requested), "%s", ask->pools[0]->name);
    seat->token = memory_next_op(memory);
    seat->since_ms = memory->now_ms;
    seat->shared = pool->shared && ask->use == SEAT_HELD;
    memory_add_seat(member, seat);
    struct usage_record *minute = usage_of(memory, pool);
    if (seat->reused) {
        pool->totals.reused++;
        minute->reused++;
    } else {
        pool->totals.granted++;
        minute->granted++;
    }
    if (pool != ask->pools[0]) {
        pool->totals.escalated++;
        minute->escalated++;
    }
    usage_peak(memory, pool);
    return seat;
}

void memory_waive(struct memory *memory, struct member *member, const struct ask *ask,
                  struct seat *seat, struct store_grant *ret_grant)
{
    memory_add_waived(member, seat, ask->request, ask->production);
    memory_next_op(memory);
    seat->pool->totals.waived++;
    usage_of(memory, seat->pool)->waived++;
    memory_grant_of(memory, member, ask->request, seat, ret_grant);
    ret_grant->waived = true;
}

/* Asking --------------------------------------------------------------------------------------- */

static void repeat_memo(const struct memory *memory, const struct memo *memo, const char *session,
                        struct store_answer *answer)
{
    if (strcmp(memo->session, session) != 0) {
        memory_refuse(answer, STORE_BAD_REQUEST);
    } else if (memo->has_seat) {
        answer->word = STORE_GRANTED;
        answer->grant = memo->grant;
        answer->grant.waived = memo->waived;
        int64_t left_ms = memo->grant.life_left_ms - memory->now_ms;
        answer->grant.life_left_ms = left_ms > 0 ? left_ms : 0;
    } else {
        memory_refuse(answer, memo->reason);
        memcpy(answer->full, memo->full, sizeof(answer->full));
        answer->full_count = memo->full_count;
    }
}

/* Whether the request got an answer before; it gets the same. */
static bool repeated(struct memory *memory, struct member *member, const char *request,
                     struct store_answer *answer)
{
    struct seat *seat;
    HASH_FIND_STR(member->seats, request, seat);
    struct waived *waived = NULL;
    HASH_FIND_STR(member->waived, request, waived);
    if (seat != NULL || waived != NULL) {
        answer->word = STORE_GRANTED;
        memory_grant_of(memory, member, request, seat != NULL ? seat : waived->seat,
                        &answer->grant);
        answer->grant.waived = seat == NULL;
        return true;
    }
    struct ask *ask;
    HASH_FIND_STR(member->asks, request, ask);
    if (ask != NULL) {
        answer->word = STORE_WAITING;
        answer->ahead = memory_rank_of(ask);
        return true;
    }
    struct memo *memo = memory_memo(memory, request);
    if (memo != NULL) {
        repeat_memo(memory, memo, member->id, answer);
    }
    return memo != NULL;
}

static void fill_full(struct store_answer *answer, const char *pool, uint32_t in_use,
                      uint32_t limit)
{
    struct store_full *full = &answer->full[answer->full_count++];
    snprintf(full->pool, sizeof(full->pool), "%s", pool);
    full->in_use = in_use;
    full->limit = limit;
}

static void refuse_and_remember(struct memory *memory, const struct store_request *request,
                                enum store_reason reason, struct store_answer *answer)
{
    memory_refuse(answer, reason);
    memory_next_op(memory);
    if (reason != STORE_UNKNOWN_POOL) {
        struct pool *pool = pool_get(memory, request->ask.pools[0]);
        struct usage_record *minute = usage_of(memory, pool);
        pool->totals.refused++;
        minute->refused_pool += reason == STORE_POOL_LIMIT;
        minute->refused_edition += reason == STORE_EDITION_LIMIT;
        minute->refused_line += reason == STORE_LINE_FULL;
    }
    struct memo *memo = memory_remember(memory, request);
    memo->reason = reason;
    memcpy(memo->full, answer->full, sizeof(memo->full));
    memo->full_count = answer->full_count;
    snprintf(memo->first_pool, sizeof(memo->first_pool), "%s", request->ask.pools[0]);
}

/*
 * The seat that the asker's productions share in the pool, or one of it. Returns whether it was
 * granted.
 */
static bool try_pool(struct memory *memory, struct member *member, const struct ask *ask,
                     struct pool *pool, struct store_answer *answer)
{
    struct seat *base = pool->shared && ask->use == SEAT_HELD ? hold_of_pool(member, pool) : NULL;
    struct seat taken = {0};
    if (base != NULL) {
        memory_waive(memory, member, ask, base, &answer->grant);
    } else if (pool_take(memory, pool, member->agent, ask->reuse_ms, &taken)) {
        const struct seat *seat = memory_grant_seat(memory, member, ask, pool, &taken);
        memory_grant_of(memory, member, seat->request, seat, &answer->grant);
    } else {
        fill_full(answer, pool->name, pool_busy(pool), pool->cap);
        return false;
    }
    answer->word = STORE_GRANTED;
    answer->full_count = 0;
    return true;
}

/*
 * Resolve the pools of the chain. Returns whether the licence has all; else the answer names the
 * first it has not.
 */
static bool resolve(struct memory *memory, const struct store_request *request, struct ask *ask,
                    struct store_answer *answer)
{
    for (size_t i = 0; i < request->ask.pools_count; i++) {
        struct pool *pool = pool_find(memory, request->ask.pools[i]);
        if (pool == NULL || !pool->licensed) {
            fill_full(answer, request->ask.pools[i], 0, 0);
            return false;
        }
        ask->pools[i] = pool;
    }
    ask->pools_count = request->ask.pools_count;
    return true;
}

static void notify(struct memory *memory, const struct store_request *request, bool licensed,
                   struct store_answer *answer)
{
    if (licensed) {
        struct pool *pool = pool_get(memory, request->ask.pools[0]);
        pool->totals.notified++;
        usage_of(memory, pool)->notified++;
    }
    memory_next_op(memory);
    answer->word = STORE_GRANTED;
    answer->full_count = 0;
    answer->grant = (struct store_grant){0};
    snprintf(answer->grant.session, sizeof(answer->grant.session), "%s", request->session);
    snprintf(answer->grant.request, sizeof(answer->grant.request), "%s", request->request);
    snprintf(answer->grant.pool, sizeof(answer->grant.pool), "%s", request->ask.pools[0]);
    snprintf(answer->grant.requested, sizeof(answer->grant.requested), "%s", request->ask.pools[0]);
}

/*
 * Waived, or a seat of the first pool of the chain that has one. Returns whether it is granted;
 * else `ret_reason` says why not.
 */
static bool try_all(struct memory *memory, struct member *member, const struct ask *ask,
                    struct store_answer *answer, enum store_reason *ret_reason)
{
    for (size_t i = 0; i < ask->pools_count; i++) {
        memory_hand_over(memory, ask->pools[i]);
    }
    if (ask->use == SEAT_HELD) {
        struct seat *base = hold_of_production(member, ask->production);
        if (base != NULL) {
            answer->word = STORE_GRANTED;
            memory_waive(memory, member, ask, base, &answer->grant);
            return true;
        }
        if (hold_productions(member) >= memory->productions) {
            fill_full(answer, "", hold_productions(member), memory->productions);
            *ret_reason = STORE_EDITION_LIMIT;
            return false;
        }
    }
    *ret_reason = STORE_POOL_LIMIT;
    for (size_t i = 0; i < ask->pools_count; i++) {
        if (try_pool(memory, member, ask, ask->pools[i], answer)) {
            return true;
        }
    }
    return false;
}

void memory_acquire(struct memory *memory, const struct store_request *request,
                    struct store_answer *answer)
{
    struct member *member = memory_member(memory, request->session);
    if (member == NULL) {
        memory_refuse(answer, STORE_UNKNOWN_SESSION);
        return;
    }
    if (repeated(memory, member, request->request, answer)) {
        return;
    }
    struct ask ask = {.request = (char *)(uintptr_t)request->request,
                      .production = (char *)(uintptr_t)request->ask.production,
                      .user = (char *)(uintptr_t)request->ask.user,
                      .use = request->ask.use,
                      .reuse_ms = request->reuse_ms};
    bool licensed = resolve(memory, request, &ask, answer);
    if (ask.use == SEAT_NOTIFIED) {
        notify(memory, request, licensed, answer);
        return;
    }
    if (!licensed) {
        refuse_and_remember(memory, request, STORE_UNKNOWN_POOL, answer);
        return;
    }
    enum store_reason reason = STORE_NO_REASON;
    if (memory_recovering(memory)) {
        if (!request->ask.wait) {
            memory_refuse(answer, STORE_RECOVERING);
            return;
        }
    } else if (try_all(memory, member, &ask, answer, &reason)) {
        return;
    }
    if (!request->ask.wait) {
        refuse_and_remember(memory, request, reason, answer);
        return;
    }
    answer->full_count = 0;
    if (memory_line_is_full(&ask, request->ask.line_max)) {
        fill_full(answer, ask.pools[0]->name, request->ask.line_max, request->ask.line_max);
        refuse_and_remember(memory, request, STORE_LINE_FULL, answer);
        return;
    }
    memory_stand_in_line(memory, member, &ask, answer);
}

/* How long it was held; the clock may have stepped back. */
static int64_t held_ms(const struct memory *memory, const struct seat *seat)
{
    return memory->now_ms > seat->since_ms ? memory->now_ms - seat->since_ms : 0;
}

/* Releasing ------------------------------------------------------------------------------------ */

static void released(struct store_answer *answer, int64_t life_left_ms, const char *pool,
                     int64_t held_ms)
{
    answer->word = STORE_RELEASED;
    answer->queued = life_left_ms > 0;
    answer->life_left_ms = life_left_ms;
    snprintf(answer->pool, sizeof(answer->pool), "%s", pool);
    answer->held_ms = held_ms;
}

static void release_unknown(struct memory *memory, const struct store_request *request,
                            struct store_answer *answer)
{
    const struct memo *memo = memory_memo(memory, request->request);
    if (memo != NULL && strcmp(memo->session, request->session) != 0) {
        memo = NULL;
    }
    if (memo != NULL && memo->has_seat && memo->grant.token == request->token) {
        released(answer, memo->life_left_ms, memo->grant.pool, memo->held_ms);
    } else if (memo != NULL && !memo->has_seat && memo->reason == STORE_STALE) {
        released(answer, 0, "", 0); /* it left its line, and says so again */
    } else {
        memory_refuse(answer, STORE_STALE);
    }
}

/* The last request of a seat is over. */
static int64_t seat_over(struct memory *memory, struct member *member, struct seat *seat,
                         struct store_answer *answer)
{
    struct pool *pool = seat->pool;
    bool held = seat->use == SEAT_HELD;
    int64_t life_left_ms = memory_end_seat(memory, member, seat, true);
    answer->op = memory_next_op(memory);
    memory_hand_over(memory, pool);
    if (held && member->asks != NULL) {
        memory_hand_over_all(memory);
    }
    return life_left_ms;
}

/* What the answer to the release of one request of a seat is remembered by. */
static struct memo memo_of(const struct memory *memory, const struct member *member,
                           const struct seat *seat, const struct store_request *request)
{
    struct memo memo = {.has_seat = true,
                        .since_ms = seat->since_ms,
                        .held_ms = held_ms(memory, seat),
                        .used = seat->used,
                        .cap = seat->cap};
    memory_grant_of(memory, member, request->request, seat, &memo.grant);
    memo.grant.life_left_ms = seat->life_end_ms;
    return memo;
}

static void keep_memo(struct memory *memory, const struct store_request *request,
                      const struct memo *memo)
{
    struct memo *kept = memory_remember(memory, request);
    kept->has_seat = true;
    kept->grant = memo->grant;
    kept->waived = memo->waived;
    kept->since_ms = memo->since_ms;
    kept->life_left_ms = memo->life_left_ms;
    kept->held_ms = memo->held_ms;
    kept->used = memo->used;
    kept->cap = memo->cap;
}

static void release_seat(struct memory *memory, struct member *member,
                         const struct store_request *request, struct store_answer *answer)
{
    struct seat *seat;
    struct waived *waived = NULL;
    HASH_FIND_STR(member->seats, request->request, seat);
    if (seat == NULL) {
        HASH_FIND_STR(member->waived, request->request, waived);
        seat = waived != NULL ? waived->seat : NULL;
    }
    if (seat == NULL || seat->token != request->token || (waived == NULL && seat->ended)) {
        release_unknown(memory, request, answer);
        return;
    }
    struct memo memo = memo_of(memory, member, seat, request);
    memo.waived = waived != NULL;
    if (waived != NULL) {
        memory_end_waived(member, waived);
    } else {
        memory_end_own(member, seat);
    }
    if (seat->ended && seat->others == 0) {
        memo.life_left_ms = seat_over(memory, member, seat, answer);
    } else {
        memory_next_op(memory);
    }
    released(answer, memo.life_left_ms, memo.grant.pool, memo.held_ms);
    keep_memo(memory, request, &memo);
}

/*
 * It waits no more. That is remembered, or its acquire, read late by a licensor that was stopped,
 * would be a new one.
 */
static void give_up(struct memory *memory, const struct store_request *request, struct ask *ask)
{
    struct memo *memo = memory_remember(memory, request);
    memo->reason = STORE_STALE;
    memo->full_count = 1;
    snprintf(memo->full[0].pool, sizeof(memo->full[0].pool), "%s", ask->pools[0]->name);
    snprintf(memo->first_pool, sizeof(memo->first_pool), "%s", ask->pools[0]->name);
    memory_leave_line(ask);
    memory_next_op(memory);
}

void memory_release(struct memory *memory, const struct store_request *request,
                    struct store_answer *answer)
{
    struct member *member = memory_member(memory, request->session);
    struct ask *ask = NULL;
    if (member != NULL) {
        HASH_FIND_STR(member->asks, request->request, ask);
    }
    if (ask != NULL) {
        give_up(memory, request, ask);
        released(answer, 0, "", 0);
    } else if (member != NULL) {
        release_seat(memory, member, request, answer);
    } else {
        release_unknown(memory, request, answer);
    }
}

static struct seat *find_token(const struct memory *memory, uint64_t token,
                               struct member **ret_member)
{
    for (struct member *member = memory->members; member != NULL; member = member->hh.next) {
        for (struct seat *seat = member->seats; seat != NULL; seat = seat->hh.next) {
            if (seat->token == token) {
                *ret_member = member;
                return seat;
            }
        }
    }
    return NULL;
}

void memory_operator_release(struct memory *memory, const struct store_request *request,
                             struct store_answer *answer)
{
    struct member *member = NULL;
    struct seat *seat = find_token(memory, request->token, &member);
    struct audit_entry *entry = memory_audit(memory, request->audit.who, "release");
    if (seat == NULL) {
        snprintf(entry->detail, sizeof(entry->detail), "refused: no seat has token %" PRIu64,
                 request->token);
        memory_refuse(answer, STORE_STALE);
        return;
    }
    snprintf(entry->detail, sizeof(entry->detail),
             "seat L%" PRIu64 " of pool %s taken from %s%s%s, request %s, token %" PRIu64,
             seat->number, seat->pool->name, member->name,
             seat->production[0] != '\0' ? ", production " : "", seat->production, seat->request,
             seat->token);
    struct waived *waived, *next;
    HASH_ITER (hh, member->waived, waived, next) {
        if (waived->seat == seat) {
            memory_end_waived(member, waived);
        }
    }
    released(answer, 0, seat->pool->name, held_ms(memory, seat));
    memory_end_seat(memory, member, seat, false);
    answer->op = memory_next_op(memory);
    memory_hand_over_all(memory);
}
