/*
 * The ordinary rules of seats on a mirror: the same as `acquire` and `release` of
 * functions/60-batch.lua, and tests/sim/licensor compares them.
 */
#include "licensor/store/ahead.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "licensor/store/ahead_private.h"
#include "licensor/store/batch.h"
#include "licensor/store/seat_record.h"

#define RECORD_BYTES_MAX 4096
#define RIGHTS_MIN 4 /* so many batches pay for what Redis told before them */
#define PAUSE_MAX 16
#define JITTER_MS 100 /* an answer that was on its way for so long is no step of the clock */
#define NEVER_MS ((int64_t)1 << 52)
#define CALM_MAX 16 /* small batches that write what is packed whole, before it is no more */

/* What is known ------------------------------------------------------------------------------- */

struct ahead *ahead_new(const char *tenant, size_t pack_min)
{
    struct ahead *ahead = memory_new(1, sizeof(*ahead));
    ahead->pack_min = pack_min;
    ahead->may_pack = true;
    ahead->tenant = memory_copy_text(tenant);
    LIST_INIT(&ahead->touched);
    words_init_packed(&ahead->lives);
    words_init_packed(&ahead->memos);
    return ahead;
}

void ahead_free(struct ahead *ahead)
{
    if (ahead == NULL) {
        return;
    }
    mirror_clear(&ahead->mirror);
    words_release(&ahead->lives);
    words_release(&ahead->memos);
    free(ahead->tenant);
    free(ahead);
}

void ahead_may_pack(struct ahead *ahead, bool may)
{
    ahead->may_pack = may;
}

static void forget_seats(struct ahead *ahead)
{
    mirror_clear(&ahead->mirror);
    LIST_INIT(&ahead->touched);
}

void ahead_forget(struct ahead *ahead)
{
    forget_seats(ahead);
    ahead->has_clock = false;
}

void ahead_saw_time(struct ahead *ahead, int64_t now_ms, int64_t mono_us)
{
    ahead->clock_offset_us = now_ms * 1000 - mono_us;
    ahead->has_clock = true;
}

bool ahead_gives_way(struct ahead *ahead)
{
    ahead->is_current = false;
    if (ahead->pauses_left > 0) {
        ahead->pauses_left--;
        return false;
    }
    return true;
}

int ahead_learn(struct ahead *ahead, const void *text, size_t bytes, bool is_last)
{
    ahead->is_current = is_last;
    return mirror_learn(&ahead->mirror, text, bytes);
}

void ahead_was_right(struct ahead *ahead)
{
    ahead->rights++;
    ahead->pause = ahead->rights >= RIGHTS_MIN ? 0 : ahead->pause;
}

bool ahead_was_wrong(struct ahead *ahead)
{
    if (ahead->mirror.is_known && ahead->rights < RIGHTS_MIN) {
        ahead->pause = ahead->pause > 0 ? 2 * ahead->pause : 1;
        ahead->pause = ahead->pause < PAUSE_MAX ? ahead->pause : PAUSE_MAX;
        ahead->pauses_left = ahead->pause;
    }
    ahead->rights = 0;
    ahead->now_ms = 0; /* Redis's clock may have stepped back */
    forget_seats(ahead);
    return ahead->pauses_left == 0;
}

/* Batches -------------------------------------------------------------------------------------- */

bool ahead_begin(struct ahead *ahead, int64_t mono_us)
{
    if (!ahead->mirror.is_known || !ahead->is_current || !ahead->has_clock) {
        return false;
    }
    ahead->mirror.batch++;
    struct mirror_pool *pool, *next_pool;
    HASH_ITER (hh, ahead->mirror.pools, pool, next_pool) {
        pool->is_touched = false; /* a batch of which nothing was taken is not written */
    }
    int64_t now_ms = (mono_us + ahead->clock_offset_us) / 1000;
    bool is_jitter = now_ms < ahead->now_ms && ahead->now_ms - now_ms <= JITTER_MS;
    ahead->now_ms = is_jitter ? ahead->now_ms : now_ms;
    ahead->dies_ms = NEVER_MS;
    words_clear(&ahead->lives);
    ahead->fresh_count = 0;
    ahead->count = 0;
    words_clear(&ahead->memos);
    return true;
}

bool ahead_may_write_packed(const struct ahead *ahead)
{
    return ahead->may_pack && ahead->pack_min > 0;
}

bool ahead_packs(const struct ahead *ahead, bool is_packed, unsigned *calm)
{
    bool is_large = ahead->count >= ahead->pack_min;
    *calm = is_large ? 0 : *calm + 1;
    return ahead_may_write_packed(ahead) && (is_large || (is_packed && *calm < CALM_MAX));
}

static void touch_session(struct ahead *ahead, struct mirror_session *session)
{
    if (!session->is_touched) {
        session->is_touched = true;
        LIST_INSERT_HEAD(&ahead->touched, session, change);
    }
}

static void dies_at(struct ahead *ahead, int64_t life_end_ms)
{
    if (life_end_ms < ahead->dies_ms) {
        ahead->dies_ms = life_end_ms;
    }
}

/* The pool as it is now: the dead of its queue are gone (Redis finds them itself). */
static void touch_pool(struct ahead *ahead, struct mirror_pool *pool)
{
    if (pool->is_touched) {
        return;
    }
    pool->is_touched = true;
    pool->sequence_was = pool->sequence;
    while (pool->queue_count > 0 && pool->queue[0].life_end_ms <= ahead->now_ms) {
        mirror_pop(pool);
        pool->used--;
        pool->has_dead = true;
    }
    if (pool->queue_count > 0) {
        dies_at(ahead, pool->queue[0].life_end_ms);
    }
}

/* Acquire -------------------------------------------------------------------------------------- */

/* The pools of what is asked are plain ones. Returns the first, or NULL. */
static struct mirror_pool *plain_pool(struct ahead *ahead, const struct store_request *request)
{
    for (size_t i = 0; i < request->ask.pools_count; i++) {
        const struct mirror_pool *pool = mirror_pool(&ahead->mirror, request->ask.pools[i]);
        if (pool == NULL || !pool->is_plain) {
            return NULL;
        }
    }
    return mirror_pool(&ahead->mirror, request->ask.pools[0]);
}

static bool may_hold(const struct ahead *ahead, struct mirror_session *session,
                     const struct store_request *request)
{
    if (request->ask.use != SEAT_HELD) {
        return request->ask.use == SEAT_REQUEST;
    }
    const struct mirror_hold *hold = mirror_hold(session, request->ask.production);
    return (hold == NULL || !hold->is_held) && session->productions < ahead->mirror.productions;
}

/* Redis looks whether the seat is alive indeed. */
static void check_life(struct ahead *ahead, const char *pool, uint64_t number)
{
    char key[NAME_BYTES_MAX];
    snprintf(key, sizeof(key), "{%s}:%s:life:%" PRIu64, ahead->tenant, pool, number);
    words_add(&ahead->lives, key);
}

/* A seat of a pool that has one: the head of the queue, or a new one. */
static void take_seat(struct ahead *ahead, struct mirror_pool *pool, int64_t reuse_ms,
                      struct seat_numbers *numbers)
{
    numbers->is_reused = pool->queue_count > 0;
    if (numbers->is_reused) {
        struct mirror_queued head = mirror_pop(pool);
        numbers->number = head.number;
        numbers->life_end_ms = head.life_end_ms;
        if (head.batch == ahead->mirror.batch) {
            pool->pushed[head.written].is_taken = true;
        } else {
            words_add_pair(&pool->unqueued, (int64_t)(MIRROR_QUEUED + head.number), head.freed_ms);
            check_life(ahead, pool->name, head.number);
        }
        pool->reused++;
    } else {
        pool->used++;
        numbers->number = ++pool->sequence;
        numbers->life_end_ms = ahead->now_ms + reuse_ms;
        ahead->fresh[ahead->fresh_count++] =
            (struct ahead_life){pool->name, numbers->number, numbers->life_end_ms};
        pool->fresh++;
    }
    uint32_t busy = pool->used - (uint32_t)pool->queue_count;
    if (busy > pool->top) {
        pool->top = busy;
    }
}

static void hold_seat(struct mirror_session *session, struct mirror_seat *seat)
{
    struct mirror_hold *hold = mirror_hold(session, seat->production);
    if (hold == NULL) {
        hold = mirror_hold_new(session, seat->production);
    }
    hold->is_held = true;
    hold->seat = seat;
    if (!hold->is_changed) {
        hold->is_changed = true;
        LIST_INSERT_HEAD(&session->changed, hold, change);
    }
    session->productions++;
}

static void keep_seat(struct mirror_session *session, const struct store_request *request,
                      const struct seat_numbers *numbers)
{
    bool is_held = request->ask.use == SEAT_HELD;
    struct mirror_seat *seat =
        mirror_seat_new(session, request->request, is_held ? request->ask.production : "");
    struct buf record;
    buf_init(&record, RECORD_BYTES_MAX);
    int rc = seat_record_write(request, numbers, &record);
    if (rc != 0) {
        abort(); /* names have a maximum, and small memory is never out: common/memory.h */
    }
    seat->record = record.data;
    seat->record_bytes = record.length;
    snprintf(seat->pool, sizeof(seat->pool), "%s", request->ask.pools[0]);
    seat->number = numbers->number;
    seat->token = numbers->token;
    seat->since_ms = numbers->since_ms;
    seat->life_end_ms = numbers->life_end_ms;
    seat->is_plain = true;
    seat->is_fresh = true;
    LIST_INSERT_HEAD(&session->fresh, seat, change);
    if (is_held) {
        hold_seat(session, seat);
    }
}

static int take_acquire(struct ahead *ahead, struct mirror_session *session,
                        const struct store_request *request, struct ahead_result *result)
{
    struct mirror_pool *pool = plain_pool(ahead, request);
    uint64_t number = batch_number_of(request->session, request->request);
    if (pool == NULL || number <= session->top || !may_hold(ahead, session, request)) {
        return -EAGAIN;
    }
    touch_pool(ahead, pool);
    if (pool->used - pool->queue_count >= pool->cap) {
        return -EAGAIN;
    }
    touch_session(ahead, session);
    session->top = number;
    struct seat_numbers numbers = {.since_ms = ahead->now_ms, .cap = pool->cap};
    take_seat(ahead, pool, request->reuse_ms, &numbers);
    numbers.used = pool->used;
    numbers.token = ++ahead->mirror.op;
    keep_seat(session, request, &numbers);
    result->word = STORE_GRANTED;
    result->op = numbers.token;
    result->number = numbers.number;
    result->reused = numbers.is_reused;
    result->life_left_ms = numbers.life_end_ms - ahead->now_ms;
    snprintf(result->pool, sizeof(result->pool), "%s", pool->name);
    return 0;
}

/* Release -------------------------------------------------------------------------------------- */

/* The answer is remembered, should the request come again. The memo takes the seat's record. */
static void remember(const struct ahead *ahead, struct mirror_session *session,
                     struct mirror_seat *seat, const struct store_request *request,
                     const struct ahead_result *result)
{
    struct mirror_memo *memo = memory_new(1, sizeof(*memo));
    memo->request = request->request;
    memo->record = seat->record;
    memo->record_bytes = seat->record_bytes;
    memo->dies_ms = ahead->now_ms + request->memo_ms;
    memo->life_left_ms = result->life_left_ms;
    memo->held_ms = result->held_ms;
    seat->record = NULL;
    seat->record_bytes = 0;
    STAILQ_INSERT_TAIL(&session->memos, memo, next);
}

static void enqueue_seat(struct ahead *ahead, struct mirror_pool *pool,
                         const struct mirror_seat *seat)
{
    if (pool->pushed_count == pool->pushed_room) {
        pool->pushed_room = pool->pushed_room > 0 ? 2 * pool->pushed_room : 16;
        pool->pushed = memory_resize(pool->pushed, pool->pushed_room, sizeof(*pool->pushed));
    }
    struct mirror_queued queued = {.life_end_ms = seat->life_end_ms,
                                   .freed_ms = ahead->now_ms,
                                   .number = seat->number,
                                   .batch = ahead->mirror.batch,
                                   .written = (uint32_t)pool->pushed_count};
    pool->pushed[pool->pushed_count++] = (struct mirror_pushed){
        .life_end_ms = seat->life_end_ms, .freed_ms = ahead->now_ms, .number = seat->number};
    mirror_push(pool, &queued);
    dies_at(ahead, seat->life_end_ms);
}

/* It leaves its session; what Redis has of it goes with the batch. */
static void end_seat(struct mirror_session *session, struct mirror_seat *seat)
{
    if (seat->production[0] != '\0') {
        struct mirror_hold *hold = mirror_hold(session, seat->production);
        hold->is_held = false;
        hold->seat = NULL;
        if (!hold->is_changed) {
            hold->is_changed = true;
            LIST_INSERT_HEAD(&session->changed, hold, change);
        }
        session->productions--;
    }
    HASH_DEL(session->seats, seat);
    if (seat->is_fresh) {
        LIST_REMOVE(seat, change);
    }
    if (seat->in_redis) {
        LIST_INSERT_HEAD(&session->gone, seat, change);
    } else {
        mirror_seat_free(seat);
    }
}

static int take_release(struct ahead *ahead, struct mirror_session *session,
                        const struct store_request *request, struct ahead_result *result)
{
    struct mirror_seat *seat = mirror_seat(session, request->request);
    struct mirror_pool *pool = seat != NULL ? mirror_pool(&ahead->mirror, seat->pool) : NULL;
    if (pool == NULL || !pool->is_plain || !seat->is_plain || seat->token != request->token ||
        (seat->production[0] != '\0' && mirror_hold(session, seat->production) == NULL)) {
        return -EAGAIN;
    }
    touch_pool(ahead, pool);
    touch_session(ahead, session);
    int64_t life_left_ms = seat->life_end_ms - ahead->now_ms;
    int64_t held_ms = ahead->now_ms - seat->since_ms;
    result->word = STORE_RELEASED;
    result->op = ++ahead->mirror.op;
    result->life_left_ms = life_left_ms > 0 ? life_left_ms : 0;
    result->held_ms = held_ms > 0 ? held_ms : 0; /* the clock stepped back */
    snprintf(result->pool, sizeof(result->pool), "%s", pool->name);
    remember(ahead, session, seat, request, result);
    if (life_left_ms > 0) {
        enqueue_seat(ahead, pool, seat);
    } else {
        pool->used--;
    }
    end_seat(session, seat);
    return 0;
}

int ahead_take(struct ahead *ahead, const struct store_request *request,
               struct ahead_result *ret_result)
{
    struct mirror_session *session = mirror_session(&ahead->mirror, request->session);
    if (session == NULL || session->waits > 0) {
        return -EAGAIN;
    }
    *ret_result = (struct ahead_result){0};
    int rc = request->verb == STORE_ACQUIRE ? take_acquire(ahead, session, request, ret_result)
                                            : take_release(ahead, session, request, ret_result);
    ahead->count += rc == 0;
    return rc;
}
