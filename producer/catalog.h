/*
 * The catalog on Kafka: follows `catalog` into a view on every replica, and writes it on the owner
 * of shard 0, one call at a time, so that each write is checked against what is there. Also the
 * stops that workers ask for. An edge: kafka/ and shards.h. Producer.
 */
#ifndef ENGENHO_PRODUCER_CATALOG_H
#define ENGENHO_PRODUCER_CATALOG_H

#include <event2/event.h>
#include <stdbool.h>

#include "common/attributes.h"
#include "common/error.h"
#include "kafka/config.h"
#include "producer/catalog_plan.h"
#include "producer/catalog_view.h"
#include "producer/shards.h"

#define CATALOG_WRITES_WAITING_MAX 100

struct catalog;

struct catalog_callbacks {
    /* A definition is now this (borrowed for the call; NULL: deleted). From the first record on. */
    void (*changed)(void *context, const char *kind, const char *name,
                    const Engenho__Definition *definition, uint64_t generation);
    /* The catalog was read to the end that it had at start. Called once. */
    void (*read)(void *context);
};

/* Returns owned, or NULL with a sentence. `kafka` is borrowed. The topics must be there. */
struct catalog *catalog_new(struct event_base *base, const struct kafka_options *kafka,
                            const struct catalog_callbacks *callbacks, void *context,
                            struct error *error);
void catalog_free(struct catalog *catalog);
/* Who commits for it; before the first write. Borrowed. */
void catalog_set_shards(struct catalog *catalog, struct shards *shards, int requests_partitions);

/* As shards_callbacks say; other shards than SHARD_OF_CATALOG are ignored. */
void catalog_shard_taken(struct catalog *catalog, int shard);
void catalog_shard_lost(struct catalog *catalog, int shard);

const struct catalog_view *catalog_view_of(const struct catalog *catalog);
/* Whether it has been read to the end that it had at start. */
bool catalog_is_read(const struct catalog *catalog);
/* Whether this replica writes it now. */
bool catalog_is_ours(const struct catalog *catalog);

/*
 * 0: `changes` say what became of each; -EINVAL: refused, they say why; -EAGAIN: nothing was
 * written, the shard went away: try again. `changes` are borrowed for the call.
 */
typedef void (*catalog_done)(void *context, int result, const struct catalog_change *changes,
                             size_t count);

struct catalog_write {
    struct catalog_change *changes; /* taken on success, with what they own */
    size_t count;
    const char *who; /* copied */
    bool dry_run;
    catalog_done done;
    void *context;
};

/*
 * Returns 0 (done is called once, later, when the view shows it), -EAGAIN: not ours, or -ENOBUFS:
 * too many wait.
 */
MUST_CHECK int catalog_submit(struct catalog *catalog, const struct catalog_write *write);

/*
 * A change that starts or stops a production as it is now; `reason` (NULL: a person's) is shown.
 * Returns 0 with the change, or -ENOENT.
 */
MUST_CHECK int catalog_change_started(const struct catalog *catalog, const char *production,
                                      bool started, const char *reason,
                                      struct catalog_change *ret_change);

#endif
