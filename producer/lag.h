/*
 * The lag collector: how far each agent's group is behind, for the agents that exist by definition,
 * with or without members (PITFALLS, scaling and lag). Asks Kafka asynchronously at an interval,
 * keeps the answers, fills engenho_kafka_consumer_group_*. An edge: librdkafka's Admin API. The
 * verdicts and seconds are computed by lag_status.h and lag_table.h.
 */
#ifndef ENGENHO_PRODUCER_LAG_H
#define ENGENHO_PRODUCER_LAG_H

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/error.h"
#include "common/metrics.h"
#include "kafka/config.h"

struct lag;

struct lag_options {
    const struct kafka_options *kafka; /* borrowed */
    struct metrics *metrics;           /* borrowed */
    int64_t interval_us;               /* between two collections; 0: 5 s */
    int64_t trim_interval_us;          /* between two removals of what is done; 0: 60 s */
    int agents_max;                    /* more are left out, with a line in the log; 0: 200 */
};

/* Returns owned, or NULL with a sentence. */
struct lag *lag_new(struct event_base *base, const struct lag_options *options,
                    struct error *error);
void lag_free(struct lag *lag);

/* An agent is defined (again: nothing happens), or not any more. The agent `default` is added by
 * the caller too. */
void lag_agent_added(struct lag *lag, const char *agent);
void lag_agent_removed(struct lag *lag, const char *agent);

/*
 * Whether this replica removes what is done from `triggers.<agent>`, below the committed position:
 * those topics are kept without limit otherwise. One replica is enough: the owner of shard 0.
 */
void lag_trim(struct lag *lag, bool trims);

/*
 * For GET /v1/lag: {"collectedAt", "agents": [{"agent", "group", "state", "members", "idleMembers",
 * "lag", "lagSeconds", "status", "topics": [{"topic", "lag", "lagSeconds", "partitions":
 * [{"partition", "committed", "end", "low", "lag", "unfinished", "lagSeconds", "atLeast", "status",
 * "member", "lost"}]}]}]}. Topics are named without the prefix; `committed`, `lag` and `lagSeconds`
 * are null where nothing was committed yet; "unfinished" is the lag without what is done beyond the
 * committed offset; "atLeast": lagSeconds is a lower bound; "lost" counts records that retention
 * removed before they were done. `agent` NULL: all of them. Returns owned (json_decref); NULL:
 * there is no such agent.
 */
json_t *lag_json(const struct lag *lag, const char *agent);

#endif
