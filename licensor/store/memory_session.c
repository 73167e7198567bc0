/*
 * Sessions of the memory store: registered, resumed, alive, over; and recovery after lost writes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "licensor/store/memory_state.h"

#define NAME_FRESH_MS 10000

struct member *memory_member(const struct memory *memory, const char *session)
{
    struct member *member;
    HASH_FIND_STR(memory->members, session, member);
    return member;
}

static struct member *member_of_name(const struct memory *memory, const char *agent,
                                     const char *name)
{
    for (struct member *member = memory->members; member != NULL; member = member->hh.next) {
        if (strcmp(member->agent, agent) == 0 && strcmp(member->name, name) == 0) {
            return member;
        }
    }
    return NULL;
}

int member_by_lease(const struct member *a, const struct member *b)
{
    if (a->lease_end_ms != b->lease_end_ms) {
        return a->lease_end_ms < b->lease_end_ms ? -1 : 1;
    }
    return strcmp(a->id, b->id);
}

static uint32_t lowest_slot(const struct memory *memory, const char *agent)
{
    for (uint32_t slot = 0;; slot++) {
        bool taken = false;
        for (struct member *member = memory->members; member != NULL && !taken;
             member = member->hh.next) {
            taken = member->slot == slot && strcmp(member->agent, agent) == 0;
        }
        if (!taken) {
            return slot;
        }
    }
}

static void count_orphan(struct store_answer *orphans, const struct pool *pool)
{
    for (size_t i = 0; i < orphans->orphans_count; i++) {
        if (strcmp(orphans->orphans[i].pool, pool->name) == 0) {
            orphans->orphans[i].seats++;
            return;
        }
    }
    orphans->orphans =
        memory_resize(orphans->orphans, orphans->orphans_count + 1, sizeof(*orphans->orphans));
    struct pool_count *row = &orphans->orphans[orphans->orphans_count++];
    snprintf(row->pool, sizeof(row->pool), "%s", pool->name);
    row->seats = 1;
}

static void forget_everything(struct memory *memory, struct member *member,
                              struct store_answer *orphans)
{
    struct waived *waived, *next_waived;
    HASH_ITER (hh, member->waived, waived, next_waived) {
        memory_end_waived(member, waived);
    }
    struct seat *seat, *next_seat;
    HASH_ITER (hh, member->seats, seat, next_seat) {
        if (orphans != NULL) {
            count_orphan(orphans, seat->pool);
        }
        memory_end_seat(memory, member, seat, false);
    }
    struct ask *ask, *next_ask;
    HASH_ITER (hh, member->asks, ask, next_ask) {
        memory_leave_line(ask);
    }
}

void memory_end_session(struct memory *memory, struct member *member, struct store_answer *orphans)
{
    forget_everything(memory, member, orphans);
    HASH_DEL(memory->members, member);
    free(member->name);
    free(member->agent);
    free(member->host);
    free(member->connection);
    free(member);
}

void memory_recover(struct memory *memory, uint64_t highest, int64_t lease_ms)
{
    if (highest <= memory->op) {
        return;
    }
    uint64_t gap = highest - memory->op;
    memory->op = highest;
    memory->epoch++;
    memory->recover_ms = memory->now_ms + lease_ms;
    for (struct member *member = memory->members; member != NULL; member = member->hh.next) {
        forget_everything(memory, member, NULL);
        member->lease_end_ms = memory->now_ms + lease_ms;
    }
    for (struct pool *pool = memory->pools; pool != NULL; pool = pool->hh.next) {
        if (pool->listed) {
            pool->used = 0;
            pool->seq += gap;
            pool->queue_count = 0;
        }
    }
}

/* Claims --------------------------------------------------------------------------------------- */

static int by_request(const void *a, const void *b)
{
    return strcmp(((const struct store_claim *)a)->request,
                  ((const struct store_claim *)b)->request);
}

static const struct store_claim *claim_of(const struct store_request *request, const char *id)
{
    const struct store_claim *found = NULL;
    for (size_t i = 0; i < request->who.claims_count; i++) {
        if (strcmp(request->who.claims[i].request, id) == 0) {
            found = &request->who.claims[i]; /* the last one counts, as in a table of Lua */
        }
    }
    return found;
}

static bool still_waits(const struct store_request *request, const char *id)
{
    for (size_t i = 0; i < request->who.waiting_count; i++) {
        if (strcmp(request->who.waiting[i], id) == 0) {
            return true;
        }
    }
    return false;
}

static void claim_seat(struct memory *memory, struct member *member,
                       const struct store_claim *claim)
{
    struct pool *pool = pool_get(memory, claim->pool);
    pool->listed = true;
    if (!pool_unqueue(pool, claim->number)) {
        pool->used++;
        pool->over = pool->used;
    }
    if (claim->number > pool->seq) {
        pool->seq = claim->number;
    }
    if (claim->token > memory->op) {
        memory->op = claim->token;
    }
    struct seat *seat = memory_new(1, sizeof(*seat));
    seat->request = memory_copy_text(claim->request);
    seat->production = memory_copy_text(claim->production);
    seat->user = memory_copy_text("");
    bool is_second =
        claim->use == SEAT_HELD && hold_of_production(member, claim->production) != NULL;
    seat->use = is_second ? SEAT_REQUEST : claim->use;
    seat->pool = pool;
    seat->shared = pool->shared && seat->use == SEAT_HELD && hold_of_pool(member, pool) == NULL;
    snprintf(seat->requested, sizeof(seat->requested), "%s", claim->pool);
    seat->number = claim->number;
    seat->token = claim->token;
    seat->since_ms = seat->life_end_ms = memory->now_ms;
    memory_add_seat(member, seat);
}

static void reconcile_seats(struct memory *memory, struct member *member,
                            const struct store_request *request)
{
    struct waived *waived, *next_waived;
    HASH_ITER (hh, member->waived, waived, next_waived) {
        if (claim_of(request, waived->request) == NULL) {
            memory_end_waived(member, waived);
        }
    }
    struct seat *seat, *next_seat;
    HASH_ITER (hh, member->seats, seat, next_seat) {
        const struct store_claim *claim = claim_of(request, seat->request);
        if (!seat->ended && (claim == NULL || claim->token != seat->token)) {
            memory_end_own(member, seat);
        }
        if (seat->ended && seat->others == 0) {
            memory_end_seat(memory, member, seat, false);
        }
    }
    struct ask *ask, *next_ask;
    HASH_ITER (hh, member->asks, ask, next_ask) {
        if (!still_waits(request, ask->request)) {
            memory_leave_line(ask);
        }
    }
}

static struct seat *seat_of_token(const struct member *member, uint64_t token)
{
    for (struct seat *seat = member->seats; seat != NULL; seat = seat->hh.next) {
        if (seat->token == token) {
            return seat;
        }
    }
    return NULL;
}

static bool is_known(const struct member *member, const char *request)
{
    struct seat *seat;
    struct waived *waived;
    struct ask *ask;
    HASH_FIND_STR(member->seats, request, seat);
    HASH_FIND_STR(member->waived, request, waived);
    HASH_FIND_STR(member->asks, request, ask);
    return seat != NULL || waived != NULL || ask != NULL;
}

static void lose(struct store_answer *answer, uint64_t token)
{
    for (size_t i = 0; i < answer->lost_count; i++) {
        if (answer->lost[i] == token) {
            return;
        }
    }
    answer->lost[answer->lost_count++] = token;
}

/*
 * Claims in the order of their requests; `believe`: seats that we do not know are taken up, else
 * they are lost.
 */
static void settle_claims(struct memory *memory, struct member *member,
                          const struct store_request *request, bool believe,
                          struct store_answer *answer)
{
    size_t count = request->who.claims_count;
    struct store_claim *claims = memory_new(count + 1, sizeof(*claims));
    if (count > 0) {
        memcpy(claims, request->who.claims, count * sizeof(*claims));
    }
    qsort(claims, count, sizeof(*claims), by_request);
    answer->lost = memory_new(count + 1, sizeof(*answer->lost));
    for (size_t i = 0; i < count; i++) {
        struct seat *seat = seat_of_token(member, claims[i].token);
        if (believe && seat == NULL) {
            claim_seat(memory, member, &claims[i]);
        } else if (believe && !is_known(member, claims[i].request)) {
            memory_add_waived(member, seat, claims[i].request, claims[i].production);
        } else if (seat == NULL) {
            lose(answer, claims[i].token);
        }
    }
    free(claims);
}

/* Registering ---------------------------------------------------------------------------------- */

static void replace_text(char **text, const char *with)
{
    free(*text);
    *text = memory_copy_text(with);
}

static struct member *add_member(struct memory *memory, const struct store_request *request,
                                 const char *id, uint32_t slot)
{
    struct member *member = memory_new(1, sizeof(*member));
    snprintf(member->id, sizeof(member->id), "%s", id);
    member->name = memory_copy_text(request->who.name);
    member->agent = memory_copy_text(request->who.agent);
    member->slot = slot;
    HASH_ADD_STR(memory->members, id, member);
    return member;
}

/* A registration that was on its way while its worker registered again elsewhere. */
static bool is_late(const struct member *current, const struct store_request *request)
{
    return request->who.sequence > 0 && (request->who.began_us < current->began_us ||
                                         (request->who.began_us == current->began_us &&
                                          request->who.sequence <= current->sequence));
}

/*
 * Whether a new session may be: the name is free (or its session is left behind) and there is a
 * key.
 */
static bool may_register(struct memory *memory, const struct member *current,
                         const struct store_request *request, struct store_answer *answer)
{
    if (current != NULL && current->connection[0] != '\0' &&
        memory->now_ms - current->beat_ms < NAME_FRESH_MS) {
        memory_refuse(answer, STORE_NAME_IN_USE);
        snprintf(answer->host, sizeof(answer->host), "%s", current->host);
        answer->pid = current->pid;
        return false;
    }
    if (current != NULL && is_late(current, request)) {
        memory_refuse(answer, STORE_LATE);
        return false;
    }
    uint32_t taken = HASH_COUNT(memory->members) - (current != NULL ? 1 : 0);
    if (taken >= memory->processors) {
        memory_refuse(answer, STORE_NO_KEY);
        answer->full[0].in_use = taken;
        answer->full[0].limit = memory->processors;
        answer->full_count = 1;
        return false;
    }
    return true;
}

static struct member *register_new(struct memory *memory, struct member *current,
                                   const struct store_request *request, struct store_answer *answer)
{
    const char *old = request->who.old_session;
    uint32_t slot = 0;
    bool has_slot = current != NULL;
    if (has_slot) {
        slot = current->slot;
        memory_end_session(memory, current, NULL);
    } else {
        slot = lowest_slot(memory, request->who.agent);
    }
    bool revive = old[0] != '\0' && memory_recovering(memory) && memory_member(memory, old) == NULL;
    struct member *member = add_member(memory, request, revive ? old : request->session, slot);
    settle_claims(memory, member, request, revive, answer);
    return member;
}

void memory_register(struct memory *memory, const struct store_request *request,
                     struct store_answer *answer)
{
    memory_recover(memory, request->highest_op, request->lease_ms);
    struct member *current = member_of_name(memory, request->who.agent, request->who.name);
    struct member *member = current;
    if (current != NULL && request->who.old_session[0] != '\0' &&
        strcmp(current->id, request->who.old_session) == 0) {
        if (is_late(current, request)) {
            memory_refuse(answer, STORE_LATE);
            memory_next_op(memory);
            return;
        }
        reconcile_seats(memory, member, request);
        settle_claims(memory, member, request, memory_recovering(memory), answer);
    } else {
        if (!may_register(memory, current, request, answer)) {
            memory_next_op(memory);
            return;
        }
        member = register_new(memory, current, request, answer);
    }
    replace_text(&member->host, request->who.host);
    replace_text(&member->connection, request->who.connection);
    member->pid = request->who.pid;
    member->began_us = request->who.began_us;
    member->sequence = request->who.sequence;
    member->beat_ms = memory->now_ms;
    member->claimed = memory->epoch;
    member->lease_end_ms = memory->now_ms + request->lease_ms;
    answer->word = STORE_REGISTERED;
    answer->slot = member->slot;
    snprintf(answer->session, sizeof(answer->session), "%s", member->id);
    answer->op = memory_next_op(memory);
    memory_hand_over_all(memory);
    memory_join(memory, member);
}

void memory_heartbeat(struct memory *memory, const struct store_request *request,
                      struct store_answer *answer)
{
    memory_recover(memory, request->highest_op, request->lease_ms);
    struct member *member = memory_member(memory, request->session);
    if (member == NULL) {
        memory_refuse(answer, STORE_UNKNOWN_SESSION);
        return;
    }
    if (request->who.sequence > 0 && request->who.sequence < member->sequence) {
        memory_refuse(answer, STORE_LATE);
        return;
    }
    if (request->who.sequence > member->sequence) {
        member->sequence = request->who.sequence; /* the store lost its registration */
    }
    member->beat_ms = memory->now_ms;
    replace_text(&member->connection, request->who.connection);
    member->lease_end_ms = memory->now_ms + request->lease_ms;
    for (size_t i = 0; i < request->waived.count; i++) {
        struct pool *pool = pool_find(memory, request->waived.pools[i]);
        if (pool != NULL && pool->licensed) {
            pool->totals.waived += request->waived.counts[i];
            struct usage_record *minute = usage_of(memory, pool);
            minute->waived += request->waived.counts[i];
            minute->overrun += request->waived.overruns != NULL ? request->waived.overruns[i] : 0;
        }
    }
    memory_join(memory, member);
    answer->word = STORE_ALIVE;
    answer->recovering = memory_recovering(memory) && member->claimed != memory->epoch;
    answer->waited = memory_new(HASH_COUNT(memory->pools) + 1, sizeof(*answer->waited));
    for (struct pool *pool = memory->pools; pool != NULL; pool = pool->hh.next) {
        if (pool->line_count > 0) {
            snprintf(answer->waited[answer->waited_count++], sizeof(*answer->waited), "%s",
                     pool->name);
        }
    }
}

void memory_disconnect(struct memory *memory, const struct store_request *request,
                       struct store_answer *answer)
{
    struct member *member = memory_member(memory, request->session);
    if (member != NULL && strcmp(member->connection, request->who.connection) == 0) {
        replace_text(&member->connection, "");
    }
    answer->word = STORE_DONE;
}

void memory_goodbye(struct memory *memory, const struct store_request *request,
                    struct store_answer *answer)
{
    struct member *member = memory_member(memory, request->session);
    if (member == NULL) {
        memory_refuse(answer, STORE_UNKNOWN_SESSION);
        return;
    }
    memory_end_session(memory, member, NULL);
    answer->word = STORE_DONE;
    answer->op = memory_next_op(memory);
    memory_hand_over_all(memory);
}
