#include "tests/sim/worker/model.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/murmur2.h"

#define UNIX_US MODEL_UNIX_US

bool model_chance(struct model *model, unsigned n)
{
    return random_below(&model->random, n) == 0;
}

void model_append(struct log *log, const void *key, size_t key_bytes, const void *value,
                  size_t bytes, int64_t now_us)
{
    if (log->count == log->capacity) {
        log->capacity = log->capacity ? 2 * log->capacity : 64;
        log->records = memory_resize(log->records, log->capacity, sizeof *log->records);
    }
    log->records[log->count++] = (struct logged){
        .key = key ? memory_copy(key, key_bytes) : NULL,
        .key_bytes = key_bytes,
        .value = value ? memory_copy(value, bytes) : NULL,
        .value_bytes = bytes,
        .timestamp_us = now_us + UNIX_US,
    };
}

static void append_hole(struct log *log)
{
    model_append(log, NULL, 0, NULL, 0, 0);
}

static void release_logged(struct logged *record)
{
    free(record->key);
    free(record->value);
}

static void release_log(struct log *log)
{
    for (size_t i = 0; i < log->count; i++) {
        release_logged(&log->records[i]);
    }
    free(log->records);
}

static int shelf_of(const struct model *model, const struct lane *lane)
{
    for (int i = 0; i < 2 * PARTITIONS; i++) {
        if (model->lanes[i] == lane) {
            return i;
        }
    }
    abort();
}

/* Kafka. */

static int port_begin(void *context, unsigned producer)
{
    struct model *model = context;
    struct pending *pending = &model->pending[producer];
    assert(!pending->handed && pending->count == 0);
    return 0;
}

static int port_produce(void *context, unsigned producer, const struct lane *lane,
                        const struct emit *emit)
{
    struct model *model = context;
    struct pending *pending = &model->pending[producer];
    if (!model->calm && model_chance(model, 30)) {
        return model_chance(model, 40) ? -EIO : -ENOBUFS;
    }
    if (pending->count == pending->capacity) {
        pending->capacity = pending->capacity ? 2 * pending->capacity : 64;
        pending->written =
            memory_resize(pending->written, pending->capacity, sizeof *pending->written);
    }
    struct written *written = &pending->written[pending->count++];
    written->topic = emit->topic;
    written->shelf = lane != NULL ? shelf_of(model, lane) : -1;
    written->record = (struct logged){
        .key = emit->key ? memory_copy(emit->key, emit->key_bytes) : NULL,
        .key_bytes = emit->key_bytes,
        .value = emit->value ? memory_copy(emit->value, emit->value_bytes) : NULL,
        .value_bytes = emit->value_bytes,
        .timestamp_us = model->now_us + UNIX_US,
    };
    return 0;
}

static bool port_flushed(void *context, unsigned producer)
{
    struct model *model = context;
    (void)producer;
    return model->calm || model_chance(model, 3);
}

static void hand_over(struct model *model, unsigned producer)
{
    model->pending[producer].handed = true;
    model->order[model->order_count++] = producer;
}

static void port_commit(void *context, unsigned producer, const struct lane_commit *commits,
                        size_t count)
{
    struct model *model = context;
    struct pending *pending = &model->pending[producer];
    pending->promised_count = 0;
    for (size_t i = 0; i < count; i++) {
        assert(strlen(commits[i].metadata) <= 4096);
        pending->promised[pending->promised_count++] = (struct promised){
            .shelf = shelf_of(model, commits[i].lane),
            .position = commits[i].position,
            .metadata = memory_copy_text(commits[i].metadata),
        };
    }
    hand_over(model, producer);
}

static void port_abort(void *context, unsigned producer)
{
    struct model *model = context;
    model->pending[producer].promised_count = SIZE_MAX; /* never committed */
    hand_over(model, producer);
}

static struct log *log_of(struct model *model, const struct written *written)
{
    switch (written->topic) {
    case EMIT_RESULTS:
        return &model->results;
    case EMIT_DEAD_LETTERS:
        return &model->letters;
    case EMIT_REQUESTS:
        return &model->requests;
    case EMIT_LATER:
        return &model->shelves[written->shelf].later;
    case EMIT_STATE:
        return &model->shelves[written->shelf].state;
    case EMIT_TRIGGERS:
        return &model
                    ->shelves[PARTITIONS + murmur2_partition(written->record.key,
                                                             written->record.key_bytes, PARTITIONS)]
                    .input;
    }
    abort();
}

static void forget_pending(struct pending *pending, bool committed)
{
    for (size_t i = 0; i < pending->count && !committed; i++) {
        release_logged(&pending->written[i].record);
    }
    for (size_t i = 0; pending->promised_count != SIZE_MAX && i < pending->promised_count; i++) {
        free(pending->promised[i].metadata);
    }
    pending->count = pending->promised_count = 0;
    pending->handed = false;
}

/* A transaction is decided; its records appear at once, or leave holes. */
static void decide(struct model *model, unsigned producer, bool committed)
{
    struct pending *pending = &model->pending[producer];
    for (size_t i = 0; i < pending->count; i++) {
        struct written *written = &pending->written[i];
        struct log *log = log_of(model, written);
        append_hole(log);
        if (committed) {
            log->records[log->count - 1] = written->record;
            log->committed++;
        }
        if (model_chance(model, 4)) {
            append_hole(log);
        }
    }
    for (size_t i = 0; committed && i < pending->promised_count; i++) {
        struct shelf *shelf = &model->shelves[pending->promised[i].shelf];
        assert(pending->promised[i].position >= shelf->committed);
        shelf->committed = pending->promised[i].position;
        free(shelf->metadata);
        shelf->metadata = memory_copy_text(pending->promised[i].metadata);
    }
    forget_pending(pending, committed);
}

static void decide_oldest(struct model *model, bool tell)
{
    /*
     * the older one of the pair did not happen: neither does the next that was handed over by then
     */
    static bool broken;
    if (model->order_count == 0) {
        return;
    }
    unsigned producer = model->order[0];
    bool aborts = model->pending[producer].promised_count == SIZE_MAX || broken ||
                  (!model->calm && model_chance(model, 15));
    bool other_waits = model->order_count == 2;
    model->order[0] = model->order[1];
    model->order_count--;
    broken = aborts && other_waits;
    model->aborts += aborts;
    decide(model, producer, !aborts);
    if (tell) {
        engine_txn_decided(&model->engine, producer,
                           aborts ? TXN_DECIDED_ABORTED : TXN_DECIDED_DONE);
    }
}

/* Lanes. */

static void port_message_free(void *context, void *message)
{
    (void)context;
    (void)message;
}

static void port_want_code(void *context, struct code *code)
{
    (void)context;
    code->state = CODE_READY;
}

static void port_rewind(void *context, struct lane *lane)
{
    struct model *model = context;
    model->read_later[shelf_of(model, lane)] = (size_t)lane->later.base;
}

static void port_running(void *context, struct lane *lane)
{
    (void)context;
    (void)lane;
}

static void port_closed(void *context, struct lane *lane)
{
    (void)context;
    (void)lane;
}

static void port_ended(void *context, const struct execution *execution,
                       const Engenho__Finished *finished, enum retry_verdict verdict)
{
    (void)context;
    (void)execution;
    (void)finished;
    (void)verdict;
}

static void port_letter(void *context, const struct record *record, const char *reason)
{
    (void)context;
    (void)record;
    (void)reason;
}

static void port_held(void *context, const struct holder *holder, const char *reason)
{
    struct model *model = context;
    (void)holder;
    (void)reason;
    model->holds++;
}

static void port_lost(void *context, const struct emit *emit)
{
    (void)context;
    (void)emit;
    abort();
}

static struct record_view view_of(const struct logged *record, size_t offset)
{
    return (struct record_view){.offset = (int64_t)offset,
                                .timestamp_us = record->timestamp_us,
                                .key = record->key,
                                .key_bytes = record->key_bytes,
                                .value = record->value,
                                .value_bytes = record->value_bytes};
}

static void take_lane(struct model *model, int number)
{
    struct shelf *shelf = &model->shelves[number];
    bool triggers = number >= PARTITIONS;
    struct lane *lane = engine_add_lane(&model->engine, triggers ? "triggers.a" : "events",
                                        triggers, number % PARTITIONS);
    uint32_t slot;
    model->lanes[number] = lane;
    int result = lane_restore(lane, shelf->committed, shelf->metadata,
                              shelf->metadata ? strlen(shelf->metadata) : 0, &slot);
    assert(result == 0 || result == -ENOENT);
    for (size_t i = 0; i < shelf->state.count; i++) {
        struct logged *record = &shelf->state.records[i];
        if (record->key != NULL) {
            result = lane_take_state(lane, record->key, record->key_bytes, record->value,
                                     record->value_bytes);
            assert(result == 0);
        }
    }
    model->read_input[number] = (size_t)shelf->committed;
    for (size_t i = (size_t)lane->later.base; i < shelf->later.count; i++) {
        if (shelf->later.records[i].key != NULL) {
            struct record_view view = view_of(&shelf->later.records[i], i);
            lane_take_later(lane, &view);
        }
    }
    lane_see_later_end(lane, (int64_t)shelf->later.count);
    model->read_later[number] = shelf->later.count;
    engine_claim_lane(&model->engine, lane, (int64_t)shelf->input.count);
}

static void feed(struct model *model, int number)
{
    struct lane *lane = model->lanes[number];
    struct shelf *shelf = &model->shelves[number];
    if (lane == NULL) {
        return;
    }
    for (size_t n = random_below(&model->random, 40); n > 0 && lane_has_room(lane); n--) {
        size_t *at = &model->read_input[number];
        while (*at < shelf->input.count && shelf->input.records[*at].key == NULL) {
            ++*at;
        }
        if (*at == shelf->input.count) {
            if (lane->state == LANE_RUNNING) {
                lane_see_end(lane, (int64_t)*at);
            }
            break;
        }
        struct record_view view = view_of(&shelf->input.records[*at], *at);
        ++*at;
        lane_take(lane, &view);
    }
    for (size_t n = 20; n > 0 && lane->state == LANE_RUNNING && lane_has_later_room(lane); n--) {
        size_t *at = &model->read_later[number];
        while (*at < shelf->later.count && shelf->later.records[*at].key == NULL) {
            ++*at;
        }
        if (*at == shelf->later.count) {
            lane_see_later_end(lane, (int64_t)*at);
            break;
        }
        struct record_view view = view_of(&shelf->later.records[*at], *at);
        ++*at;
        lane_take_later(lane, &view);
    }
}

static void set_time(struct model *model)
{
    engine_set_time(&model->engine, model->now_us, model->now_us + UNIX_US);
}

void model_start(struct model *model)
{
    struct engine_options options = {
        .agent = "a",
        .worker = "w",
        .group = "g",
        .session = "s",
        .isolate = true,
        .commit_interval_us = 1000,
        .urgent_us = 50,
        .life = model->lives + 1,
        .results_per_commit = 40,
        .open_max = 200,
        .due_max = MODEL_DUE_MAX,
        .seat_linger_us = 500,
        .park_after_us = 300,
        .catalog_wait_us = 1000,
    };
    struct engine_port port = {
        .context = model,
        .want_code = port_want_code,
        .message_free = port_message_free,
        .txn_begin = port_begin,
        .txn_produce = port_produce,
        .txn_flushed = port_flushed,
        .txn_commit = port_commit,
        .txn_abort = port_abort,
        .rewind_later = port_rewind,
        .lane_running = port_running,
        .lane_closed = port_closed,
        .ended = port_ended,
        .dead_letter = port_letter,
        .held = port_held,
        .lost = port_lost,
    };
    model_fill_pool_port(model, &port);
    engine_init(&model->engine, &options, &port);
    set_time(model);
    model->up = true;
    engine_allow(&model->engine, true);
    for (size_t i = 0; i < model->production_count; i++) {
        struct production *production = model->productions[i];
        engine_define(&model->engine, engine_holder(&model->engine, 'p', production->name),
                      production, HOLDER_STARTED);
        matcher_add(model->engine.matcher, production);
    }
    engine_txn_ready(&model->engine);
    for (int i = 0; i < 2 * PARTITIONS; i++) {
        take_lane(model, i);
    }
}

void model_kill(struct model *model)
{
    /* What was handed over may happen or not; what was being filled never does. */
    while (model->order_count > 0) {
        decide_oldest(model, false);
    }
    for (unsigned producer = 0; producer < 2; producer++) {
        if (model->pending[producer].count > 0) {
            decide(model, producer, false);
        }
    }
    memset(model->interpreters, 0, sizeof model->interpreters);
    model->asked_count = 0;
    engine_release(&model->engine);
    model->asked_count = 0;
    memset(model->lanes, 0, sizeof model->lanes);
    model->up = false;
    model->worker_kills++;
    model->lives += !model_chance(model, 3); /* else it gave up by itself and goes on */
}

static void revoke_one(struct model *model)
{
    int number = (int)random_below(&model->random, 2 * PARTITIONS);
    struct lane *lane = model->lanes[number];
    if (lane != NULL && lane->state == LANE_RUNNING) {
        engine_close_lane(&model->engine, lane);
        if (model_chance(model, 2)) {
            engine_cut_lane(&model->engine, lane);
        }
        model->revokes++;
    }
}

static void retake_closed(struct model *model)
{
    for (int i = 0; i < 2 * PARTITIONS; i++) {
        if (model->lanes[i] != NULL && model->lanes[i]->state == LANE_CLOSED &&
            model->order_count == 0 && engine_txn_idle(&model->engine)) {
            engine_drop_lane(&model->engine, model->lanes[i]);
            model->lanes[i] = NULL;
            take_lane(model, i);
        }
    }
}

/* A production is held, and started again some time later. */
static void hold_one(struct model *model)
{
    size_t number = random_below(&model->random, model->production_count);
    struct holder *holder = engine_holder(&model->engine, 'p', model->productions[number]->name);
    if (holder->state == HOLDER_STARTED) {
        engine_hold(&model->engine, holder, "the simulation says so");
    } else {
        holder->held_generation = 0;
        engine_define(&model->engine, holder, model->productions[number], HOLDER_STARTED);
    }
}

static void start_held(struct model *model)
{
    for (size_t i = 0; i < model->production_count; i++) {
        struct holder *holder = engine_holder(&model->engine, 'p', model->productions[i]->name);
        if (holder->state == HOLDER_HELD) {
            holder->held_generation = 0;
            engine_define(&model->engine, holder, model->productions[i], HOLDER_STARTED);
        }
    }
}

void model_step(struct model *model)
{
    set_time(model);
    switch (random_below(&model->random, 10)) {
    case 0:
    case 1:
        feed(model, (int)random_below(&model->random, 2 * PARTITIONS));
        break;
    case 2:
    case 3:
    case 4: {
        struct seat_of_work *interpreter =
            &model->interpreters[random_below(&model->random, INTERPRETERS)];
        if (interpreter->count > 0) {
            model_run_one(model, interpreter);
        }
        break;
    }
    case 5:
        model_grant_one(model);
        break;
    case 6:
        decide_oldest(model, true);
        break;
    case 7:
        model->now_us += (int64_t)random_below(&model->random, 400);
        break;
    default:
        break;
    }
    set_time(model);
    if (!model->calm) {
        if (model_chance(model, 3000)) {
            revoke_one(model);
        }
        if (model_chance(model, 5000)) {
            hold_one(model);
        }
        if (model_chance(model, 9000)) {
            engine_seats_lost(&model->engine);
        }
        if (model_chance(model, 6000)) {
            engine_allow(&model->engine, !model->engine.allowed);
        }
        if (model_chance(model, 12000)) {
            model_kill(model);
            model_start(model);
        }
    } else {
        engine_allow(&model->engine, true);
        start_held(model);
    }
    retake_closed(model);
    engine_turn(&model->engine);
}

bool model_is_quiet(struct model *model)
{
    for (int i = 0; i < 2 * PARTITIONS; i++) {
        const struct lane *lane = model->lanes[i];
        const struct shelf *shelf = &model->shelves[i];
        if (lane == NULL || lane->state != LANE_RUNNING || lane->open > 0 ||
            offsets_position(&lane->input) < (int64_t)shelf->input.count ||
            offsets_position(&lane->later) < (int64_t)shelf->later.count ||
            shelf->committed < (int64_t)shelf->input.count) {
            return false;
        }
    }
    return model->order_count == 0 && engine_txn_idle(&model->engine);
}

void model_init(struct model *model, uint64_t seed)
{
    memset(model, 0, sizeof *model);
    random_init(&model->random, seed);
    model->now_us = 1000000;
}

void model_release(struct model *model)
{
    for (int i = 0; i < 2 * PARTITIONS; i++) {
        release_log(&model->shelves[i].input);
        release_log(&model->shelves[i].later);
        release_log(&model->shelves[i].state);
        free(model->shelves[i].metadata);
    }
    release_log(&model->results);
    release_log(&model->letters);
    release_log(&model->requests);
    for (unsigned producer = 0; producer < 2; producer++) {
        forget_pending(&model->pending[producer], false);
        free(model->pending[producer].written);
    }
}
