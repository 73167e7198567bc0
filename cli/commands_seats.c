/*
 * seats, seats explain, seats release, seats audit: who holds what, why, what an operator frees,
 * and what operators did. Process: engenho.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/api.h"
#include "cli/output.h"
#include "common/memory.h"

static const struct output_column pool_columns[] = {
    {"POOL", "pool", false},       {"LIMIT", "limit", false},        {"IN USE", "inUse", false},
    {"QUEUED", "queued", false},   {"WAITING", "waiting", false},    {"PEAK", "peak", false},
    {"GRANTED", "granted", false}, {"REUSED", "reused", false},      {"WAIVED", "waived", false},
    {"REFUSED", "refused", false}, {"ESCALATED", "escalated", true}, {"NOTIFIED", "notified", true},
};

/* The monitor's columns; those that begin with "shown" are made here. */
static const struct output_column seat_columns[] = {
    {"PROCESSOR", "processor", false},
    {"MACHINE", "host", false},
    {"USER", "user", false},
    {"AGENT", "agent", false},
    {"PRODUCTION", "production", false},
    {"LICENCE ID", "shownToken", false},
    {"REQUESTED", "requestedPool", false},
    {"GRANTED", "shownPool", false},
    {"SEAT", "shownNumber", false},
    {"STATE", "shownState", false},
    {"SINCE", "since", false},
    {"IDLE", "shownIdle", false},
    {"KIND", "kind", true},
    {"REQUEST", "request", true},
};

static const char *text_of(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));
    return text ? text : "";
}

/* As the monitor says it. */
static void print_state(const json_t *seat, char *text, size_t bytes)
{
    const char *state = text_of(seat, "state");
    if (strcmp(state, "queued") == 0) {
        (void)snprintf(text, bytes, "queued %.0f s",
                       json_number_value(json_object_get(seat, "lifeLeftSeconds")));
    } else if (strcmp(state, "busy") != 0) {
        (void)snprintf(text, bytes, "%s", state);
    } else if (strcmp(text_of(seat, "kind"), "notified") == 0) {
        (void)snprintf(text, bytes, "notified");
    } else {
        (void)snprintf(text, bytes, "%s",
                       json_is_true(json_object_get(seat, "escalated")) ? "escalated" : "in use");
    }
}

static void add_shown(json_t *seat, bool is_csv)
{
    char text[64];
    bool is_waiting = strcmp(text_of(seat, "state"), "waiting") == 0;
    json_int_t token = json_integer_value(json_object_get(seat, "token"));
    double idle = json_number_value(json_object_get(seat, "idleSeconds"));
    print_state(seat, text, sizeof(text));
    json_object_set_new(seat, "shownState", json_string(text));
    if (token > 0) {
        json_object_set_new(seat, "shownToken", json_integer(token));
    }
    if (!is_waiting) {
        (void)snprintf(text, sizeof(text), "L%" JSON_INTEGER_FORMAT,
                       json_integer_value(json_object_get(seat, "number")));
        json_object_set_new(seat, "shownNumber", json_string(text));
        json_object_set(seat, "shownPool", json_object_get(seat, "pool"));
    }
    if (idle > 0) {
        (void)snprintf(text, sizeof(text), "%.0f s", idle);
        json_object_set_new(seat, "shownIdle", json_string(text));
    } else if (!is_csv) {
        json_object_set_new(seat, "shownIdle", json_string("-"));
    }
}

static int print_seats(const struct call *call, int64_t format, const json_t *answer)
{
    json_t *seats = json_object_get(answer, "seats"), *seat;
    size_t i;
    json_array_foreach(seats, i, seat)
    {
        add_shown(seat, format == OUTPUT_CSV);
    }
    if (format == OUTPUT_CSV) {
        return output_rows(call, format, seats, seat_columns, ARRAY_SIZE(seat_columns));
    }
    int code = output_rows(call, format, json_object_get(answer, "pools"), pool_columns,
                           ARRAY_SIZE(pool_columns));
    if (code) {
        return code;
    }
    if (json_array_size(seats) == 0) {
        printf("\nno seat is in use, queued or waited for\n");
        return EXIT_DONE;
    }
    printf("\n");
    return output_rows(call, format, seats, seat_columns, ARRAY_SIZE(seat_columns));
}

int command_seats(const struct call *call)
{
    const struct seats_options *options = call->config;
    int64_t format = options->client.output;
    struct client_path path;
    struct client_answer answer;
    client_path_init(&path, "/v1/seats");
    client_path_parameter(&path, "pool", options->pool);
    int code = api_get(call, client_path_text(&path), &answer);
    client_path_release(&path);
    if (code) {
        return code;
    }
    code = format == OUTPUT_JSON || format == OUTPUT_YAML
               ? output_document(call, format, answer.json)
               : print_seats(call, format, answer.json);
    client_answer_release(&answer);
    return code;
}

int command_seats_explain(const struct call *call)
{
    const struct client_options *options = call->config;
    struct client_path path;
    struct client_answer answer;
    client_path_init(&path, "/v1/seats");
    client_path_piece(&path, call->operands[0]);
    client_path_piece(&path, "explain");
    int code = api_get(call, client_path_text(&path), &answer);
    client_path_release(&path);
    if (code) {
        return code;
    }
    if (options->output == OUTPUT_TABLE || options->output == OUTPUT_WIDE) {
        printf("%s\n", text_of(answer.json, "text"));
    } else {
        code = output_document(call, options->output, answer.json);
    }
    client_answer_release(&answer);
    return code;
}

/* Say whose seat it is and ask. Returns EXIT_DONE when it may be freed. */
static int confirm(const struct call *call, const char *token)
{
    struct client_answer answer;
    json_t *seat, *found = NULL;
    size_t i;
    char reply[16] = "";
    if (!isatty(STDIN_FILENO)) {
        (void)command_fail(call, "there is no terminal to ask on: give --yes to free seat %s",
                           token);
        return EXIT_USAGE;
    }
    int code = api_get(call, "/v1/seats", &answer);
    if (code) {
        return code;
    }
    json_array_foreach(json_object_get(answer.json, "seats"), i, seat)
    {
        char text[32];
        (void)snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT,
                       json_integer_value(json_object_get(seat, "token")));
        found = strcmp(text, token) == 0 ? seat : found;
    }
    if (!found) {
        code =
            command_fail(call, "nobody holds a seat with the token %s: see `engenho seats`", token);
    } else {
        (void)fprintf(
            stderr,
            "seat L%" JSON_INTEGER_FORMAT " of pool %s is held by %s for production %s since %s\n"
            "free it? [y/N] ",
            json_integer_value(json_object_get(found, "number")), text_of(found, "pool"),
            text_of(found, "processor"), text_of(found, "production"), text_of(found, "since"));
        if (!fgets(reply, sizeof(reply), stdin) || (reply[0] != 'y' && reply[0] != 'Y')) {
            code = command_fail(call, "nothing was freed");
        }
    }
    client_answer_release(&answer);
    return code;
}

int command_seats_release(const struct call *call)
{
    const struct seats_release_options *options = call->config;
    const char *token = call->operands[0];
    struct client_path path;
    struct client_answer answer;
    int code = options->yes ? EXIT_DONE : confirm(call, token);
    if (code) {
        return code;
    }
    client_path_init(&path, "/v1/seats");
    client_path_piece(&path, token);
    client_path_piece(&path, "release");
    code = api_post(call, client_path_text(&path), &answer);
    client_path_release(&path);
    if (!code) {
        printf("seat %s is freed by %s%s\n", token, text_of(answer.json, "by"),
               json_is_true(json_object_get(answer.json, "queued"))
                   ? "; it has life left, and the next request takes it"
                   : "");
        client_answer_release(&answer);
    }
    return code;
}

static const struct output_column audit_columns[] = {
    {"TIME", "at", false},
    {"WHO", "who", false},
    {"WHAT", "what", false},
    {"DETAIL", "detail", false},
};

int command_seats_audit(const struct call *call)
{
    const struct seats_audit_options *options = call->config;
    int64_t format = options->client.output;
    char limit[24];
    struct client_path path;
    struct client_answer answer;
    (void)snprintf(limit, sizeof(limit), "%" PRId64, options->limit);
    client_path_init(&path, "/v1/seats/audit");
    client_path_parameter(&path, "limit", limit);
    int code = api_get(call, client_path_text(&path), &answer);
    client_path_release(&path);
    if (code) {
        return code;
    }
    const json_t *entries = json_object_get(answer.json, "entries");
    if (format == OUTPUT_JSON || format == OUTPUT_YAML) {
        code = output_document(call, format, answer.json);
    } else if (json_array_size(entries) == 0 && format != OUTPUT_CSV) {
        printf(
            "operators have freed no seat, installed no licence and said nothing of the Master\n");
    } else {
        /* the sentence is what one came for: it is not cut */
        code = output_rows(call, format == OUTPUT_TABLE ? OUTPUT_WIDE : format, entries,
                           audit_columns, ARRAY_SIZE(audit_columns));
    }
    client_answer_release(&answer);
    return code;
}
