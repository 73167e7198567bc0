/*
 * The results as they come: follows `results` into memory and tells those who listen. An edge:
 * kafka/. Producer.
 */
#ifndef ENGENHO_PRODUCER_RESULTS_H
#define ENGENHO_PRODUCER_RESULTS_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/attributes.h"
#include "common/error.h"
#include "kafka/config.h"
#include "producer/kafka_jobs.h"
#include "producer/results_store.h"

struct results;

struct results_options {
    const struct kafka_options *kafka; /* borrowed */
    struct kafka_jobs *jobs;           /* borrowed */
    size_t count_max;
    size_t bytes_max;
    /* A result came, after the start had been read. Borrowed for the call. */
    void (*came)(void *context, const Engenho__Result *result);
    void *context;
};

/* Returns owned, or NULL with a sentence. Reads what is there in the background. */
struct results *results_new(struct event_base *base, const struct results_options *options,
                            struct error *error);
void results_free(struct results *results);

/* NULL until the topic's size is known. Borrowed. */
const struct results_store *results_store_of(const struct results *results);
/* Whether what was there at start has been read. */
bool results_are_read(const struct results *results);

#endif
