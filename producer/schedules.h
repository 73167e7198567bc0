/*
 * The schedules of the shards that are ours (DESIGN section 5): fires what is due, each in one
 * transaction with the schedule's new state, so exactly once. An edge over shards.h, the clock and
 * the zone database; what is due is decided by schedule_book.h.
 *
 * The order of calls: schedules_new; from then on schedules_shard_taken, _lost and _state as
 * shards.h calls back, and schedules_production_changed for each record of the catalog;
 * schedules_catalog_read once the catalog has been read to the end that it had. Nothing fires
 * before that: an old definition must not.
 */
#ifndef ENGENHO_PRODUCER_SCHEDULES_H
#define ENGENHO_PRODUCER_SCHEDULES_H

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/error.h"
#include "common/metrics.h"
#include "producer/shards.h"
#include "proto/control.pb-c.h"
#include "proto/definition.pb-c.h"

struct schedules;

struct schedules_options {
    struct shards *shards;   /* borrowed; shards_free comes before schedules_free, since it answers
                                what is under way */
    struct metrics *metrics; /* borrowed */
    int64_t late_us; /* what fires later than this is a misfire: its policy decides; 0: 2 s */
    /*
     * The package version that an execution of this application takes now: stamped into each
     * trigger. 0: the newest that its worker knows. NULL: always 0.
     */
    uint64_t (*package_version)(void *context, const char *application);
    void *context;
};

/* Returns owned. */
struct schedules *schedules_new(struct event_base *base, const struct schedules_options *options);
void schedules_free(struct schedules *schedules);

/*
 * Whether a schedule can be run: exactly one of cron, every and dates; the fields, the zone, the
 * limits. Returns 0, or -EINVAL with a sentence that names the field. For the API, before it writes
 * a definition.
 */
MUST_CHECK int schedules_check(const Engenho__ScheduleTrigger *trigger, struct error *error);

/*
 * The production's definition is now this (borrowed for the call), of this generation; NULL: it was
 * deleted. Also for productions without a schedule, or stopped: what is not scheduled any more
 * stops firing.
 */
void schedules_production_changed(struct schedules *schedules, const char *production,
                                  const Engenho__Definition *definition, uint64_t generation);
/* The catalog has been read to its end: schedules may fire. */
void schedules_catalog_read(struct schedules *schedules);

/* As shards_callbacks say; keys that are not `schedule/...` are ignored. */
void schedules_shard_taken(struct schedules *schedules, int shard);
void schedules_shard_lost(struct schedules *schedules, int shard);
void schedules_state(struct schedules *schedules, int shard, const char *key,
                     const Engenho__Control *control);

/*
 * For GET /v1/schedules: {"schedules": [{"production", "cron" or "every" or "dates", "timeZone",
 * "state": active|paused|invalid|elsewhere, "shard", "owner", "last", "next": [up to `next_count`
 * times], "fired", "misfired"}], "tzdata"}. Times are RFC 3339 in UTC. `production` NULL: all of
 * them; `last`, `fired`, `misfired` are null for shards of another replica. Returns owned
 * (json_decref); NULL: there is no such schedule.
 */
json_t *schedules_json(const struct schedules *schedules, const char *production, int next_count);

#endif
