/*
 * The option table of engenho-licensor.
 */
#include "licensor/config.h"

#include <stddef.h>

static const char *const levels[] = {"debug", "info", "warn", "error", NULL};

#define AT(member) offsetof(struct config, member)
#define SECOND INT64_C(1000000)

static const struct option options[] = {
    {.name = "listen", .type = OPTION_TEXT, .offset = AT(listen), .initial = "127.0.0.1:9470", .placeholder = "HOST:PORT",
     .help = "where workers and the producer connect; port 0: any free one"},
    {.name = "redis", .type = OPTION_TEXT, .offset = AT(redis), .initial = "redis://127.0.0.1:6379", .secret = true,
     .placeholder = "URL", .help = "the Redis that holds keys and seats: redis://[user:password@]HOST:PORT[/DB]"},
    {.name = "redis-password-file", .type = OPTION_TEXT, .offset = AT(redis_password_file), .placeholder = "PATH",
     .help = "file with the password of Redis, instead of one in its URL"},
    {.name = "tenant", .type = OPTION_TEXT, .offset = AT(tenant), .initial = "engenho", .placeholder = "NAME",
     .help = "hash tag of all keys in Redis; licensors of one tenant share its keys and seats"},
    {.name = "licence-dir", .type = OPTION_TEXT, .offset = AT(licence_dir), .placeholder = "DIRECTORY",
     .help = "directory of licence files, which add up; none: demo"},
    {.name = "customer", .type = OPTION_TEXT, .offset = AT(customer), .placeholder = "NAME",
     .help = "for whom licences must be; not given: whom the first one is for"},
    {.name = "lease", .type = OPTION_DURATION, .offset = AT(lease_us), .initial = "30s", .min = SECOND, .max = 3600 * SECOND,
     .help = "how long a session lives without a heartbeat"},
    {.name = "heartbeat", .type = OPTION_DURATION, .offset = AT(heartbeat_us), .initial = "5s", .min = SECOND / 10,
     .max = 600 * SECOND, .help = "how often workers send a heartbeat"},
    {.name = "reuse-life", .type = OPTION_DURATION, .offset = AT(reuse_life_us), .initial = "30s", .min = 1000,
     .max = 3600 * SECOND, .help = "how long from its consumption a freed seat may be used again"},
    {.name = "request-memory", .type = OPTION_DURATION, .offset = AT(memory_us), .initial = "60s", .min = SECOND,
     .max = 86400 * SECOND, .help = "how long the answer to a request is remembered, for repeated requests and `seats explain`"},
    {.name = "allow-unsafe-redis", .type = OPTION_BOOL, .offset = AT(allow_unsafe_redis),
     .help = "grant seats also on a Redis that evicts keys or keeps no append-only file"},
    {.name = "redis-timeout", .type = OPTION_DURATION, .offset = AT(redis_timeout_us), .initial = "3s", .min = SECOND / 10,
     .max = 60 * SECOND, .help = "how long an answer of Redis may take before its connection is dropped"},
    {.name = "redis-backoff-max", .type = OPTION_DURATION, .offset = AT(redis_backoff_us_max), .initial = "2s",
     .min = SECOND / 10, .max = 60 * SECOND, .help = "longest pause between attempts to reach Redis"},
    {.name = "redis-batch", .type = OPTION_DURATION, .offset = AT(redis_batch_us), .initial = "300us", .min = 0, .max = 100000,
     .help = "how long requests are collected into one pipeline while others are on their way"},
    {.name = "max-connections", .type = OPTION_INT, .offset = AT(connections_max), .initial = "10000", .min = 1, .max = 1000000,
     .help = "connections at once; more are refused"},
    {.name = "max-requests", .type = OPTION_INT, .offset = AT(requests_max), .initial = "1000", .min = 1, .max = 100000,
     .help = "unanswered requests of one connection; then it is read no further until some are answered"},
    {.name = "max-store-requests", .type = OPTION_INT, .offset = AT(store_requests_max), .initial = "100000", .min = 16,
     .max = 10000000, .help = "unanswered requests to Redis; more are answered with store_down"},
    {.name = "max-waiting", .type = OPTION_INT, .offset = AT(waiting_max), .initial = "10000", .min = 1, .max = 1000000,
     .help = "requests in the waiting line of one pool; more are refused"},
    {.name = "max-send", .type = OPTION_BYTES, .offset = AT(send_bytes_max), .initial = "16MiB", .min = 65536,
     .max = 1073741824, .help = "bytes that wait for a client which does not read; then its connection is closed"},
    {.name = "admin-listen", .type = OPTION_TEXT, .offset = AT(admin_listen), .initial = "127.0.0.1:0",
     .placeholder = "HOST:PORT", .help = "where /metrics and the probes are served; port 0: any free one"},
    {.name = "ready-file", .type = OPTION_TEXT, .offset = AT(ready_file), .placeholder = "PATH",
     .help = "file that is written once it listens: JSON with pid, admin and listen"},
    {.name = "log-level", .type = OPTION_CHOICE, .offset = AT(log_level), .initial = "info", .choices = levels,
     .help = "least level of the log"},
};

const struct option_table licensor_options = {
    .program = "engenho-licensor",
    .summary = "Decides how many processors and productions may run, by licence; keeps its state in Redis.",
    .options = options,
    .count = ARRAY_SIZE(options),
};
