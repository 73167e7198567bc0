/*
 * The steps by which usage records go from the licensor's store to the topic `usage`, each once,
 * whoever is killed in between (docs/decisions/usage-records.md). Pure: it says what to do next and
 * is told what became of it. Producer.
 *
 *             tick, nothing to settle                          records
 *     REST ──────────────────────────► FETCHING ──────────────────────────► COMMITTING
 *      │ ▲ ▲                             ▲   │ none, or refused                 │
 *      │ │ └─────────────────────────────│───┘                                  │ committed: they are on the topic,
 *      │ │ refused, not committed        │ acknowledged                         ▼ and so is their last id
 *      │ └───────────────────────────────┴───────────────────────────────── SETTLING
 *      └──── tick, and the position may not have been acknowledged ────────────▲
 *
 * The id of the last record that is on the topic (the position) is committed in the same
 * transaction as the records. Whoever takes over reads it, and acknowledges it before anything is
 * fetched: what is on the topic is never fetched again.
 */
#ifndef ENGENHO_PRODUCER_USAGE_STEPS_H
#define ENGENHO_PRODUCER_USAGE_STEPS_H

#include <stdbool.h>

#define USAGE_ID_BYTES_MAX 120

enum usage_state { USAGE_REST, USAGE_SETTLING, USAGE_FETCHING, USAGE_COMMITTING };

/* What to do now; its outcome is told by the function named. */
enum usage_action {
    USAGE_NOTHING,
    USAGE_ACKNOWLEDGE, /* the position: usage_steps_acknowledged */
    USAGE_FETCH,       /* the oldest records: usage_steps_fetched */
    USAGE_COMMIT       /* what was fetched, with its last id: usage_steps_committed */
};

struct usage_steps {
    enum usage_state state;
    bool is_ours;    /* the shard whose owner does this */
    bool is_settled; /* the licensor has forgotten up to the position */
    bool is_stale;   /* what is on its way was begun before the shard was lost */
    char position[USAGE_ID_BYTES_MAX + 1]; /* ""; nothing is on the topic */
};

/* The shard's memory says so; only before usage_steps_taken. Longer ids are none of ours. */
void usage_steps_position(struct usage_steps *steps, const char *id);
void usage_steps_taken(struct usage_steps *steps);
void usage_steps_lost(struct usage_steps *steps);

/* It is time to look. */
enum usage_action usage_steps_tick(struct usage_steps *steps);
enum usage_action usage_steps_acknowledged(struct usage_steps *steps, bool is_done);
/* `last` is the id of the last record; NULL: none came. */
enum usage_action usage_steps_fetched(struct usage_steps *steps, const char *last);
/* `last`: of what was committed. */
enum usage_action usage_steps_committed(struct usage_steps *steps, bool is_done, const char *last);

#endif
