/*
 * Schedules under crashes: replicas with a book each, shards that change hands at any moment,
 * commits that happen, do not happen, or happen without anyone being told, clocks that differ and
 * are set, definitions that change. The log is the only thing that survives.
 *
 * What must hold: a time never fires twice and never out of order; with `all`, none is missing;
 * with the other policies, what did not fire was counted as left out.
 *
 *     sim_schedules [SEED [STEPS]]
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/memory.h"
#include "common/random.h"
#include "producer/schedule_book.h"
#include "tests/sim/producer/check.h"

#define S SECOND_US
#define REPLICAS 3
#define SHARDS 4
#define PRODUCTIONS 24
#define NOBODY (-1)
#define FLIGHT_MAX PRODUCTIONS
#define START_US (1790000000 * S)
#define LATE_US (2 * S)

struct production {
    char name[16];
    int shard;
    bool started;
    int every; /* seconds; 0: cron, each second of a minute that 7 divides */
    Engenho__MisfirePolicy policy;
    struct schedule_definition definition;
    /* The log. */
    bool has_state;
    Engenho__ScheduleState state;
    int state_every;   /* the times that the state was computed for */
    int64_t newest_us; /* that was decided by a commit; later definitions may lift it */
    uint64_t fired, left_out;
};

/* A transaction of a shard's owner. */
struct flight {
    int count;
    int64_t now_us; /* of its owner when it was made */
    struct {
        int production;
        struct schedule_firing firing;
    } one[FLIGHT_MAX];
};

static struct world {
    struct random random;
    uint64_t seed, step;
    int64_t now_us;
    struct schedule_book *book[REPLICAS];
    int64_t clock_us[REPLICAS]; /* difference to now_us */
    int owner[SHARDS];
    struct flight flight[SHARDS];
    struct production production[PRODUCTIONS];
    uint64_t generation, fired, taken;
} world;

static int64_t wall(int replica)
{
    return world.now_us + world.clock_us[replica];
}

static bool chance(unsigned of)
{
    return random_below(&world.random, of) == 0;
}

/* The first time after `after_us`, worked out in another way than schedule.c does. */
static int64_t next_time(const struct production *production, int64_t after_us)
{
    int64_t second = after_us / S + 1;
    if (production->every != 0) {
        while (second % production->every != 0) {
            second++;
        }
        return second * S;
    }
    while (second % 60 % 7 != 0) {
        second++;
    }
    return second * S;
}

static int find_utc(void *context, const char *name, const struct zone **ret_zone,
                    struct error *error)
{
    (void)context;
    (void)name;
    (void)error;
    *ret_zone = &zone_utc;
    return 0;
}

static void tell_definition(int replica, struct production *production)
{
    if (!production->started) {
        schedule_book_undefine(world.book[replica], production->name);
        return;
    }
    Engenho__ScheduleTrigger trigger = ENGENHO__SCHEDULE_TRIGGER__INIT;
    struct schedule *schedule;
    trigger.every_us = production->every * S;
    trigger.cron = (char *)(production->every != 0 ? "" : "*/7 * * * * *");
    trigger.misfire = production->policy;
    trigger.misfire_max = SCHEDULE_MISFIRES_MAX;
    trigger.misfire_within_us = 1000 * 86400 * S;
    int result = schedule_new(&trigger, find_utc, NULL, &schedule, NULL);
    CHECK(result == 0, "a good schedule was refused");
    schedule_book_define(world.book[replica], production->name, production->shard, schedule,
                         &production->definition);
}

static void tell_everybody(struct production *production)
{
    for (int i = 0; i < REPLICAS; i++) {
        tell_definition(i, production);
    }
}

/* What the log now says: checked against what it said before. */
static void apply(int number, const struct schedule_firing *firing, int64_t now_us)
{
    struct production *production = &world.production[number];
    const struct schedule_due *due = &firing->due;
    int64_t at_us = production->newest_us;
    uint64_t passed = 0;
    for (size_t i = 0; i < due->count; i++) {
        int64_t fired_us = due->fire_us[i];
        CHECK(fired_us > at_us, "%s fires %" PRId64 " again or out of order", production->name,
              fired_us);
        CHECK(fired_us <= now_us, "%s fires before its time", production->name);
        for (at_us = next_time(production, at_us); at_us < fired_us;
             at_us = next_time(production, at_us)) {
            passed++;
        }
        CHECK(at_us == fired_us, "%s fires a time that its schedule does not have",
              production->name);
    }
    for (; at_us < due->newest_us; at_us = next_time(production, at_us)) {
        passed++;
    }
    CHECK(passed == due->left_out, "%s left out %" PRIu64 " times and says %" PRIu64,
          production->name, passed, due->left_out);
    CHECK(passed == 0 || production->policy != ENGENHO__MISFIRE_POLICY__MISFIRE_POLICY_ALL,
          "%s misses %" PRIu64 " times", production->name, passed);
    production->newest_us = due->newest_us;
    production->fired += due->count;
    production->left_out += due->left_out;
    production->state = firing->state;
    production->has_state = true;
    production->state_every = production->every;
    world.fired += due->count;
}

static void commit(int shard)
{
    struct flight *flight = &world.flight[shard];
    for (int i = 0; i < flight->count; i++) {
        apply(flight->one[i].production, &flight->one[i].firing, flight->now_us);
    }
}

/* The answer reaches the owner, or (told false) the owner never hears it. */
static void end_flight(int shard, bool committed, bool told)
{
    struct flight *flight = &world.flight[shard];
    if (committed) {
        commit(shard);
    }
    for (int i = 0; told && i < flight->count; i++) {
        schedule_book_settle(world.book[world.owner[shard]],
                             world.production[flight->one[i].production].name,
                             flight->one[i].firing.ticket, committed);
    }
    flight->count = 0;
}

static void take(int shard, int replica)
{
    for (int i = 0; i < PRODUCTIONS; i++) {
        struct production *production = &world.production[i];
        if (production->shard == shard) {
            schedule_book_restore(world.book[replica], production->name, shard,
                                  production->has_state ? &production->state : NULL);
        }
    }
    schedule_book_own(world.book[replica], shard);
    world.owner[shard] = replica;
    world.taken++;
}

static void tick(int shard)
{
    int replica = world.owner[shard];
    struct flight *flight = &world.flight[shard];
    struct schedule_firing firing;
    if (replica == NOBODY) {
        return;
    }
    /* The book gives whatever is due of all shards of its replica: one transaction each, opened
     * anew or as it is. */
    while (schedule_book_pop(world.book[replica], wall(replica), &firing)) {
        flight = &world.flight[firing.shard];
        int number = (int)strtol(firing.production + 1, NULL, 10);
        CHECK(world.owner[firing.shard] == replica, "fires in a shard of another");
        CHECK(flight->count < FLIGHT_MAX, "a production is in flight twice");
        flight->now_us = wall(replica);
        flight->one[flight->count].production = number;
        flight->one[flight->count++].firing = firing;
    }
}

/* kill -9, or fenced: what was in flight happened or did not, and nobody says which. */
static void crash(int replica)
{
    for (int shard = 0; shard < SHARDS; shard++) {
        if (world.owner[shard] == replica) {
            end_flight(shard, chance(2), false);
            world.owner[shard] = NOBODY;
        }
    }
    schedule_book_free(world.book[replica]);
    world.book[replica] = schedule_book_new(SHARDS, LATE_US);
    for (int i = 0; i < PRODUCTIONS; i++) {
        tell_definition(replica, &world.production[i]);
    }
}

static void give_back(int shard)
{
    int replica = world.owner[shard];
    if (replica == NOBODY) {
        return;
    }
    bool told = chance(2);
    end_flight(shard, chance(2), told);
    schedule_book_disown(world.book[replica], shard);
    world.owner[shard] = NOBODY;
}

static void change_definition(void)
{
    struct production *production = &world.production[random_below(&world.random, PRODUCTIONS)];
    /* A transaction with the old times may be open: it ends before the log can hold the new ones.
     */
    int shard = production->shard;
    if (world.owner[shard] != NOBODY) {
        end_flight(shard, chance(2), true);
    }
    production->definition.generation = ++world.generation;
    production->definition.changed_us = world.now_us;
    switch (random_below(&world.random, 3)) {
    case 0:
        production->every = (int)random_below(&world.random, 12);
        break;
    case 1: /* started again */
        production->started = true;
        production->definition.started_us = world.now_us;
        break;
    default:
        production->started = !production->started;
        if (production->started) {
            production->definition.started_us = world.now_us;
        }
        break;
    }
    /* Nothing is caught up from before a start, nor from before a change of the times. */
    bool same_times = production->has_state && production->state_every == production->every;
    int64_t since_us = same_times ? production->definition.started_us : world.now_us;
    production->newest_us = production->has_state ? production->state.last_nominal_us : START_US;
    if (production->newest_us < since_us) {
        production->newest_us = since_us;
    }
    tell_everybody(production);
}

static void pass_time(void)
{
    world.now_us += (int64_t)random_below(&world.random, chance(40) ? 60 * S : 2 * S);
    if (chance(200)) {
        int replica = (int)random_below(&world.random, REPLICAS);
        world.clock_us[replica] = (int64_t)random_below(&world.random, 40 * S) - 20 * S;
    }
}

static void step(void)
{
    int shard = (int)random_below(&world.random, SHARDS);
    switch (random_below(&world.random, 16)) {
    case 0:
        if (chance(8)) {
            crash((int)random_below(&world.random, REPLICAS));
        }
        break;
    case 1:
        give_back(shard);
        break;
    case 2:
    case 3:
        if (world.owner[shard] == NOBODY) {
            take(shard, (int)random_below(&world.random, REPLICAS));
        }
        break;
    case 4:
        if (chance(10)) {
            change_definition();
        }
        break;
    case 5:
    case 6:
    case 7:
        pass_time();
        break;
    case 8:
    case 9:
    case 10:
    case 11:
        if (world.owner[shard] != NOBODY) {
            end_flight(shard, !chance(4), true);
        }
        break;
    default:
        tick(shard);
        break;
    }
}

/* In the end everything works and nothing changes: all that is due is out. */
static void calm_down(void)
{
    for (int i = 0; i < REPLICAS; i++) {
        world.clock_us[i] = 0;
    }
    for (int shard = 0; shard < SHARDS; shard++) {
        if (world.owner[shard] != NOBODY) {
            end_flight(shard, true, true);
        } else {
            take(shard, 0);
        }
    }
    world.now_us += 60 * S;
    for (int round = 0; round < 4; round++) {
        for (int shard = 0; shard < SHARDS; shard++) {
            tick(shard);
        }
        for (int shard = 0; shard < SHARDS; shard++) {
            end_flight(shard, true, true);
        }
    }
    for (int i = 0; i < PRODUCTIONS; i++) {
        struct production *production = &world.production[i];
        CHECK(!production->started || next_time(production, production->newest_us) > world.now_us,
              "%s has times that nobody decided about", production->name);
    }
}

static void begin(uint64_t seed)
{
    world.seed = seed;
    world.now_us = START_US;
    random_init(&world.random, seed);
    for (int i = 0; i < REPLICAS; i++) {
        world.book[i] = schedule_book_new(SHARDS, LATE_US);
    }
    for (int i = 0; i < SHARDS; i++) {
        world.owner[i] = NOBODY;
    }
    for (int i = 0; i < PRODUCTIONS; i++) {
        struct production *production = &world.production[i];
        snprintf(production->name, sizeof production->name, "p%d", i);
        production->shard = (int)random_below(&world.random, SHARDS);
        production->started = true;
        production->every = (int)random_below(&world.random, 12);
        production->policy = (Engenho__MisfirePolicy)(i % 4 == 0 ? i / 4 % 3 : 2);
        production->definition = (struct schedule_definition){
            .generation = ++world.generation, .changed_us = START_US, .started_us = START_US};
        production->newest_us = START_US;
        tell_everybody(production);
    }
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t steps = argc > 2 ? strtoull(argv[2], NULL, 10) : 2000000;
    int64_t started_us = clock_mono_us();
    begin(seed);
    for (world.step = 0; world.step < steps; world.step++) {
        step();
    }
    calm_down();
    CHECK(world.fired > steps / 100, "the simulation hardly fired anything");
    for (int i = 0; i < REPLICAS; i++) {
        schedule_book_free(world.book[i]);
    }
    double seconds = (double)(clock_mono_us() - started_us) / S;
    printf("seed %" PRIu64 ": %" PRIu64 " steps in %.1f s (%.0f a second), %" PRIu64
           " times fired, shards taken %" PRIu64 " times\n",
           seed, steps, seconds, (double)steps / seconds, world.fired, world.taken);
    return 0;
}
