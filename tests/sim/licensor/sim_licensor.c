/*
 * The seeded simulation of keys and seats on the memory store, with the invariants of SEATS section
 * 4 checked after each transition, by the store's own look inside and by checker.c from outside:
 * sim_licensor [SEED [OPERATIONS]], or ENGENHO_SIM_STEPS operations in all. At the end everybody
 * dies, and one lease, one life and one tick later every pool is empty.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "licensor/store/memory.h"
#include "tests/sim/licensor/checker.h"
#include "tests/sim/licensor/script.h"

#define SEEDS 20
#define STEPS 60000

struct run {
    struct script script;
    struct checker checker;
    struct memory *memory;
    struct error error;
    int rc;
};

static void on_list(void *context, const struct store_answer *answer)
{
    struct run *run = context;
    if (run->rc == 0) {
        run->rc = script_see(&run->script, answer, &run->error);
    }
    if (run->rc == 0) {
        run->rc = checker_state(&run->checker, answer, &run->error);
    }
}

static void on_answer(void *context, const struct store_answer *answer)
{
    struct run *run = context;
    checker_answer(&run->checker, &run->script.request, answer);
    run->rc = script_answer(&run->script, answer, &run->error);
}

static void on_last(void *context, const struct store_answer *answer)
{
    struct run *run = context;
    for (size_t i = 0; i < answer->pools_count; i++) {
        if (answer->pools[i].in_use != 0 || answer->pools[i].queued != 0 ||
            answer->pools[i].waiting != 0) {
            run->rc = error_set(&run->error, -1,
                                "all are dead, and pool %s has %u busy, %u queued, %u waiting",
                                answer->pools[i].pool, answer->pools[i].in_use,
                                answer->pools[i].queued, answer->pools[i].waiting);
        }
    }
    if (answer->alive != 0) {
        run->rc = error_set(&run->error, -1, "all are dead, and %u sessions live", answer->alive);
    }
}

static int all_dead(struct run *run)
{
    /* somebody ticks all the time, or leases would be made longer */
    for (int second = 0; second < 120; second++) {
        run->script.now_ms += 1000;
        memory_store_set_now(run->memory, run->script.now_ms);
        struct store_request tick = {
            .verb = STORE_TICK, .lease_ms = SCRIPT_LEASE_MS, .reuse_ms = SCRIPT_REUSE_MS};
        run->rc = 0;
        store_submit(memory_store(run->memory), &tick, on_last, run);
    }
    return run->rc;
}

static int run_seed(uint64_t seed, uint64_t operations, bool show)
{
    struct run *run = calloc(1, sizeof(*run));
    script_init(&run->script, seed);
    run->script.is_calm = false; /* that is for what is worked out ahead, which is Redis's */
    run->memory = memory_store_new();
    uint64_t i = 0;
    while (i < operations && run->rc == 0) {
        const struct store_request *request = script_next(&run->script);
        memory_store_set_now(run->memory, run->script.now_ms);
        store_submit(memory_store(run->memory), request, on_answer, run);
        if (run->rc == 0) {
            run->rc = memory_store_check(run->memory, script_serves(&run->script), &run->error);
        }
        const struct store_request look = {.verb = STORE_LIST, .pool = ""};
        store_submit(memory_store(run->memory), &look, on_list, run);
        i++;
    }
    if (run->rc == 0) {
        run->rc = all_dead(run);
    }
    if (run->rc != 0) {
        printf("seed %" PRIu64 ", operation %" PRIu64 ", verb %d: %s\n", seed, i,
               run->script.request.verb, run->error.text);
    } else if (show) {
        const struct script *s = &run->script;
        printf("%" PRIu64 " operations: %" PRIu64 " granted, %" PRIu64 " waited, %" PRIu64
               " handed, %" PRIu64 " re-used, %" PRIu64 " refused for a limit, %" PRIu64
               " registered\n",
               i, s->counts[STORE_ACQUIRE][STORE_GRANTED], s->counts[STORE_ACQUIRE][STORE_WAITING],
               s->handed, s->reused, s->refused_for_limit,
               s->counts[STORE_REGISTER][STORE_REGISTERED]);
    }
    int rc = run->rc;
    memory_store_free(run->memory);
    free(run);
    return rc;
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t seeds = argc > 1 ? 1 : SEEDS;
    const char *steps = getenv("ENGENHO_SIM_STEPS");
    uint64_t operations = argc > 2 ? strtoull(argv[2], NULL, 10)
                                   : (steps != NULL ? strtoull(steps, NULL, 10) : STEPS) / seeds;
    for (uint64_t i = 0; i < seeds; i++) {
        if (run_seed(seed + i, operations, i == 0) != 0) {
            return 1;
        }
    }
    printf("seeds %" PRIu64 " to %" PRIu64 ", %" PRIu64 " operations each: every invariant held\n",
           seed, seed + seeds - 1, operations);
    return 0;
}
