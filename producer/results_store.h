/*
 * The newest results in memory, bounded by number and bytes, with the questions people ask of them.
 * Pure. Producer.
 */
#ifndef ENGENHO_PRODUCER_RESULTS_STORE_H
#define ENGENHO_PRODUCER_RESULTS_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "proto/result.pb-c.h"

#define RESULTS_PARTITIONS_MAX 64
#define RESULTS_CURSOR_BYTES (RESULTS_PARTITIONS_MAX * 21 + 1)

/*
 * Up to where someone has read: for each partition of `results` the last offset seen; -1: nothing
 * yet.
 */
struct results_cursor {
    int count;
    int64_t seen[RESULTS_PARTITIONS_MAX];
};

void results_cursor_init(struct results_cursor *cursor, int count);
/* Offsets with commas between. `text` holds RESULTS_CURSOR_BYTES. */
void results_cursor_print(const struct results_cursor *cursor, char *text);
/* Returns 0, or -EINVAL: not a cursor of `count` partitions. */
MUST_CHECK int results_cursor_parse(const char *text, int count, struct results_cursor *ret_cursor);

struct results_query {
    const char *production;  /* NULL: any; "" : on demand only */
    const char *application; /* NULL: any */
    int64_t since_us;        /* of the end; 0: any */
    bool failed;             /* neither succeeded nor skipped */
    size_t limit;
    bool newest;                        /* the newest `limit`, else the oldest */
    const struct results_cursor *after; /* NULL: from the start */
};

struct results_store;

struct results_store *results_store_new(size_t count_max, size_t bytes_max);
void results_store_free(struct results_store *store);

/*
 * Begin to hold a partition: what is at `offset` and above will be added. Partitions from 0, each
 * once.
 */
void results_store_partition(struct results_store *store, int32_t partition, int64_t offset);
/*
 * Add a record's value (copied). The oldest go when a bound is passed. Values that are no Result
 * are counted only.
 */
void results_store_add(struct results_store *store, int32_t partition, int64_t offset,
                       const void *packed, size_t bytes);

/*
 * What was read partition by partition is put in the order of its end times; within a partition the
 * order stays, as cursors need it. Once, when what was there at the start has been added.
 */
void results_store_merge(struct results_store *store);

/*
 * Calls `visit` (oldest first) for what matches. *ret_next (may be NULL): the cursor behind what
 * was visited. Returns how many.
 */
typedef void (*results_visit)(void *context, const Engenho__Result *result);
size_t results_store_find(const struct results_store *store, const struct results_query *query,
                          results_visit visit, void *context, struct results_cursor *ret_next);
/* Whether memory holds everything that the query may ask for, of what is still on the topic. */
bool results_store_covers(const struct results_store *store, const struct results_query *query);
/* Calls `visit` for the newest result of an execution. Returns whether there is one. */
bool results_store_show(const struct results_store *store, const char *execution_id,
                        results_visit visit, void *context);

/* Up to where everything was added. */
void results_store_end(const struct results_store *store, struct results_cursor *ret_cursor);
size_t results_store_count(const struct results_store *store);
uint64_t results_store_unreadable(const struct results_store *store);

/* Whether a result is what the query asks for, `after` and `limit` apart. */
bool results_match(const struct results_query *query, const Engenho__Result *result);

#endif
