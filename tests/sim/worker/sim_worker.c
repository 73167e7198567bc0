/*
 * The worker's core against a model of Kafka, the pool and the licensor, with everything failing at
 * once: kills at any step, aborted transactions, revoked partitions, crashed interpreters, seats
 * that come late, productions held and started again.
 *
 * What must be true in the end: each record has, for each production that wants it, exactly one
 * committed outcome; executions of one ordering key never run side by side; what a script keeps in
 * userCache counts each success once.
 *
 *     sim_worker [SEED [STEPS]]
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <cmocka.h>

#include "common/memory.h"
#include "tests/sim/worker/model.h"

#define SEEDS 8
#define STEPS 60000
#define REFUSED_EVENTS 1500
#define PARKED_EVENTS (5 * MODEL_DUE_MAX)

static uint64_t first_seed = 1;
static uint64_t seeds = SEEDS, steps = STEPS;

struct wish {
    const char *name;
    Engenho__Ordering ordering;
    bool state;
    const char *when;
    uint32_t retries;
    Engenho__SeatKind seat;
};

static void add_production(struct model *model, const struct wish *wish)
{
    Engenho__DataTrigger data = ENGENHO__DATA_TRIGGER__INIT;
    Engenho__Production definition = ENGENHO__PRODUCTION__INIT;
    Engenho__Application application = ENGENHO__APPLICATION__INIT;
    struct error error;
    data.connection = (char *)"plant";
    data.object = (char *)"*";
    data.when = (char *)wish->when;
    definition.trigger_case = ENGENHO__PRODUCTION__TRIGGER_DATA;
    definition.data = &data;
    definition.ordering = wish->ordering;
    definition.state = wish->state;
    definition.retries = wish->retries;
    definition.seat_kind = wish->seat;
    definition.retry_wait_us = 700;
    application.package = (char *)"p";
    struct production_options options = {.name = wish->name,
                                         .generation = 1,
                                         .definition = &definition,
                                         .application = &application,
                                         .application_name = wish->name,
                                         .active_version = 1};
    struct production *production = production_new(&options, &error);
    assert_non_null(production);
    model->productions[model->production_count++] = production;
}

static void publish_event(struct model *model, uint64_t number)
{
    char object[32], key[64];
    uint8_t packed[256];
    Engenho__Value value = ENGENHO__VALUE__INIT;
    Engenho__Event event = ENGENHO__EVENT__INIT;
    unsigned which = (unsigned)random_below(&model->random, KEYS);
    struct log *log = &model->shelves[which % PARTITIONS].input;
    snprintf(object, sizeof object, "tank%u", which);
    int length = snprintf(key, sizeof key, "plant/%s", object);
    value.kind_case = ENGENHO__VALUE__KIND_INTEGER;
    value.integer = (int64_t)number;
    event.connection = (char *)"plant";
    event.object = object;
    event.value = &value;
    event.timestamp_us = (int64_t)number + 1;
    size_t bytes = engenho__event__pack(&event, packed);
    if (model_chance(model, 10)) {
        model_append(log, NULL, 0, NULL, 0, 0); /* a marker */
    }
    model_append(log, key, (size_t)length, packed, bytes, model->now_us);
}

struct seen {
    UT_hash_handle hh;
    unsigned count;
    char id[];
};

/* Every execution id once. */
static void check_once(const struct model *model, uint64_t expected, uint64_t seed)
{
    struct seen *all = NULL, *seen, *following;
    uint64_t distinct = 0;
    for (size_t i = 0; i < model->results.count; i++) {
        const struct logged *record = &model->results.records[i];
        if (record->value == NULL) {
            continue;
        }
        Engenho__Result *result = engenho__result__unpack(NULL, record->value_bytes, record->value);
        assert_non_null(result);
        HASH_FIND_STR(all, result->execution_id, seen);
        if (seen != NULL) {
            fail_msg("seed %" PRIu64 ": two outcomes of %s", seed, result->execution_id);
        }
        seen = memory_new(1, sizeof *seen + strlen(result->execution_id) + 1);
        memcpy(seen->id, result->execution_id, strlen(result->execution_id));
        HASH_ADD_KEYPTR(hh, all, seen->id, strlen(seen->id), seen);
        distinct++;
        engenho__result__free_unpacked(result, NULL);
    }
    HASH_ITER (hh, all, seen, following) {
        HASH_DEL(all, seen);
        free(seen);
    }
    if (distinct != expected) {
        fail_msg("seed %" PRIu64 ": %" PRIu64 " outcomes instead of %" PRIu64, seed, distinct,
                 expected);
    }
}

/*
 * The successes of a production that counts in userCache: 1, 2, 3, ... for each key, in the order
 * of the log.
 */
static void check_counts(const struct model *model, uint64_t seed)
{
    long counts[2][KEYS] = {{0}};
    for (size_t i = 0; i < model->results.count; i++) {
        const struct logged *record = &model->results.records[i];
        if (record->value == NULL) {
            continue;
        }
        Engenho__Result *result = engenho__result__unpack(NULL, record->value_bytes, record->value);
        bool counts_by_key = !strcmp(result->production, "counter"),
             counts_all = !strcmp(result->production, "serial");
        if ((counts_by_key || counts_all) &&
            result->outcome == ENGENHO__OUTCOME__OUTCOME_SUCCEEDED) {
            unsigned key =
                counts_by_key
                    ? (unsigned)strtol(result->ordering_key + strlen("plant/tank"), NULL, 10)
                    : 0;
            long count = strtol(result->result, NULL, 10);
            if (count != ++counts[counts_all][key]) {
                fail_msg("seed %" PRIu64 ": %s of %s counted %ld, not %ld", seed,
                         result->execution_id, result->ordering_key, count,
                         counts[counts_all][key]);
            }
        }
        engenho__result__free_unpacked(result, NULL);
    }
}

/* A production without retries: its outcomes of one key stand in the order of the events, also
 * after it was held. */
static void check_order(const struct model *model, uint64_t seed)
{
    int64_t newest[KEYS];
    for (size_t i = 0; i < KEYS; i++) {
        newest[i] = -1;
    }
    for (size_t i = 0; i < model->results.count; i++) {
        const struct logged *record = &model->results.records[i];
        if (record->value == NULL) {
            continue;
        }
        Engenho__Result *result = engenho__result__unpack(NULL, record->value_bytes, record->value);
        if (!strcmp(result->production, "plain")) {
            unsigned key = (unsigned)strtol(result->ordering_key + strlen("plant/tank"), NULL, 10);
            if (result->origin->offset <= newest[key]) {
                fail_msg("seed %" PRIu64 ": %s came after %" PRId64, seed, result->execution_id,
                         newest[key]);
            }
            newest[key] = result->origin->offset;
        }
        engenho__result__free_unpacked(result, NULL);
    }
}

static void begin(struct model *model, uint64_t seed, Engenho__SeatKind seat)
{
    const struct wish wishes[] = {
        {"counter", ENGENHO__ORDERING__ORDERING_KEY, true, "", 2, 0},
        {"free", ENGENHO__ORDERING__ORDERING_NONE, false, "", 1, seat},
        {"serial", ENGENHO__ORDERING__ORDERING_PRODUCTION, true, "", 3, 0},
        {"plain", ENGENHO__ORDERING__ORDERING_KEY, false, "", 0, 0},
        {"never", ENGENHO__ORDERING__ORDERING_KEY, false, "value < 0", 0, 0},
    };
    model_init(model, seed);
    for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++) {
        add_production(model, &wishes[i]);
    }
    model_start(model);
}

static void settle(struct model *model, uint64_t seed)
{
    model->calm = true;
    for (uint64_t step = 0; !model_is_quiet(model); step++) {
        model_step(model);
        if (step > 40 * steps + 1000000) {
            fail_msg("seed %" PRIu64 ": not quiet after %" PRIu64 " steps", seed, step);
        }
    }
}

static void end(struct model *model, uint64_t published, uint64_t seed)
{
    check_once(model, published * 4, seed);
    check_counts(model, seed);
    check_order(model, seed);
    printf("seed %" PRIu64 ": %" PRIu64 " events, %" PRIu64 " runs, %" PRIu64 " aborts, %" PRIu64
           " crashes, %" PRIu64 " kills, %" PRIu64 " revokes, %" PRIu64 " holds, %zu letters\n",
           seed, published, model->runs, model->aborts, model->crashes, model->worker_kills,
           model->revokes, model->holds, model->letters.count);
    model_kill(model);
    for (size_t i = 0; i < model->production_count; i++) {
        production_drop(model->productions[i]);
    }
    model_release(model);
}

static struct model model;

static void run_seed(uint64_t seed)
{
    uint64_t published = 0;
    begin(&model, seed,
          seed % 2 ? ENGENHO__SEAT_KIND__SEAT_KIND_REQUEST : ENGENHO__SEAT_KIND__SEAT_KIND_HELD);
    for (uint64_t step = 0; step < steps; step++) {
        if (step < steps * 3 / 4 && model_chance(&model, 25)) {
            publish_event(&model, published++);
        }
        model_step(&model);
    }
    settle(&model, seed);
    end(&model, published, seed);
}

static void every_record_has_exactly_one_outcome_whatever_fails(void **state)
{
    (void)state;
    for (uint64_t seed = first_seed; seed < first_seed + seeds; seed++) {
        run_seed(seed);
    }
}

static void wait_for_others(const char *refused, uint64_t published)
{
    for (uint64_t step = 0; model.results.committed < published * 3; step++) {
        model_step(&model);
        if (step > 1200 * published) {
            fail_msg("without a seat, %s holds up the others: %" PRIu64 " of %" PRIu64 " outcomes",
                     refused, model.results.committed, published * 3);
        }
    }
}

/* Many times the window of each lane, while one production gets no seat. */
static void refuse(const char *refused, Engenho__SeatKind seat, uint64_t events)
{
    begin(&model, first_seed, seat);
    model.refused = refused;
    model.calm = true;
    for (uint64_t number = 0; number < events; number++) {
        publish_event(&model, number);
    }
    wait_for_others(refused, events);
}

static void run_refused(const char *refused, Engenho__SeatKind seat)
{
    refuse(refused, seat, REFUSED_EVENTS);
    model.refused = NULL;
    settle(&model, first_seed);
    end(&model, REFUSED_EVENTS, first_seed);
}

static void a_production_without_a_seat_does_not_hold_up_others(void **state)
{
    (void)state;
    run_refused("plain", ENGENHO__SEAT_KIND__SEAT_KIND_HELD);
    run_refused("counter", ENGENHO__SEAT_KIND__SEAT_KIND_HELD);
    run_refused("free", ENGENHO__SEAT_KIND__SEAT_KIND_HELD);
    run_refused("serial", ENGENHO__SEAT_KIND__SEAT_KIND_HELD);
}

static void runs_that_wait_for_seats_of_their_own_do_not_hold_up_others(void **state)
{
    (void)state;
    run_refused("free", ENGENHO__SEAT_KIND__SEAT_KIND_REQUEST);
}

static void a_lane_with_much_that_is_parked_is_taken_with_little_of_it_in_memory(void **state)
{
    (void)state;
    refuse("plain", ENGENHO__SEAT_KIND__SEAT_KIND_HELD, PARKED_EVENTS);
    model_kill(&model);
    model_start(&model);
    for (int i = 0; i < PARTITIONS; i++) {
        assert_true(model.shelves[i].later.committed > MODEL_DUE_MAX);
        assert_true(model.lanes[i]->open <= MODEL_DUE_MAX);
    }
    model.refused = NULL;
    settle(&model, first_seed);
    end(&model, PARKED_EVENTS, first_seed);
}

static void what_is_parked_past_the_window_of_the_map_is_not_lost(void **state)
{
    (void)state;
    refuse("plain", ENGENHO__SEAT_KIND__SEAT_KIND_HELD, REFUSED_EVENTS / 2);
    for (int i = 0; i < OFFSETS_WINDOW_MAX; i++) {
        model_append(&model.shelves[0].later, NULL, 0, NULL, 0, 0);
    }
    for (uint64_t number = REFUSED_EVENTS / 2; number < REFUSED_EVENTS; number++) {
        publish_event(&model, number);
    }
    for (uint64_t step = 0; !model.lanes[0]->later_unseen; step++) {
        model_step(&model);
        assert_true(step < 1200 * REFUSED_EVENTS);
    }
    model_kill(&model);
    model_start(&model);
    assert_true(model.lanes[0]->later_unseen);
    model.refused = NULL;
    settle(&model, first_seed);
    end(&model, REFUSED_EVENTS, first_seed);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        first_seed = strtoull(argv[1], NULL, 10);
        seeds = 1;
    }
    if (argc > 2) {
        steps = strtoull(argv[2], NULL, 10);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_record_has_exactly_one_outcome_whatever_fails),
        cmocka_unit_test(a_production_without_a_seat_does_not_hold_up_others),
        cmocka_unit_test(runs_that_wait_for_seats_of_their_own_do_not_hold_up_others),
        cmocka_unit_test(a_lane_with_much_that_is_parked_is_taken_with_little_of_it_in_memory),
        cmocka_unit_test(what_is_parked_past_the_window_of_the_map_is_not_lost)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
