/*
 * Topics and starting offsets (DESIGN section 13): creates the topics that do not belong to an
 * agent, then, for each agent, its own topics and the offsets at which its group starts (`events`
 * at the end, `triggers` at the start, only where none is committed and no member is live).
 * Everything is idempotent, asynchronous, and tried again until it is done. An edge: librdkafka's
 * Admin API.
 */
#ifndef ENGENHO_PRODUCER_PROVISION_H
#define ENGENHO_PRODUCER_PROVISION_H

#include <event2/event.h>
#include <stdbool.h>

#include "common/attributes.h"
#include "common/error.h"
#include "kafka/config.h"
#include "kafka/topics.h"

struct provision;

struct provision_options {
    const struct kafka_options *kafka; /* borrowed */
    struct topics_options topics;
};

struct provision_callbacks {
    /* The topics that do not belong to an agent exist: followers of them and shards_new may start.
     * Called once. */
    void (*topics_ready)(void *context);
    /* The agent's topics exist and its group has where to start. Called once for each
     * provision_agent. NULL: not told. */
    void (*agent_ready)(void *context, const char *agent);
};

/* Returns owned, or NULL with a sentence. Starts to create the common topics at once, from any
 * replica. */
struct provision *provision_new(struct event_base *base, const struct provision_options *options,
                                const struct provision_callbacks *callbacks, void *context,
                                struct error *error);
void provision_free(struct provision *provision);

/* Prepare an agent, soon: called by the owner of shard 0 for each agent that is defined. Again
 * while it is under way: nothing. */
void provision_agent(struct provision *provision, const char *agent);
/* Why nothing comes forward, as one sentence; NULL: all is well. Borrowed until the loop's next
 * turn. For the readiness probe. */
const char *provision_trouble(const struct provision *provision);

#endif
