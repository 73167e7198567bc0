/*
 * Transactional producers whose blocking calls run on a thread of their own, so that the loop never
 * waits for Kafka (DESIGN section 2; PITFALLS, librdkafka). An edge: librdkafka and libevent.
 *
 * One struct txn is one transactional.id. The loop begins a transaction, fills it, and hands it to
 * the thread with the offsets; the thread commits, or aborts and says so; the answer comes back as
 * a callback on the loop. Transactions handed to one thread are committed in the order they were
 * handed over.
 *
 *            txn_init            txn_begin            txn_commit / txn_abort
 *     NEW ───────────► BUSY ─► IDLE ──────► FILLING ──────────────────────► BUSY ─► IDLE
 *                        └────────────────────────────── fenced or fatal ────┴────► DEAD (txn_free, make it anew)
 */
#ifndef ENGENHO_KAFKA_TXN_H
#define ENGENHO_KAFKA_TXN_H

#include <event2/event.h>
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/error.h"

struct txn_thread;
struct txn;

enum txn_state { TXN_NEW, TXN_BUSY, TXN_IDLE, TXN_FILLING, TXN_DEAD };

enum txn_result {
    TXN_DONE, /* initialised, committed or (after txn_abort) aborted */
    /* a commit that did not happen: nothing of it is visible; the same may be published again */
    TXN_ABORTED,
    /* another producer has this id now; whether the last commit happened, only the log says */
    TXN_FENCED,
    TXN_FAILED /* a fatal error of another kind; as above */
};

/*
 * Called on the loop. `reason` (borrowed for the call) says why, when the result is not TXN_DONE.
 */
typedef void (*txn_callback)(void *context, struct txn *txn, enum txn_result result,
                             const char *reason);

/* Starts the thread. Returns owned. */
struct txn_thread *txn_thread_new(struct event_base *base);
/*
 * Stops the thread after what it is doing, without the rest; every txn of it must have been freed.
 */
void txn_thread_free(struct txn_thread *thread);

/*
 * A producer with this transactional.id. Takes `conf`, also on failure. Returns owned, or NULL with
 * a sentence.
 */
struct txn *txn_new(struct txn_thread *thread, rd_kafka_conf_t *conf, const char *transactional_id,
                    struct error *error);
/*
 * Any state; what was handed over is dropped without a callback. An open transaction is left for
 * the broker to abort.
 */
void txn_free(struct txn *txn);
enum txn_state txn_state(const struct txn *txn);
const char *txn_id(const struct txn *txn);

/*
 * Say that two producers of one thread alternate: when a commit of one does not happen, a commit of
 * the other that was handed over before its callback is aborted too (TXN_ABORTED), so that nothing
 * is published out of order. State NEW.
 */
void txn_pair(struct txn *a, struct txn *b);

/*
 * init_transactions: fences other producers with this id. Tried until it succeeds or is fatal.
 * State NEW.
 */
void txn_init(struct txn *txn, txn_callback done, void *context);

/* Begin to fill. State IDLE. Returns 0, or -EIO with a sentence: the producer is DEAD. */
MUST_CHECK int txn_begin(struct txn *txn, struct error *error);

struct txn_record {
    const char *topic; /* with the prefix */
    int32_t partition; /* RD_KAFKA_PARTITION_UA: by the key's hash */
    const void *key;
    size_t key_bytes;
    const void *value; /* NULL: a tombstone */
    size_t value_bytes;
    int64_t timestamp_ms;        /* 0: now */
    rd_kafka_headers_t *headers; /* NULL: none; taken on success */
    void *opaque;                /* not NULL: where it went is told in txn_deliveries */
};

/*
 * Put a record (copied) into the transaction. State FILLING.
 * Returns 0; -ENOBUFS: the producer's queue is full, commit what is there first; -EMSGSIZE: larger
 * than the broker takes; -EIO: refused otherwise: abort.
 */
MUST_CHECK int txn_produce(struct txn *txn, const struct txn_record *record, struct error *error);

/*
 * Whether everything produced so far has been acknowledged: what another producer writes from now
 * on stands behind it. Serves delivery reports. State FILLING.
 */
bool txn_flushed(struct txn *txn);

/*
 * Send offsets (may be NULL; with `group`) in the transaction and commit it. Takes `offsets` and
 * `group`. State FILLING. Failures that may pass are tried again for as long as it takes: the
 * callback comes when it is decided.
 */
void txn_commit(struct txn *txn, rd_kafka_topic_partition_list_t *offsets,
                rd_kafka_consumer_group_metadata_t *group, txn_callback done, void *context);
/* Throw away what was filled. State FILLING. */
void txn_abort(struct txn *txn, txn_callback done, void *context);

struct txn_delivery {
    void *opaque;
    int32_t partition;
    int64_t offset;
};
/* Where the records with an opaque went. Valid within the callback of a commit that is TXN_DONE. */
const struct txn_delivery *txn_deliveries(const struct txn *txn, size_t *ret_count);

#endif
