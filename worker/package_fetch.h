/*
 * Brings versions of packages from `packages` into the worker's cache: the manifest names partition
 * and offsets, so only these records are read. One at a time. An edge: kafka/ and packages.h.
 * Worker.
 */
#ifndef ENGENHO_WORKER_PACKAGE_FETCH_H
#define ENGENHO_WORKER_PACKAGE_FETCH_H

#include <event2/event.h>
#include <stdbool.h>

#include "common/attributes.h"
#include "common/error.h"
#include "kafka/config.h"
#include "proto/definition.pb-c.h"
#include "worker/packages.h"

#define PACKAGE_FETCHES_MAX 1000

struct package_fetch;

/*
 * The folder (borrowed from the cache for its life), or NULL with one sentence: why this version
 * can't run. `again` is true when it may be there later (Kafka is away, the disk is full): the
 * caller asks again.
 */
typedef void (*package_fetched)(void *context, const char *folder, bool again, const char *reason);

/* Borrows all three. Returns owned, or NULL with a sentence. */
struct package_fetch *package_fetch_new(struct event_base *base, const struct kafka_options *kafka,
                                        struct packages *packages, struct error *error);
/* What is waiting is dropped without an answer. */
void package_fetch_free(struct package_fetch *fetch);

/*
 * Ask for a version (copied); `done` is called once, later. Returns 0, or -ENOBUFS when
 * PACKAGE_FETCHES_MAX wait.
 */
MUST_CHECK int package_fetch_ask(struct package_fetch *fetch,
                                 const Engenho__PackageVersion *version, package_fetched done,
                                 void *context);

#endif
