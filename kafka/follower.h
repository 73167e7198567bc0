/*
 * Read partitions of a topic from an offset to their end, then follow them, without a group (DESIGN
 * sections 5 and 6): how processes build their view of `catalog`, a shard's owner that of
 * `control`, and a lane's owner that of `state`. An edge: librdkafka, libevent.
 */
#ifndef ENGENHO_KAFKA_FOLLOWER_H
#define ENGENHO_KAFKA_FOLLOWER_H

#include <event2/event.h>
#include <librdkafka/rdkafka.h>

#include "common/attributes.h"
#include "common/error.h"
#include "kafka/config.h"

struct follower;

struct follower_callbacks {
    /* A committed record (a NULL payload is a tombstone). `message` is borrowed for the call. */
    void (*record)(void *context, const rd_kafka_message_t *message);
    /* The partition was read to the end that it had; called once after each follower_add. */
    void (*caught_up)(void *context, const char *topic, int32_t partition);
    /* Something a person should know; it goes on trying. NULL: not told. */
    void (*trouble)(void *context, const char *sentence);
};

/*
 * Returns owned, or NULL with a sentence. Callbacks come on the loop, at most 10 ms of them in a
 * row.
 */
struct follower *follower_new(struct event_base *base, const struct kafka_options *options,
                              const struct follower_callbacks *callbacks, void *context,
                              struct error *error);
void follower_free(struct follower *follower);

/*
 * Start to read a partition at an offset (RD_KAFKA_OFFSET_BEGINNING, _END or a number; one that is
 * gone means the beginning).
 */
MUST_CHECK int follower_add(struct follower *follower, const char *topic, int32_t partition,
                            int64_t offset, struct error *error);
/* Stop reading it; no callback for it comes after this returns. */
void follower_remove(struct follower *follower, const char *topic, int32_t partition);
/* Whether a broker has told of the cluster since the start. Never blocks. */
bool follower_has_broker(const struct follower *follower);

#endif
