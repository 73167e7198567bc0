/*
 * What can't run for long leaves its lane's window: it is parked in `later`, in order, and what
 * follows it goes behind it (DESIGN section 4). Here is what is counted of it, when it begins and
 * when it is read again. Worker, core.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/duration.h"
#include "common/memory.h"
#include "common/names.h"
#include "worker/engine_parts.h"

#define FEED_US SECOND_US /* how long a seat that came is kept while what was parked is read */

#define KEY_BYTES_MAX (NAME_BYTES_MAX + ORDERING_KEY_BYTES_MAX + 8)

/* The holder's name, NUL, the ordering key. Returns its bytes. */
static size_t print_key(const struct holder *holder, const char *ordering_key, char *key)
{
    size_t name_bytes = strlen(holder->name) + 1, key_bytes = strlen(ordering_key);
    assert(name_bytes + key_bytes <= KEY_BYTES_MAX);
    memcpy(key, holder->name, name_bytes);
    memcpy(key + name_bytes, ordering_key, key_bytes);
    return name_bytes + key_bytes;
}

static struct parked *find(const struct lane *lane, const struct holder *holder,
                           const char *ordering_key)
{
    char key[KEY_BYTES_MAX];
    struct parked *parked;
    size_t bytes = print_key(holder, ordering_key, key);
    HASH_FIND(hh, lane->parked, key, bytes, parked);
    return parked;
}

bool parking_has(const struct lane *lane, const struct holder *holder, const char *ordering_key)
{
    return holder->parked > 0 && find(lane, holder, ordering_key) != NULL;
}

void parking_add(struct lane *lane, struct holder *holder, const char *ordering_key)
{
    char key[KEY_BYTES_MAX];
    struct parked *parked = find(lane, holder, ordering_key);
    if (parked == NULL) {
        size_t bytes = print_key(holder, ordering_key, key);
        parked = memory_new(1, sizeof *parked + bytes);
        memcpy(parked->key, key, bytes);
        parked->key_bytes = bytes;
        parked->holder = holder;
        HASH_ADD_KEYPTR(hh, lane->parked, parked->key, parked->key_bytes, parked);
    }
    parked->count++;
    holder->parked++;
}

void parking_take(struct lane *lane, struct holder *holder, const char *ordering_key)
{
    struct parked *parked = find(lane, holder, ordering_key);
    assert(parked != NULL && parked->count > 0 && holder->parked > 0);
    holder->parked--;
    if (--parked->count == 0) {
        HASH_DEL(lane->parked, parked);
        free(parked);
    }
}

void parking_drop_lane(struct lane *lane)
{
    struct parked *parked, *following;
    HASH_ITER (hh, lane->parked, parked, following) {
        struct holder *holder = parked->holder;
        holder->parked -= parked->count;
        HASH_DEL(lane->parked, parked);
        free(parked);
        if (holder->parked == 0 && holder->starved) {
            holder->starved = false;
            dispatch_refresh(lane->engine, holder);
        }
    }
}

static bool in_lane(const struct lane *lane, const struct holder *holder)
{
    const struct parked *parked;
    for (parked = lane->parked; parked != NULL; parked = parked->hh.next) {
        if (parked->holder == holder) {
            return true;
        }
    }
    return false;
}

void parking_recall(struct engine *engine, const struct holder *holder)
{
    struct lane *lane;
    TAILQ_FOREACH (lane, &engine->lanes, next) {
        if (lane->state <= LANE_RUNNING && in_lane(lane, holder)) {
            lane_recall(lane);
        }
    }
}

void parking_fill(struct engine *engine, const struct holder *holder)
{
    struct lane *lane;
    TAILQ_FOREACH (lane, &engine->lanes, next) {
        struct line *line, *following;
        struct execution *execution, *next_execution;
        if (lane->state != LANE_RUNNING) {
            continue;
        }
        lane->pinned++;
        HASH_ITER (hh, lane->lines, line, following) {
            if (line->holder == holder) {
                dispatch_park_line(line);
            }
        }
        dispatch_unpin(lane);
        for (execution = TAILQ_FIRST(&lane->seatless); execution != NULL;
             execution = next_execution) {
            next_execution = TAILQ_NEXT(execution, next);
            if (execution->holder == holder) {
                intake_park(execution);
            }
        }
    }
}

static void watch(struct engine *engine, struct holder *holder, int64_t due_us)
{
    if (!holder->watched) {
        TAILQ_INSERT_TAIL(&engine->watched, holder, watch);
        holder->watched = true;
    }
    holder->watch_us = due_us;
    if (due_us < engine->watch_us) {
        engine->watch_us = due_us;
    }
}

static void unwatch(struct engine *engine, struct holder *holder)
{
    if (holder->watched) {
        TAILQ_REMOVE(&engine->watched, holder, watch);
        holder->watched = false;
    }
}

void parking_wait(struct engine *engine, struct holder *holder)
{
    if (!holder->starved && !holder->watched) {
        watch(engine, holder, engine->now_us + engine->options.park_after_us);
    }
}

void parking_end_wait(struct engine *engine, struct holder *holder)
{
    holder->feeding = false;
    unwatch(engine, holder);
}

void parking_feed(struct engine *engine, struct holder *holder)
{
    holder->starved = false;
    holder->feeding = true;
    watch(engine, holder, engine->now_us + FEED_US);
    parking_recall(engine, holder);
}

void parking_forget(struct engine *engine, struct holder *holder)
{
    bool starved = holder->starved;
    holder->starved = holder->feeding = false;
    unwatch(engine, holder);
    if (starved && holder->state != HOLDER_HELD) {
        parking_recall(engine, holder);
    }
}

void parking_wait_own(struct execution *execution)
{
    struct lane *lane = execution->line->lane;
    struct engine *engine = lane->engine;
    execution->park_us =
        execution->record->from_later ? INT64_MAX : engine->now_us + engine->options.park_after_us;
    if (execution->park_us < lane->park_us) {
        lane->park_us = execution->park_us;
    }
}

/*
 * What waits for a seat of its own has a record of its own in `later` then: it holds up neither the
 * outcomes of other productions of its event nor the offsets of the input.
 */
static void tick_own(struct lane *lane)
{
    struct execution *execution, *following;
    lane->park_us = INT64_MAX;
    for (execution = TAILQ_FIRST(&lane->seatless); execution != NULL; execution = following) {
        following = TAILQ_NEXT(execution, next);
        if (execution->park_us <= lane->engine->now_us) {
            lane->passed_over = true;
            intake_park(execution);
        } else if (execution->park_us < lane->park_us) {
            lane->park_us = execution->park_us;
        }
    }
}

static int64_t tick_lanes(struct engine *engine)
{
    int64_t next_us = INT64_MAX;
    struct lane *lane;
    TAILQ_FOREACH (lane, &engine->lanes, next) {
        if (lane->state == LANE_RUNNING && lane->park_us <= engine->now_us) {
            tick_own(lane);
        }
        if (lane->state == LANE_RUNNING && lane->park_us < next_us) {
            next_us = lane->park_us;
        }
    }
    return next_us;
}

static int64_t tick_holders(struct engine *engine)
{
    struct holder *holder, *following;
    if (engine->now_us < engine->watch_us) {
        return engine->watch_us;
    }
    engine->watch_us = INT64_MAX;
    for (holder = TAILQ_FIRST(&engine->watched); holder != NULL; holder = following) {
        following = TAILQ_NEXT(holder, watch);
        if (holder->watch_us > engine->now_us) {
            engine->watch_us =
                holder->watch_us < engine->watch_us ? holder->watch_us : engine->watch_us;
            continue;
        }
        unwatch(engine, holder);
        if (holder->feeding) {
            holder->feeding = false; /* nothing came of it */
        } else {
            holder->starved = true;
            parking_fill(engine, holder);
        }
        dispatch_refresh(engine, holder);
    }
    return engine->watch_us;
}

int64_t parking_tick(struct engine *engine)
{
    int64_t lanes_us = tick_lanes(engine), holders_us = tick_holders(engine);
    return lanes_us < holders_us ? lanes_us : holders_us;
}
