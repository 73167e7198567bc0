/*
 * Finished records into transactions: two that alternate, one commit after the other; what was
 * aborted is published again in order (DESIGN section 4).
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/duration.h"
#include "common/memory.h"
#include "worker/commit_metadata.h"
#include "worker/engine_parts.h"

#define OFFSETS_ALONE_US SECOND_US /* between commits of offsets with nothing else */
#define AGAIN_US 1000              /* until a full queue is tried again */
#define FLUSH_US 500               /* between looks whether a transaction's records have arrived */
#define PAUSE_US 100000            /* after an abort */

void publisher_init(struct publisher *publisher)
{
    *publisher = (struct publisher){0};
    STAILQ_INIT(&publisher->finished);
    STAILQ_INIT(&publisher->transactions[0].records);
    STAILQ_INIT(&publisher->transactions[1].records);
}

void publisher_add(struct engine *engine, struct record *record)
{
    STAILQ_INSERT_TAIL(&engine->publisher.finished, record, next);
    if (record->lane != NULL) {
        record->lane->queued++;
    }
}

static struct offsets *map_of(const struct record *record)
{
    return record->from_later ? &record->lane->later : &record->lane->input;
}

static bool is_closing(const struct lane *lane)
{
    return lane->state == LANE_CLOSING && lane->running == 0;
}

/* What asks for a transaction now; else *ret_us says when something will. */
static bool wants_transaction(struct engine *engine, int64_t *ret_us)
{
    struct publisher *publisher = &engine->publisher;
    bool dirty = false;
    struct lane *lane;
    if (engine->now_us < publisher->not_before_us) {
        *ret_us = publisher->not_before_us;
        return false;
    }
    if (!STAILQ_EMPTY(&publisher->finished)) {
        return true;
    }
    *ret_us = INT64_MAX;
    TAILQ_FOREACH (lane, &engine->lanes, next) {
        if (lane->state == LANE_TAKING || lane->state == LANE_CLOSED) {
            continue;
        }
        if (lane->urgent && (lane->state != LANE_CLOSING || is_closing(lane))) {
            return true;
        }
        dirty = dirty || lane->dirty || lane->later_dirty;
    }
    if (dirty) {
        *ret_us = publisher->offsets_due_us;
    }
    return dirty && engine->now_us >= publisher->offsets_due_us;
}

static bool has_urgent_lane(const struct engine *engine)
{
    const struct lane *lane;
    TAILQ_FOREACH (lane, &engine->lanes, next) {
        if (lane->urgent && lane->state != LANE_TAKING &&
            (lane->state != LANE_CLOSING || is_closing(lane))) {
            return true;
        }
    }
    return false;
}

static void close_soon(struct engine *engine, struct transaction *transaction)
{
    int64_t soon_us = engine->now_us + engine->options.urgent_us;
    if (soon_us < transaction->close_us) {
        transaction->close_us = soon_us;
    }
}

/* Returns 0, -ENOBUFS or -EIO. */
static int fill_record(struct engine *engine, unsigned producer, struct record *record)
{
    if (record->emitting == NULL) {
        record->emitting = STAILQ_FIRST(&record->emits);
    }
    while (record->emitting != NULL) {
        struct emit *emit = record->emitting;
        int result = engine->port.txn_produce(engine->port.context, producer, record->lane, emit);
        if (result == -EMSGSIZE) {
            struct emit *small = outcome_shrink(emit);
            if (small != NULL) {
                STAILQ_INSERT_AFTER(&record->emits, emit, small, next);
                STAILQ_REMOVE(&record->emits, emit, emit, next);
                emit_free(emit);
                record->emitting = small;
                continue;
            }
            engine->port.lost(engine->port.context, emit);
        } else if (result != 0) {
            return result;
        }
        record->emitting = STAILQ_NEXT(emit, next);
    }
    return 0;
}

/* While the map is full only what is next in the partition goes in: it makes the map shorter. */
static bool must_be_held(const struct record *record)
{
    const struct lane *lane = record->lane;
    if (lane == NULL ||
        (STAILQ_EMPTY(&lane->held) && (record->from_later || lane_map_fits(lane)))) {
        return false;
    }
    return record->from_later || record->offset != offsets_position(&lane->input);
}

/* Whether what is next in the partition is among those that are held: it makes the map shorter. */
static bool holds_next(const struct lane *lane)
{
    const struct record *held;
    int64_t position = offsets_position(&lane->input);
    STAILQ_FOREACH (held, &lane->held, next) {
        if (!held->from_later && held->offset == position) {
            return true;
        }
    }
    return false;
}

/* What was held goes to the front again when the map takes it, or when one of it is next. */
static void release_held(struct publisher *publisher, struct lane *lane)
{
    struct record *held;
    if (STAILQ_EMPTY(&lane->held) || (!lane_map_fits(lane) && !holds_next(lane))) {
        return;
    }
    STAILQ_FOREACH (held, &lane->held, next) {
        lane->queued++;
    }
    STAILQ_CONCAT(&lane->held, &publisher->finished);
    STAILQ_CONCAT(&publisher->finished, &lane->held);
}

static void note_filled(struct engine *engine, unsigned producer, struct record *record)
{
    struct publisher *publisher = &engine->publisher;
    struct transaction *transaction = &publisher->transactions[producer];
    struct lane *lane = record->lane;
    STAILQ_INSERT_TAIL(&transaction->records, record, next);
    transaction->count++;
    if (record->urgent) {
        close_soon(engine, transaction);
    }
    if (lane == NULL) {
        return;
    }
    lane->queued--;
    lane->touched[producer] = true;
    lane->later_touched[producer] = lane->later_touched[producer] || record->from_later;
    offsets_fill(map_of(record), record->offset);
    release_held(publisher, lane);
}

/* Returns 0: all that is finished is in, or the transaction is full; -ENOBUFS; -EIO. */
static int fill(struct engine *engine, unsigned producer)
{
    struct publisher *publisher = &engine->publisher;
    struct transaction *transaction = &publisher->transactions[producer];
    struct record *record;
    struct lane *lane;
    TAILQ_FOREACH (lane, &engine->lanes, next) {
        release_held(publisher, lane); /* its position may have moved without a transaction */
    }
    while (transaction->count < engine->options.results_per_commit &&
           (record = STAILQ_FIRST(&publisher->finished)) != NULL) {
        if (record->emitting == NULL && must_be_held(record)) {
            STAILQ_REMOVE_HEAD(&publisher->finished, next);
            STAILQ_INSERT_TAIL(&record->lane->held, record, next);
            record->lane->queued--;
            continue;
        }
        int result = fill_record(engine, producer, record);
        if (result != 0) {
            return result;
        }
        STAILQ_REMOVE_HEAD(&publisher->finished, next);
        note_filled(engine, producer, record);
    }
    return 0;
}

static char *print_metadata(struct engine *engine, struct lane *lane, struct lane_commit *commit)
{
    uint8_t bytes[COMMIT_METADATA_DONE_MAX];
    char text[COMMIT_METADATA_TEXT_MAX + 1];
    struct buf done;
    Engenho__CommitMetadata metadata = ENGENHO__COMMIT_METADATA__INIT;
    buf_init(&done, sizeof bytes);
    int result = offsets_encode(&lane->input, &done);
    assert(result == 0); /* must_be_held saw to it */
    metadata.slot = engine->options.slot;
    metadata.done = (ProtobufCBinaryData){.data = done.data, .len = done.length};
    metadata.clean = commit->clean;
    metadata.life = engine->options.life;
    metadata.unclean_starts = isolation_unclean_starts(lane, commit->position);
    metadata.one_by_one = lane->one_by_one;
    metadata.suspect_offset = -1;
    if (commit->suspect && lane->suspect->from_later) {
        metadata.suspect_later = lane->suspect->offset + 1;
    } else if (commit->suspect) {
        metadata.suspect_offset = lane->suspect->offset;
    }
    result = commit_metadata_print(&metadata, text);
    assert(result == 0);
    (void)result;
    buf_release(&done);
    return memory_copy_text(text);
}

static void build_commits(struct engine *engine, unsigned producer)
{
    struct transaction *transaction = &engine->publisher.transactions[producer];
    struct lane *lane;
    size_t count = 0;
    TAILQ_FOREACH (lane, &engine->lanes, next) {
        count++;
    }
    transaction->commits = memory_new(count + 1, sizeof *transaction->commits);
    transaction->commit_count = transaction->lane_states = 0;
    TAILQ_FOREACH (lane, &engine->lanes, next) {
        bool wants = lane->dirty || lane->later_dirty || lane->urgent;
        if (lane->state == LANE_TAKING || lane->state == LANE_CLOSED ||
            (!wants && !lane->touched[producer])) {
            continue;
        }
        struct lane_commit *commit = &transaction->commits[transaction->commit_count++];
        commit->lane = lane;
        commit->position = offsets_position(&lane->input);
        commit->suspect = lane->suspect != NULL;
        commit->clean = is_closing(lane) && lane->queued == 0;
        commit->metadata = print_metadata(engine, lane, commit);
        lane->later_touched[producer] = lane->later_touched[producer] || lane->later_dirty;
        commit->later_position =
            lane->later_touched[producer] ? offsets_position(&lane->later) : lane->later_committed;
        lane->touched[producer] = true;
        lane->dirty = lane->later_dirty = false;
        lane->urgent = is_closing(lane) && !commit->clean;
    }
}

static void free_commits(struct transaction *transaction)
{
    for (size_t i = 0; i < transaction->commit_count; i++) {
        free(transaction->commits[i].metadata);
    }
    free(transaction->commits);
    transaction->commits = NULL;
    transaction->commit_count = transaction->lane_states = 0;
}

/* Positions in `later` belong to what the transaction says. Returns 0, -ENOBUFS or -EIO. */
static int fill_lane_states(struct engine *engine, unsigned producer)
{
    struct transaction *transaction = &engine->publisher.transactions[producer];
    while (transaction->lane_states < transaction->commit_count) {
        struct lane *lane = transaction->commits[transaction->lane_states].lane;
        if (lane->later_touched[producer]) {
            struct emit *emit = outcome_lane_state(lane);
            int result = engine->port.txn_produce(engine->port.context, producer, lane, emit);
            emit_free(emit);
            if (result != 0) {
                return result;
            }
        }
        transaction->lane_states++;
    }
    return 0;
}

static int64_t abort_filling(struct engine *engine, unsigned producer)
{
    struct transaction *transaction = &engine->publisher.transactions[producer];
    transaction->state = TRANSACTION_BUSY;
    engine->publisher.recovering = true;
    engine->port.txn_abort(engine->port.context, producer);
    return INT64_MAX;
}

static bool begin(struct engine *engine, unsigned producer)
{
    struct publisher *publisher = &engine->publisher;
    struct transaction *transaction = &publisher->transactions[producer];
    if (engine->port.txn_begin(engine->port.context, producer) != 0) {
        transaction->state = TRANSACTION_NONE;
        return false;
    }
    transaction->state = TRANSACTION_FILLING;
    transaction->begun = ++publisher->begins;
    transaction->count = 0;
    transaction->close_us = engine->now_us + engine->options.commit_interval_us;
    return true;
}

/*
 * Fill the transaction and commit it when it is time. Returns when to look again; INT64_MAX: it was
 * handed over.
 */
static int64_t serve(struct engine *engine, unsigned producer)
{
    struct publisher *publisher = &engine->publisher;
    struct transaction *transaction = &publisher->transactions[producer];
    int result = transaction->commits == NULL ? fill(engine, producer) : 0;
    if (result == 0 && transaction->commits == NULL) {
        if (has_urgent_lane(engine)) {
            close_soon(engine, transaction);
        }
        if (transaction->count < engine->options.results_per_commit &&
            engine->now_us < transaction->close_us) {
            return transaction->close_us;
        }
        build_commits(engine, producer);
    }
    if (result == 0) {
        result = fill_lane_states(engine, producer);
    }
    if (result == -ENOBUFS) {
        return engine->now_us + AGAIN_US;
    }
    if (result != 0) {
        return abort_filling(engine, producer);
    }
    if (!engine->port.txn_flushed(engine->port.context, producer)) {
        return engine->now_us + FLUSH_US;
    }
    transaction->state = TRANSACTION_BUSY;
    publisher->turn = 1 - producer;
    publisher->offsets_due_us = engine->now_us + OFFSETS_ALONE_US;
    engine->port.txn_commit(engine->port.context, producer, transaction->commits,
                            transaction->commit_count);
    return INT64_MAX;
}

int64_t publisher_pump(struct engine *engine)
{
    struct publisher *publisher = &engine->publisher;
    while (!publisher->recovering) {
        unsigned producer = publisher->turn;
        struct transaction *transaction = &publisher->transactions[producer];
        int64_t again_us;
        if (transaction->state == TRANSACTION_NONE || transaction->state == TRANSACTION_BUSY) {
            return INT64_MAX;
        }
        if (transaction->state == TRANSACTION_IDLE &&
            (!wants_transaction(engine, &again_us) || !begin(engine, producer))) {
            return transaction->state == TRANSACTION_IDLE ? again_us : INT64_MAX;
        }
        again_us = serve(engine, producer);
        if (again_us != INT64_MAX) {
            return again_us;
        }
    }
    return INT64_MAX;
}

static void settle(struct engine *engine, struct transaction *transaction)
{
    struct record *record;
    while ((record = STAILQ_FIRST(&transaction->records)) != NULL) {
        STAILQ_REMOVE_HEAD(&transaction->records, next);
        if (record->lane != NULL) {
            offsets_settle(map_of(record), record->offset);
        }
        record_free(engine, record);
    }
}

static void settle_lane(struct engine *engine, const struct lane_commit *commit)
{
    struct lane *lane = commit->lane;
    lane->committed = commit->position;
    lane->later_committed = commit->later_position;
    if (lane->state == LANE_CLAIMING) {
        lane->state = LANE_RUNNING;
        engine->port.lane_running(engine->port.context, lane);
        dispatch_open_lane(lane);
        if (lane->close_wanted) {
            engine_close_lane(engine, lane);
        }
    } else if (commit->clean && lane->state == LANE_CLOSING) {
        lane->state = LANE_CLOSED;
        engine->port.lane_closed(engine->port.context, lane);
    } else if (commit->suspect && lane->suspect != NULL && !lane->suspect_committed &&
               lane->state == LANE_RUNNING) {
        lane->suspect_committed = true;
        if (lane->suspect->stale) {
            lane->open--;
            record_free(engine, lane->suspect);
        } else {
            intake_record(lane->suspect);
        }
    }
}

/* What did not happen goes back to the front, the older transaction's first. */
static void requeue(struct engine *engine, struct transaction *transaction)
{
    struct publisher *publisher = &engine->publisher;
    struct record *record;
    STAILQ_FOREACH (record, &transaction->records, next) {
        record->emitting = NULL;
        if (record->lane != NULL) {
            offsets_unfill(map_of(record), record->offset);
            record->lane->queued++;
        }
    }
    STAILQ_CONCAT(&transaction->records, &publisher->finished);
    STAILQ_CONCAT(&publisher->finished, &transaction->records);
    transaction->count = 0;
}

static void recover(struct engine *engine)
{
    struct publisher *publisher = &engine->publisher;
    struct transaction *a = &publisher->transactions[0], *b = &publisher->transactions[1];
    struct record *partial = STAILQ_FIRST(&publisher->finished);
    if (a->state == TRANSACTION_BUSY || b->state == TRANSACTION_BUSY) {
        return;
    }
    if (partial != NULL) {
        partial->emitting = NULL;
    }
    requeue(engine, a->begun > b->begun ? a : b);
    requeue(engine, a->begun > b->begun ? b : a);
    publisher->recovering = false;
    publisher->not_before_us = engine->now_us + PAUSE_US;
}

static void note_aborted(struct engine *engine, unsigned producer)
{
    struct publisher *publisher = &engine->publisher;
    struct lane *lane;
    TAILQ_FOREACH (lane, &engine->lanes, next) {
        if (lane->touched[producer]) {
            lane->dirty = true;
            lane->urgent = lane->urgent || lane->state == LANE_CLAIMING ||
                           lane->state == LANE_CLOSING ||
                           (lane->suspect != NULL && !lane->suspect_committed);
            lane->later_dirty = lane->later_dirty || lane->later_touched[producer];
        }
        lane->touched[producer] = lane->later_touched[producer] = false;
    }
    publisher->recovering = true;
    unsigned other = 1 - producer;
    if (publisher->transactions[other].state == TRANSACTION_FILLING) {
        free_commits(&publisher->transactions[other]);
        abort_filling(engine, other);
    }
    recover(engine);
}

void engine_txn_decided(struct engine *engine, unsigned producer, enum txn_decision decision)
{
    struct transaction *transaction = &engine->publisher.transactions[producer];
    assert(transaction->state == TRANSACTION_BUSY);
    transaction->state = TRANSACTION_IDLE;
    if (decision == TXN_DECIDED_ABORTED) {
        free_commits(transaction);
        note_aborted(engine, producer);
        return;
    }
    struct lane_commit *commits = transaction->commits;
    size_t count = transaction->commit_count;
    transaction->commits = NULL;
    transaction->commit_count = 0;
    settle(engine, transaction);
    for (size_t i = 0; i < count; i++) {
        commits[i].lane->touched[producer] = commits[i].lane->later_touched[producer] = false;
    }
    for (size_t i = 0; i < count; i++) {
        settle_lane(engine, &commits[i]);
        free(commits[i].metadata);
    }
    free(commits);
    if (engine->publisher.recovering) {
        recover(engine);
    }
}

void engine_txn_ready(struct engine *engine)
{
    engine->publisher.transactions[0].state = TRANSACTION_IDLE;
    engine->publisher.transactions[1].state = TRANSACTION_IDLE;
}

bool engine_txn_idle(const struct engine *engine)
{
    const struct transaction *transactions = engine->publisher.transactions;
    return transactions[0].state <= TRANSACTION_IDLE && transactions[1].state <= TRANSACTION_IDLE;
}

static void drop_records(struct engine *engine, struct record_list *list, const struct lane *lane)
{
    struct record_list kept = STAILQ_HEAD_INITIALIZER(kept);
    struct record *record;
    (void)engine;
    while ((record = STAILQ_FIRST(list)) != NULL) {
        STAILQ_REMOVE_HEAD(list, next);
        if (record->lane != lane) {
            STAILQ_INSERT_TAIL(&kept, record, next);
        }
    }
    STAILQ_CONCAT(list, &kept);
}

void publisher_drop_lane(struct engine *engine, struct lane *lane)
{
    drop_records(engine, &engine->publisher.finished, lane);
}

void engine_txn_gone(struct engine *engine)
{
    struct publisher *publisher = &engine->publisher;
    struct lane *lane;
    for (unsigned producer = 0; producer < 2; producer++) {
        struct transaction *transaction = &publisher->transactions[producer];
        free_commits(transaction);
        transaction->state = TRANSACTION_NONE;
        transaction->count = 0;
    }
    TAILQ_FOREACH (lane, &engine->lanes, next) {
        lane->touched[0] = lane->touched[1] = lane->later_touched[0] = lane->later_touched[1] =
            false;
    }
    /* Records of lanes go with their lanes; the others are written again. */
    for (unsigned producer = 0; producer < 2; producer++) {
        struct record_list *list = &publisher->transactions[producer].records;
        TAILQ_FOREACH (lane, &engine->lanes, next) {
            drop_records(engine, list, lane);
        }
        struct record *record;
        STAILQ_FOREACH (record, list, next) {
            record->emitting = NULL;
        }
        STAILQ_CONCAT(&publisher->finished, list);
    }
    publisher->recovering = false;
    publisher->turn = 0;
}

void publisher_release(struct engine *engine)
{
    struct publisher *publisher = &engine->publisher;
    struct record_list *lists[] = {&publisher->finished, &publisher->transactions[0].records,
                                   &publisher->transactions[1].records};
    for (size_t i = 0; i < 3; i++) {
        struct record *record;
        while ((record = STAILQ_FIRST(lists[i])) != NULL) {
            STAILQ_REMOVE_HEAD(lists[i], next);
            record_free(engine, record);
        }
    }
    free_commits(&publisher->transactions[0]);
    free_commits(&publisher->transactions[1]);
}
