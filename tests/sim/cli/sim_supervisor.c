/*
 * The machine behind `engenho up` under a seeded world of processes that start slowly, die, hang
 * and never stop by themselves, with fake time. After each step its promises are checked.
 *
 * usage: sim_supervisor [SEED [STEPS]]
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/supervisor.h"
#include "common/random.h"

#define SECOND INT64_C(1000000)

struct world {
    struct supervisor supervisor;
    struct random random;
    int64_t now_us;
    bool alive[SUPERVISOR_UNITS_MAX];
    bool asked[SUPERVISOR_UNITS_MAX]; /* to end */
    bool deaf[SUPERVISOR_UNITS_MAX];  /* it never ends by itself */
    uint64_t starts[SUPERVISOR_UNITS_MAX];
    int64_t died_us[SUPERVISOR_UNITS_MAX];
    bool said_ready, said_failed, wants_end;
};

static uint64_t runs_done, steps_done;

static bool chance(struct world *world, uint64_t one_in)
{
    return random_below(&world->random, one_in) == 0;
}

static void feed(struct world *world, struct supervisor_event event);

static void start(struct world *world, size_t unit)
{
    const struct supervisor *supervisor = &world->supervisor;
    assert(!world->alive[unit]);
    assert(!world->wants_end && !world->said_failed);
    if (world->starts[unit] == 0) {
        for (size_t i = 0; i < supervisor->count; i++) {
            assert(!(supervisor->units[unit].needs >> i & 1) ||
                   supervisor->units[i].state == UNIT_READY);
        }
    } else {
        assert(world->now_us - world->died_us[unit] >= SUPERVISOR_BACKOFF_US_MIN);
    }
    world->starts[unit]++;
    world->alive[unit] = true;
    world->deaf[unit] = chance(world, 8);
    if (chance(world, 20)) {
        world->alive[unit] = false;
        world->died_us[unit] = world->now_us;
        feed(world, (struct supervisor_event){.type = SUPERVISOR_DIED, .unit = unit});
    }
}

static void take(struct world *world, const struct supervisor_actions *actions)
{
    const struct supervisor *supervisor = &world->supervisor;
    for (size_t i = 0; i < actions->count; i++) {
        size_t unit = actions->list[i].unit;
        switch (actions->list[i].type) {
        case SUPERVISOR_DO_START:
            if (supervisor->units[unit].state == UNIT_STARTING) {
                start(world, unit);
            } else {
                feed(world, (struct supervisor_event){.type = SUPERVISOR_DIED, .unit = unit});
            }
            break;
        case SUPERVISOR_DO_PROBE:
            if (!chance(world, 10)) {
                bool ready = world->alive[unit] && !chance(world, 3);
                feed(world, (struct supervisor_event){
                                .type = SUPERVISOR_PROBED, .unit = unit, .ready = ready});
            }
            break;
        case SUPERVISOR_DO_TERMINATE:
            assert(world->wants_end || world->said_failed);
            for (size_t j = 0; j < supervisor->count; j++) {
                assert(supervisor->units[j].stop_stage >= supervisor->units[unit].stop_stage ||
                       supervisor->units[j].state == UNIT_STOPPED);
            }
            world->asked[unit] = true;
            break;
        case SUPERVISOR_DO_KILL:
            world->asked[unit] = true;
            world->deaf[unit] = false;
            break;
        case SUPERVISOR_SAY_READY:
            assert(!world->said_ready && !world->said_failed);
            world->said_ready = true;
            break;
        case SUPERVISOR_SAY_FAILED:
            assert(!world->said_ready && !world->said_failed);
            world->said_failed = true;
            break;
        }
    }
}

static void feed(struct world *world, struct supervisor_event event)
{
    struct supervisor_actions actions;
    supervisor_step(&world->supervisor, event, world->now_us, &actions);
    take(world, &actions);
}

static void check(const struct world *world)
{
    for (size_t i = 0; i < world->supervisor.count; i++) {
        const struct unit *unit = &world->supervisor.units[i];
        bool runs = unit->state == UNIT_STARTING || unit->state == UNIT_READY ||
                    unit->state == UNIT_STOPPING;
        assert(runs == world->alive[i]);
        assert(unit->restarts + (world->starts[i] > 0) == world->starts[i]);
        if (unit->state == UNIT_BACKOFF) {
            assert(unit->next_us - unit->since_us >= SUPERVISOR_BACKOFF_US_MIN);
            assert(unit->next_us - unit->since_us <= SUPERVISOR_BACKOFF_US_MAX);
        }
    }
}

static void fate(struct world *world)
{
    size_t unit = (size_t)random_below(&world->random, world->supervisor.count);
    bool dies = world->asked[unit] ? !world->deaf[unit] : chance(world, 40);
    if (world->alive[unit] && dies) {
        world->alive[unit] = false;
        world->asked[unit] = false;
        world->died_us[unit] = world->now_us;
        feed(world, (struct supervisor_event){.type = SUPERVISOR_DIED, .unit = unit});
    }
}

static void run(uint64_t seed)
{
    struct world world;
    memset(&world, 0, sizeof(world));
    random_init(&world.random, seed);
    supervisor_init(&world.supervisor, (int64_t)random_below(&world.random, 600) * SECOND);
    size_t count = 1 + (size_t)random_below(&world.random, 12);
    for (size_t i = 0; i < count; i++) {
        uint64_t needs = 0;
        int stage = 20;
        if (i > 0 && !chance(&world, 3)) {
            size_t needed = (size_t)random_below(&world.random, i);
            needs = UINT64_C(1) << needed;
            stage = world.supervisor.units[needed].stop_stage - 1;
        }
        (void)!supervisor_add(&world.supervisor, needs, stage, 10 * SECOND, world.now_us);
    }
    uint64_t end = 200 + random_below(&world.random, 2000), limit = end + 100000;
    for (uint64_t step = 0; world.supervisor.phase != SUPERVISOR_STOPPED; step++) {
        assert(step < limit);
        if (step == end) {
            world.wants_end = true;
            feed(&world, (struct supervisor_event){.type = SUPERVISOR_STOP});
        } else if (step > end && chance(&world, 5000)) {
            feed(&world, (struct supervisor_event){.type = SUPERVISOR_KILL});
        }
        fate(&world);
        feed(&world, (struct supervisor_event){.type = SUPERVISOR_TICK});
        check(&world);
        int64_t wait_us = supervisor_wait_us(&world.supervisor, world.now_us);
        assert(wait_us >= 0 && wait_us <= SECOND);
        world.now_us += wait_us + (int64_t)random_below(&world.random, 100000);
        steps_done++;
    }
    for (size_t i = 0; i < count; i++) {
        assert(!world.alive[i]);
    }
    runs_done++;
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t steps = argc > 2 ? strtoull(argv[2], NULL, 10) : 2000000;
    while (steps_done < steps) {
        run(seed++);
    }
    printf("%" PRIu64 " systems, %" PRIu64 " steps, last seed %" PRIu64 "\n", runs_done, steps_done,
           seed - 1);
    return 0;
}
