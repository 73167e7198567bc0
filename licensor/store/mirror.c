/*
 * Tables of what is known. See mirror.h.
 */
#include "licensor/store/mirror.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

#define QUEUE_ROOM_MIN 16

struct mirror_pool *mirror_pool(struct mirror *mirror, const char *name)
{
    struct mirror_pool *pool;
    HASH_FIND_STR(mirror->pools, name, pool);
    return pool;
}

struct mirror_session *mirror_session(struct mirror *mirror, const char *id)
{
    struct mirror_session *session;
    HASH_FIND_STR(mirror->sessions, id, session);
    return session;
}

struct mirror_seat *mirror_seat(struct mirror_session *session, const char *request)
{
    struct mirror_seat *seat;
    HASH_FIND_STR(session->seats, request, seat);
    return seat;
}

struct mirror_hold *mirror_hold(struct mirror_session *session, const char *production)
{
    struct mirror_hold *hold;
    HASH_FIND_STR(session->holds, production, hold);
    return hold;
}

struct mirror_session *mirror_session_new(struct mirror *mirror, const char *id)
{
    struct mirror_session *session = memory_new(1, sizeof(*session));
    snprintf(session->id, sizeof(session->id), "%s", id);
    STAILQ_INIT(&session->memos);
    HASH_ADD_STR(mirror->sessions, id, session);
    return session;
}

struct mirror_seat *mirror_seat_new(struct mirror_session *session, const char *request,
                                    const char *production)
{
    struct mirror_seat *seat = memory_new(1, sizeof(*seat));
    seat->request = memory_copy_text(request);
    seat->production = memory_copy_text(production);
    HASH_ADD_KEYPTR(hh, session->seats, seat->request, strlen(seat->request), seat);
    return seat;
}

struct mirror_hold *mirror_hold_new(struct mirror_session *session, const char *production)
{
    struct mirror_hold *hold = memory_new(1, sizeof(*hold));
    hold->production = memory_copy_text(production);
    HASH_ADD_KEYPTR(hh, session->holds, hold->production, strlen(hold->production), hold);
    return hold;
}

void mirror_seat_free(struct mirror_seat *seat)
{
    free(seat->request);
    free(seat->production);
    free(seat->record);
    free(seat);
}

void mirror_memo_free(struct mirror_memo *memo)
{
    free(memo->record);
    free(memo);
}

void mirror_hold_free(struct mirror_session *session, struct mirror_hold *hold)
{
    HASH_DEL(session->holds, hold);
    free(hold->production);
    free(hold);
}

void mirror_session_free(struct mirror *mirror, struct mirror_session *session)
{
    struct mirror_seat *seat, *next_seat;
    HASH_ITER (hh, session->seats, seat, next_seat) {
        HASH_DEL(session->seats, seat);
        mirror_seat_free(seat);
    }
    while ((seat = LIST_FIRST(&session->gone)) != NULL) {
        LIST_REMOVE(seat, change);
        mirror_seat_free(seat);
    }
    struct mirror_hold *hold, *next_hold;
    HASH_ITER (hh, session->holds, hold, next_hold) {
        mirror_hold_free(session, hold);
    }
    struct mirror_memo *memo;
    while ((memo = STAILQ_FIRST(&session->memos)) != NULL) {
        STAILQ_REMOVE_HEAD(&session->memos, next);
        mirror_memo_free(memo);
    }
    HASH_DEL(mirror->sessions, session);
    free(session);
}

void mirror_pool_free(struct mirror *mirror, struct mirror_pool *pool)
{
    HASH_DEL(mirror->pools, pool);
    words_release(&pool->unqueued);
    free(pool->queue);
    free(pool->pushed);
    free(pool);
}

void mirror_clear(struct mirror *mirror)
{
    struct mirror_session *session, *next_session;
    HASH_ITER (hh, mirror->sessions, session, next_session) {
        mirror_session_free(mirror, session);
    }
    struct mirror_pool *pool, *next_pool;
    HASH_ITER (hh, mirror->pools, pool, next_pool) {
        mirror_pool_free(mirror, pool);
    }
    mirror->is_known = false;
}

/* The queue ------------------------------------------------------------------------------------ */

static bool dies_before(const struct mirror_queued *a, const struct mirror_queued *b)
{
    return a->life_end_ms != b->life_end_ms ? a->life_end_ms < b->life_end_ms
                                            : a->number < b->number;
}

void mirror_push(struct mirror_pool *pool, const struct mirror_queued *queued)
{
    if (pool->queue_count == pool->queue_room) {
        pool->queue_room = pool->queue_room > 0 ? 2 * pool->queue_room : QUEUE_ROOM_MIN;
        pool->queue = memory_resize(pool->queue, pool->queue_room, sizeof(*pool->queue));
    }
    size_t at = pool->queue_count++;
    while (at > 0 && dies_before(queued, &pool->queue[(at - 1) / 2])) {
        pool->queue[at] = pool->queue[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    pool->queue[at] = *queued;
}

struct mirror_queued mirror_pop(struct mirror_pool *pool)
{
    struct mirror_queued head = pool->queue[0], last = pool->queue[--pool->queue_count];
    size_t at = 0, count = pool->queue_count;
    for (size_t down = 1; down < count; down = 2 * at + 1) {
        if (down + 1 < count && dies_before(&pool->queue[down + 1], &pool->queue[down])) {
            down++;
        }
        if (!dies_before(&pool->queue[down], &last)) {
            break;
        }
        pool->queue[at] = pool->queue[down];
        at = down;
    }
    pool->queue[at] = last;
    return head;
}
