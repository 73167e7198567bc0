/*
 * dead-letters list, show, redrive, purge: what failed for good. Process: engenho.
 */
#include <inttypes.h>
#include <stdio.h>

#include "cli/api.h"
#include "cli/output.h"

static const struct output_column dead_letter_columns[] = {
    {"ID", "id", false},
    {"TIME", "time", false},
    {"PRODUCTION", "headers.production", false},
    {"ATTEMPT", "headers.attempt", false},
    {"CLASS", "headers.error-class", false},
    {"TOPIC", "headers.topic", true},
    {"PARTITION", "headers.partition", true},
    {"OFFSET", "headers.offset", true},
    {"VERSION", "headers.package-version", true},
    {"WORKER", "headers.worker", true},
    {"EXECUTION", "execution", true},
    {"MESSAGE", "headers.message", false},
};

int command_dead_letters_list(const struct call *call)
{
    const struct dead_letters_options *options = call->config;
    struct client_path path;
    struct client_answer answer;
    char limit[32];
    (void)snprintf(limit, sizeof(limit), "%" PRId64, options->limit);
    client_path_init(&path, "/v1/dead-letters");
    client_path_parameter(&path, "production", call->operand_count > 0 ? call->operands[0] : NULL);
    client_path_parameter(&path, "limit", limit);
    int code = api_get(call, client_path_text(&path), &answer);
    client_path_release(&path);
    if (!code) {
        code = output_rows(call, options->client.output, json_object_get(answer.json, "items"),
                           dead_letter_columns, ARRAY_SIZE(dead_letter_columns));
        client_answer_release(&answer);
    }
    return code;
}

int command_dead_letters_show(const struct call *call)
{
    const struct client_options *options = call->config;
    struct client_path path;
    struct client_answer answer;
    client_path_init(&path, "/v1/dead-letters");
    client_path_piece(&path, call->operands[0]);
    int code = api_get(call, client_path_text(&path), &answer);
    client_path_release(&path);
    if (!code) {
        code = output_document(call, options->output, answer.json);
        client_answer_release(&answer);
    }
    return code;
}

int command_dead_letters_redrive(const struct call *call)
{
    const struct dead_letters_options *options = call->config;
    struct client_path path;
    struct client_answer answer;
    client_path_init(&path, "/v1/dead-letters");
    client_path_piece(&path, call->operands[0]);
    client_path_piece(&path, "redrive");
    client_path_parameter(&path, "latest", options->latest ? "true" : NULL);
    int code = api_post(call, client_path_text(&path), &answer);
    client_path_release(&path);
    if (!code) {
        const char *execution = json_string_value(json_object_get(answer.json, "execution"));
        printf("%s\n", execution ? execution : "on its way");
        client_answer_release(&answer);
    }
    return code;
}

int command_dead_letters_purge(const struct call *call)
{
    struct client_answer answer;
    int code = api_post(call, "/v1/dead-letters/purge", &answer);
    if (!code) {
        printf("%" JSON_INTEGER_FORMAT " removed\n",
               json_integer_value(json_object_get(answer.json, "removed")));
        client_answer_release(&answer);
    }
    return code;
}
