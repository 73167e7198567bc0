/*
 * Cron's fields, and the next time they name in a zone. Pure: the zone's rules are given.
 *
 *     [seconds] minutes hours day-of-month month day-of-week
 *
 * A field is a list (1,15) of values, ranges (9-17), `*`, or either with a step (0-30/10); `5/15`
 * is from 5 to the end. Months and days of the week may be named by three letters in English;
 * Sunday is 0 or 7; `L` as day of month is the last one. When both days are restricted (neither
 * starts with `*`), a day that either of them names is meant, as everywhere.
 *
 * Daylight saving. With an hour field without `*` and `/` (fixed times): a time that the clock
 * skips fires once, at the first instant after the gap, also when several were skipped; a time that
 * comes twice fires the first time only. With `*` or `/` in the hour field: whenever the clock
 * shows the time, so every 15 minutes stays every 15 elapsed minutes.
 */
#ifndef ENGENHO_PRODUCER_CRON_H
#define ENGENHO_PRODUCER_CRON_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/error.h"
#include "producer/zone.h"

#define CRON_BYTES_MAX 256
#define CRON_NEVER INT64_MAX

struct cron {
    uint64_t seconds, minutes; /* bit n: n is meant */
    uint32_t hours, days, months,
        weekdays;              /* days from bit 1, months from bit 1, weekdays from Sunday, bit 0 */
    bool last_day;             /* L */
    bool any_day, any_weekday; /* the field starts with * */
    bool fixed;                /* no * and no / in the hours */
};

/* Returns 0, or -EINVAL with a sentence that names the field and what it takes; also for a day that
 * never comes (31 2). */
MUST_CHECK int cron_parse(const char *text, struct cron *ret_cron, struct error *error);

/* The first time after `after_s` (seconds since 1970, UTC), or CRON_NEVER when there is none before
 * ZONE_END_S. */
int64_t cron_next(const struct cron *cron, const struct zone *zone, int64_t after_s);

#endif
