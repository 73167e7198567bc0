/*
 * The one table of commands and their options. See cli/command.h.
 */
#include "cli/command.h"

#include "cli/api.h"
#include "cli/commands_local.h"
#include "cli/licence_client.h"
#include "cli/local_options.h"
#include "cli/output.h"
#include "cli/plan.h"

#define DATA(config)                                                                                         \
    {                                                                                                        \
        .name = "data", .type = OPTION_TEXT, .offset = offsetof(config, data),                               \
        .placeholder = "DIR",                                                                                \
        .help =                                                                                              \
            "the data directory; by default .engenho here where there is one, else $XDG_STATE_HOME/engenho " \
            "(~/.local/state/engenho)"                                                                       \
    }
#define OUTPUT(config)                                                                             \
    {                                                                                              \
        .name = "output", .type = OPTION_CHOICE, .offset = offsetof(config, output),               \
        .initial = "table", .choices = output_formats, .help = "how to print; -o for short"        \
    }

static const struct option up_table[] = {
    DATA(struct up_options),
    {.name = "kafka",
     .type = OPTION_TEXT,
     .offset = offsetof(struct up_options, kafka),
     .placeholder = "HOST:PORT",
     .help = "use this broker instead of starting one"},
    {.name = "redis",
     .type = OPTION_TEXT,
     .offset = offsetof(struct up_options, redis),
     .placeholder = "URL",
     .help = "use this server (redis://HOST:PORT) instead of starting one"},
    {.name = "prefix",
     .type = OPTION_TEXT,
     .offset = offsetof(struct up_options, prefix),
     .initial = "engenho.",
     .help = "what topics and consumer groups start with"},
    {.name = "listen",
     .type = OPTION_TEXT,
     .offset = offsetof(struct up_options, listen),
     .placeholder = "HOST:PORT",
     .help =
         "where the API and the console listen; by default a free port of 127.0.0.1, the same at every start"},
    {.name = "workers",
     .type = OPTION_INT,
     .offset = offsetof(struct up_options, workers),
     .initial = "1",
     .min = 0,
     .max = 32,
     .help = "how many workers the agent default has"},
    {.name = "agents",
     .type = OPTION_TEXT,
     .offset = offsetof(struct up_options, agents),
     .placeholder = "NAME=N,...",
     .help = "more agents, with how many workers each"},
    {.name = "interpreters",
     .type = OPTION_INT,
     .offset = offsetof(struct up_options, interpreters),
     .initial = "0",
     .min = 0,
     .max = 64,
     .help = "interpreters of each worker; 0: what the worker chooses"},
    {.name = "licence-dir",
     .type = OPTION_TEXT,
     .offset = offsetof(struct up_options, licence_dir),
     .placeholder = "DIR",
     .help = "the licence files; by default licences/ in the data directory"},
    {.name = "kafka-home",
     .type = OPTION_TEXT,
     .offset = offsetof(struct up_options, kafka_home),
     .initial = ENGENHO_KAFKA_DEFAULT,
     .placeholder = "DIR",
     .help = "where Kafka's jars are, in libs/"},
    {.name = "kafka-heap",
     .type = OPTION_BYTES,
     .offset = offsetof(struct up_options, kafka_heap_bytes),
     .initial = "128MiB",
     .min = INT64_C(96) << 20,
     .max = INT64_C(64) << 30,
     .help = "the heap of our Kafka"},
    {.name = "log-bytes",
     .type = OPTION_BYTES,
     .offset = offsetof(struct up_options, log_bytes_max),
     .initial = "16MiB",
     .min = 4096,
     .max = INT64_C(1) << 40,
     .help = "size of a process's log at which it is renamed to .1 and begun anew"},
    {.name = "start-limit",
     .type = OPTION_DURATION,
     .offset = offsetof(struct up_options, start_limit_us),
     .initial = "120s",
     .min = 1000000,
     .max = INT64_C(3600000000),
     .help = "the start fails when not everything is ready after this"},
    {.name = "detach",
     .type = OPTION_BOOL,
     .offset = offsetof(struct up_options, detach),
     .help = "go on in the background once everything is ready"},
};

static const struct option local_table[] = {DATA(struct local_options),
                                            OUTPUT(struct local_options)};

/* Where the server is, and how to print: of every command that speaks to the API. */
#define CLIENT(config)                                                                             \
    {.name = "server",                                                                             \
     .type = OPTION_TEXT,                                                                          \
     .offset = offsetof(config, CLIENT_MEMBER server),                                             \
     .placeholder = "URL",                                                                         \
     .help = "the server, http://HOST:PORT; by default that of a running `engenho up`"},           \
        {.name = "token-file",                                                                     \
         .type = OPTION_TEXT,                                                                      \
         .offset = offsetof(config, CLIENT_MEMBER token_file),                                     \
         .placeholder = "FILE",                                                                    \
         .help = "the file with the token; by default that of a running `engenho up`"},            \
        {.name = "data",                                                                           \
         .type = OPTION_TEXT,                                                                      \
         .offset = offsetof(config, CLIENT_MEMBER data),                                           \
         .placeholder = "DIR",                                                                     \
         .help = "the data directory of a running `engenho up`"},                                  \
    {                                                                                              \
        .name = "output", .type = OPTION_CHOICE, .offset = offsetof(config, CLIENT_MEMBER output), \
        .initial = "table", .choices = output_formats, .help = "how to print; -o for short"        \
    }

#define CLIENT_MEMBER
static const struct option client_table[] = {CLIENT(struct client_options)};
#undef CLIENT_MEMBER
#define CLIENT_MEMBER client.

static const struct option apply_table[] = {
    CLIENT(struct apply_options),
    {.name = "file",
     .type = OPTION_TEXT,
     .offset = offsetof(struct apply_options, file),
     .required = true,
     .placeholder = "FILE|DIR|-",
     .help = "YAML or JSON documents: a file, all files of a directory, or stdin; -f for short"},
};

static const struct option results_table[] = {
    CLIENT(struct results_options),
    {.name = "since",
     .type = OPTION_TEXT,
     .offset = offsetof(struct results_options, since),
     .placeholder = "TIME|DURATION",
     .help = "only those from then on: 2026-01-31T12:00:00Z, or 10m for ten minutes ago"},
    {.name = "limit",
     .type = OPTION_INT,
     .offset = offsetof(struct results_options, limit),
     .initial = "100",
     .min = 1,
     .max = 10000,
     .help = "how many at most: the newest, or with --since the first of them"},
    {.name = "failed",
     .type = OPTION_BOOL,
     .offset = offsetof(struct results_options, failed),
     .help = "only those that did not succeed"},
    {.name = "count",
     .type = OPTION_BOOL,
     .offset = offsetof(struct results_options, count),
     .help = "print only how many there are, of those that the server keeps in memory"},
    {.name = "follow",
     .type = OPTION_BOOL,
     .offset = offsetof(struct results_options, follow),
     .help = "go on and print new ones as they come"},
};

static const struct option run_table[] = {
    CLIENT(struct run_options),
    {.name = "set",
     .type = OPTION_TEXT,
     .offset = offsetof(struct run_options, set),
     .placeholder = "NAME=VALUE",
     .help = "a parameter, may be repeated; a value that is JSON is taken as that"},
    {.name = "at",
     .type = OPTION_TEXT,
     .offset = offsetof(struct run_options, at),
     .placeholder = "TIME",
     .help = "the time that the run is for"},
    {.name = "agent",
     .type = OPTION_TEXT,
     .offset = offsetof(struct run_options, agent),
     .placeholder = "NAME",
     .help = "the agent that runs it; by default the agent default"},
    {.name = "wait",
     .type = OPTION_BOOL,
     .offset = offsetof(struct run_options, wait),
     .help = "wait for the result and print it; exit code 1 unless it succeeded"},
    {.name = "wait-limit",
     .type = OPTION_DURATION,
     .offset = offsetof(struct run_options, wait_limit_us),
     .initial = "5m",
     .min = 1000,
     .max = INT64_C(604800000000),
     .help = "how long --wait waits"},
};

static const struct option deploy_table[] = {
    CLIENT(struct deploy_options),
    {.name = "main",
     .type = OPTION_TEXT,
     .offset = offsetof(struct deploy_options, main),
     .placeholder = "FILE:FUNCTION",
     .help = "what to call in a package without decorators"},
    {.name = "origin",
     .type = OPTION_CHOICE,
     .offset = offsetof(struct deploy_options, origin),
     .initial = "custom",
     .choices = origins,
     .help = "where the code comes from"},
    {.name = "bytes-max",
     .type = OPTION_BYTES,
     .offset = offsetof(struct deploy_options, bytes_max),
     .initial = "64MiB",
     .min = 1,
     .max = INT64_C(1) << 30,
     .help = "refuse to send more than this"},
};

static const struct option rollback_table[] = {
    CLIENT(struct rollback_options),
    {.name = "to",
     .type = OPTION_INT,
     .offset = offsetof(struct rollback_options, to),
     .required = true,
     .min = 0,
     .max = INT32_MAX,
     .help = "the version that new executions take; 0: always the newest"},
};

static const struct option replay_table[] = {
    CLIENT(struct replay_options),
    {.name = "connection",
     .type = OPTION_TEXT,
     .offset = offsetof(struct replay_options, connection),
     .required = true,
     .placeholder = "NAME",
     .help = "the connection of the events"},
    {.name = "object",
     .type = OPTION_TEXT,
     .offset = offsetof(struct replay_options, object),
     .required = true,
     .placeholder = "NAME",
     .help = "the variable of the events"},
    {.name = "time",
     .type = OPTION_TEXT,
     .offset = offsetof(struct replay_options, time),
     .placeholder = "COLUMN",
     .help = "the column with the times; by default `timestamp` where there is one"},
    {.name = "value",
     .type = OPTION_TEXT,
     .offset = offsetof(struct replay_options, value),
     .placeholder = "COLUMN",
     .help = "the column with the values; by default `value` where there is one, else the last"},
    {.name = "rate",
     .type = OPTION_TEXT,
     .offset = offsetof(struct replay_options, rate),
     .placeholder = "N",
     .help = "so many events a second; by default as fast as the server takes them"},
    {.name = "speed",
     .type = OPTION_TEXT,
     .offset = offsetof(struct replay_options, speed),
     .placeholder = "X",
     .help = "so many times as fast as the times in the file"},
    {.name = "source",
     .type = OPTION_TEXT,
     .offset = offsetof(struct replay_options, source),
     .placeholder = "NAME",
     .help =
         "under which the server keeps the position; by default made of connection, object and the file's content, so "
         "that the same replay goes on where it was"},
    {.name = "batch",
     .type = OPTION_INT,
     .offset = offsetof(struct replay_options, batch),
     .initial = "1000",
     .min = 1,
     .max = 10000,
     .help = "how many events are sent at once at most"},
    {.name = "give-up",
     .type = OPTION_DURATION,
     .offset = offsetof(struct replay_options, give_up_us),
     .initial = "5m",
     .min = 1,
     .max = INT64_C(604800000000),
     .help = "end when the server takes nothing for so long"},
    {.name = "quiet",
     .type = OPTION_BOOL,
     .offset = offsetof(struct replay_options, quiet),
     .help = "say nothing about the progress"},
};

static const struct option send_table[] = {
    CLIENT(struct send_options),
    {.name = "previous",
     .type = OPTION_TEXT,
     .offset = offsetof(struct send_options, previous),
     .placeholder = "VALUE",
     .help = "the value before"},
    {.name = "timestamp",
     .type = OPTION_TEXT,
     .offset = offsetof(struct send_options, timestamp),
     .placeholder = "TIME",
     .help = "when it was measured; by default now"},
};

static const struct option dead_letters_table[] = {
    CLIENT(struct dead_letters_options),
    {.name = "limit",
     .type = OPTION_INT,
     .offset = offsetof(struct dead_letters_options, limit),
     .initial = "100",
     .min = 1,
     .max = 1000,
     .help = "how many at most: the newest"},
};

static const struct option redrive_table[] = {
    CLIENT(struct dead_letters_options),
    {.name = "latest",
     .type = OPTION_BOOL,
     .offset = offsetof(struct dead_letters_options, latest),
     .help = "on the package's active version instead of the one it failed on"},
};

static const struct option licence_table[] = {
    DATA(struct licence_options),
    {.name = "licensor",
     .type = OPTION_TEXT,
     .offset = offsetof(struct licence_options, licensor),
     .placeholder = "HOST:PORT",
     .help = "the licensor; by default that of a running `engenho up`"},
};

#define OPTIONS(table, type)                                                                       \
    .options = table, .option_count = ARRAY_SIZE(table), .config_bytes = sizeof(type)
#define PLAIN OPTIONS(client_table, struct client_options)
#define OPERANDS(text, min, max, what)                                                             \
    .operands = text, .operands_min = min, .operands_max = max, .complete = what

const struct command commands[] = {
    {.name = "up",
     .group = "This machine",
     .summary = "run the whole system on this machine",
     OPTIONS(up_table, struct up_options),
     .run = command_up},
    {.name = "down",
     .group = "This machine",
     .summary = "stop what `engenho up` runs",
     OPTIONS(local_table, struct local_options),
     .run = command_down},
    {.name = "status",
     .group = "This machine",
     .summary = "the processes of a running `engenho up`",
     OPTIONS(local_table, struct local_options),
     .run = command_status},

    {.name = "apply",
     .group = "Definitions",
     .summary = "write definitions, all or none",
     OPTIONS(apply_table, struct apply_options),
     .run = command_apply},
    {.name = "diff",
     .group = "Definitions",
     .summary = "what apply would do; exit code 1 when anything differs",
     OPTIONS(apply_table, struct apply_options),
     .run = command_diff},
    {.name = "get",
     .group = "Definitions",
     OPERANDS("KIND [NAME]", 1, 2, "kind"),
     .summary = "definitions of a kind: applications, productions, agents, connections, packages",
     PLAIN,
     .run = command_get},
    {.name = "delete",
     .group = "Definitions",
     OPERANDS("KIND NAME", 2, 2, "kind"),
     .summary = "delete a definition that nothing uses",
     PLAIN,
     .run = command_delete},
    {.name = "export",
     .group = "Definitions",
     .summary = "all definitions, as YAML that apply takes",
     PLAIN,
     .run = command_export},
    {.name = "start",
     .group = "Definitions",
     OPERANDS("PRODUCTION", 1, 1, "production"),
     .summary = "start a production: it sees what happens from now on",
     PLAIN,
     .run = command_start},
    {.name = "stop",
     .group = "Definitions",
     OPERANDS("PRODUCTION", 1, 1, "production"),
     .summary = "stop a production",
     PLAIN,
     .run = command_stop},

    {.name = "deploy",
     .group = "Packages",
     OPERANDS("NAME PATH", 2, 2, "file"),
     .summary = "deploy a file, an archive or a directory as the next version of a package",
     OPTIONS(deploy_table, struct deploy_options),
     .run = command_deploy},
    {.name = "packages",
     .group = "Packages",
     OPERANDS("[NAME]", 0, 1, "package"),
     .summary = "packages and their versions",
     PLAIN,
     .run = command_packages},
    {.name = "rollback",
     .group = "Packages",
     OPERANDS("NAME", 1, 1, "package"),
     .summary = "choose the version that new executions take",
     OPTIONS(rollback_table, struct rollback_options),
     .run = command_rollback},

    {.name = "run",
     .group = "Executions",
     OPERANDS("APPLICATION", 1, 1, "application"),
     .summary = "run an application once",
     OPTIONS(run_table, struct run_options),
     .run = command_run},
    {.name = "results",
     .group = "Executions",
     OPERANDS("[PRODUCTION]", 0, 1, "production"),
     .summary = "what executions gave",
     OPTIONS(results_table, struct results_options),
     .run = command_results},
    {.name = "show",
     .group = "Executions",
     OPERANDS("EXECUTION", 1, 1, NULL),
     .summary = "all about one execution: output, error, traceback",
     PLAIN,
     .run = command_show},
    {.name = "dead-letters list",
     .group = "Executions",
     OPERANDS("[PRODUCTION]", 0, 1, "production"),
     .summary = "what failed for good, newest first",
     OPTIONS(dead_letters_table, struct dead_letters_options),
     .run = command_dead_letters_list},
    {.name = "dead-letters show",
     .group = "Executions",
     OPERANDS("ID", 1, 1, NULL),
     .summary = "a dead letter with its record",
     PLAIN,
     .run = command_dead_letters_show},
    {.name = "dead-letters redrive",
     .group = "Executions",
     OPERANDS("ID", 1, 1, NULL),
     .summary = "run a dead letter again",
     OPTIONS(redrive_table, struct dead_letters_options),
     .run = command_dead_letters_redrive},
    {.name = "dead-letters purge",
     .group = "Executions",
     .summary = "remove all dead letters",
     PLAIN,
     .run = command_dead_letters_purge},

    {.name = "replay",
     .group = "Events",
     OPERANDS("FILE.csv", 1, 1, "file"),
     .summary = "send a file's rows as events of one variable, each exactly once",
     OPTIONS(replay_table, struct replay_options),
     .run = command_replay},
    {.name = "send",
     .group = "Events",
     OPERANDS("CONNECTION OBJECT VALUE", 3, 3, NULL),
     .summary = "send one event",
     OPTIONS(send_table, struct send_options),
     .run = command_send},

    {.name = "lag",
     .group = "State",
     OPERANDS("[AGENT]", 0, 1, "agent"),
     .summary = "how far agents are behind, by topic; -o wide by partition",
     PLAIN,
     .run = command_lag},
    {.name = "agents",
     .group = "State",
     OPERANDS("[NAME]", 0, 1, "agent"),
     .summary = "the agents that are defined",
     PLAIN,
     .run = command_agents},
    {.name = "workers",
     .group = "State",
     .summary = "the workers that are registered",
     PLAIN,
     .run = command_workers},
    {.name = "schedules",
     .group = "State",
     OPERANDS("[PRODUCTION]", 0, 1, "production"),
     .summary = "schedules with their last and next times",
     PLAIN,
     .run = command_schedules},
    {.name = "seats",
     .group = "State",
     .summary = "pools and who holds their seats",
     PLAIN,
     .run = command_seats},

    {.name = "licence show",
     .group = "Licences",
     .summary = "the licence that counts",
     PLAIN,
     .run = command_licence_show},
    {.name = "licence install",
     .group = "Licences",
     OPERANDS("FILE", 1, 1, "file"),
     .summary = "hand a licence file to the licensor",
     OPTIONS(licence_table, struct licence_options),
     .run = command_licence_install},

    {.name = "completion",
     .group = "Help",
     OPERANDS("bash", 1, 2, "bash"),
     .summary = "completion for bash: source <(engenho completion bash)",
     PLAIN,
     .run = command_completion},
    {.name = "version",
     .group = "Help",
     .summary = "the version of this program and of the server",
     PLAIN,
     .run = command_version},
};
const size_t commands_count = ARRAY_SIZE(commands);
