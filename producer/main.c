/*
 * engenho-producer: puts work on Kafka (events, runs, schedules), keeps the catalog, and answers
 * the HTTP API and the console. Here everything is made in its order and told of each other; what
 * it does stands in the parts.
 */
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

#include "common/admin.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/names.h"
#include "common/options.h"
#include "common/ready_file.h"
#include "kafka/topics.h"
#include "producer/api/api.h"
#include "producer/cron.h"
#include "producer/metrics_table.h"
#include "producer/token.h"
#include "producer/usage.h"
#include "producer/zone_database.h"

struct config {
    struct kafka_options kafka;
    const char *api_listen, *api_address, *token_file, *replica, *licensor, *admin_listen,
        *ready_file, *log_level;
    int64_t partitions, replication_factor, retention_us, results_kept, results_bytes, streams_max,
        idle_us, lag_interval_us, trim_interval_us, usage_interval_us, usage_retention_us;
};

/* clang-format off */
static const struct option options[] = {
    KAFKA_OPTIONS(struct config, kafka),
    {.name = "api-listen", .type = OPTION_TEXT, .offset = offsetof(struct config, api_listen), .initial = "127.0.0.1:8480",
     .placeholder = "HOST:PORT", .help = "where the HTTP API and the console listen; port 0: any"},
    {.name = "api-address", .type = OPTION_TEXT, .offset = offsetof(struct config, api_address), .placeholder = "HOST:PORT",
     .help = "where the other replicas reach this one's API; without it: where it listens"},
    {.name = "token-file", .type = OPTION_TEXT, .offset = offsetof(struct config, token_file), .required = true, .placeholder = "PATH",
     .help = "the file with the token that every call must bring; made with a random token when missing"},
    {.name = "replica", .type = OPTION_TEXT, .offset = offsetof(struct config, replica), .initial = "producer-0",
     .help = "a name of this replica, one of a kind"},
    {.name = "licensor", .type = OPTION_TEXT, .offset = offsetof(struct config, licensor), .placeholder = "HOST:PORT",
     .help = "the licensor, for seats and workers on the console"},
    {.name = "partitions", .type = OPTION_INT, .offset = offsetof(struct config, partitions), .initial = "8", .min = 1, .max = SHARDS_MAX,
     .help = "partitions of the topics that are made, and the number of shards; never changed afterwards"},
    {.name = "replication-factor", .type = OPTION_INT, .offset = offsetof(struct config, replication_factor), .initial = "1", .min = 1,
     .max = 15, .help = "copies of each partition of the topics that are made"},
    {.name = "retention", .type = OPTION_DURATION, .offset = offsetof(struct config, retention_us), .initial = "7d",
     .help = "how long events, results and dead letters are kept in the topics that are made"},
    {.name = "results-kept", .type = OPTION_INT, .offset = offsetof(struct config, results_kept), .initial = "100000", .min = 100,
     .max = 10000000, .help = "the newest results that are kept in memory"},
    {.name = "results-bytes", .type = OPTION_BYTES, .offset = offsetof(struct config, results_bytes), .initial = "128MiB", .min = 1048576,
     .max = INT64_C(1) << 40, .help = "the most memory that they may take"},
    {.name = "streams-max", .type = OPTION_INT, .offset = offsetof(struct config, streams_max), .initial = "100", .min = 1, .max = 10000,
     .help = "the most streams of server-sent events at once"},
    {.name = "idle-timeout", .type = OPTION_DURATION, .offset = offsetof(struct config, idle_us), .initial = "60s", .min = 1000000,
     .max = INT64_C(3600000000), .help = "a connection of the API that does nothing for so long is closed"},
    {.name = "lag-interval", .type = OPTION_DURATION, .offset = offsetof(struct config, lag_interval_us), .initial = "5s", .min = 100000,
     .max = INT64_C(3600000000), .help = "how often the lag of all agents is collected"},
    {.name = "trim-interval", .type = OPTION_DURATION, .offset = offsetof(struct config, trim_interval_us), .initial = "60s",
     .min = 100000, .max = INT64_C(86400000000), .help = "how often triggers that are done are removed from their topics"},
    {.name = "usage-interval", .type = OPTION_DURATION, .offset = offsetof(struct config, usage_interval_us), .initial = "60s",
     .min = 100000, .max = INT64_C(3600000000), .help = "how often usage records are fetched from the licensor"},
    {.name = "usage-retention", .type = OPTION_DURATION, .offset = offsetof(struct config, usage_retention_us), .initial = "400d",
     .help = "how long usage records are kept in the topic usage, when it is made"},
    {.name = "admin-listen", .type = OPTION_TEXT, .offset = offsetof(struct config, admin_listen), .initial = "127.0.0.1:9480",
     .placeholder = "HOST:PORT", .help = "where /metrics and the probes listen; port 0: any"},
    {.name = "ready-file", .type = OPTION_TEXT, .offset = offsetof(struct config, ready_file), .placeholder = "PATH",
     .help = "a file that is written with the addresses once this process listens"},
    {.name = "log-level", .type = OPTION_TEXT, .offset = offsetof(struct config, log_level), .initial = "info",
     .help = "debug, info, warn or error"},
};
/* clang-format on */

static const struct option_table table = {
    .program = "engenho-producer",
    .summary = "puts work on Kafka, keeps the catalog, answers the API and the console",
    .options = options,
    .count = ARRAY_SIZE(options)};

/* An agent that was prepared in this process's life. */
struct ready_agent {
    char name[AGENT_NAME_BYTES_MAX + 1];
    UT_hash_handle hh;
};

/* The whole process. One of them. */
struct producer {
    struct config config;
    struct event_base *base;
    struct metrics *metrics;
    struct api_services services;
    struct api *api;
    struct admin *admin;
    struct event *signals[2];
    struct event *retry_size;
    char *token;
    char address[300];
    bool ours;                  /* shard 0: we prepare agents */
    struct ready_agent *agents; /* with their topics and starting offsets */
    bool stopping;
    char trouble[ERROR_TEXT_BYTES_MAX]; /* why parts could not be made; empty: all is well */
};

static struct zone_database *zones; /* for the checks, which take no context */

static int check_cron(const char *text, struct error *error)
{
    struct cron cron;
    return cron_parse(text, &cron, error);
}

static int check_zone(const char *name, struct error *error)
{
    const struct zone *zone;
    return zone_database_find(zones, name, &zone, error);
}

static const struct definition_checks checks = {check_cron, check_zone};

/* Prepare every agent that is defined; idempotent. */
static void prepare_agents(struct producer *producer)
{
    size_t count;
    if (!producer->ours || !catalog_is_read(producer->services.catalog)) {
        return;
    }
    provision_agent(producer->services.provision, AGENT_DEFAULT);
    const struct catalog_entry **list =
        catalog_view_list(catalog_view_of(producer->services.catalog), "agent", &count);
    for (size_t i = 0; i < count; i++) {
        provision_agent(producer->services.provision, list[i]->definition->name);
    }
    free(list);
}

static void on_changed(void *context, const char *kind, const char *name,
                       const Engenho__Definition *definition, uint64_t generation)
{
    struct producer *producer = context;
    if (strcmp(kind, "production") == 0) {
        schedules_production_changed(producer->services.schedules, name, definition, generation);
    } else if (strcmp(kind, "agent") == 0 && definition != NULL) {
        lag_agent_added(producer->services.lag, name);
        if (producer->ours && catalog_is_read(producer->services.catalog)) {
            provision_agent(producer->services.provision, name);
        }
    } else if (strcmp(kind, "agent") == 0 && strcmp(name, AGENT_DEFAULT) != 0) {
        lag_agent_removed(producer->services.lag, name);
    }
}

static void on_read(void *context)
{
    struct producer *producer = context;
    schedules_catalog_read(producer->services.schedules);
    prepare_agents(producer);
}

static void on_shard_taken(void *context, int shard)
{
    struct producer *producer = context;
    if (shard == SHARD_OF_CATALOG) {
        producer->ours = true;
        lag_trim(producer->services.lag, true);
        prepare_agents(producer);
    }
    catalog_shard_taken(producer->services.catalog, shard);
    schedules_shard_taken(producer->services.schedules, shard);
    usage_shard_taken(producer->services.usage, shard);
}

static void on_shard_lost(void *context, int shard)
{
    struct producer *producer = context;
    if (shard == SHARD_OF_CATALOG) {
        producer->ours = false;
        lag_trim(producer->services.lag, false);
    }
    catalog_shard_lost(producer->services.catalog, shard);
    replay_shard_lost(producer->services.replay, shard);
    schedules_shard_lost(producer->services.schedules, shard);
    usage_shard_lost(producer->services.usage, shard);
}

static void on_shard_state(void *context, int shard, const char *key,
                           const Engenho__Control *control)
{
    struct producer *producer = context;
    replay_state(producer->services.replay, shard, key, control);
    schedules_state(producer->services.schedules, shard, key, control);
    usage_state(producer->services.usage, shard, key, control);
}

static void on_result(void *context, const Engenho__Result *result)
{
    struct producer *producer = context;
    api_result_came(producer->api, result);
}

static uint64_t version_of(void *context, const char *application)
{
    struct producer *producer = context;
    const struct catalog_view *view = catalog_view_of(producer->services.catalog);
    const struct catalog_entry *entry = catalog_view_find(view, "application", application);
    const Engenho__PackageVersion *version =
        entry != NULL ? catalog_view_active(view, entry->definition->application->package) : NULL;
    return version != NULL ? version->version : 0;
}

static void ask_packages_size(struct producer *producer);

static void on_packages_size(struct kafka_job *job)
{
    struct producer *producer = job->context;
    const struct timeval second = {1, 0};
    if (job->result == 0) {
        producer->services.packages_partitions = job->partitions;
    } else if (!producer->stopping) {
        event_add(producer->retry_size, &second);
    }
}

static void on_retry_size(evutil_socket_t fd, short events, void *context)
{
    (void)fd;
    (void)events;
    ask_packages_size(context);
}

static void ask_packages_size(struct producer *producer)
{
    struct kafka_job *job =
        kafka_job_new(KAFKA_JOB_SIZE, producer->config.kafka.prefix, TOPIC_PACKAGES);
    const struct timeval second = {1, 0};
    job->done = on_packages_size;
    job->context = producer;
    if (kafka_jobs_run(producer->services.jobs, job) != 0) {
        kafka_job_free(job);
        event_add(producer->retry_size, &second);
    }
}

/*
 * What can be made only when the topics are there. Returns 0 or -1 with the sentence in `trouble`.
 */
static int make_parts(struct producer *producer)
{
    static const struct catalog_callbacks catalog_callbacks = {on_changed, on_read};
    static const struct shards_callbacks shards_callbacks = {on_shard_taken, on_shard_lost,
                                                             on_shard_state};
    struct api_services *services = &producer->services;
    const struct config *config = &producer->config;
    struct error error = {""};
    struct publisher *publisher = publisher_new(producer->base, &config->kafka, &error);
    services->publisher = publisher;
    services->lag = lag_new(producer->base,
                            &(struct lag_options){.kafka = &config->kafka,
                                                  .metrics = producer->metrics,
                                                  .interval_us = config->lag_interval_us,
                                                  .trim_interval_us = config->trim_interval_us},
                            &error);
    services->shards = shards_new(producer->base,
                                  &(struct shards_options){.kafka = &config->kafka,
                                                           .replica = config->replica,
                                                           .address = producer->address,
                                                           .count = (int)config->partitions,
                                                           .metrics = producer->metrics},
                                  &shards_callbacks, producer, &error);
    if (publisher == NULL || services->lag == NULL || services->shards == NULL) {
        snprintf(producer->trouble, sizeof producer->trouble, "%s", error.text);
        return -1;
    }
    lag_agent_added(services->lag, AGENT_DEFAULT);
    services->replay = replay_new(services->shards);
    services->usage = usage_new(producer->base,
                                &(struct usage_options){.shards = services->shards,
                                                        .licensor = services->licensor,
                                                        .metrics = producer->metrics,
                                                        .interval_us = config->usage_interval_us});
    services->schedules =
        schedules_new(producer->base, &(struct schedules_options){.shards = services->shards,
                                                                  .metrics = producer->metrics,
                                                                  .package_version = version_of,
                                                                  .context = producer});
    services->catalog =
        catalog_new(producer->base, &config->kafka, &catalog_callbacks, producer, &error);
    services->results =
        results_new(producer->base,
                    &(struct results_options){.kafka = &config->kafka,
                                              .jobs = services->jobs,
                                              .count_max = (size_t)config->results_kept,
                                              .bytes_max = (size_t)config->results_bytes,
                                              .came = on_result,
                                              .context = producer},
                    &error);
    if (services->catalog == NULL || services->results == NULL) {
        snprintf(producer->trouble, sizeof producer->trouble, "%s", error.text);
        return -1;
    }
    catalog_set_shards(services->catalog, services->shards, (int)config->partitions);
    ask_packages_size(producer);
    return 0;
}

static void on_topics_ready(void *context)
{
    struct producer *producer = context;
    if (make_parts(producer) != 0) {
        log_error("this process can't work", LOG_TEXT("reason", producer->trouble));
        event_base_loopbreak(producer->base);
        return;
    }
    log_info("kafka answers: topics are there");
}

static bool is_agent_ready(void *context, const char *agent)
{
    const struct producer *producer = context;
    const struct ready_agent *ready;
    HASH_FIND_STR(producer->agents, agent, ready);
    return ready != NULL;
}

static void on_agent_ready(void *context, const char *agent)
{
    struct producer *producer = context;
    if (!is_agent_ready(producer, agent)) {
        struct ready_agent *ready = memory_new(1, sizeof *ready);
        snprintf(ready->name, sizeof ready->name, "%s", agent);
        HASH_ADD_STR(producer->agents, name, ready);
    }
    log_info("agent prepared", LOG_TEXT("agent", agent));
}

static bool is_ready(void *context, struct error *reason)
{
    struct producer *producer = context;
    const struct api_services *services = &producer->services;
    const char *trouble = provision_trouble(services->provision);
    const char *why = NULL;
    if (producer->stopping) {
        why = "this replica is stopping";
    } else if (services->catalog == NULL) {
        why = trouble != NULL ? trouble : "kafka has not answered yet";
    } else if (!catalog_is_read(services->catalog)) {
        why = "the catalog is being read";
    } else if (!catalog_is_ours(services->catalog) &&
               shards_owner(services->shards, SHARD_OF_CATALOG) == NULL) {
        why = "no replica owns the catalog yet";
    } else if (producer->ours && !is_agent_ready(producer, AGENT_DEFAULT)) {
        why = trouble != NULL ? trouble : "the agent default is being prepared";
    } else if (!results_are_read(services->results)) {
        why = "the results are being read";
    } else if (services->packages_partitions == 0) {
        why = "the topics' sizes are being read";
    }
    if (why != NULL) {
        error_set(reason, -EAGAIN, "%s", why);
    }
    return why == NULL;
}

static bool is_started(void *context, struct error *reason)
{
    (void)context;
    (void)reason;
    /* it listens: what Kafka lacks is for readiness to say, and no reason to start again */
    return true;
}

static void before_scrape(void *context)
{
    struct producer *producer = context;
    const struct api_services *services = &producer->services;
    if (services->catalog != NULL) {
        metric_set(metrics_series(producer->metrics, "engenho_catalog_definitions", NULL),
                   (double)catalog_view_count(catalog_view_of(services->catalog)));
    }
    const struct results_store *store =
        services->results != NULL ? results_store_of(services->results) : NULL;
    if (store != NULL) {
        metric_set(metrics_series(producer->metrics, "engenho_results_in_memory", NULL),
                   (double)results_store_count(store));
        metric_set(metrics_series(producer->metrics, "engenho_results_unreadable", NULL),
                   (double)results_store_unreadable(store));
    }
}

static void on_signal(evutil_socket_t number, short events, void *context)
{
    struct producer *producer = context;
    (void)events;
    if (producer->stopping) {
        _exit(1);
    }
    producer->stopping = true;
    log_info("stopping", LOG_INT("signal", number));
    api_stop(producer->api);
    event_base_loopexit(producer->base, NULL);
}

static int write_ready_file(const struct producer *producer, struct error *error)
{
    const struct config *config = &producer->config;
    const struct ready_place places[] = {
        {.name = "admin", .listen = config->admin_listen, .port = admin_port(producer->admin)},
        {.name = "api", .listen = config->api_listen, .port = api_port(producer->api)},
    };
    return ready_file_write(config->ready_file, places, ARRAY_SIZE(places), error);
}

/* The host that others use: of --api-address, or of where we listen. */
static void set_address(struct producer *producer)
{
    const struct config *config = &producer->config;
    if (config->api_address != NULL) {
        snprintf(producer->address, sizeof producer->address, "%s", config->api_address);
        return;
    }
    const char *colon = strrchr(config->api_listen, ':');
    snprintf(producer->address, sizeof producer->address, "%.*s:%u",
             (int)(colon - config->api_listen), config->api_listen,
             (unsigned)api_port(producer->api));
}

static int start(struct producer *producer, struct error *error)
{
    static const struct provision_callbacks provision_callbacks = {on_topics_ready, on_agent_ready};
    struct config *config = &producer->config;
    int result = kafka_check_version(error);
    result = result == 0 ? token_load(config->token_file, &producer->token, error) : result;
    if (result != 0) {
        return result;
    }
    config->kafka.client = "engenho-producer";
    producer->base = event_base_new();
    producer->metrics = metrics_new("producer", producer_metrics, producer_metrics_count);
    zones = zone_database_new();
    producer->services.kafka = &config->kafka;
    producer->services.agent_is_ready = is_agent_ready;
    producer->services.context = producer;
    producer->retry_size = event_new(producer->base, -1, 0, on_retry_size, producer);
    producer->api = api_new(producer->base,
                            &(struct api_options){.listen = config->api_listen,
                                                  .token = producer->token,
                                                  .metrics = producer->metrics,
                                                  .checks = &checks,
                                                  .services = &producer->services,
                                                  .streams_max = config->streams_max,
                                                  .connections_idle_us = config->idle_us},
                            error);
    if (producer->api == NULL) {
        return -EADDRINUSE;
    }
    set_address(producer);
    producer->admin = admin_new(producer->base,
                                &(struct admin_options){.address = config->admin_listen,
                                                        .metrics = producer->metrics,
                                                        .before_scrape = before_scrape,
                                                        .ready = is_ready,
                                                        .started = is_started,
                                                        .context = producer},
                                error);
    producer->services.jobs =
        producer->admin != NULL ? kafka_jobs_new(producer->base, &config->kafka, error) : NULL;
    if (producer->services.jobs == NULL) {
        return -EINVAL;
    }
    if (config->licensor != NULL) {
        producer->services.licensor = licensor_client_new(producer->base, config->licensor, error);
        if (producer->services.licensor == NULL) {
            return -EINVAL;
        }
    }
    producer->services.provision =
        provision_new(producer->base,
                      &(struct provision_options){
                          .kafka = &config->kafka,
                          .topics = {.prefix = config->kafka.prefix,
                                     .partitions = (int)config->partitions,
                                     .replication_factor = (int)config->replication_factor,
                                     .retention_ms = config->retention_us / 1000,
                                     .usage_retention_ms = config->usage_retention_us / 1000}},
                      &provision_callbacks, producer, error);
    return producer->services.provision == NULL ? -EINVAL : write_ready_file(producer, error);
}

static void stop(struct producer *producer)
{
    struct api_services *services = &producer->services;
    /* Those that answer calls first, then who took the calls. */
    shards_free(services->shards);
    services->shards = NULL;
    schedules_free(services->schedules);
    catalog_free(services->catalog);
    replay_free(services->replay);
    publisher_free(services->publisher);
    results_free(services->results);
    lag_free(services->lag);
    provision_free(services->provision);
    services->provision = NULL;
    licensor_client_free(services->licensor);
    usage_free(services->usage);
    kafka_jobs_free(services->jobs);
    api_free(producer->api);
    admin_free(producer->admin);
    for (size_t i = 0; i < ARRAY_SIZE(producer->signals); i++) {
        if (producer->signals[i] != NULL) {
            event_free(producer->signals[i]);
        }
    }
    if (producer->retry_size != NULL) {
        event_free(producer->retry_size);
    }
    struct ready_agent *agent, *next;
    HASH_ITER (hh, producer->agents, agent, next) {
        HASH_DEL(producer->agents, agent);
        free(agent);
    }
    metrics_free(producer->metrics);
    zone_database_free(zones);
    if (producer->base != NULL) {
        event_base_free(producer->base);
    }
    free(producer->token);
    if (producer->config.ready_file != NULL) {
        unlink(producer->config.ready_file);
    }
}

int main(int argc, char **argv)
{
    static struct producer producer;
    struct error error = {""};
    enum log_level level = LOG_LEVEL_INFO;
    int operand;
    if (argc == 2 && strcmp(argv[1], "--metrics-markdown") == 0) {
        metrics_print_markdown("producer", producer_metrics, producer_metrics_count, stdout);
        return 0;
    }
    enum options_result parsed =
        options_parse(&table, argc, argv, &producer.config, &operand, &error);
    if (parsed == OPTIONS_ANSWERED) {
        return 0;
    }
    if (parsed == OPTIONS_WRONG || log_level_parse(producer.config.log_level, &level) != 0) {
        fprintf(stderr, "engenho-producer: %s\n",
                parsed == OPTIONS_WRONG ? error.text
                                        : "log-level takes debug, info, warn or error");
        return 2;
    }
    log_start("producer", level);
    signal(SIGPIPE, SIG_IGN);
    if (start(&producer, &error) != 0) {
        log_error("this process can't start", LOG_TEXT("reason", error.text));
        stop(&producer);
        return 1;
    }
    static const int numbers[] = {SIGTERM, SIGINT};
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        producer.signals[i] = evsignal_new(producer.base, numbers[i], on_signal, &producer);
        event_add(producer.signals[i], NULL);
    }
    log_info("listening", LOG_TEXT("api", producer.address),
             LOG_TEXT("replica", producer.config.replica));
    event_base_dispatch(producer.base);
    bool asked = producer.stopping;
    stop(&producer);
    log_info("stopped");
    return asked ? 0 : 1;
}
