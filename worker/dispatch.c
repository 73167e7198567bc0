/*
 * Which executions run next: one at a time of a line, seats first, holders in turn, batches of what
 * is expected to be short.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "worker/engine_parts.h"

#define SLOT_BITS 16
#define SLOTS_MAX (1u << SLOT_BITS)
#define BATCH_US 1000.0 /* of expected work in one batch */
#define MEAN_WEIGHT 0.1
#define KEY_BYTES_MAX 1024

void execution_free(struct execution *execution)
{
    assert(execution->own_seat == NULL || execution->own_seat->state == SEAT_NONE);
    production_drop(execution->production);
    free(execution->own_seat);
    free(execution);
}

bool dispatch_takes_own_seats(const struct production *production)
{
    return production->seat_kind == ENGENHO__SEAT_KIND__SEAT_KIND_REQUEST &&
           production->ordering == ENGENHO__ORDERING__ORDERING_NONE;
}

bool dispatch_must_wait(const struct holder *holder)
{
    return holder->state == HOLDER_HELD || holder->starved;
}

struct line *dispatch_line(struct lane *lane, struct holder *holder, bool ordered,
                           const char *ordering_key, size_t key_bytes)
{
    char key[KEY_BYTES_MAX];
    size_t name_bytes = strlen(holder->name) + 1, bytes = name_bytes + (ordered ? key_bytes : 0);
    struct line *line;
    assert(bytes < sizeof key);
    memcpy(key, holder->name, name_bytes);
    if (ordered) {
        memcpy(key + name_bytes, ordering_key, key_bytes);
    } else {
        key[name_bytes - 1] = '\1'; /* not the line of an empty key */
    }
    HASH_FIND(hh, lane->lines, key, bytes, line);
    if (line == NULL) {
        line = memory_new(1, sizeof *line + bytes + 1);
        line->lane = lane;
        line->holder = holder;
        line->ordered = ordered;
        TAILQ_INIT(&line->waiting);
        memcpy(line->key, key, bytes);
        line->key_bytes = bytes;
        line->ordering_key = line->key + name_bytes;
        HASH_ADD_KEYPTR(hh, lane->lines, line->key, line->key_bytes, line);
    }
    return line;
}

static void unready(struct line *line)
{
    if (line->ready) {
        TAILQ_REMOVE(&line->holder->ready, line, next);
        line->ready = false;
    }
}

void dispatch_free_line(struct line *line)
{
    if (line->running == 0 && line->waiting_count == 0 && line->kept == 0 &&
        line->lane->pinned == 0) {
        unready(line);
        HASH_DEL(line->lane->lines, line);
        free(line);
    }
}

void dispatch_park_line(struct line *line)
{
    if (line->lane->state != LANE_RUNNING || (line->ordered && line->running > 0)) {
        return;
    }
    line->kept++; /* while it is emptied */
    while (line->waiting_count > 0) {
        intake_park(TAILQ_FIRST(&line->waiting));
    }
    line->kept--;
}

void dispatch_unpin(struct lane *lane)
{
    struct line *line, *following;
    if (--lane->pinned > 0) {
        return;
    }
    HASH_ITER (hh, lane->lines, line, following) {
        dispatch_free_line(line);
    }
}

/* Put the line among the ready ones of its holder if it may run. */
static void check_line(struct line *line)
{
    if (dispatch_must_wait(line->holder)) {
        dispatch_park_line(line);
    }
    if (line->ready || line->waiting_count == 0 || line->lane->state != LANE_RUNNING ||
        (line->ordered && line->running > 0)) {
        return;
    }
    TAILQ_INSERT_TAIL(&line->holder->ready, line, next);
    line->ready = true;
    if (!line->holder->in_ring) {
        dispatch_refresh(line->lane->engine, line->holder);
    }
}

static void leave_ring(struct engine *engine, struct holder *holder)
{
    if (holder->in_ring) {
        TAILQ_REMOVE(&engine->ring, holder, ring);
        holder->in_ring = false;
    }
}

/* It has nothing to run, or may not: its seat is of no use. */
static void rest(struct engine *engine, struct holder *holder)
{
    leave_ring(engine, holder);
    seats_unwant(&engine->seats, &holder->seat);
    if (!holder->feeding) {
        parking_end_wait(engine, holder);
        seats_idle(&engine->seats, &holder->seat, engine->now_us);
    }
}

/* Whether it needs no seat or has it; else it is asked for. */
static bool has_seat(struct engine *engine, struct holder *holder)
{
    const struct production *production = holder->production;
    if (production != NULL && dispatch_takes_own_seats(production)) {
        return true;
    }
    if (production != NULL && holder->seat.state == SEAT_NONE) {
        holder->seat.kind = production->seat_kind;
        holder->seat.production = production->name;
        holder->seat.pools = production->pools;
        holder->seat.pool_count = production->pool_count;
    }
    if (!seats_want(&engine->seats, &holder->seat)) {
        parking_wait(engine, holder);
        return false;
    }
    if (holder->starved) {
        parking_feed(engine, holder);
    } else {
        parking_end_wait(engine, holder);
    }
    return true;
}

void dispatch_refresh(struct engine *engine, struct holder *holder)
{
    bool may = (!TAILQ_EMPTY(&holder->ready) || holder->starved) &&
               holder->state == HOLDER_STARTED && holder->waits_for == NULL && engine->allowed;
    if (!may) {
        rest(engine, holder);
    } else if (!has_seat(engine, holder)) {
        leave_ring(engine, holder);
    } else if (!holder->in_ring) {
        TAILQ_INSERT_TAIL(&engine->ring, holder, ring);
        holder->in_ring = true;
    }
}

/* Into its line by its arrival: what comes back from an interpreter goes in front. */
static void insert(struct execution *execution)
{
    struct line *line = execution->line;
    struct execution *other = TAILQ_LAST(&line->waiting, execution_list);
    if (other == NULL || other->sequence < execution->sequence) {
        TAILQ_INSERT_TAIL(&line->waiting, execution, next);
    } else {
        TAILQ_FOREACH (other, &line->waiting, next) {
            if (other->sequence > execution->sequence) {
                break;
            }
        }
        TAILQ_INSERT_BEFORE(other, execution, next);
    }
    execution->state = EXECUTION_WAITING;
    line->waiting_count++;
    line->holder->waiting++;
}

void dispatch_add(struct execution *execution)
{
    insert(execution);
    check_line(execution->line);
}

static void take_out(struct execution *execution)
{
    struct line *line = execution->line;
    TAILQ_REMOVE(&line->waiting, execution, next);
    line->waiting_count--;
    line->holder->waiting--;
}

static void add_seatless(struct execution *execution)
{
    struct lane *lane = execution->line->lane;
    execution->state = EXECUTION_SEATLESS;
    TAILQ_INSERT_TAIL(&lane->seatless, execution, next);
    lane->seatless_count++;
    execution->line->kept++;
    parking_wait_own(execution);
}

static void take_seatless(struct execution *execution)
{
    struct lane *lane = execution->line->lane;
    TAILQ_REMOVE(&lane->seatless, execution, next);
    lane->seatless_count--;
    execution->line->kept--;
}

void dispatch_seat_came(struct execution *execution)
{
    take_seatless(execution);
    dispatch_add(execution);
}

void dispatch_seat_gone(struct execution *execution)
{
    take_out(execution);
    add_seatless(execution);
}

void dispatch_add_seatless(struct execution *execution)
{
    struct lane *lane = execution->line->lane;
    const struct production *production = execution->production;
    struct seat *seat = memory_new(1, sizeof *seat);
    seat->kind = production->seat_kind;
    seat->production = production->name[0] != '\0' ? production->name : production->application;
    seat->pools = production->pools;
    seat->pool_count = production->pool_count;
    seat->owner = execution;
    execution->own_seat = seat;
    add_seatless(execution);
    if (lane->engine->allowed) {
        seats_want(&lane->engine->seats, seat);
    }
}

/* A seat of its own that was granted goes back: it does not run. */
static void give_back_own(struct engine *engine, struct execution *execution)
{
    if (execution->own_seat != NULL) {
        seats_idle(&engine->seats, execution->own_seat, engine->now_us - engine->seats.linger_us);
        seats_tick(&engine->seats, engine->now_us);
    }
}

void dispatch_remove(struct execution *execution)
{
    struct line *line = execution->line;
    struct engine *engine = line->lane->engine;
    struct holder *holder = line->holder;
    if (execution->state == EXECUTION_SEATLESS) {
        take_seatless(execution);
        seats_unwant(&engine->seats, execution->own_seat);
    } else {
        take_out(execution);
        give_back_own(engine, execution);
    }
    if (line->waiting_count == 0) {
        unready(line);
    }
    execution->line = NULL;
    dispatch_free_line(line);
    if (TAILQ_EMPTY(&holder->ready)) {
        dispatch_refresh(engine, holder);
    }
}

static uint32_t take_slot(struct engine *engine)
{
    if (engine->free_slot_count == 0) {
        size_t before = engine->running_capacity, after = before ? 2 * before : 256;
        assert(after <= SLOTS_MAX);
        engine->running = memory_resize(engine->running, after, sizeof(struct execution *));
        engine->free_slots = memory_resize(engine->free_slots, after, sizeof *engine->free_slots);
        for (size_t slot = after; slot > before; slot--) {
            engine->running[slot - 1] = NULL;
            engine->free_slots[engine->free_slot_count++] = (uint32_t)(slot - 1);
        }
        engine->running_capacity = after;
    }
    return engine->free_slots[--engine->free_slot_count];
}

struct execution *engine_find(struct engine *engine, uint64_t number)
{
    uint32_t slot = (uint32_t)(number & (SLOTS_MAX - 1));
    struct execution *execution = slot < engine->running_capacity ? engine->running[slot] : NULL;
    return execution != NULL && execution->number == number ? execution : NULL;
}

static void forget_number(struct engine *engine, struct execution *execution)
{
    uint32_t slot = (uint32_t)(execution->number & (SLOTS_MAX - 1));
    engine->running[slot] = NULL;
    engine->free_slots[engine->free_slot_count++] = slot;
    engine->running_count--;
}

static size_t batch_limit(const struct holder *holder)
{
    double fit = holder->mean_us > 0 ? BATCH_US / holder->mean_us : 1;
    return fit >= BATCH_MAX ? BATCH_MAX : fit < 1 ? 1 : (size_t)fit;
}

/* Whether the code of what comes next is there; else the holder waits for it. */
static bool code_is_ready(struct engine *engine, struct holder *holder, struct execution *execution)
{
    if (execution->code->state == CODE_READY) {
        return true;
    }
    if (execution->code->state == CODE_WANTED) {
        holder->waits_for = execution->code;
    }
    leave_ring(engine, holder);
    return false;
}

static bool take_one(struct engine *engine, struct line *line, struct execution **ret_taken)
{
    struct execution *first = TAILQ_FIRST(&line->waiting);
    if (first == NULL || !code_is_ready(engine, line->holder, first)) {
        return false;
    }
    take_out(first);
    *ret_taken = first;
    return true;
}

/* A batch that is being put together, and the lines that more of it may come from. */
struct draft {
    struct execution **batch;
    size_t count, limit;
    struct line *lines[BATCH_MAX];
    size_t line_count;
};

/* One execution of each ready line; all that fits of one without order. */
static void draft_ready(struct engine *engine, struct holder *holder, struct draft *draft)
{
    while (draft->count < draft->limit && holder->in_ring && !TAILQ_EMPTY(&holder->ready)) {
        struct line *line = TAILQ_FIRST(&holder->ready);
        struct execution **next = &draft->batch[draft->count];
        bool taken = take_one(engine, line, next);
        /* What keeps a state runs alone of its line: the next would not see what it leaves. */
        if (taken && line->ordered && !(*next)->production->keeps_state) {
            draft->lines[draft->line_count++] = line;
        }
        draft->count += taken;
        if (line->waiting_count == 0 || (line->ordered && taken)) {
            unready(line);
        }
    }
}

/* More of the same lines, round by round, while there is room. */
static void draft_more(struct engine *engine, const struct holder *holder, struct draft *draft)
{
    size_t before = draft->count + 1;
    while (draft->count < draft->limit && before != draft->count) {
        before = draft->count;
        for (size_t i = 0; i < draft->line_count && draft->count < draft->limit && holder->in_ring;
             i++) {
            struct execution *next = TAILQ_FIRST(&draft->lines[i]->waiting);
            if (next != NULL && !next->production->keeps_state) {
                draft->count += take_one(engine, draft->lines[i], &draft->batch[draft->count]);
            }
        }
    }
}

/*
 * The lines take turns, so that what is finished lies close together in its partition and the map
 * of it stays small.
 */
static size_t build_batch(struct engine *engine, struct holder *holder, struct execution **batch)
{
    struct draft draft = {.batch = batch, .limit = batch_limit(holder)};
    draft_ready(engine, holder, &draft);
    draft_more(engine, holder, &draft);
    return draft.count;
}

static void begin(struct execution *execution)
{
    struct seat *seat = execution->own_seat ? execution->own_seat : &execution->holder->seat;
    execution->waived = seats_use(seat);
    execution->state = EXECUTION_RUNNING;
    execution->line->running++;
    execution->line->lane->running++;
    execution->holder->running++;
}

/* No interpreter can be told of it: with its event and userCache it is larger than a frame. */
static void refuse_too_large(struct engine *engine, struct execution *execution)
{
    struct record *record = execution->record;
    struct line *line = execution->line;
    Engenho__Finished finished = ENGENHO__FINISHED__INIT;
    finished.outcome = ENGENHO__OUTCOME__OUTCOME_FAILED;
    finished.error_class = (char *)"TooLarge";
    finished.error =
        (char *)"the event, parameters and userCache together are larger than an interpreter takes";
    finished.not_retryable = true;
    line->kept++;
    outcome_finish(execution, &finished);
    give_back_own(engine, execution);
    execution_free(execution);
    lane_settle_one(record);
    line->kept--;
    check_line(line);
    dispatch_free_line(line);
}

static void give_numbers(struct engine *engine, struct execution **batch, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t slot = take_slot(engine);
        batch[i]->number = (++engine->serial << SLOT_BITS) | slot;
        engine->running[slot] = batch[i];
        engine->running_count++;
    }
}

/* Into their lines again, which are looked at by check_lines once it is known what runs. */
static void take_back(struct engine *engine, struct execution **batch, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        forget_number(engine, batch[i]);
        insert(batch[i]);
    }
}

static void check_lines(struct execution **batch, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        check_line(batch[i]->line);
    }
}

/* Returns as the port does, and of how many executions: the others are in their lines again. */
static int hand_over(struct engine *engine, struct execution **batch, size_t count,
                     size_t *ret_given)
{
    give_numbers(engine, batch, count);
    int result = engine->port.submit(engine->port.context, batch, count);
    *ret_given = count;
    if (result == -EMSGSIZE && count > 1) {
        /* One of them is too large: the first one alone shows whether it is. */
        take_back(engine, batch + 1, count - 1);
        *ret_given = 1;
        result = engine->port.submit(engine->port.context, batch, 1);
    }
    if (result == -EMSGSIZE) {
        forget_number(engine, batch[0]);
    } else if (result != 0) {
        take_back(engine, batch, *ret_given);
        *ret_given = 0;
    }
    return result;
}

/* Returns whether it makes sense to go on. */
static bool submit(struct engine *engine, struct holder *holder)
{
    struct execution *batch[BATCH_MAX];
    size_t given, count = build_batch(engine, holder, batch);
    if (count == 0) {
        if (holder->in_ring) {
            leave_ring(engine, holder);
        }
        return true;
    }
    int result = hand_over(engine, batch, count, &given);
    for (size_t i = 0; result == 0 && i < given; i++) {
        begin(batch[i]);
    }
    check_lines(batch + given, count - given);
    if (result == -EMSGSIZE) {
        refuse_too_large(engine, batch[0]);
        return true;
    }
    return result == 0;
}

void dispatch_pump(struct engine *engine)
{
    struct holder *holder;
    while (engine->allowed && (holder = TAILQ_FIRST(&engine->ring)) != NULL &&
           engine->port.free_interpreters(engine->port.context) > 0) {
        /* In turn: the next batch is another holder's. */
        TAILQ_REMOVE(&engine->ring, holder, ring);
        TAILQ_INSERT_TAIL(&engine->ring, holder, ring);
        if (!submit(engine, holder)) {
            return;
        }
        if (TAILQ_EMPTY(&holder->ready)) {
            leave_ring(engine, holder);
        }
    }
}

/* It is no longer with an interpreter. Its line may be gone. */
static void end_run(struct engine *engine, struct execution *execution)
{
    struct seat *seat = execution->own_seat ? execution->own_seat : &execution->holder->seat;
    forget_number(engine, execution);
    execution->holder->running--;
    if (execution->line != NULL) {
        execution->line->running--;
        execution->line->lane->running--;
    }
    if (seat->users > 0) {
        seats_end_use(&engine->seats, seat, execution->own_seat == NULL, engine->now_us);
    }
    if (execution->own_seat != NULL) {
        seats_unwant(&engine->seats, seat); /* asked again while it ran */
    }
}

void engine_returned(struct engine *engine, uint64_t number)
{
    struct execution *execution = engine_find(engine, number);
    if (execution == NULL) {
        return;
    }
    struct holder *holder = execution->holder;
    end_run(engine, execution);
    if (execution->line == NULL) {
        execution_free(execution);
    } else if (execution->own_seat != NULL) {
        free(execution->own_seat);
        execution->own_seat = NULL;
        dispatch_add_seatless(execution);
    } else {
        dispatch_add(execution);
    }
    dispatch_refresh(engine, holder);
}

static void learn_mean(struct holder *holder, const Engenho__Finished *finished)
{
    double took_us = (double)(finished->end_us - finished->start_us);
    if (finished->start_us <= 0 || took_us < 0) {
        return;
    }
    took_us = took_us < 1 ? 1 : took_us;
    holder->mean_us =
        holder->mean_us > 0 ? holder->mean_us * (1 - MEAN_WEIGHT) + took_us * MEAN_WEIGHT : took_us;
}

void engine_finished(struct engine *engine, const Engenho__Finished *finished)
{
    struct execution *execution = engine_find(engine, finished->number);
    if (execution == NULL) {
        return;
    }
    struct holder *holder = execution->holder;
    struct line *line = execution->line;
    learn_mean(holder, finished);
    if (line != NULL) {
        outcome_finish(execution, finished);
    }
    end_run(engine, execution);
    if (line != NULL) {
        struct record *record = execution->record;
        line->kept++; /* the record's end may end it */
        execution_free(execution);
        lane_settle_one(record);
        line->kept--;
        check_line(line);
        dispatch_free_line(line);
    } else {
        execution_free(execution);
    }
    dispatch_refresh(engine, holder);
}

void dispatch_open_lane(struct lane *lane)
{
    struct line *line, *following;
    lane->pinned++;
    HASH_ITER (hh, lane->lines, line, following) {
        check_line(line);
    }
    dispatch_unpin(lane);
}

void dispatch_close_lane(struct lane *lane)
{
    struct line *line, *following;
    HASH_ITER (hh, lane->lines, line, following) {
        if (line->ready) {
            unready(line);
            dispatch_refresh(lane->engine, line->holder);
        }
    }
}

void dispatch_orphan(struct lane *lane)
{
    struct engine *engine = lane->engine;
    for (size_t slot = 0; lane->running > 0 && slot < engine->running_capacity; slot++) {
        struct execution *execution = engine->running[slot];
        if (execution != NULL && execution->line != NULL && execution->line->lane == lane) {
            execution->line->running--;
            lane->running--;
            execution->line = NULL;
            execution->record = NULL;
            engine->port.cancel(engine->port.context, execution->number);
        }
    }
}

void dispatch_drop_lane(struct lane *lane)
{
    struct execution *execution;
    struct line *line, *following;
    dispatch_orphan(lane);
    while ((execution = TAILQ_FIRST(&lane->seatless)) != NULL) {
        dispatch_remove(execution);
        execution_free(execution);
    }
    lane->pinned++;
    HASH_ITER (hh, lane->lines, line, following) {
        for (unsigned left = line->waiting_count; left > 0; left--) {
            execution = TAILQ_FIRST(&line->waiting);
            dispatch_remove(execution);
            execution_free(execution);
        }
    }
    HASH_ITER (hh, lane->lines, line, following) {
        line->kept = 0;
    }
    dispatch_unpin(lane);
}
