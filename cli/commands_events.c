/*
 * send: one event. (replay, which sends a file's rows exactly once, is in replay.c.) Process:
 * engenho.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/api.h"

/* JSON where it is JSON, else text: 12.5, true, "open" and open. NULL: not UTF-8. */
static json_t *value_of(const char *text)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    return value ? value : json_string(text);
}

int command_send(const struct call *call)
{
    const struct send_options *options = call->config;
    json_t *event = json_pack("{s:s, s:s, s:o*}", "connection", call->operands[0], "object",
                              call->operands[1], "value", value_of(call->operands[2]));
    if (!event) {
        return command_fail(call, "connection, object and value have to be UTF-8");
    }
    if (options->previous) {
        json_object_set_new(event, "previous", value_of(options->previous));
    }
    if (options->timestamp) {
        json_object_set_new(event, "timestamp", json_string(options->timestamp));
    }
    struct client_answer answer;
    int code = api_post_json(call, "/v1/events", event, &answer);
    json_decref(event);
    if (!code) {
        client_answer_release(&answer);
    }
    return code;
}
