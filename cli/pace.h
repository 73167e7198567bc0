/*
 * When the events of a replay are due: at a rate, by their own times, or at once. Pure.
 *
 * After a pause that was not ours (the server was away) the pace goes on from where it stood: no
 * burst makes up for it.
 */
#ifndef ENGENHO_CLI_PACE_H
#define ENGENHO_CLI_PACE_H

#include <stdint.h>

/* Later than this behind its pace, a replay no longer tries to catch up. */
#define PACE_LATE_US_MAX INT64_C(250000)

struct pace {
    double rate;           /* events a second; 0: not by rate */
    double speed;          /* of the events' own clock; 0: not by their times */
    int64_t start_mono_us; /* when event `start` was due */
    uint64_t start;
    int64_t start_time_us; /* that event's own time */
};

/* With rate and speed 0, everything always is due. */
void pace_init(struct pace *pace, double rate, double speed);
/* Event number `at`, whose own time is `time_us`, is due at `now_us`; the others follow from it. */
void pace_start(struct pace *pace, uint64_t at, int64_t time_us, int64_t now_us);
/* When event number `at` is due. Equal or later for later events, except where their own times go
 * back. */
int64_t pace_due_us(const struct pace *pace, uint64_t at, int64_t time_us);
/* Told before event `at` is sent: when it is far too late, the pace starts anew there. */
void pace_catch(struct pace *pace, uint64_t at, int64_t time_us, int64_t now_us);

#endif
