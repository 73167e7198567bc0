#include "worker/engine.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/names.h"
#include "worker/engine_parts.h"

void engine_init(struct engine *engine, const struct engine_options *options,
                 const struct engine_port *port)
{
    *engine = (struct engine){.options = *options, .port = *port};
    engine->matcher = matcher_new();
    TAILQ_INIT(&engine->ring);
    TAILQ_INIT(&engine->lanes);
    TAILQ_INIT(&engine->watched);
    engine->watch_us = INT64_MAX;
    seats_init(&engine->seats, &port->seats, options->seat_linger_us);
    publisher_init(&engine->publisher);
}

void engine_release(struct engine *engine)
{
    engine_txn_gone(engine);
    while (!TAILQ_EMPTY(&engine->lanes)) {
        engine_drop_lane(engine, TAILQ_FIRST(&engine->lanes));
    }
    publisher_release(engine);
    seats_release_all(&engine->seats);
    for (size_t slot = 0; slot < engine->running_capacity; slot++) {
        if (engine->running[slot] != NULL) {
            execution_free(engine->running[slot]);
        }
    }
    struct holder *holder, *following;
    HASH_ITER (hh, engine->holders, holder, following) {
        HASH_DEL(engine->holders, holder);
        production_drop(holder->production);
        free(holder);
    }
    matcher_free(engine->matcher);
    free(engine->running);
    free(engine->free_slots);
    engine->matcher = NULL;
    engine->running = NULL;
    engine->free_slots = NULL;
    engine->running_capacity = engine->free_slot_count = 0;
}

void engine_set_time(struct engine *engine, int64_t mono_us, int64_t unix_us)
{
    engine->now_us = mono_us;
    engine->now_unix_us = unix_us;
}

struct holder *engine_holder(struct engine *engine, char kind, const char *name)
{
    char key[NAME_BYTES_MAX + 3];
    struct holder *holder;
    int length = snprintf(key, sizeof key, "%c/%s", kind, name);
    assert(length > 0 && (size_t)length < sizeof key);
    HASH_FIND(hh, engine->holders, key, (size_t)length, holder);
    if (holder == NULL) {
        holder = memory_new(1, sizeof *holder + (size_t)length + 1);
        memcpy(holder->name, key, (size_t)length);
        holder->state = HOLDER_STOPPED;
        holder->seat.owner = NULL;
        TAILQ_INIT(&holder->ready);
        HASH_ADD_KEYPTR(hh, engine->holders, holder->name, (size_t)length, holder);
    }
    return holder;
}

/* Call `each` for every waiting execution of the holder. */
static void for_each_waiting(struct engine *engine, const struct holder *holder,
                             void (*each)(struct execution *))
{
    struct lane *lane;
    TAILQ_FOREACH (lane, &engine->lanes, next) {
        struct line *line, *following;
        struct execution *execution, *next_execution;
        if (lane->state > LANE_RUNNING) {
            continue; /* what waits there is its next owner's */
        }
        lane->pinned++;
        HASH_ITER (hh, lane->lines, line, following) {
            for (unsigned left = line->holder == holder ? line->waiting_count : 0; left > 0;
                 left--) {
                each(TAILQ_FIRST(&line->waiting));
            }
        }
        dispatch_unpin(lane);
        for (execution = TAILQ_FIRST(&lane->seatless); execution != NULL;
             execution = next_execution) {
            next_execution = TAILQ_NEXT(execution, next);
            if (execution->holder == holder) {
                each(execution);
            }
        }
    }
}

static void replace_production(struct holder *holder, struct production *production)
{
    struct production *before = holder->production;
    holder->production = production != NULL ? production_use(production) : NULL;
    if (holder->seat.state != SEAT_NONE || production == NULL) {
        holder->seat.production = production != NULL ? production->name : "";
        holder->seat.pools = production != NULL ? production->pools : NULL;
        holder->seat.pool_count = production != NULL ? production->pool_count : 0;
    }
    holder->waits_for = NULL; /* it may go with the old one; what still wants it says so again */
    production_drop(before);
}

void engine_define(struct engine *engine, struct holder *holder, struct production *production,
                   enum holder_state state)
{
    enum holder_state was = holder->state;
    if (production != NULL && was == HOLDER_HELD && state == HOLDER_STARTED &&
        production->generation <= holder->held_generation) {
        state = HOLDER_HELD; /* held here, and the catalog does not know yet */
    }
    replace_production(holder, production);
    holder->state = state;
    if (state != HOLDER_HELD) {
        holder->held_generation = 0;
    }
    if (state == HOLDER_STOPPED) {
        for_each_waiting(engine, holder, intake_drop);
    } else if (state == HOLDER_HELD && was != HOLDER_HELD) {
        parking_fill(engine, holder);
    } else if (state == HOLDER_STARTED && was != HOLDER_STARTED) {
        breaker_reset(&holder->breaker);
    }
    if (state != HOLDER_STARTED || was != HOLDER_STARTED) {
        parking_forget(engine, holder);
    }
    if (was == HOLDER_HELD && state != HOLDER_HELD) {
        parking_recall(engine, holder);
    }
    dispatch_refresh(engine, holder);
}

void engine_catalog_changed(struct engine *engine)
{
    intake_unknown(engine);
}

void engine_code_changed(struct engine *engine, struct code *code)
{
    struct holder *holder, *following;
    HASH_ITER (hh, engine->holders, holder, following) {
        if (holder->waits_for == code) {
            holder->waits_for = NULL;
            dispatch_refresh(engine, holder);
        }
    }
}

static void write_loose(struct engine *engine, const struct holder *holder, const char *reason)
{
    struct record *record = memory_new(1, sizeof *record);
    STAILQ_INIT(&record->emits);
    outcome_stop_request(engine, &record->emits, holder, reason);
    publisher_add(engine, record);
}

void engine_hold(struct engine *engine, struct holder *holder, const char *reason)
{
    if (holder->state != HOLDER_STARTED || holder->production == NULL) {
        return;
    }
    holder->state = HOLDER_HELD;
    holder->held_generation = holder->production->generation;
    write_loose(engine, holder, reason);
    engine->port.held(engine->port.context, holder, reason);
    parking_forget(engine, holder);
    parking_fill(engine, holder);
    dispatch_refresh(engine, holder);
}

void engine_fail_waiting(struct engine *engine, struct holder *holder,
                         const Engenho__Finished *finished)
{
    struct lane *lane;
    TAILQ_FOREACH (lane, &engine->lanes, next) {
        struct line *line, *following;
        if (lane->state > LANE_RUNNING) {
            continue;
        }
        lane->pinned++;
        HASH_ITER (hh, lane->lines, line, following) {
            for (unsigned left = line->holder == holder ? line->waiting_count : 0; left > 0;
                 left--) {
                struct execution *execution = TAILQ_FIRST(&line->waiting);
                outcome_finish(execution, finished);
                intake_drop(execution);
            }
        }
        dispatch_unpin(lane);
    }
}

void engine_granted(struct engine *engine, const Engenho__Granted *granted, uint64_t request)
{
    struct seat *seat = seats_granted(&engine->seats, granted, request);
    if (seat == NULL) {
        return;
    }
    if (seat->owner != NULL) {
        struct execution *execution = seat->owner;
        if (execution->state == EXECUTION_SEATLESS) {
            dispatch_seat_came(execution);
        }
        return;
    }
    struct holder *holder, *following;
    HASH_ITER (hh, engine->holders, holder, following) {
        if (&holder->seat == seat) {
            dispatch_refresh(engine, holder);
            return;
        }
    }
}

static void refresh_all(struct engine *engine)
{
    struct lane *lane;
    TAILQ_FOREACH (lane, &engine->lanes, next) {
        struct line *line, *following;
        struct execution *execution, *next_execution;
        HASH_ITER (hh, lane->lines, line, following) {
            for (execution = TAILQ_FIRST(&line->waiting); execution != NULL;
                 execution = next_execution) {
                next_execution = TAILQ_NEXT(execution, next);
                if (execution->own_seat != NULL && execution->own_seat->state == SEAT_ASKED) {
                    dispatch_seat_gone(execution);
                }
            }
        }
    }
    struct holder *holder, *following;
    HASH_ITER (hh, engine->holders, holder, following) {
        dispatch_refresh(engine, holder);
    }
}

void engine_seats_lost(struct engine *engine)
{
    seats_lost(&engine->seats, 0);
    refresh_all(engine);
}

void engine_seat_lost(struct engine *engine, uint64_t token)
{
    seats_lost(&engine->seats, token);
    refresh_all(engine);
}

void engine_allow(struct engine *engine, bool allowed)
{
    if (engine->allowed == allowed) {
        return;
    }
    engine->allowed = allowed;
    struct holder *holder, *following;
    HASH_ITER (hh, engine->holders, holder, following) {
        dispatch_refresh(engine, holder);
    }
    struct lane *lane;
    TAILQ_FOREACH (lane, &engine->lanes, next) {
        struct execution *execution;
        TAILQ_FOREACH (execution, &lane->seatless, next) {
            if (allowed) {
                seats_want(&engine->seats, execution->own_seat);
            }
        }
    }
}

int64_t engine_turn(struct engine *engine)
{
    struct record *unknown = NULL;
    struct lane *lane;
    int64_t next_us = lanes_tick(engine), other_us;
    TAILQ_FOREACH (lane, &engine->lanes, next) {
        unknown = lane->state == LANE_RUNNING ? STAILQ_FIRST(&lane->unknown) : NULL;
        if (unknown != NULL && unknown->known_until_us <= engine->now_us) {
            intake_unknown(engine);
            break;
        }
    }
    other_us = parking_tick(engine);
    next_us = other_us < next_us ? other_us : next_us;
    dispatch_pump(engine);
    other_us = publisher_pump(engine);
    next_us = other_us < next_us ? other_us : next_us;
    other_us = seats_tick(&engine->seats, engine->now_us);
    return other_us < next_us ? other_us : next_us;
}
