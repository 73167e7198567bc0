/*
 * A held seat of one (processor, production), or a request seat of one run: when to ask, when to
 * give back (SEATS section 2). The licensor decides; here is the worker's side. Worker, core.
 *
 *   NONE ──use──► ASKED ──granted──► HELD ──last one ends──► LINGERING ──time──► NONE
 *                   └──nobody waits any more──► NONE (out of the line)  └─use──► HELD
 */
#ifndef ENGENHO_WORKER_SEATS_H
#define ENGENHO_WORKER_SEATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/licensor.pb-c.h"

enum seat_state { SEAT_NONE, SEAT_ASKED, SEAT_HELD, SEAT_LINGERING };

#define SEAT_POOL_BYTES_MAX 64

struct seat {
    enum seat_state state;
    Engenho__SeatKind kind;
    const char *production; /* borrowed: the holder's name, or the application's */
    char *const *pools;     /* borrowed: the chain */
    size_t pool_count;
    uint64_t request; /* number of the Acquire; a new one each time */
    uint64_t token;
    uint64_t number; /* L-number; 0: notified */
    char pool[SEAT_POOL_BYTES_MAX];
    unsigned users;     /* executions in flight on it, from asking on */
    int64_t free_at_us; /* LINGERING: monotonic */
    void *owner;        /* the core's */
    /* granted, and nobody has run on it yet: the first one is not waived */
    bool fresh;
    struct seat *next, *previous; /* in the seats' list while not NONE */
};

struct seats_port {
    void *context;
    void (*acquire)(void *context, const struct seat *seat);
    void (*release)(void *context, const struct seat *seat); /* also while ASKED: out of the line */
};

struct seats {
    struct seats_port port;
    int64_t linger_us;
    uint64_t requests;  /* numbers given so far */
    struct seat *first; /* every seat that is not NONE */
    unsigned held;      /* HELD or LINGERING */
    unsigned asked;
};

void seats_init(struct seats *seats, const struct seats_port *port, int64_t linger_us);

/* A seat is wanted: asks if nobody has. Returns whether it is held now, so that work may start. */
bool seats_want(struct seats *seats, struct seat *seat);
/* Nobody wants it any more before it was granted. */
void seats_unwant(struct seats *seats, struct seat *seat);
/*
 * One more user of a held seat. Returns whether it is waived: not the first since it was granted.
 */
bool seats_use(struct seat *seat);
/* A user ended. When it was the last one: lingers (`linger`), or is given back at once. */
void seats_end_use(struct seats *seats, struct seat *seat, bool linger, int64_t now_us);
/* It was granted, and there is nothing to run on it any more. */
void seats_idle(struct seats *seats, struct seat *seat, int64_t now_us);
/*
 * The licensor's answer to request number `request`. Returns the seat, or NULL: nobody waits for
 * it; then it was given back.
 */
struct seat *seats_granted(struct seats *seats, const Engenho__Granted *granted, uint64_t request);
/*
 * The licensor refused request number `request` for good: asked for again, the seat has another
 * number, or the answer would be the refusal that the licensor remembers.
 */
void seats_refused(struct seats *seats, uint64_t request);
/* The asked seat of a request number, or NULL. */
struct seat *seats_find(struct seats *seats, uint64_t request);
/*
 * Time goes on: lingering seats whose time is over are given back. Returns the next time something
 * is due, or INT64_MAX.
 */
int64_t seats_tick(struct seats *seats, int64_t now_us);
/* The licensor says that this pool has a waiting line: lingering seats of it are given back now. */
void seats_free_lingering(struct seats *seats, const char *pool);
/*
 * All are lost (the session is gone; token 0), or the one with this token: what is asked or held is
 * asked for anew.
 */
void seats_lost(struct seats *seats, uint64_t token);
/* Give everything back: a clean stop. */
void seats_release_all(struct seats *seats);

#endif
