/*
 * The one table of commands and their options. See cli/command.h.
 */
#include "cli/command.h"

#include "cli/commands_local.h"
#include "cli/local_options.h"
#include "cli/output.h"
#include "cli/plan.h"

#define DATA(config) \
    {.name = "data", .type = OPTION_TEXT, .offset = offsetof(config, data), .placeholder = "DIR", \
     .help = "the data directory; by default .engenho here where there is one, else $XDG_STATE_HOME/engenho " \
             "(~/.local/state/engenho)"}
#define OUTPUT(config) \
    {.name = "output", .type = OPTION_CHOICE, .offset = offsetof(config, output), .initial = "table", \
     .choices = output_formats, .help = "how to print; -o for short"}

static const struct option up_table[] = {
    DATA(struct up_options),
    {.name = "kafka", .type = OPTION_TEXT, .offset = offsetof(struct up_options, kafka), .placeholder = "HOST:PORT",
     .help = "use this broker instead of starting one"},
    {.name = "redis", .type = OPTION_TEXT, .offset = offsetof(struct up_options, redis), .placeholder = "URL",
     .help = "use this server (redis://HOST:PORT) instead of starting one"},
    {.name = "prefix", .type = OPTION_TEXT, .offset = offsetof(struct up_options, prefix), .initial = "engenho.",
     .help = "what topics and consumer groups start with"},
    {.name = "listen", .type = OPTION_TEXT, .offset = offsetof(struct up_options, listen), .placeholder = "HOST:PORT",
     .help = "where the API and the console listen; by default a free port of 127.0.0.1, the same at every start"},
    {.name = "workers", .type = OPTION_INT, .offset = offsetof(struct up_options, workers), .initial = "1", .min = 0,
     .max = 32, .help = "how many workers the agent default has"},
    {.name = "agents", .type = OPTION_TEXT, .offset = offsetof(struct up_options, agents),
     .placeholder = "NAME=N,...", .help = "more agents, with how many workers each"},
    {.name = "interpreters", .type = OPTION_INT, .offset = offsetof(struct up_options, interpreters), .initial = "0",
     .min = 0, .max = 64, .help = "interpreters of each worker; 0: what the worker chooses"},
    {.name = "licence-dir", .type = OPTION_TEXT, .offset = offsetof(struct up_options, licence_dir),
     .placeholder = "DIR", .help = "the licence files; by default licences/ in the data directory"},
    {.name = "kafka-home", .type = OPTION_TEXT, .offset = offsetof(struct up_options, kafka_home),
     .initial = ENGENHO_KAFKA_DEFAULT, .placeholder = "DIR", .help = "where Kafka's jars are, in libs/"},
    {.name = "kafka-heap", .type = OPTION_BYTES, .offset = offsetof(struct up_options, kafka_heap_bytes),
     .initial = "128MiB", .min = INT64_C(96) << 20, .max = INT64_C(64) << 30, .help = "the heap of our Kafka"},
    {.name = "log-bytes", .type = OPTION_BYTES, .offset = offsetof(struct up_options, log_bytes_max),
     .initial = "16MiB", .min = 4096, .max = INT64_C(1) << 40,
     .help = "size of a process's log at which it is renamed to .1 and begun anew"},
    {.name = "start-limit", .type = OPTION_DURATION, .offset = offsetof(struct up_options, start_limit_us),
     .initial = "120s", .min = 1000000, .max = INT64_C(3600000000),
     .help = "the start fails when not everything is ready after this"},
    {.name = "detach", .type = OPTION_BOOL, .offset = offsetof(struct up_options, detach),
     .help = "go on in the background once everything is ready"},
};

static const struct option local_table[] = {DATA(struct local_options), OUTPUT(struct local_options)};

#define OPTIONS(table, type) .options = table, .option_count = ARRAY_SIZE(table), .config_bytes = sizeof(type)

const struct command commands[] = {
    {.name = "up", .group = "This machine", .summary = "run the whole system on this machine",
     OPTIONS(up_table, struct up_options), .run = command_up},
    {.name = "down", .group = "This machine", .summary = "stop what `engenho up` runs",
     OPTIONS(local_table, struct local_options), .run = command_down},
    {.name = "status", .group = "This machine", .summary = "the processes of a running `engenho up`",
     OPTIONS(local_table, struct local_options), .run = command_status},
};
const size_t commands_count = ARRAY_SIZE(commands);
