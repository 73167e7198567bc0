/*
 * Which processes of `engenho up` to start, restart and stop, and when: a pure machine that is told
 * what happened and answers what to do. It knows no process ids, sockets or clocks; cli/up.c does
 * what it says. Only `engenho` links it.
 *
 * A unit waits for the units it needs, runs, becomes ready, and when it dies comes back after a
 * pause that doubles from 0.2 s to 5 s and is forgotten after 30 s of readiness. Stopping goes by
 * stages, the lowest first, each to its end.
 */
#ifndef ENGENHO_CLI_SUPERVISOR_H
#define ENGENHO_CLI_SUPERVISOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SUPERVISOR_UNITS_MAX 64
#define SUPERVISOR_ACTIONS_MAX (2 * SUPERVISOR_UNITS_MAX + 2)
#define SUPERVISOR_BACKOFF_US_MIN INT64_C(200000)
#define SUPERVISOR_BACKOFF_US_MAX INT64_C(5000000)
#define SUPERVISOR_HEALTHY_US INT64_C(30000000)
/* A unit that was never ready and has died this often makes the first start fail. */
#define SUPERVISOR_DEATHS_MAX 5
#define SUPERVISOR_PROBE_STARTING_US INT64_C(100000)
#define SUPERVISOR_PROBE_READY_US INT64_C(2000000)

enum unit_state {
    UNIT_WAITING,  /* for what it needs */
    UNIT_STARTING, /* runs, not ready yet (or not any more) */
    UNIT_READY,
    UNIT_BACKOFF,  /* dead, starts again at next_us */
    UNIT_STOPPING, /* told to end */
    UNIT_STOPPED,
    UNIT_STATES
};

enum supervisor_phase {
    SUPERVISOR_STARTING,
    SUPERVISOR_RUNNING,
    SUPERVISOR_STOPPING,
    SUPERVISOR_STOPPED
};

struct unit {
    uint64_t needs;      /* bit i: unit i must be ready before the first start */
    int stop_stage;      /* 0 stops first */
    int64_t stop_us_max; /* after this it is killed */

    /* Written by the machine only. */
    enum unit_state state;
    bool was_ready;
    unsigned deaths; /* in a row, since the last 30 s of readiness */
    uint64_t restarts;
    int64_t since_us; /* when it entered this state */
    int64_t next_us;  /* BACKOFF: start; STARTING, READY: probe; STOPPING: kill */
    bool killed;      /* STOPPING: the kill was said */
};

enum supervisor_event_type {
    SUPERVISOR_TICK,   /* time has passed */
    SUPERVISOR_DIED,   /* unit ended, or could not be started */
    SUPERVISOR_PROBED, /* unit answered its probe: ready or not */
    SUPERVISOR_STOP,   /* a person wants the end */
    SUPERVISOR_KILL    /* at once */
};

struct supervisor_event {
    enum supervisor_event_type type;
    size_t unit;
    bool ready;
};

enum supervisor_action_type {
    SUPERVISOR_DO_START,
    SUPERVISOR_DO_PROBE,
    SUPERVISOR_DO_TERMINATE,
    SUPERVISOR_DO_KILL,
    SUPERVISOR_SAY_READY, /* every unit is ready, for the first time */
    SUPERVISOR_SAY_FAILED /* the first start failed because of `unit`; stopping has begun */
};

struct supervisor_action {
    enum supervisor_action_type type;
    size_t unit;
};

struct supervisor_actions {
    struct supervisor_action list[SUPERVISOR_ACTIONS_MAX];
    size_t count;
};

struct supervisor {
    struct unit units[SUPERVISOR_UNITS_MAX];
    size_t count;
    enum supervisor_phase phase;
    int64_t start_until_us; /* the first start fails when not every unit has been ready by then */
};

void supervisor_init(struct supervisor *supervisor, int64_t start_until_us);
/* Add a unit; `needs` speaks of units added before. Returns its number, or -ENOSPC past the
 * maximum. */
int supervisor_add(struct supervisor *supervisor, uint64_t needs, int stop_stage,
                   int64_t stop_us_max, int64_t now_us);

/*
 * Tell what happened at `now_us` (monotonic). *ret_actions is filled with what to do now, in order.
 * Call it with TICK until the phase is SUPERVISOR_STOPPED.
 */
void supervisor_step(struct supervisor *supervisor, struct supervisor_event event, int64_t now_us,
                     struct supervisor_actions *ret_actions);
/* Microseconds from `now_us` until a TICK would do something; never negative, at most a second. */
int64_t supervisor_wait_us(const struct supervisor *supervisor, int64_t now_us);

const char *unit_state_name(enum unit_state state);

#endif
