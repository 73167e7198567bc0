/*
 * The processes of `engenho up`. Pure: see the header. It decides nothing about time: that is
 * cli/supervisor.c.
 */
#include "cli/plan.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/duration.h"
#include "common/memory.h"
#include "common/names.h"

#define WORDS_MAX 40

struct words {
    char *list[WORDS_MAX];
    size_t count;
};

static void word(struct words *words, const char *text)
{
    assert(words->count < WORDS_MAX - 1);
    words->list[words->count++] = memory_copy_text(text);
}

static void option(struct words *words, const char *name, const char *value)
{
    word(words, name);
    word(words, value);
}

/* Takes `value`. */
static void option_made(struct words *words, const char *name, char *value)
{
    option(words, name, value);
    free(value);
}

/* Takes the words. Returns NULL past the maximum. */
static struct plan_process *add(struct plan *plan, char *name, struct words *words, uint64_t needs)
{
    if (plan->count >= SUPERVISOR_UNITS_MAX) {
        for (size_t i = 0; i < words->count; i++) {
            free(words->list[i]);
        }
        free(name);
        return NULL;
    }
    struct plan_process *process = &plan->processes[plan->count++];
    *process = (struct plan_process){.name = name, .needs = needs};
    process->argv = memory_new(words->count + 1, sizeof(char *));
    memcpy(process->argv, words->list, words->count * sizeof(char *));
    return process;
}

static uint64_t last_bit(const struct plan *plan)
{
    return UINT64_C(1) << (plan->count - 1);
}

/*
 * A small cleaner and few threads: about 170 MB resident. Nothing is replicated: one node. A broker
 * that was killed may register again only when its old session is over, so that is short.
 */
char *plan_kafka_properties(const struct plan_places *places)
{
    return memory_print("# Written by `engenho up` at each start: changes are lost.\n"
                        "process.roles=broker,controller\n"
                        "node.id=1\n"
                        "controller.quorum.voters=1@127.0.0.1:%u\n"
                        "listeners=PLAINTEXT://127.0.0.1:%u,CONTROLLER://127.0.0.1:%u\n"
                        "advertised.listeners=PLAINTEXT://127.0.0.1:%u\n"
                        "controller.listener.names=CONTROLLER\n"
                        "inter.broker.listener.name=PLAINTEXT\n"
                        "log.dirs=%s/kafka/data\n"
                        "num.partitions=8\n"
                        "auto.create.topics.enable=false\n"
                        "default.replication.factor=1\n"
                        "min.insync.replicas=1\n"
                        "offsets.topic.replication.factor=1\n"
                        "offsets.topic.num.partitions=4\n"
                        "transaction.state.log.replication.factor=1\n"
                        "transaction.state.log.min.isr=1\n"
                        "transaction.state.log.num.partitions=4\n"
                        "share.coordinator.state.topic.replication.factor=1\n"
                        "share.coordinator.state.topic.min.isr=1\n"
                        "share.coordinator.state.topic.num.partitions=1\n"
                        "broker.session.timeout.ms=3000\n"
                        "broker.heartbeat.interval.ms=500\n"
                        "group.initial.rebalance.delay.ms=0\n"
                        "group.min.session.timeout.ms=1000\n"
                        "log.cleaner.dedupe.buffer.size=4194304\n"
                        "log.cleaner.io.buffer.size=131072\n"
                        "log.cleaner.threads=1\n"
                        "log.segment.bytes=134217728\n"
                        "num.network.threads=2\n"
                        "num.io.threads=2\n"
                        "num.recovery.threads.per.data.dir=1\n"
                        "background.threads=2\n",
                        places->controller_port, places->kafka_port, places->controller_port,
                        places->kafka_port, places->data);
}

static int add_kafka(struct plan *plan, const struct up_options *options,
                     const struct plan_places *places)
{
    struct words words = {.count = 0};
    word(&words, places->java);
    char *heap = memory_print("-Xmx%" PRId64 "m", options->kafka_heap_bytes >> 20);
    word(&words, heap);
    free(heap);
    word(&words, "-Xms64m");
    word(&words, "-Xss512k");
    word(&words, "-XX:+UseSerialGC");
    word(&words, "-XX:TieredStopAtLevel=1");
    word(&words, "-XX:+ExitOnOutOfMemoryError");
    word(&words, "-Djava.awt.headless=true");
    option_made(&words, "-cp", memory_print("%s/libs/*", options->kafka_home));
    word(&words, "kafka.Kafka");
    char *file = memory_print("%s/kafka/server.properties", places->data);
    word(&words, file);
    free(file);
    struct plan_process *process = add(plan, memory_copy_text("kafka"), &words, 0);
    if (!process) {
        return -ENOSPC;
    }
    process->probe = PLAN_PROBE_KAFKA;
    process->address = memory_copy_text(plan->kafka);
    process->stop_stage = 3;
    process->stop_us_max = 30 * SECOND_US;
    return 0;
}

static int add_redis(struct plan *plan, const struct plan_places *places)
{
    struct words words = {.count = 0};
    word(&words, places->redis_server);
    option_made(&words, "--port", memory_print("%u", (unsigned)places->redis_port));
    option(&words, "--bind", "127.0.0.1");
    option_made(&words, "--dir", memory_print("%s/redis", places->data));
    option(&words, "--save", "");
    option(&words, "--appendonly", "yes");
    option(&words, "--appendfsync", "everysec");
    option(&words, "--maxmemory-policy", "noeviction");
    option(&words, "--daemonize", "no");
    struct plan_process *process = add(plan, memory_copy_text("redis"), &words, 0);
    if (!process) {
        return -ENOSPC;
    }
    process->probe = PLAN_PROBE_REDIS;
    process->address = memory_print("127.0.0.1:%u", (unsigned)places->redis_port);
    process->stop_stage = 3;
    process->stop_us_max = 10 * SECOND_US;
    return 0;
}

/* One of our programs. Takes `name` and `words`. */
static int add_service(struct plan *plan, const struct plan_places *places, char *name,
                       struct words *words, uint64_t needs)
{
    char *ready = memory_print("%s/run/%s.json", places->data, name);
    option(words, "--admin-listen", "127.0.0.1:0");
    option(words, "--ready-file", ready);
    struct plan_process *process = add(plan, name, words, needs);
    if (!process) {
        free(ready);
        return -ENOSPC;
    }
    process->probe = PLAN_PROBE_READYZ;
    process->ready_file = ready;
    return 0;
}

static void program(struct words *words, const struct plan_places *places, const char *name)
{
    char *path = memory_print("%s/%s", places->bin, name);
    word(words, path);
    free(path);
}

static int add_licensor(struct plan *plan, const struct plan_places *places, uint64_t needs)
{
    struct words words = {.count = 0};
    program(&words, places, "engenho-licensor");
    option(&words, "--listen", plan->licensor);
    option(&words, "--redis", plan->redis);
    option(&words, "--licence-dir", places->licences);
    if (add_service(plan, places, memory_copy_text("licensor"), &words, needs) != 0) {
        return -ENOSPC;
    }
    struct plan_process *process = &plan->processes[plan->count - 1];
    process->address = memory_copy_text(plan->licensor);
    process->stop_stage = 2;
    process->stop_us_max = 10 * SECOND_US;
    return 0;
}

static int add_producer(struct plan *plan, const struct up_options *options,
                        const struct plan_places *places, uint64_t needs)
{
    struct words words = {.count = 0};
    program(&words, places, "engenho-producer");
    option(&words, "--kafka", plan->kafka);
    option(&words, "--prefix", options->prefix);
    option(&words, "--api-listen", plan->api);
    option(&words, "--token-file", places->token_file);
    option(&words, "--licensor", plan->licensor);
    option(&words, "--replica", "producer-1");
    if (add_service(plan, places, memory_copy_text("producer"), &words, needs) != 0) {
        return -ENOSPC;
    }
    struct plan_process *process = &plan->processes[plan->count - 1];
    process->address = memory_copy_text(plan->api);
    process->stop_stage = 1;
    process->stop_us_max = 20 * SECOND_US;
    return 0;
}

static int add_worker(struct plan *plan, const struct up_options *options,
                      const struct plan_places *places, const char *agent, int number)
{
    /* The producer makes the topics: a worker waits for it, and by it for all the others. */
    uint64_t needs = last_bit(plan);
    for (size_t i = 0; i < plan->count; i++) {
        if (strcmp(plan->processes[i].name, "producer") == 0) {
            needs = UINT64_C(1) << i;
        }
    }
    char *name = memory_print("%s-%d", agent, number);
    struct words words = {.count = 0};
    program(&words, places, "engenho-worker");
    option(&words, "--kafka", plan->kafka);
    option(&words, "--prefix", options->prefix);
    option(&words, "--agent", agent);
    option(&words, "--name", name);
    option(&words, "--licensor", plan->licensor);
    option_made(&words, "--cache-dir", memory_print("%s/cache/%s", places->data, name));
    word(&words, "--static-membership");
    if (options->interpreters > 0) {
        option_made(&words, "--interpreters", memory_print("%" PRId64, options->interpreters));
    }
    int failed = add_service(plan, places, memory_print("worker-%s", name), &words, needs);
    free(name);
    if (failed) {
        return failed;
    }
    plan->processes[plan->count - 1].stop_stage = 0;
    plan->processes[plan->count - 1].stop_us_max = 40 * SECOND_US;
    return 0;
}

static bool has_agent(const struct plan *plan, const char *agent)
{
    char *first = memory_print("worker-%s-1", agent);
    bool found = strcmp(agent, "default") == 0;
    for (size_t i = 0; i < plan->count && !found; i++) {
        found = strcmp(plan->processes[i].name, first) == 0;
    }
    free(first);
    return found;
}

static int too_many(struct error *error)
{
    return error_set(error, -ENOSPC,
                     "more than %d processes: ask for fewer workers with --workers and --agents",
                     SUPERVISOR_UNITS_MAX);
}

/* "slow=1,critical=2": that many workers for each of these agents. */
static int add_agents(struct plan *plan, const struct up_options *options,
                      const struct plan_places *places, struct error *error)
{
    const char *at = options->agents ? options->agents : "";
    while (*at) {
        size_t length = strcspn(at, ",");
        char *agent = memory_copy(at, length);
        char *equals = strchr(agent, '=');
        char *end = NULL;
        long workers = 0;
        if (equals) {
            *equals = 0;
            workers = strtol(equals + 1, &end, 10);
        }
        bool good = equals && end != equals + 1 && *end == 0 && workers >= 1 &&
                    workers <= SUPERVISOR_UNITS_MAX && name_is_agent(agent) &&
                    !has_agent(plan, agent);
        int failed = 0;
        for (int i = 1; good && !failed && i <= workers; i++) {
            failed = add_worker(plan, options, places, agent, i);
        }
        free(agent);
        if (!good) {
            return error_set(
                error, -EINVAL,
                "--agents %s is not NAME=WORKERS,...: names are of a-z, 0-9 and -, each once with at "
                "least one worker; the workers of agent default are --workers",
                options->agents);
        }
        if (failed) {
            return too_many(error);
        }
        at += length + (at[length] == ',');
    }
    return 0;
}

int plan_init(struct plan *plan, const struct up_options *options, const struct plan_places *places,
              struct error *error)
{
    *plan = (struct plan){
        .kafka = options->kafka ? memory_copy_text(options->kafka)
                                : memory_print("127.0.0.1:%u", (unsigned)places->kafka_port),
        .redis = options->redis
                     ? memory_copy_text(options->redis)
                     : memory_print("redis://127.0.0.1:%u", (unsigned)places->redis_port),
        .licensor = memory_print("127.0.0.1:%u", (unsigned)places->licensor_port),
        .api = options->listen ? memory_copy_text(options->listen)
                               : memory_print("127.0.0.1:%u", (unsigned)places->api_port),
    };
    uint64_t kafka = 0, redis = 0, licensor;
    int failed = 0;
    if (!options->kafka) {
        failed = add_kafka(plan, options, places);
        kafka = last_bit(plan);
    }
    if (!failed && !options->redis) {
        failed = add_redis(plan, places);
        redis = last_bit(plan);
    }
    failed = failed ? failed : add_licensor(plan, places, redis);
    licensor = last_bit(plan);
    failed = failed ? failed : add_producer(plan, options, places, kafka | licensor);
    for (int64_t i = 1; !failed && i <= options->workers; i++) {
        failed = add_worker(plan, options, places, "default", (int)i);
    }
    return failed ? too_many(error) : add_agents(plan, options, places, error);
}

void plan_release(struct plan *plan)
{
    if (!plan) {
        return;
    }
    for (size_t i = 0; i < plan->count; i++) {
        struct plan_process *process = &plan->processes[i];
        for (char **at = process->argv; at && *at; at++) {
            free(*at);
        }
        free(process->argv);
        free(process->name);
        free(process->address);
        free(process->ready_file);
    }
    free(plan->kafka);
    free(plan->redis);
    free(plan->licensor);
    free(plan->api);
    *plan = (struct plan){.count = 0};
}
