#include "producer/schedule.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "producer/cron.h"

#define SECOND INT64_C(1000000)
#define WITHIN_US_DEFAULT (5 * 60 * SECOND)
#define LOOK_BACK_FACTOR 8

enum kind { KIND_CRON, KIND_EVERY, KIND_DATES };

struct schedule {
    enum kind kind;
    struct cron cron;
    const struct zone *zone;
    int64_t every_us;
    int64_t *dates_us; /* ascending, each once */
    size_t date_count;
    int64_t first_us, last_us; /* inclusive; last_us SCHEDULE_NEVER: none */
    Engenho__MisfirePolicy misfire;
    size_t misfire_max;
    int64_t within_us;
    uint64_t fingerprint;
};

static int compare_dates(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

static void take_dates(struct schedule *schedule, const Engenho__ScheduleTrigger *trigger)
{
    schedule->dates_us = memory_new(trigger->n_dates_us, sizeof *schedule->dates_us);
    memcpy(schedule->dates_us, trigger->dates_us, trigger->n_dates_us * sizeof *schedule->dates_us);
    qsort(schedule->dates_us, trigger->n_dates_us, sizeof *schedule->dates_us, compare_dates);
    for (size_t i = 0; i < trigger->n_dates_us; i++) {
        if (i == 0 || schedule->dates_us[i] != schedule->dates_us[i - 1]) {
            schedule->dates_us[schedule->date_count++] = schedule->dates_us[i];
        }
    }
}

static int take_times(struct schedule *schedule, const Engenho__ScheduleTrigger *trigger,
                      struct error *error)
{
    bool cron = trigger->cron != NULL && trigger->cron[0] != '\0';
    if (cron + (trigger->every_us != 0) + (trigger->n_dates_us != 0) != 1) {
        return error_set(error, -EINVAL, "schedule: it takes exactly one of cron, every and dates");
    }
    if (cron) {
        schedule->kind = KIND_CRON;
        return cron_parse(trigger->cron, &schedule->cron, error);
    }
    if (trigger->time_zone != NULL && trigger->time_zone[0] != '\0') {
        return error_set(error, -EINVAL,
                         "timeZone: only cron has a time zone; every and dates are counted in UTC");
    }
    if (trigger->every_us != 0) {
        schedule->kind = KIND_EVERY;
        schedule->every_us = trigger->every_us;
        if (trigger->every_us < SCHEDULE_EVERY_US_MIN) {
            return error_set(error, -EINVAL,
                             "every: %" PRId64 " ms is too short: it takes 100ms or more",
                             trigger->every_us / 1000);
        }
        return 0;
    }
    schedule->kind = KIND_DATES;
    if (trigger->n_dates_us > SCHEDULE_DATES_MAX) {
        return error_set(error, -EINVAL, "dates: %zu are too many: it takes %d at most",
                         trigger->n_dates_us, SCHEDULE_DATES_MAX);
    }
    take_dates(schedule, trigger);
    return 0;
}

static int take_limits(struct schedule *schedule, const Engenho__ScheduleTrigger *trigger,
                       struct error *error)
{
    schedule->first_us = trigger->first_us;
    schedule->last_us = trigger->last_us != 0 ? trigger->last_us : SCHEDULE_NEVER;
    schedule->misfire = trigger->misfire;
    schedule->misfire_max = trigger->misfire_max != 0 ? trigger->misfire_max : 1;
    schedule->within_us =
        trigger->misfire_within_us != 0 ? trigger->misfire_within_us : WITHIN_US_DEFAULT;
    if (trigger->first_us < 0 || trigger->last_us < 0) {
        return error_set(error, -EINVAL, "schedule: first and last can't lie before 1970");
    }
    if (schedule->last_us < schedule->first_us) {
        return error_set(error, -EINVAL, "schedule: last lies before first");
    }
    if (trigger->misfire_max > SCHEDULE_MISFIRES_MAX) {
        return error_set(error, -EINVAL, "misfire: max is %" PRIu32 ": it takes %d at most",
                         trigger->misfire_max, SCHEDULE_MISFIRES_MAX);
    }
    if (trigger->misfire_within_us < 0) {
        return error_set(error, -EINVAL, "misfire: within is negative");
    }
    return 0;
}

static void mix(uint64_t *hash, const void *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        *hash = (*hash ^ ((const uint8_t *)data)[i]) * UINT64_C(1099511628211); /* FNV-1a */
    }
}

/* Of what names times only: another misfire policy is no other schedule. */
static uint64_t fingerprint(const struct schedule *schedule,
                            const Engenho__ScheduleTrigger *trigger)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    if (schedule->kind == KIND_CRON) {
        mix(&hash, trigger->cron, strlen(trigger->cron) + 1);
        if (trigger->time_zone != NULL) {
            mix(&hash, trigger->time_zone, strlen(trigger->time_zone) + 1);
        }
    }
    mix(&hash, &schedule->every_us, sizeof schedule->every_us);
    mix(&hash, schedule->dates_us, schedule->date_count * sizeof *schedule->dates_us);
    mix(&hash, &schedule->first_us, sizeof schedule->first_us);
    mix(&hash, &schedule->last_us, sizeof schedule->last_us);
    return hash != 0 ? hash : 1;
}

int schedule_new(const Engenho__ScheduleTrigger *trigger, schedule_find_zone find_zone,
                 void *context, struct schedule **ret_schedule, struct error *error)
{
    struct schedule *schedule = memory_new(1, sizeof *schedule);
    schedule->zone = &zone_utc;
    int result = take_times(schedule, trigger, error);
    if (result == 0) {
        result = take_limits(schedule, trigger, error);
    }
    if (result == 0 && schedule->kind == KIND_CRON) {
        result = find_zone(context, trigger->time_zone, &schedule->zone, error);
    }
    if (result != 0) {
        schedule_free(schedule);
        return result;
    }
    schedule->fingerprint = fingerprint(schedule, trigger);
    *ret_schedule = schedule;
    return 0;
}

void schedule_free(struct schedule *schedule)
{
    if (schedule == NULL) {
        return;
    }
    free(schedule->dates_us);
    free(schedule);
}

uint64_t schedule_fingerprint(const struct schedule *schedule)
{
    return schedule->fingerprint;
}

static int64_t floor_div(int64_t number, int64_t by)
{
    return number / by - (number % by < 0);
}

static int64_t next_date(const struct schedule *schedule, int64_t after_us)
{
    size_t low = 0, high = schedule->date_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (schedule->dates_us[middle] > after_us) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low < schedule->date_count ? schedule->dates_us[low] : SCHEDULE_NEVER;
}

int64_t schedule_next(const struct schedule *schedule, int64_t after_us)
{
    int64_t next = SCHEDULE_NEVER, seconds;
    after_us = after_us < schedule->first_us - 1 ? schedule->first_us - 1 : after_us;
    switch (schedule->kind) {
    case KIND_CRON:
        seconds = cron_next(&schedule->cron, schedule->zone, floor_div(after_us, SECOND));
        next = seconds == CRON_NEVER ? SCHEDULE_NEVER : seconds * SECOND;
        break;
    case KIND_EVERY:
        next =
            schedule->first_us +
            (floor_div(after_us - schedule->first_us, schedule->every_us) + 1) * schedule->every_us;
        break;
    case KIND_DATES:
        next = next_date(schedule, after_us);
        break;
    }
    return next <= schedule->last_us ? next : SCHEDULE_NEVER;
}

/* How many times lie in (after_us, until_us]; at least SCHEDULE_COUNT_MAX when it stops there. */
static uint64_t count_times(const struct schedule *schedule, int64_t after_us, int64_t until_us)
{
    if (schedule->kind == KIND_EVERY) {
        int64_t first = schedule_next(schedule, after_us);
        int64_t last = until_us < schedule->last_us ? until_us : schedule->last_us;
        return first == SCHEDULE_NEVER || first > last
                   ? 0
                   : (uint64_t)((last - first) / schedule->every_us) + 1;
    }
    uint64_t count = 0;
    for (int64_t at = schedule_next(schedule, after_us);
         at <= until_us && at != SCHEDULE_NEVER && count < SCHEDULE_COUNT_MAX;
         at = schedule_next(schedule, at)) {
        count++;
    }
    return count;
}

/*
 * The newest `max` times of (after_us, until_us] into `times`, ascending; returns how many. Looks
 * back by steps that grow, so that a long outage of a frequent schedule costs no more than a short
 * one.
 */
static size_t newest_times(const struct schedule *schedule, int64_t after_us, int64_t until_us,
                           size_t max, int64_t *times)
{
    size_t count = 0;
    int64_t back_us = SECOND, from_us = until_us;
    while (count < max && from_us > after_us) {
        from_us = until_us - back_us > after_us ? until_us - back_us : after_us;
        back_us *= LOOK_BACK_FACTOR;
        count = 0;
        for (int64_t at = schedule_next(schedule, from_us); at <= until_us && at != SCHEDULE_NEVER;
             at = schedule_next(schedule, at)) {
            if (count == max) {
                memmove(times, times + 1, (max - 1) * sizeof *times);
                count--;
            }
            times[count++] = at;
        }
    }
    return count;
}

/* The misfires of (after_us, until_us] that fire. */
/* long: the span and how it was missed */
static void decide_late(const struct schedule *schedule, int64_t after_us, int64_t until_us,
                        int64_t now_us, bool on_time, struct schedule_due *due)
{
    int64_t oldest =
        now_us - schedule->within_us > after_us ? now_us - schedule->within_us - 1 : after_us;
    size_t max = 0;
    switch (schedule->misfire) {
    case ENGENHO__MISFIRE_POLICY__MISFIRE_POLICY_ALL:
        max = schedule->misfire_max;
        break;
    case ENGENHO__MISFIRE_POLICY__MISFIRE_POLICY_SKIP:
        break;
    default:
        max = on_time ? 0 : 1;
        break;
    }
    if (oldest < until_us && max > 0) {
        due->late = due->count = newest_times(schedule, oldest, until_us, max, due->fire_us);
    }
    due->left_out = count_times(schedule, after_us, until_us) - due->late;
}

void schedule_decide(const struct schedule *schedule, int64_t after_us, int64_t now_us,
                     int64_t late_us, struct schedule_due *ret_due)
{
    int64_t until_us = now_us - late_us - 1; /* of the misfires */
    int64_t next = schedule_next(schedule, after_us);
    assert(next <= now_us);
    ret_due->count = ret_due->late = 0;
    ret_due->left_out = 0;
    ret_due->more = false;
    ret_due->newest_us = after_us;
    if (next <= until_us) {
        int64_t newest = 0;
        bool on_time = schedule_next(schedule, until_us) <= now_us;
        decide_late(schedule, after_us, until_us, now_us, on_time, ret_due);
        size_t found = newest_times(schedule, after_us, until_us, 1, &newest);
        assert(found == 1);
        (void)found;
        ret_due->newest_us = newest;
        next = schedule_next(schedule, until_us);
    }
    while (next <= now_us) {
        if (ret_due->count == SCHEDULE_MISFIRES_MAX) {
            ret_due->more = true;
            return;
        }
        ret_due->fire_us[ret_due->count++] = next;
        ret_due->newest_us = next;
        next = schedule_next(schedule, next);
    }
}
