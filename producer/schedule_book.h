/*
 * All schedules that a producer knows, and when each is due: definitions come from the catalog,
 * states from the shards, and what is due comes out, one production at a time. Pure: told the time,
 * told what was committed.
 *
 * A production fires when it has a schedule and its shard is ours. From schedule_book_pop until
 * schedule_book_settle it is in flight and fires nothing else; what falls due meanwhile is decided
 * after that. A state only moves forward when its transaction was committed, so whoever takes the
 * shard goes on where the log says, and nothing fires twice or is forgotten.
 *
 *              define + own              pop                settle(true): new state
 *     WAITING ─────────────► SCHEDULED ───────► IN FLIGHT ──────────────────────────► SCHEDULED
 *                            (in the heap)         └─ settle(false): the old state ─► SCHEDULED
 */
#ifndef ENGENHO_PRODUCER_SCHEDULE_BOOK_H
#define ENGENHO_PRODUCER_SCHEDULE_BOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "producer/schedule.h"
#include "proto/control.pb-c.h"

struct schedule_book;

/* Returns owned. `shards`: how many there are. `late_us`: what fires later than this is a misfire.
 */
struct schedule_book *schedule_book_new(int shards, int64_t late_us);
void schedule_book_free(struct schedule_book *book);

struct schedule_definition {
    uint64_t generation;
    int64_t changed_us; /* when the definition was written */
    int64_t started_us; /* when the production was last started: earlier times never fire */
};

/*
 * The production runs by this schedule from now on. Takes `schedule`. A schedule with other times
 * than the ones before catches up from `changed_us` on only.
 */
void schedule_book_define(struct schedule_book *book, const char *production, int shard,
                          struct schedule *schedule, const struct schedule_definition *definition);
/* It has no schedule any more (stopped, deleted, changed). Its state stays as long as the shard is
 * ours. */
void schedule_book_undefine(struct schedule_book *book, const char *production);

/*
 * What `control` says of a production (NULL: nothing any more). Heeded while the shard is not ours
 * yet: from then on the book knows better than an echo of its own writes.
 */
void schedule_book_restore(struct schedule_book *book, const char *production, int shard,
                           const Engenho__ScheduleState *state);
void schedule_book_own(struct schedule_book *book, int shard);
/* Forgets the shard's states and what was in flight. */
void schedule_book_disown(struct schedule_book *book, int shard);

/* When the next production is due, or SCHEDULE_NEVER. */
int64_t schedule_book_due_us(const struct schedule_book *book);

struct schedule_firing {
    const char *production; /* valid until the book's next call that removes it */
    int shard;
    uint64_t generation;     /* of the definition */
    uint64_t ticket;         /* for schedule_book_settle */
    struct schedule_due due; /* what fires: due.count may be 0, then only the state is written */
    Engenho__ScheduleState state; /* to be committed with it */
};

/* The next production that is due at `now_us`, with what it fires; it is in flight then. Returns
 * false when none is. */
bool schedule_book_pop(struct schedule_book *book, int64_t now_us,
                       struct schedule_firing *ret_firing);

/* The transaction of a firing was committed, or nothing of it was. A ticket of before a disown is
 * ignored. */
void schedule_book_settle(struct schedule_book *book, const char *production, uint64_t ticket,
                          bool committed);

/* For people. */
struct schedule_view {
    bool defined, owned, in_flight;
    const struct schedule *schedule;     /* NULL: none */
    const Engenho__ScheduleState *state; /* NULL: has not fired, or of another replica */
    int64_t base_us;                     /* next times are those after it */
};
/* Returns whether the book knows the production. */
bool schedule_book_view(const struct schedule_book *book, const char *production,
                        struct schedule_view *ret_view);
/* How many productions with a schedule are in shards of ours. */
size_t schedule_book_active(const struct schedule_book *book);

#endif
