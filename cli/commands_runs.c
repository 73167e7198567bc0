/*
 * run, results, show: executions and what became of them. Process: engenho.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/api.h"
#include "cli/output.h"
#include "cli/table.h"
#include "common/clock.h"
#include "common/memory.h"

/* How often --wait and --follow ask. */
#define ASK_US INT64_C(200000)
#define FOLLOW_LIMIT "1000"

static const struct output_column result_columns[] = {
    {"START", "start", false},
    {"PRODUCTION", "production", false},
    {"OUTCOME", "outcome", false},
    {"ATTEMPT", "attempt", false},
    {"ELAPSED", "elapsedSeconds", false},
    {"SEAT", "seat.number", true},
    {"POOL", "seat.pool", true},
    {"WAIVED", "seat.waived", true},
    {"APPLICATION", "application", true},
    {"AGENT", "agent", true},
    {"WORKER", "worker", true},
    {"VERSION", "packageVersion", true},
    {"KEY", "orderingKey", true},
    {"EVENT", "timeEvent", true},
    {"END", "end", true},
    {"RESULT", "result", false},
    {"OUTPUT", "output", false},
    {"ERROR", "error", false},
    {"EXECUTION", "execution", true},
};

static void pause_us(int64_t us)
{
    struct timespec pause = {.tv_sec = us / SECOND_US, .tv_nsec = us % SECOND_US * 1000};
    nanosleep(&pause, NULL);
}

static void results_path(const struct call *call, const char *after, const char *limit,
                         struct client_path *path)
{
    const struct results_options *options = call->config;
    client_path_init(path, "/v1/results");
    client_path_parameter(path, "production", call->operand_count > 0 ? call->operands[0] : NULL);
    client_path_parameter(path, "since", after ? NULL : options->since);
    client_path_parameter(path, "after", after);
    client_path_parameter(path, "failed", options->failed ? "true" : NULL);
    client_path_parameter(path, "count", options->count ? "true" : NULL);
    client_path_parameter(path, "limit", limit);
}

/* One line a result: rows of a table that never ends can't be aligned over all of them. */
static int print_followed(const struct call *call, const json_t *result)
{
    const struct results_options *options = call->config;
    struct buf text;
    buf_init(&text, SIZE_MAX / 4);
    int failed = 0;
    if (options->client.output == OUTPUT_JSON) {
        failed = table_print_json(&text, result, false);
        failed = failed ? failed : buf_append_text(&text, "\n");
    } else if (options->client.output == OUTPUT_YAML) {
        failed = buf_append_text(&text, "---\n");
        failed = failed ? failed : table_print_yaml(&text, result);
    } else {
        struct table_column columns[ARRAY_SIZE(result_columns)];
        size_t count = 0;
        json_t *rows = json_array();
        json_array_append(rows, (json_t *)(uintptr_t)result);
        for (size_t i = 0; i < ARRAY_SIZE(result_columns); i++) {
            if (options->client.output != OUTPUT_TABLE || !result_columns[i].wide_only) {
                columns[count++] =
                    (struct table_column){result_columns[i].title, result_columns[i].path};
            }
        }
        struct table_form form = {.columns = columns, .count = count};
        failed = options->client.output == OUTPUT_CSV ? table_print_csv(&text, rows, &form)
                                                      : table_print(&text, rows, &form);
        json_decref(rows);
    }
    if (!failed &&
        (fwrite(text.data, 1, text.length, stdout) != text.length || fflush(stdout) != 0)) {
        failed = -errno;
    }
    buf_release(&text);
    return failed ? command_fail(call, "can't write the output: %s", strerror(-failed)) : EXIT_DONE;
}

/* Ask again and again from the cursor on: it outlives any restart of the server. */
static int follow(const struct call *call, struct client *client, const char *first)
{
    char *after = memory_copy_text(first);
    int code = EXIT_DONE;
    while (!code) {
        struct client_path path;
        struct client_answer answer;
        struct error error;
        results_path(call, after, FOLLOW_LIMIT, &path);
        struct http_request request = {.method = "GET", .path = client_path_text(&path)};
        int failed = client_call(client, &request, &answer, &error);
        client_path_release(&path);
        if (failed == -EPROTO) {
            code = command_fail(call, "%s", error.text);
        } else if (!failed) {
            const char *next = json_string_value(json_object_get(answer.json, "next"));
            size_t i;
            json_t *result;
            json_array_foreach(json_object_get(answer.json, "results"), i, result)
            {
                code = code ? code : print_followed(call, result);
            }
            if (next) {
                free(after);
                after = memory_copy_text(next);
            }
        }
        bool more = !failed && json_array_size(json_object_get(answer.json, "results")) > 0;
        client_answer_release(&answer);
        if (!code && !more) {
            pause_us(ASK_US);
        }
    }
    free(after);
    return code;
}

static int print_results(const struct call *call, const json_t *answer)
{
    const struct results_options *options = call->config;
    if (options->count) {
        printf("%" JSON_INTEGER_FORMAT "\n", json_integer_value(json_object_get(answer, "count")));
        return EXIT_DONE;
    }
    return output_rows(call, options->client.output, json_object_get(answer, "results"),
                       result_columns, ARRAY_SIZE(result_columns));
}

int command_results(const struct call *call)
{
    const struct results_options *options = call->config;
    struct error error = {.text = ""};
    struct client_path path;
    struct client_answer answer;
    char limit[32];
    (void)snprintf(limit, sizeof(limit), "%" PRId64, options->limit);
    if (options->follow && options->count) {
        (void)command_fail(call, "--follow and --count exclude each other");
        return EXIT_USAGE;
    }
    struct client *client = client_new(&options->client, &error);
    if (!client) {
        return command_fail(call, "%s", error.text);
    }
    results_path(call, NULL, options->count ? NULL : limit, &path);
    struct http_request request = {.method = "GET", .path = client_path_text(&path)};
    int failed = client_call(client, &request, &answer, &error);
    int code = failed ? command_fail(call, "%s", error.text) : print_results(call, answer.json);
    const char *next = json_string_value(json_object_get(answer.json, "next"));
    if (!code && options->follow && next) {
        code = follow(call, client, next);
    }
    client_answer_release(&answer);
    client_path_release(&path);
    client_free(client);
    return code;
}

/* A result for a person: the table's columns are too few, and too wide, for one. */
static int print_result(const struct call *call, const json_t *result)
{
    const struct client_options *options = call->config;
    return output_document(call, options->output, result);
}

static int fetch_result(struct client *client, const char *execution,
                        struct client_answer *ret_answer, struct error *error)
{
    struct client_path path;
    client_path_init(&path, "/v1/results");
    client_path_piece(&path, execution);
    struct http_request request = {.method = "GET", .path = client_path_text(&path)};
    int failed = client_call(client, &request, ret_answer, error);
    client_path_release(&path);
    return failed;
}

int command_show(const struct call *call)
{
    struct error error = {.text = ""};
    struct client_answer answer;
    struct client *client = client_new(call->config, &error);
    if (!client) {
        return command_fail(call, "%s", error.text);
    }
    int failed = fetch_result(client, call->operands[0], &answer, &error);
    int code = failed ? command_fail(call, "%s", error.text) : print_result(call, answer.json);
    client_answer_release(&answer);
    client_free(client);
    return code;
}

static int wait_for_result(const struct call *call, struct client *client, const char *execution)
{
    const struct run_options *options = call->config;
    int64_t until_us = clock_mono_us() + options->wait_limit_us;
    for (;;) {
        struct client_answer answer;
        struct error error;
        int failed = fetch_result(client, execution, &answer, &error);
        bool later = failed == -EAGAIN || answer.status == 404;
        if (!failed) {
            const char *outcome = json_string_value(json_object_get(answer.json, "outcome"));
            int code = print_result(call, answer.json);
            code = code                                           ? code
                   : outcome && strcmp(outcome, "succeeded") == 0 ? EXIT_DONE
                                                                  : EXIT_FAILED;
            client_answer_release(&answer);
            return code;
        }
        client_answer_release(&answer);
        if (!later) {
            return command_fail(call, "%s", error.text);
        }
        if (clock_mono_us() >= until_us) {
            return command_fail(call,
                                "%s has no result after %" PRId64
                                " s: it may still come, see `engenho show %s`",
                                execution, options->wait_limit_us / SECOND_US, execution);
        }
        pause_us(ASK_US / 2);
    }
}

int command_run(const struct call *call)
{
    const struct run_options *options = call->config;
    struct error error = {.text = ""};
    struct client_answer answer = {.status = 0};
    json_t *sets = api_sets(call, &error);
    if (!sets) {
        (void)command_fail(call, "%s", error.text);
        return EXIT_USAGE;
    }
    json_t *body = json_pack("{s:s, s:o}", "application", call->operands[0], "parameters", sets);
    if (options->at) {
        json_object_set_new(body, "at", json_string(options->at));
    }
    if (options->agent) {
        json_object_set_new(body, "agent", json_string(options->agent));
    }
    char *text = json_dumps(body, JSON_COMPACT);
    struct client *client = client_new(&options->client, &error);
    struct http_request request = {.method = "POST",
                                   .path = "/v1/runs",
                                   .content_type = "application/json",
                                   .body = text,
                                   .body_bytes = text ? strlen(text) : 0};
    int failed = client ? client_call(client, &request, &answer, &error) : -ENOENT;
    const char *execution = json_string_value(json_object_get(answer.json, "execution"));
    int code = EXIT_DONE;
    if (failed || !execution) {
        code = command_fail(call, "%s", failed ? error.text : "the server gave no execution id");
    } else if (options->wait) {
        code = wait_for_result(call, client, execution);
    } else {
        printf("%s\n", execution);
    }
    client_answer_release(&answer);
    client_free(client);
    free(text);
    json_decref(body);
    return code;
}
