/*
 * The topics (DESIGN section 3): their names and how each is created. Pure but for librdkafka's
 * types in topics_create.
 */
#ifndef ENGENHO_KAFKA_TOPICS_H
#define ENGENHO_KAFKA_TOPICS_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/error.h"

#define TOPIC_NAME_BYTES_MAX 250
#define TOPIC_EVENTS "events"
#define TOPIC_RESULTS "results"
#define TOPIC_DEAD_LETTERS "dead-letters"
#define TOPIC_ENTRIES "entries"
#define TOPIC_CATALOG                                                                              \
    "catalog" /* one partition: a total order, whose offsets are the generations */
#define TOPIC_PACKAGES "packages"
#define TOPIC_REQUESTS "requests"
#define TOPIC_CONTROL "control"
#define TOPIC_USAGE "usage"

/* `<prefix><name>` into `text` of TOPIC_NAME_BYTES_MAX bytes. Returns `text`. */
const char *topic_name(const char *prefix, const char *name, char *text);
/*
 * `<prefix>triggers.<agent>` and `<prefix>simulations.<agent>`: kind is "triggers" or
 * "simulations".
 */
const char *topic_of_agent(const char *prefix, const char *kind, const char *agent, char *text);
/*
 * `<prefix>later.<agent>.<input>` and state: kind is "later" or "state"; input is events, triggers,
 * simulations.
 */
const char *topic_of_lane(const char *prefix, const char *kind, const char *agent,
                          const char *input, char *text);
/* The name without the prefix, or NULL when it does not start with it. Borrowed from `topic`. */
const char *topic_without_prefix(const char *prefix, const char *topic);

struct topics_options {
    const char *prefix;
    int partitions; /* of what is not fixed: 8 */
    int replication_factor;
    int64_t retention_ms;       /* of what is kept by time */
    int64_t usage_retention_ms; /* of `usage`, which bills are made of */
};

/*
 * Create what is missing of the topics that do not belong to an agent (agent NULL), or of one
 * agent's own. Idempotent; never adds partitions. Blocks for up to `timeout_ms`. Returns 0, or
 * -Exxx with a sentence.
 */
MUST_CHECK int topics_create(rd_kafka_t *admin, const struct topics_options *options,
                             const char *agent, int timeout_ms, struct error *error);

/*
 * The same without waiting: the answer comes to `queue` as an event of type
 * RD_KAFKA_EVENT_CREATETOPICS_RESULT whose opaque is `opaque`, and topics_create_read says what
 * became of it. Returns 0, or -EINVAL with a sentence: then no answer comes.
 */
MUST_CHECK int topics_create_send(rd_kafka_t *admin, const struct topics_options *options,
                                  const char *agent, int timeout_ms, rd_kafka_queue_t *queue,
                                  void *opaque, struct error *error);
/* Borrows `event`. Returns 0, or -Exxx with a sentence. */
MUST_CHECK int topics_create_read(rd_kafka_event_t *event, struct error *error);

#endif
