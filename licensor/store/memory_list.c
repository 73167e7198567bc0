/*
 * What people see of the memory store.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "licensor/store/memory_state.h"

void memory_list_pools(struct memory *memory, const char *only, struct store_answer *answer)
{
    answer->pools = memory_new(HASH_COUNT(memory->pools) + 1, sizeof(*answer->pools));
    for (struct pool *pool = memory->pools; pool != NULL; pool = pool->hh.next) {
        if (!pool->listed || (only[0] != '\0' && strcmp(only, pool->name) != 0)) {
            continue;
        }
        pool_purge(memory, pool);
        struct store_pool_row *row = &answer->pools[answer->pools_count++];
        *row = pool->totals;
        snprintf(row->pool, sizeof(row->pool), "%s", pool->name);
        row->limit = pool->cap;
        row->queued = (uint32_t)pool->queue_count;
        row->in_use = pool->used - row->queued;
        row->waiting = pool->line_count;
    }
}

static struct store_seat_row *add_row(struct store_answer *answer, const char *state)
{
    answer->seats = memory_resize(answer->seats, answer->seats_count + 1, sizeof(*answer->seats));
    struct store_seat_row *row = &answer->seats[answer->seats_count++];
    memset(row, 0, sizeof(*row));
    snprintf(row->state, sizeof(row->state), "%s", state);
    return row;
}

static void list_queue(const struct memory *memory, const struct pool *pool,
                       struct store_answer *answer)
{
    for (size_t i = 0; i < pool->queue_count; i++) {
        struct store_seat_row *row = add_row(answer, "queued");
        snprintf(row->pool, sizeof(row->pool), "%s", pool->name);
        snprintf(row->requested, sizeof(row->requested), "%s", pool->name);
        row->number = pool->queue[i].number;
        row->since_ms = pool->queue[i].freed_ms;
        row->life_left_ms = pool->queue[i].life_end_ms - memory->now_ms;
    }
}

static struct store_seat_row *list_seat(const struct memory *memory, const struct member *member,
                                        const struct seat *seat, struct store_answer *answer)
{
    struct store_seat_row *row = add_row(answer, "busy");
    snprintf(row->pool, sizeof(row->pool), "%s", seat->pool->name);
    snprintf(row->requested, sizeof(row->requested), "%s", seat->requested);
    snprintf(row->session, sizeof(row->session), "%s", member->id);
    snprintf(row->production, sizeof(row->production), "%s", seat->production);
    snprintf(row->user, sizeof(row->user), "%s", seat->user);
    snprintf(row->request, sizeof(row->request), "%s", seat->request);
    row->number = seat->number;
    row->token = seat->token;
    row->use = seat->use;
    row->since_ms = seat->since_ms;
    row->life_left_ms = seat->life_end_ms > memory->now_ms ? seat->life_end_ms - memory->now_ms : 0;
    return row;
}

static void list_waived(const struct memory *memory, const struct member *member,
                        const struct waived *waived, struct store_answer *answer)
{
    struct store_seat_row *row = list_seat(memory, member, waived->seat, answer);
    snprintf(row->state, sizeof(row->state), "waived");
    snprintf(row->production, sizeof(row->production), "%s", waived->production);
    snprintf(row->request, sizeof(row->request), "%s", waived->request);
}

static void list_ask(const struct member *member, const struct ask *ask,
                     struct store_answer *answer)
{
    struct store_seat_row *row = add_row(answer, "waiting");
    snprintf(row->pool, sizeof(row->pool), "%s", ask->pools[0]->name);
    snprintf(row->requested, sizeof(row->requested), "%s", ask->pools[0]->name);
    snprintf(row->session, sizeof(row->session), "%s", member->id);
    snprintf(row->production, sizeof(row->production), "%s", ask->production);
    snprintf(row->user, sizeof(row->user), "%s", ask->user);
    snprintf(row->request, sizeof(row->request), "%s", ask->request);
    row->use = ask->use;
    row->since_ms = ask->since_ms;
}

static int row_by_request(const void *a, const void *b)
{
    return strcmp(((const struct store_seat_row *)a)->request,
                  ((const struct store_seat_row *)b)->request);
}

static void list_member(const struct memory *memory, const struct member *member, const char *only,
                        struct store_answer *answer)
{
    size_t first = answer->seats_count;
    for (const struct seat *seat = member->seats; seat != NULL; seat = seat->hh.next) {
        if (only[0] == '\0' || strcmp(only, seat->pool->name) == 0) {
            (void)list_seat(memory, member, seat, answer);
        }
    }
    for (const struct waived *waived = member->waived; waived != NULL; waived = waived->hh.next) {
        if (only[0] == '\0' || strcmp(only, waived->seat->pool->name) == 0) {
            list_waived(memory, member, waived, answer);
        }
    }
    for (const struct ask *ask = member->asks; ask != NULL; ask = ask->hh.next) {
        if (only[0] == '\0' || strcmp(only, ask->pools[0]->name) == 0) {
            list_ask(member, ask, answer);
        }
    }
    if (answer->seats_count > first) {
        qsort(&answer->seats[first], answer->seats_count - first, sizeof(*answer->seats),
              row_by_request);
    }
}

void memory_list(struct memory *memory, const struct store_request *request,
                 struct store_answer *answer)
{
    memory_list_pools(memory, request->pool, answer);
    for (size_t i = 0; i < answer->pools_count; i++) {
        list_queue(memory, pool_find(memory, answer->pools[i].pool), answer);
    }
    HASH_SORT(memory->members, member_by_lease);
    answer->processors = memory_new(HASH_COUNT(memory->members) + 1, sizeof(*answer->processors));
    for (const struct member *member = memory->members; member != NULL; member = member->hh.next) {
        struct store_processor_row *row = &answer->processors[answer->processors_count++];
        snprintf(row->session, sizeof(row->session), "%s", member->id);
        snprintf(row->name, sizeof(row->name), "%s", member->name);
        snprintf(row->agent, sizeof(row->agent), "%s", member->agent);
        snprintf(row->host, sizeof(row->host), "%s", member->host);
        row->pid = member->pid;
        row->slot = member->slot;
        row->productions = hold_productions(member);
        row->lease_left_ms = member->lease_end_ms - memory->now_ms;
        list_member(memory, member, request->pool, answer);
    }
    answer->word = STORE_LISTED;
}

static void tell_seat(const struct memory *memory, const char *word, const struct seat *seat,
                      struct store_story *story)
{
    snprintf(story->word, sizeof(story->word), "%s", word);
    snprintf(story->pool, sizeof(story->pool), "%s", seat->pool->name);
    snprintf(story->requested, sizeof(story->requested), "%s", seat->requested);
    story->number = seat->number;
    story->token = seat->token;
    story->at_ms = seat->since_ms;
    story->in_use = seat->used;
    story->limit = seat->cap;
    story->life_left_ms =
        seat->life_end_ms > memory->now_ms ? seat->life_end_ms - memory->now_ms : 0;
}

static void tell_ask(const struct ask *ask, struct store_story *story)
{
    const struct pool *pool = ask->pools[0];
    snprintf(story->word, sizeof(story->word), "waiting");
    snprintf(story->pool, sizeof(story->pool), "%s", pool->name);
    snprintf(story->requested, sizeof(story->requested), "%s", pool->name);
    const struct place *place;
    TAILQ_FOREACH (place, &pool->line, next) {
        if (place->ask == ask) {
            break;
        }
        story->number++;
    }
    story->at_ms = ask->since_ms;
    story->in_use = pool->used;
    story->limit = pool->cap;
}

static void tell_memo(const struct memory *memory, const struct memo *memo,
                      struct store_story *story)
{
    const struct member *member = memory_member(memory, memo->session);
    snprintf(story->name, sizeof(story->name), "%s", member != NULL ? member->name : "");
    if (memo->has_seat) {
        snprintf(story->word, sizeof(story->word), "released");
        snprintf(story->pool, sizeof(story->pool), "%s", memo->grant.pool);
        snprintf(story->requested, sizeof(story->requested), "%s", memo->grant.requested);
        story->number = memo->grant.number;
        story->token = memo->grant.token;
        story->at_ms = memo->since_ms;
        story->in_use = memo->used;
        story->limit = memo->cap;
        story->life_left_ms = memo->life_left_ms;
        return;
    }
    snprintf(story->word, sizeof(story->word), "refused");
    snprintf(story->pool, sizeof(story->pool), "%s", memo->full[0].pool);
    snprintf(story->requested, sizeof(story->requested), "%s", memo->first_pool);
    story->at_ms = memo->at_ms;
    story->in_use = memo->full[0].in_use;
    story->limit = memo->full[0].limit;
    story->reason = memo->reason;
}

void memory_explain(struct memory *memory, const struct store_request *request,
                    struct store_answer *answer)
{
    answer->word = STORE_EXPLAINED;
    for (const struct member *member = memory->members; member != NULL; member = member->hh.next) {
        const struct seat *seat;
        const struct waived *waived;
        const struct ask *ask;
        HASH_FIND_STR(member->seats, request->request, seat);
        HASH_FIND_STR(member->waived, request->request, waived);
        HASH_FIND_STR(member->asks, request->request, ask);
        if (seat == NULL && waived == NULL && ask == NULL) {
            continue;
        }
        snprintf(answer->story.name, sizeof(answer->story.name), "%s", member->name);
        if (seat != NULL) {
            tell_seat(memory, seat->reused ? "reused" : "granted", seat, &answer->story);
        } else if (waived != NULL) {
            tell_seat(memory, "waived", waived->seat, &answer->story);
        } else {
            tell_ask(ask, &answer->story);
        }
        return;
    }
    const struct memo *memo = memory_memo(memory, request->request);
    if (memo == NULL) {
        memory_refuse(answer, STORE_BAD_REQUEST);
        return;
    }
    tell_memo(memory, memo, &answer->story);
}
