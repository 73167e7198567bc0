/*
 * Usage records under crashes: replicas that take the shard from each other at any moment, a store
 * that does what it is asked without its answer arriving, transactions that happen without anyone
 * being told, processes that forget everything. The topic and the shard's memory survive.
 *
 * What must hold: the topic has every record once and in order, and in the end the store is empty.
 *
 *     sim_usage [SEED [STEPS]]
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/attributes.h"
#include "common/clock.h"
#include "common/random.h"
#include "producer/usage_steps.h"
#include "tests/sim/producer/check.h"

#define REPLICAS 3
#define FETCH_MAX 3

/* What a replica asked for: done or not yet, told or not yet. */
struct asked {
    enum usage_action action;
    uint64_t through; /* acknowledge: forget below; fetch: its answer goes from first to through */
    uint64_t first;   /* fetch and commit */
    uint64_t epoch;   /* commit: of whoever made the transaction */
    bool is_done, is_ok; /* the other side has done it; and it went well */
};

struct replica {
    struct usage_steps steps;
    struct asked asked;
    uint64_t epoch;          /* when it took the shard */
    uint64_t first, through; /* what it fetched */
};

static struct {
    uint64_t seed, step;
    struct random random;
    struct replica replica[REPLICAS];
    int owner;
    uint64_t epoch; /* of the shard: a transaction of an older one is fenced */
    uint64_t made, kept,
        stored;        /* records: all, the oldest in the store, how many are on the topic */
    uint64_t position; /* in the shard's memory: so many are on the topic */
    uint64_t taken, again;
} world;

static uint64_t pick(uint64_t below)
{
    return random_below(&world.random, below);
}

static void print_id(uint64_t number, char *text)
{
    snprintf(text, USAGE_ID_BYTES_MAX, "%" PRIu64 ":productions", number);
}

static void ask(struct replica *replica, enum usage_action action)
{
    replica->asked = (struct asked){.action = action, .epoch = replica->epoch};
    if (action == USAGE_ACKNOWLEDGE) {
        replica->asked.through = strtoull(replica->steps.position, NULL, 10);
    } else if (action == USAGE_COMMIT) {
        replica->asked.first = replica->first;
        replica->asked.through = replica->through;
    }
}

/* The store, or Kafka, does what was asked. */
static void do_it(struct replica *replica)
{
    struct asked *asked = &replica->asked;
    if (asked->action == USAGE_NOTHING || asked->is_done) {
        return;
    }
    asked->is_done = asked->is_ok = true;
    if (asked->action == USAGE_ACKNOWLEDGE) {
        CHECK(asked->through <= world.stored,
              "record %" PRIu64 " is forgotten and not on the topic", asked->through);
        world.kept = asked->through > world.kept ? asked->through : world.kept;
    } else if (asked->action == USAGE_FETCH) {
        asked->first = world.kept;
        asked->through = world.made - world.kept > FETCH_MAX ? world.kept + FETCH_MAX : world.made;
    } else if (asked->epoch == world.epoch) {
        CHECK(asked->first == world.stored,
              "from %" PRIu64 " on is stored, but %" PRIu64 " are there", asked->first,
              world.stored);
        world.stored = world.position = asked->through;
    } else {
        asked->is_ok = false;
    }
}

/* The replica is told, or told of a failure whatever happened. */
static void tell(struct replica *replica, bool is_told)
{
    struct asked asked = replica->asked;
    char id[USAGE_ID_BYTES_MAX + 1];
    bool is_ok = asked.is_done && asked.is_ok && is_told;
    enum usage_action next = USAGE_NOTHING;
    replica->asked = (struct asked){.action = USAGE_NOTHING};
    print_id(asked.through, id);
    if (asked.action == USAGE_ACKNOWLEDGE) {
        next = usage_steps_acknowledged(&replica->steps, is_ok);
    } else if (asked.action == USAGE_FETCH) {
        replica->first = asked.first;
        replica->through = asked.through;
        next =
            usage_steps_fetched(&replica->steps, is_ok && asked.through > asked.first ? id : NULL);
    } else if (asked.action == USAGE_COMMIT) {
        next = usage_steps_committed(&replica->steps, is_ok, id);
        if (!is_ok && asked.is_done) {
            /* Whether it happened, only the log says: whoever owns the shard reads it again. */
            usage_steps_lost(&replica->steps);
            world.owner = world.owner == (int)(replica - world.replica) ? -1 : world.owner;
        }
    }
    ask(replica, next);
}

static void take(int number)
{
    struct replica *replica = &world.replica[number];
    char id[USAGE_ID_BYTES_MAX + 1];
    if (world.owner == number || replica->steps.is_ours) {
        return;
    }
    world.owner = number;
    replica->epoch = ++world.epoch; /* what the one before has in a transaction is fenced */
    world.taken++;
    print_id(world.position, id);
    if (world.position > 0) {
        usage_steps_position(&replica->steps, id);
    }
    usage_steps_taken(&replica->steps);
}

static void lose(int number)
{
    if (world.owner != number && world.replica[number].steps.is_ours) {
        usage_steps_lost(&world.replica[number].steps);
    }
}

static void kill(int number)
{
    world.again += world.replica[number].asked.is_done;
    world.replica[number] = (struct replica){.epoch = 0};
    world.owner = world.owner == number ? -1 : world.owner;
}

static void tick(struct replica *replica)
{
    enum usage_action action = usage_steps_tick(&replica->steps);
    if (action != USAGE_NOTHING) {
        CHECK(replica->asked.action == USAGE_NOTHING, "two things are asked at once");
        ask(replica, action);
    }
}

static void step(void)
{
    int number = (int)pick(REPLICAS);
    struct replica *replica = &world.replica[number];
    switch (pick(16)) {
    case 0:
        world.made++;
        break;
    case 1:
        take(pick(20) == 0 ? number : world.owner >= 0 ? world.owner : number);
        break;
    case 2:
        lose(number);
        break;
    case 3:
        if (pick(20) == 0) {
            kill(number);
        }
        break;
    case 4:
        if (replica->asked.action != USAGE_NOTHING) {
            tell(replica, pick(4) > 0);
        }
        break;
    case 5:
    case 6:
    case 7:
        tick(replica);
        break;
    case 8:
    case 9:
    case 10:
        if (replica->asked.is_done) {
            tell(replica, true);
        }
        break;
    default:
        do_it(replica);
    }
    CHECK(world.kept <= world.stored && world.stored <= world.made,
          "%" PRIu64 " forgotten, %" PRIu64 " stored", world.kept, world.stored);
}

/* One replica is left alone: all that is there is stored and forgotten. */
static void calm_down(void)
{
    for (int i = 0; i < REPLICAS; i++) {
        kill(i);
    }
    take(0);
    uint64_t turns = 10 * (world.made - world.kept) + 100;
    for (uint64_t i = 0; i < turns; i++) {
        tick(&world.replica[0]);
        do_it(&world.replica[0]);
        if (world.replica[0].asked.is_done) {
            tell(&world.replica[0], true);
        }
    }
    CHECK(world.kept == world.made && world.stored == world.made,
          "%" PRIu64 " of %" PRIu64 " stored", world.stored, world.made);
}

int main(int argc, char **argv)
{
    uint64_t steps = argc > 2 ? strtoull(argv[2], NULL, 10) : 2000000;
    int64_t started_us = clock_mono_us();
    world.seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    random_init(&world.random, world.seed);
    world.owner = -1;
    for (world.step = 0; world.step < steps; world.step++) {
        step();
    }
    calm_down();
    CHECK(world.stored > steps / 100, "the simulation hardly stored anything");
    double seconds = (double)(clock_mono_us() - started_us) / 1e6;
    printf("seed %" PRIu64 ": %" PRIu64 " steps in %.1f s, %" PRIu64
           " records stored once, the shard taken %" PRIu64 " times, %" PRIu64
           " kills after the fact\n",
           world.seed, steps, seconds, world.stored, world.taken, world.again);
    return 0;
}
