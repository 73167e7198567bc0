/*
 * The worker's core as one machine: records and answers go in, batches, seats and transactions come
 * out through a port. No Kafka, no Python, no clock. Worker, core.
 *
 *     records ─► lane ─► executions ─► lines ─► dispatch ─► pool
 *                                                            │
 *     transactions ◄─ publisher ◄─ outcomes ◄────────────────┘
 */
#ifndef ENGENHO_WORKER_ENGINE_H
#define ENGENHO_WORKER_ENGINE_H

#include "common/attributes.h"
#include "proto/interpreter.pb-c.h"
#include "proto/result.pb-c.h"
#include "worker/matcher.h"
#include "worker/work.h"

#define BATCH_MAX 64

/* One lane's part of a commit. */
struct lane_commit {
    struct lane *lane;
    int64_t position;       /* offset to commit */
    int64_t later_position; /* everything of `later` below it is done */
    char *metadata;         /* owned by the publisher until the transaction is decided */
    bool suspect, clean;    /* what the metadata says */
};

struct engine_port {
    void *context;
    /* As pool_submit and pool_free_interpreters. */
    int (*submit)(void *context, struct execution *const *executions, size_t count);
    unsigned (*free_interpreters)(void *context);
    void (*cancel)(void *context, uint64_t number);
    struct seats_port seats;
    /* The code of an execution is not known yet: engine_code_changed is called when it is. */
    void (*want_code)(void *context, struct code *code);
    void (*message_free)(void *context, void *message);
    /*
     * Transactions of producer 0 or 1; 0, -ENOBUFS (try again soon), -EMSGSIZE, -EIO (it is dead,
     * or aborts).
     */
    int (*txn_begin)(void *context, unsigned producer);
    int (*txn_produce)(void *context, unsigned producer, const struct lane *lane,
                       const struct emit *emit);
    /* Whether all that was produced is acknowledged, so that the other producer's records stand
     * behind it. */
    bool (*txn_flushed)(void *context, unsigned producer);
    /* engine_txn_decided answers both, later. */
    void (*txn_commit)(void *context, unsigned producer, const struct lane_commit *commits,
                       size_t count);
    void (*txn_abort)(void *context, unsigned producer);
    /* Reading of the lane's `later` is to start over at lane->later.base. */
    void (*rewind_later)(void *context, struct lane *lane);
    /*
     * The lane runs, or its last commit is done (engine_drop_lane may be called from the loop's
     * next turn on).
     */
    void (*lane_running)(void *context, struct lane *lane);
    void (*lane_closed)(void *context, struct lane *lane);
    /* For metrics and log. */
    void (*ended)(void *context, const struct execution *execution,
                  const Engenho__Finished *finished, enum retry_verdict verdict);
    void (*dead_letter)(void *context, const struct record *record, const char *reason);
    void (*held)(void *context, const struct holder *holder, const char *reason);
    void (*lost)(void *context, const struct emit *emit);
};

struct engine_options {
    const char *agent, *worker, *group, *session;
    uint32_t slot;
    uint64_t life; /* of this process: random */
    /* take unclean starts as signs of a record that takes the worker down */
    bool isolate;
    int64_t commit_interval_us;
    int64_t urgent_us; /* 5 ms: a transaction with re-published triggers closes */
    uint32_t results_per_commit;
    uint32_t open_max; /* records in memory of one lane */
    uint32_t due_max;  /* and of its `later` that wait for their time */
    int64_t seat_linger_us;
    int64_t park_after_us;   /* how long executions wait in memory for the seat of their holder */
    int64_t catalog_wait_us; /* how long a trigger waits for a definition that is not known yet */
};

enum transaction_state {
    TRANSACTION_NONE,
    TRANSACTION_IDLE,
    TRANSACTION_FILLING,
    TRANSACTION_BUSY
};

struct transaction {
    enum transaction_state state;
    /* number among all that were begun: the older one is published first */
    uint64_t begun;
    struct record_list records;
    size_t count;
    int64_t close_us; /* monotonic */
    struct lane_commit *commits;
    size_t commit_count;
    size_t lane_states; /* commits whose LaneState is filled */
};

struct publisher {
    struct transaction transactions[2];
    unsigned turn; /* which one fills now or next */
    uint64_t begins;
    bool recovering;        /* one was aborted: nothing is filled before both are idle */
    int64_t not_before_us;  /* monotonic: a pause after an abort */
    int64_t offsets_due_us; /* monotonic: when offsets alone are worth a transaction */
    struct record_list finished;
};

struct engine {
    struct engine_options options;
    struct engine_port port;
    struct matcher *matcher;
    struct holder *holders;
    struct holder_list ring;    /* may run */
    struct holder_list watched; /* wait for a seat, or for what was parked */
    int64_t watch_us;           /* monotonic: when one of them is due */
    struct seats seats;
    struct lane_list lanes;
    struct execution **running; /* by slot: number & running_mask */
    size_t running_capacity, running_count;
    uint32_t *free_slots;
    size_t free_slot_count;
    uint64_t serial;             /* of numbers */
    uint64_t sequence;           /* of executions */
    bool allowed;                /* may start something: registered, licensor seen, not draining */
    unsigned isolating;          /* lanes that run one by one: the others wait */
    struct record *suspect;      /* what runs alone in this worker, or is about to */
    int64_t now_us, now_unix_us; /* of the call that is being served */
    struct publisher publisher;
};

void engine_init(struct engine *engine, const struct engine_options *options,
                 const struct engine_port *port);
void engine_release(struct engine *engine);
/* Every call below is told the time first. */
void engine_set_time(struct engine *engine, int64_t mono_us, int64_t unix_us);

/* The catalog. */
struct holder *engine_holder(struct engine *engine, char kind, const char *name);
/* The newest definition of a holder; takes a reference. NULL: deleted. */
void engine_define(struct engine *engine, struct holder *holder, struct production *production,
                   enum holder_state state);
/*
 * After definitions changed: the matcher was rebuilt; what waits for the catalog is looked at
 * again.
 */
void engine_catalog_changed(struct engine *engine);
void engine_code_changed(struct engine *engine, struct code *code);
/* Stop a production and keep its backlog; asks for it on `requests`, once. */
void engine_hold(struct engine *engine, struct holder *holder, const char *reason);
/* End every waiting execution of an application on demand: its package is broken. */
void engine_fail_waiting(struct engine *engine, struct holder *holder,
                         const Engenho__Finished *finished);

/* Lanes. */
struct lane *engine_add_lane(struct engine *engine, const char *topic, bool is_triggers,
                             int32_t partition);
/*
 * What the lane's committed offset and its metadata say. Returns 0 with the slot of its last owner;
 * -ENOENT: there is no metadata; -EBADMSG: it is not ours: the lane starts at `position` with
 * nothing done beyond it.
 */
MUST_CHECK int lane_restore(struct lane *lane, int64_t position, const char *text, size_t length,
                            uint32_t *ret_slot);
/*
 * The edge has read all that the lane left. `input_end`: of the partition. Claims it; then
 * lane_running is called.
 */
void engine_claim_lane(struct engine *engine, struct lane *lane, int64_t input_end);
/*
 * Finish what runs (what does not end by itself: engine_cut_lane), commit, then lane_closed is
 * called.
 */
void engine_close_lane(struct engine *engine, struct lane *lane);
/* Do not wait for what still runs. */
void engine_cut_lane(struct engine *engine, struct lane *lane);
/* Forget it and all of its memory. No transaction that speaks of it may be under way. */
void engine_drop_lane(struct engine *engine, struct lane *lane);

/* What the edge knows of a record. */
struct record_view {
    int64_t offset, timestamp_us;
    const void *key, *value;
    size_t key_bytes, value_bytes;
    void *message;  /* taken */
    uint8_t *event; /* a packed Event made from JSON; taken (free); NULL: `value` is one */
    size_t event_bytes;
    const char *undecodable; /* why it is no event, constant; NULL: see value */
};
/* Whether lane's input (later) takes another record now. */
bool lane_has_room(const struct lane *lane);
bool lane_has_later_room(const struct lane *lane);
void lane_take(struct lane *lane, const struct record_view *view);
void lane_take_later(struct lane *lane, const struct record_view *view);
void lane_see_end(struct lane *lane, int64_t offset);
void lane_see_later_end(struct lane *lane, int64_t offset);
/* A record of `state` while the lane is taken. NULL value: a tombstone. Returns 0 or -EBADMSG. */
MUST_CHECK int lane_take_state(struct lane *lane, const char *key, size_t key_bytes,
                               const void *value, size_t bytes);

/* Answers of the pool. */
void engine_finished(struct engine *engine, const Engenho__Finished *finished);
void engine_returned(struct engine *engine, uint64_t number);
struct execution *engine_find(struct engine *engine, uint64_t number);

/* Answers of the licensor. */
void engine_granted(struct engine *engine, const Engenho__Granted *granted, uint64_t request);
void engine_seats_lost(struct engine *engine);
/* One seat that was held is not ours any more: it is asked for anew if it is in use or wanted. */
void engine_seat_lost(struct engine *engine, uint64_t token);

enum txn_decision { TXN_DECIDED_DONE, TXN_DECIDED_ABORTED };
/* Producers are there (both, once). */
void engine_txn_ready(struct engine *engine);
void engine_txn_decided(struct engine *engine, unsigned producer, enum txn_decision decision);
/*
 * Both producers are gone: everything that was under way is forgotten; the lanes are to be dropped
 * at once.
 */
void engine_txn_gone(struct engine *engine);
/* Whether nothing is in a transaction. */
bool engine_txn_idle(const struct engine *engine);

/* May something start: registered, the licensor seen lately, not draining. */
void engine_allow(struct engine *engine, bool allowed);
/* Do what can be done now. Returns when it wants to be called again (monotonic), or INT64_MAX. */
int64_t engine_turn(struct engine *engine);

#endif
