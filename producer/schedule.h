/*
 * One schedule: which times it names (cron in a zone, every so often from a first date, a list of
 * dates), and which of those that are due fire after a delay, by its misfire policy. Pure.
 */
#ifndef ENGENHO_PRODUCER_SCHEDULE_H
#define ENGENHO_PRODUCER_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/error.h"
#include "producer/zone.h"
#include "proto/definition.pb-c.h"

#define SCHEDULE_NEVER INT64_MAX
#define SCHEDULE_EVERY_US_MIN INT64_C(100000)
#define SCHEDULE_DATES_MAX 10000
#define SCHEDULE_MISFIRES_MAX 1000

struct schedule;

/* Where the zone of a name comes from: returns 0 or -EINVAL with a sentence. */
typedef int (*schedule_find_zone)(void *context, const char *name, const struct zone **ret_zone,
                                  struct error *error);

/*
 * Copies what it needs of `trigger`; the zone outlives the schedule. Returns 0 with *ret_schedule
 * owned, or -EINVAL with a sentence: not exactly one of cron, every and dates; a field, the zone or
 * a limit is wrong.
 */
MUST_CHECK int schedule_new(const Engenho__ScheduleTrigger *trigger, schedule_find_zone find_zone,
                            void *context, struct schedule **ret_schedule, struct error *error);
void schedule_free(struct schedule *schedule);

/* A number that is the same for the same times, in every process: tells whether a definition's
 * times were changed. Never 0. */
uint64_t schedule_fingerprint(const struct schedule *schedule);

/* The first time after `after_us` (microseconds since 1970, UTC), or SCHEDULE_NEVER. */
int64_t schedule_next(const struct schedule *schedule, int64_t after_us);

/* What of the times that are due fires. */
struct schedule_due {
    int64_t fire_us[SCHEDULE_MISFIRES_MAX]; /* ascending */
    size_t count;
    size_t late; /* how many of these are misfires that the policy lets fire: the first ones */
    uint64_t left_out; /* misfires that the policy leaves out; exact up to SCHEDULE_COUNT_MAX */
    int64_t newest_us; /* the newest time that is decided by this, fired or left out */
    bool more;         /* there was no room for all that is on time: ask again from newest_us */
};

#define SCHEDULE_COUNT_MAX 100000

/*
 * Decide about all times in (after_us, now_us], of which there is one at least. Those older than
 * `late_us` are misfires: of them fire none (skip), the newest one unless a time on schedule fires
 * anyway (last), or the newest `max` (all); never one older than the window.
 */
void schedule_decide(const struct schedule *schedule, int64_t after_us, int64_t now_us,
                     int64_t late_us, struct schedule_due *ret_due);

#endif
