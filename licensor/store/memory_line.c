/*
 * The waiting lines of the memory store: who stands in them, and who is served.
 */
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "licensor/store/memory_state.h"

void memory_stand_in_line(struct memory *memory, struct member *member, const struct ask *template,
                          struct store_answer *answer)
{
    memory_next_op(memory);
    struct ask *ask = memory_new(1, sizeof(*ask));
    *ask = *template;
    ask->member = member;
    ask->request = memory_copy_text(template->request);
    ask->production = memory_copy_text(template->production);
    ask->user = memory_copy_text(template->user);
    ask->since_ms = memory->now_ms;
    answer->word = STORE_WAITING;
    answer->ahead = ask->pools[0]->line_count;
    for (size_t i = 0; i < ask->pools_count; i++) {
        ask->places[i].ask = ask;
        ask->pools[i]->listed = true;
        ask->pools[i]->line_count++;
        TAILQ_INSERT_TAIL(&ask->pools[i]->line, &ask->places[i], next);
    }
    HASH_ADD_KEYPTR(hh, member->asks, ask->request, strlen(ask->request), ask);
}

void memory_leave_line(struct ask *ask)
{
    for (size_t i = 0; i < ask->pools_count; i++) {
        TAILQ_REMOVE(&ask->pools[i]->line, &ask->places[i], next);
        ask->pools[i]->line_count--;
    }
    HASH_DEL(ask->member->asks, ask);
    free(ask->request);
    free(ask->production);
    free(ask->user);
    free(ask);
}

uint32_t memory_rank_of(const struct ask *ask)
{
    uint32_t ahead = 0;
    const struct place *place;
    TAILQ_FOREACH (place, &ask->pools[0]->line, next) {
        if (place->ask == ask) {
            break;
        }
        ahead++;
    }
    return ahead;
}

bool memory_line_is_full(const struct ask *ask, uint32_t line_max)
{
    for (size_t i = 0; i < ask->pools_count; i++) {
        if (ask->pools[i]->line_count >= line_max) {
            return true;
        }
    }
    return false;
}

static struct store_grant *hand(struct memory *memory)
{
    if (memory->handed_count == memory->handed_room) {
        memory->handed_room = memory->handed_room * 2 + 8;
        memory->handed =
            memory_resize(memory->handed, memory->handed_room, sizeof(*memory->handed));
    }
    return &memory->handed[memory->handed_count++];
}

/* Who stood in line has a seat. */
static void count_wait(struct memory *memory, struct pool *pool, const struct ask *ask)
{
    struct usage_record *minute = usage_of(memory, pool);
    minute->waited++;
    if (memory->now_ms > ask->since_ms) {
        minute->wait_ms += (uint64_t)(memory->now_ms - ask->since_ms);
    }
}

/* Serve one that waits, if it may run. Returns whether it left the line. */
static bool serve(struct memory *memory, struct ask *ask, struct pool *pool)
{
    struct member *member = ask->member;
    struct seat *base = NULL;
    if (ask->use == SEAT_HELD) {
        base = hold_of_production(member, ask->production);
        if (base == NULL && hold_productions(member) >= memory->productions) {
            return false;
        }
        if (base == NULL && pool->shared) {
            base = hold_of_pool(member, pool);
        }
    }
    if (base != NULL) {
        memory_waive(memory, member, ask, base, hand(memory));
    } else {
        struct seat taken = {0};
        if (!pool_take(memory, pool, member->agent, ask->reuse_ms, &taken)) {
            return false;
        }
        const struct seat *seat = memory_grant_seat(memory, member, ask, pool, &taken);
        memory_grant_of(memory, member, seat->request, seat, hand(memory));
    }
    count_wait(memory, pool, ask);
    memory_leave_line(ask);
    return true;
}

static int ask_by_request(const void *a, const void *b)
{
    return strcmp((*(struct ask *const *)a)->request, (*(struct ask *const *)b)->request);
}

/* What waits of a production that has a seat is waived; of any such when it is NULL. */
static void join_production(struct memory *memory, struct member *member, const char *production)
{
    struct ask **asks = memory_new(HASH_COUNT(member->asks) + 1, sizeof(struct ask *));
    size_t count = 0;
    for (struct ask *ask = member->asks; ask != NULL; ask = ask->hh.next) {
        if (ask->use == SEAT_HELD && hold_of_production(member, ask->production) != NULL &&
            (production == NULL || strcmp(ask->production, production) == 0)) {
            asks[count++] = ask;
        }
    }
    qsort(asks, count, sizeof(struct ask *), ask_by_request);
    for (size_t i = 0; i < count; i++) {
        (void)serve(memory, asks[i], asks[i]->pools[0]);
    }
    free(asks);
}

/*
 * Serve one that waits, and the rest of its production with it. Returns whether it left the line.
 */
static bool serve_production(struct memory *memory, struct ask *ask, struct pool *pool)
{
    struct member *member = ask->member;
    char *production = ask->use == SEAT_HELD ? memory_copy_text(ask->production) : NULL;
    bool is_served = serve(memory, ask, pool);
    if (is_served && production != NULL) {
        join_production(memory, member, production);
    }
    free(production);
    return is_served;
}

/*
 * The member's productions share a seat of the pool: those that wait for it are waived, as far as
 * its edition lets them.
 */
static void join_pool(struct memory *memory, struct member *member, struct pool *pool)
{
    if (!pool->shared || hold_of_pool(member, pool) == NULL) {
        return;
    }
    struct place *place = TAILQ_FIRST(&pool->line);
    while (place != NULL) {
        bool is_served = place->ask->member == member && place->ask->use == SEAT_HELD &&
                         serve_production(memory, place->ask, pool);
        /* others left the line with it: from its head again */
        place = is_served ? TAILQ_FIRST(&pool->line) : TAILQ_NEXT(place, next);
    }
}

void memory_join(struct memory *memory, struct member *member)
{
    if (memory_recovering(memory)) {
        return;
    }
    join_production(memory, member, NULL);
    for (struct pool *pool = memory->pools; pool != NULL; pool = pool->hh.next) {
        if (pool->listed) {
            join_pool(memory, member, pool);
        }
    }
}

void memory_hand_over(struct memory *memory, struct pool *pool)
{
    if (memory_recovering(memory)) {
        return;
    }
    struct place *place = TAILQ_FIRST(&pool->line);
    while (place != NULL && pool_has_seat(memory, pool)) {
        struct member *member = place->ask->member;
        bool held = place->ask->use == SEAT_HELD;
        bool is_served = serve_production(memory, place->ask, pool);
        if (is_served && held) {
            join_pool(memory, member, pool);
        }
        place = is_served ? TAILQ_FIRST(&pool->line) : TAILQ_NEXT(place, next);
    }
}

void memory_hand_over_all(struct memory *memory)
{
    for (struct pool *pool = memory->pools; pool != NULL; pool = pool->hh.next) {
        if (pool->listed) {
            memory_hand_over(memory, pool);
        }
    }
}
