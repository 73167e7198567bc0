/*
 * lag, workers, schedules, version: what is now. Process: engenho.
 */
#include <stdio.h>

#include "cli/api.h"
#include "cli/output.h"

/* GET `path` and print the array `member` as rows; json and yaml print the whole answer. */
static int print_list(const struct call *call, const char *path, const char *member,
                      const struct output_column *columns, size_t count)
{
    const struct client_options *options = call->config;
    struct client_answer answer;
    int code = api_get(call, path, &answer);
    if (code) {
        return code;
    }
    if (options->output == OUTPUT_JSON || options->output == OUTPUT_YAML) {
        code = output_document(call, options->output, answer.json);
    } else {
        code = output_rows(call, options->output, json_object_get(answer.json, member), columns,
                           count);
    }
    client_answer_release(&answer);
    return code;
}

static const struct output_column lag_columns[] = {
    {"AGENT", "agent", false},        {"TOPIC", "topic", false},   {"PARTITION", "partition", true},
    {"COMMITTED", "committed", true}, {"END", "end", true},        {"LAG", "lag", false},
    {"SECONDS", "lagSeconds", false}, {"STATUS", "status", false}, {"MEMBERS", "members", false},
    {"MEMBER", "member", true},       {"LOST", "lost", true},
};

static void add_members(json_t *row, const json_t *from, const char *const *names)
{
    for (; *names; names++) {
        json_t *value = json_object_get(from, *names);
        if (value) {
            json_object_set(row, *names, value);
        }
    }
}

/* The tree of agents, topics and partitions as rows: one a topic, or with `partitions` one a
 * partition. */
static json_t *lag_rows(const json_t *answer, bool partitions)
{
    static const char *const of_agent[] = {"agent", "members", "status", NULL};
    static const char *const of_topic[] = {"topic", "lag", "lagSeconds", NULL};
    static const char *const of_partition[] = {
        "partition", "committed", "end", "lag", "lagSeconds", "status", "member", "lost", NULL};
    json_t *rows = json_array(), *agent, *topic, *partition;
    size_t a, t, p;
    json_array_foreach(json_object_get(answer, "agents"), a, agent)
    {
        json_array_foreach(json_object_get(agent, "topics"), t, topic)
        {
            json_t *row = json_object();
            add_members(row, agent, of_agent);
            add_members(row, topic, of_topic);
            json_array_foreach(json_object_get(topic, "partitions"), p, partition)
            {
                json_t *line = partitions ? json_deep_copy(row) : NULL;
                if (line) {
                    add_members(line, partition, of_partition);
                    json_array_append_new(rows, line);
                }
            }
            if (!partitions) {
                json_array_append(rows, row);
            }
            json_decref(row);
        }
    }
    return rows;
}

int command_lag(const struct call *call)
{
    const struct client_options *options = call->config;
    struct client_path path;
    struct client_answer answer;
    client_path_init(&path, "/v1/lag");
    client_path_parameter(&path, "agent", call->operand_count > 0 ? call->operands[0] : NULL);
    int code = api_get(call, client_path_text(&path), &answer);
    client_path_release(&path);
    if (code) {
        return code;
    }
    if (options->output == OUTPUT_JSON || options->output == OUTPUT_YAML) {
        code = output_document(call, options->output, answer.json);
    } else {
        json_t *rows = lag_rows(answer.json, options->output != OUTPUT_TABLE);
        code = output_rows(call, options->output, rows, lag_columns, ARRAY_SIZE(lag_columns));
        json_decref(rows);
    }
    client_answer_release(&answer);
    return code;
}

static const struct output_column worker_columns[] = {
    {"NAME", "name", false},
    {"AGENT", "agent", false},
    {"HOST", "host", false},
    {"PID", "pid", false},
    {"SLOT", "slot", false},
    {"RUNNING", "productions", false},
    {"LEASE", "leaseLeftSeconds", false},
    {"SESSION", "session", true},
};

int command_workers(const struct call *call)
{
    return print_list(call, "/v1/workers", "items", worker_columns, ARRAY_SIZE(worker_columns));
}

static const struct output_column schedule_columns[] = {
    {"PRODUCTION", "production", false},
    {"CRON", "cron", false},
    {"EVERY", "every", false},
    {"ZONE", "timeZone", false},
    {"STATE", "state", false},
    {"LAST", "last", false},
    {"FIRED", "fired", false},
    {"MISFIRED", "misfired", false},
    {"NEXT", "next", false},
    {"SHARD", "shard", true},
    {"OWNER", "owner", true},
};

int command_schedules(const struct call *call)
{
    struct client_path path;
    client_path_init(&path, "/v1/schedules");
    client_path_parameter(&path, "production", call->operand_count > 0 ? call->operands[0] : NULL);
    int code = print_list(call, client_path_text(&path), "schedules", schedule_columns,
                          ARRAY_SIZE(schedule_columns));
    client_path_release(&path);
    return code;
}

int command_version(const struct call *call)
{
    struct error error = {.text = ""};
    struct client_answer answer = {.status = 0};
    struct client *client = client_new(call->config, &error);
    struct http_request request = {.method = "GET", .path = "/v1/version", .limit_ms = 5000};
    bool known = client && client_call(client, &request, &answer, &error) == 0;
    const char *server = known ? json_string_value(json_object_get(answer.json, "version")) : NULL;
    printf("engenho %s\nserver  %s\n", ENGENHO_VERSION, server ? server : error.text);
    client_answer_release(&answer);
    client_free(client);
    return EXIT_DONE;
}
