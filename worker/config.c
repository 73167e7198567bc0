/*
 * The option table of engenho-worker.
 */
#include "worker/config.h"

#include <stddef.h>

static const char *const levels[] = {"debug", "info", "warn", "error", NULL};
static const char *const deliveries[] = {"exactly-once", "at-least-once", NULL};

#define AT(member) offsetof(struct config, member)
#define SECOND INT64_C(1000000)
#define GIGABYTE (INT64_C(1) << 30)

static const struct option options[] = {
    KAFKA_OPTIONS(struct config, kafka),
    {.name = "agent", .type = OPTION_TEXT, .offset = AT(agent), .initial = "default", .placeholder = "NAME",
     .help = "the agent whose productions this worker runs"},
    {.name = "name", .type = OPTION_TEXT, .offset = AT(name), .required = true, .placeholder = "NAME",
     .help = "of this worker, one of a kind in its agent; the licensor knows it by this name"},
    {.name = "licensor", .type = OPTION_TEXT, .offset = AT(licensor), .initial = "127.0.0.1:9470",
     .placeholder = "HOST:PORT", .help = "the licensor that gives keys and seats"},
    {.name = "interpreters", .type = OPTION_INT, .offset = AT(interpreters), .initial = "0", .max = 64,
     .help = "Python processes at most; 0: as many as the licence gives"},
    {.name = "interpreter", .type = OPTION_TEXT, .offset = AT(interpreter), .placeholder = "PATH",
     .help = "the program engenho-interpreter; not given: the one beside engenho-worker"},
    {.name = "python-library", .type = OPTION_TEXT, .offset = AT(python_library), .initial = ENGENHO_PYTHON_LIBRARY,
     .placeholder = "DIRECTORY", .help = "folder of the Python packages engenho and epmprocessor"},
    {.name = "cache-dir", .type = OPTION_TEXT, .offset = AT(cache_dir), .initial = "/tmp/engenho-packages",
     .placeholder = "DIRECTORY", .help = "where packages are unpacked; may be shared by workers of one machine"},
    {.name = "work-dir", .type = OPTION_TEXT, .offset = AT(work_dir), .placeholder = "DIRECTORY",
     .help = "writable folder of the interpreters; not given: work-NAME in cache-dir"},
    {.name = "delivery", .type = OPTION_CHOICE, .offset = AT(delivery), .initial = "exactly-once", .choices = deliveries,
     .help = "exactly-once: results and offsets in one transaction; at-least-once: offsets after the results"},
    {.name = "commit-interval", .type = OPTION_DURATION, .offset = AT(commit_interval_us), .initial = "100ms", .min = 1000,
     .max = 10 * SECOND, .help = "how long results are collected into one transaction"},
    {.name = "results-per-commit", .type = OPTION_INT, .offset = AT(results_per_commit), .initial = "20000", .min = 1,
     .max = 50000, .help = "records whose outcomes go into one transaction at most"},
    {.name = "max-in-flight", .type = OPTION_INT, .offset = AT(open_max), .initial = "4096", .min = 1, .max = 100000,
     .help = "records of one partition in memory at most, without those that wait for a retry"},
    {.name = "seat-linger", .type = OPTION_DURATION, .offset = AT(seat_linger_us), .initial = "50ms", .max = 10 * SECOND,
     .help = "how long a held seat is kept after its last execution, when nobody waits for one"},
    {.name = "drain-timeout", .type = OPTION_DURATION, .offset = AT(drain_us), .initial = "30s", .max = 86400 * SECOND,
     .help = "how long running scripts may take at a stop before they are killed and run again elsewhere"},
    {.name = "revoke-timeout", .type = OPTION_DURATION, .offset = AT(revoke_us), .initial = "5s", .max = 3600 * SECOND,
     .help = "how long running scripts of a partition may take when it goes to another worker"},
    {.name = "catalog-wait", .type = OPTION_DURATION, .offset = AT(catalog_wait_us), .initial = "10s", .max = 600 * SECOND,
     .help = "how long a trigger waits for the definition that made it"},
    {.name = "time-limit", .type = OPTION_DURATION, .offset = AT(time_limit_us), .initial = "60s", .min = 1000,
     .max = 7 * 86400 * SECOND, .help = "of one execution whose production says none"},
    {.name = "memory-limit", .type = OPTION_BYTES, .offset = AT(memory_limit_bytes), .initial = "0", .max = 1024 * GIGABYTE,
     .help = "of one interpreter while a production runs that says none; 0: none"},
    {.name = "output-limit", .type = OPTION_BYTES, .offset = AT(output_limit_bytes), .initial = "64KiB", .min = 1,
     .max = 512 * 1024, .help = "of captured stdout and stderr of one execution whose production says none"},
    {.name = "recycle-executions", .type = OPTION_INT, .offset = AT(recycle_executions), .initial = "0",
     .max = INT64_C(1000000000), .help = "an interpreter is replaced after so many executions; 0: never"},
    {.name = "recycle-age", .type = OPTION_DURATION, .offset = AT(recycle_age_us), .initial = "0s", .max = 365 * 86400 * SECOND,
     .help = "an interpreter is replaced at this age; 0s: never"},
    {.name = "recycle-rss", .type = OPTION_BYTES, .offset = AT(recycle_rss_bytes), .initial = "0", .max = 1024 * GIGABYTE,
     .help = "an interpreter is replaced when it has so much resident memory; 0: never"},
    {.name = "static-membership", .type = OPTION_BOOL, .offset = AT(static_membership),
     .help = "keep partitions over a restart: only where names are given by a StatefulSet or by `engenho up`"},
    {.name = "session-timeout", .type = OPTION_DURATION, .offset = AT(session_timeout_us), .initial = "45s", .min = SECOND,
     .max = 1800 * SECOND, .help = "after so long without a sign of this worker its partitions go to others"},
    {.name = "stall-timeout", .type = OPTION_DURATION, .offset = AT(stall_us), .initial = "300s", .min = SECOND,
     .max = 86400 * SECOND, .help = "a partition with a backlog, nothing in work and nothing fetched for so long: not alive"},
    {.name = "admin-listen", .type = OPTION_TEXT, .offset = AT(admin_listen), .initial = "127.0.0.1:0",
     .placeholder = "HOST:PORT", .help = "where /metrics and the probes are served; port 0: any free one"},
    {.name = "ready-file", .type = OPTION_TEXT, .offset = AT(ready_file), .placeholder = "PATH",
     .help = "file that is written once it listens: JSON with pid and admin"},
    {.name = "log-level", .type = OPTION_CHOICE, .offset = AT(log_level), .initial = "info", .choices = levels,
     .help = "least level of the log"},
};

const struct option_table worker_options = {
    .program = "engenho-worker",
    .summary = "Runs the productions of one agent: consumes events and triggers, hands them to Python, publishes results.",
    .options = options,
    .count = ARRAY_SIZE(options),
};
