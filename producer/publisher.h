/*
 * Publishes records at least once, outside of the shards' transactions: pushed events and runs on
 * demand. An edge: librdkafka. Producer.
 */
#ifndef ENGENHO_PRODUCER_PUBLISHER_H
#define ENGENHO_PRODUCER_PUBLISHER_H

#include <event2/event.h>

#include "common/attributes.h"
#include "common/error.h"
#include "kafka/config.h"
#include "producer/shards.h"

struct publisher;

/* Returns owned, or NULL with a sentence. */
struct publisher *publisher_new(struct event_base *base, const struct kafka_options *kafka,
                                struct error *error);
/* What is on its way is dropped without a callback. */
void publisher_free(struct publisher *publisher);

/*
 * All are on Kafka (0, with where each is), or not all of them are, and some may be (-EIO, with a
 * sentence in `reason`).
 */
typedef void (*publisher_done)(void *context, int result, const struct shards_delivery *deliveries,
                               size_t count, const char *reason);

/*
 * Copies the records. Returns 0 (`done` is called once, later), or -ENOBUFS: too much waits for
 * Kafka already.
 */
MUST_CHECK int publisher_send(struct publisher *publisher, const struct shards_record *records,
                              size_t count, publisher_done done, void *context);

#endif
