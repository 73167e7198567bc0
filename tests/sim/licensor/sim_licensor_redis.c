/*
 * The same simulation on the memory store and on a real Redis, which must agree operation by
 * operation, one at a time and many on their way together (so that they go in batches):
 *
 *     sim_licensor_redis REDIS-URL CLOCK-FILE SEED OPERATIONS [LIBRARY]
 *
 * Redis and this program run with clock_shim.so, and CLOCK-FILE is their TEST_CLOCK_FILE: this
 * program moves their clocks. LIBRARY: a file with other functions than the licensor's own, to see
 * that they are told apart (tests/sim/licensor/mutations.py).
 */
#include <event2/event.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/memory.h"
#include "licensor/store/memory.h"
#include "licensor/store/redis.h"
#include "tests/sim/licensor/answer_text.h"
#include "tests/sim/licensor/script.h"

#define GROUP_MAX 40
#define STEP_MS_MIN 31000 /* the wall clock stepped, no time went by */
/* Requests in a batch from which on it packs what it writes, by seed. */
static const size_t PACK_MINS[] = {1, 2, 3, 0};

struct run {
    struct event_base *base;
    struct redis *redis;
    int clock_fd;
    int64_t now_ms, mono_us;
    struct script script;
    struct memory *memory;
    struct buf theirs, ours;
    char *expected[GROUP_MAX + 1]; /* answers of the memory store that Redis has not given yet */
    size_t first, count;
    struct random groups;
    struct error error;
    bool up;
    uint64_t ahead, by_redis, again; /* acquires and releases, by who worked them out */
    bool looking;                    /* at the whole state, after a transition */
    int rc;
};

static void on_state(void *context, bool up, bool unsafe, const char *reason)
{
    (void)unsafe;
    struct run *run = context;
    run->up = up;
    if (!up) {
        printf("redis: %s\n", reason);
        exit(2); /* it was started for this and nobody stops it: functions that do not load, say */
    }
}

static void on_granted(void *context, const struct store_grant *grant)
{
    (void)context;
    (void)grant;
}

static void on_waited(void *context, const char *pool)
{
    (void)context;
    (void)pool;
}

static void on_measured(void *context, const char *command, double seconds, bool failed)
{
    (void)context;
    (void)command;
    (void)seconds;
    (void)failed;
}

static void on_worked_out(void *context, const char *by, size_t operations)
{
    struct run *run = context;
    if (strcmp(by, "licensor") == 0) {
        run->ahead += operations;
    } else if (strcmp(by, "redis") == 0) {
        run->by_redis += operations;
    } else {
        run->again += operations;
    }
}

static void set_clock(struct run *run, int64_t now_ms)
{
    int64_t passed_ms = now_ms - run->now_ms;
    if (passed_ms > 0 && passed_ms <= STEP_MS_MIN) {
        run->mono_us += passed_ms * 1000;
    }
    /* the wall's and the monotonic one, as clock_shim.c reads them */
    int64_t clocks[2] = {now_ms * 1000 + 500, run->mono_us};
    if (pwrite(run->clock_fd, clocks, sizeof(clocks), 0) != (ssize_t)sizeof(clocks)) {
        perror("the clock's file");
        exit(1);
    }
    memory_store_set_now(run->memory, now_ms);
    run->now_ms = now_ms;
}

static void on_redis_answer(void *context, const struct store_answer *answer)
{
    struct run *run = context;
    char *ours = run->expected[run->first++];
    buf_clear(&run->theirs);
    answer_text(answer, &run->theirs);
    if (strcmp((char *)run->theirs.data, ours) != 0 && run->rc == 0) {
        printf("the stores differ\nredis:  %s\nmemory: %s\n", (char *)run->theirs.data, ours);
        run->rc = error_set(&run->error, 1, "the stores differ");
    }
    free(ours);
}

static void on_memory_answer(void *context, const struct store_answer *answer)
{
    struct run *run = context;
    buf_clear(&run->ours);
    answer_text(answer, &run->ours);
    int rc = run->looking ? script_see(&run->script, answer, &run->error)
                          : script_answer(&run->script, answer, &run->error);
    run->rc = run->rc != 0 ? run->rc : rc;
}

/* One transition on both stores; Redis answers it later. */
static void submit(struct run *run, const struct store_request *request)
{
    store_submit(redis_store(run->redis), request, on_redis_answer, run);
    store_submit(memory_store(run->memory), request, on_memory_answer, run);
    run->expected[run->count++] = memory_copy_text((char *)run->ours.data);
}

static void wait_for_redis(struct run *run)
{
    while (run->first < run->count) {
        event_base_loop(run->base, EVLOOP_ONCE);
    }
    run->first = run->count = 0;
}

static void look_in_memory(struct run *run)
{
    static const struct store_request look = {.verb = STORE_LIST, .pool = ""};
    run->looking = true;
    store_submit(memory_store(run->memory), &look, on_memory_answer, run);
    run->looking = false;
}

/* The whole state of both, which must be the same. */
static void look_at_both(struct run *run)
{
    static const struct store_request look = {.verb = STORE_LIST, .pool = ""};
    wait_for_redis(run);
    run->looking = true;
    submit(run, &look);
    wait_for_redis(run);
    run->looking = false;
}

static void step(struct run *run, uint64_t i)
{
    const struct store_request *request = script_next(&run->script);
    if (run->script.now_ms != run->now_ms) {
        if (run->script.is_clock_held) {
            look_at_both(run); /* the clock steps: what is dead by now must be gone in both */
        }
        wait_for_redis(run);
        set_clock(run, run->script.now_ms);
    }
    submit(run, request);
    if (run->rc == 0) {
        run->rc = memory_store_check(run->memory, script_serves(&run->script), &run->error);
    }
    if (run->rc == 0) {
        look_in_memory(run);
    }
    if (run->rc != 0) {
        printf("operation %" PRIu64 ", verb %d: %s\n", i, request->verb, run->error.text);
    }
}

/* Some transitions in the same millisecond, then the whole state of both. Returns how many. */
static uint64_t steps(struct run *run, uint64_t i)
{
    uint64_t group =
        random_below(&run->groups, 100) < 60 ? 1 : random_below(&run->groups, GROUP_MAX);
    uint64_t done = 0;
    run->script.is_clock_held = false;
    while (run->rc == 0 && done < group) {
        step(run, i + done++);
        run->script.is_clock_held = true;
    }
    wait_for_redis(run);
    if (run->rc == 0) {
        look_at_both(run);
    }
    return done;
}

/* Put this file's functions in the place of the licensor's. */
static void load_library(const struct redis_address *address, const char *path)
{
    static char code[1 << 20];
    FILE *file = fopen(path, "r");
    size_t bytes = file != NULL ? fread(code, 1, sizeof(code), file) : 0;
    redisContext *context = redisConnect(address->host, address->port);
    redisReply *reply = bytes > 0 && context != NULL && context->err == 0
                            ? redisCommand(context, "FUNCTION LOAD REPLACE %b", code, bytes)
                            : NULL;
    if (reply == NULL || reply->type == REDIS_REPLY_ERROR) {
        fprintf(stderr, "%s is not loaded: %s\n", path, reply != NULL ? reply->str : "no answer");
        exit(2);
    }
    freeReplyObject(reply);
    redisFree(context);
    fclose(file);
}

int main(int argc, char **argv)
{
    if (argc != 5 && argc != 6) {
        fprintf(stderr,
                "usage: sim_licensor_redis REDIS-URL CLOCK-FILE SEED OPERATIONS [LIBRARY]\n");
        return 2;
    }
    struct run *run = calloc(1, sizeof(*run));
    run->base = event_base_new();
    run->mono_us = 1000 * SECOND_US;
    run->clock_fd = open(argv[2], O_RDWR | O_CREAT, 0644);
    run->memory = memory_store_new();
    buf_init(&run->theirs, 1 << 20);
    buf_init(&run->ours, 1 << 20);
    script_init(&run->script, strtoull(argv[3], NULL, 10));
    random_init(&run->groups, strtoull(argv[3], NULL, 10));
    set_clock(run, run->script.now_ms);
    struct redis_options options = {
        .tenant = "sim",
        .timeout_us = 10000000,
        .pack_min = PACK_MINS[strtoull(argv[3], NULL, 10) % ARRAY_SIZE(PACK_MINS)],
        .queue_max = 100,
        .lease_ms = SCRIPT_LEASE_MS,
        .backoff_us_max = 200000,
        .batch_us = 0,
        .allow_unsafe = true};
    if (redis_address_parse(argv[1], &options.address, &run->error) != 0) {
        fprintf(stderr, "%s\n", run->error.text);
        return 2;
    }
    struct redis_callbacks callbacks = {.state = on_state,
                                        .granted = on_granted,
                                        .waited = on_waited,
                                        .measured = on_measured,
                                        .worked_out = on_worked_out};
    run->redis = redis_new(run->base, &options, &callbacks, run);
    while (!run->up) {
        event_base_loop(run->base, EVLOOP_ONCE);
    }
    if (argc == 6) {
        load_library(&options.address, argv[5]);
    }
    uint64_t operations = strtoull(argv[4], NULL, 10), i = 0;
    while (i < operations && run->rc == 0) {
        i += steps(run, i);
    }
    const struct script *s = &run->script;
    printf("seed %s, %" PRIu64 " operations, %s: %" PRIu64 " granted, %" PRIu64 " handed, %" PRIu64
           " re-used, %" PRIu64 " refused for a limit; worked out by the licensor %" PRIu64
           ", by redis %" PRIu64 ", by both %" PRIu64 "\n",
           argv[3], i, run->rc == 0 ? "0 differences" : "FAILED",
           s->counts[STORE_ACQUIRE][STORE_GRANTED], s->handed, s->reused, s->refused_for_limit,
           run->ahead, run->by_redis, run->again);
    redis_free(run->redis);
    memory_store_free(run->memory);
    buf_release(&run->theirs);
    buf_release(&run->ours);
    event_base_free(run->base);
    close(run->clock_fd);
    int rc = run->rc != 0;
    free(run);
    return rc;
}
