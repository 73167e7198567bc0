/*
 * Lag and schedules over HTTP.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "producer/api/api_parts.h"

/* Takes `json`. */
static void reply_jansson(struct call *call, json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    if (text == NULL) {
        call_refuse(call, 500, "the answer", "try again", "out of memory");
        return;
    }
    call_reply_bytes(call, 200, "application/json", text, strlen(text));
    free(text);
}

void api_lag(struct call *call)
{
    const struct api_services *services = call_services(call);
    const char *agent = call_query(call, "agent");
    if (services->lag == NULL) {
        call_unavailable(call, "lag");
        return;
    }
    json_t *lag = lag_json(services->lag, agent);
    if (lag == NULL) {
        call_refuse(call, 404, "agent", "see what is there with `engenho get agents`",
                    "there is no agent '%.60s'", agent ? agent : "");
        return;
    }
    reply_jansson(call, lag);
}

void api_schedules(struct call *call)
{
    const struct api_services *services = call_services(call);
    const char *production = call_query(call, "production");
    int64_t next = 5;
    if (services->schedules == NULL) {
        call_unavailable(call, "schedules");
        return;
    }
    if (!call_number(call, "next", 100, &next)) {
        return;
    }
    json_t *schedules = schedules_json(services->schedules, production, (int)next);
    if (schedules == NULL) {
        call_refuse(call, 404, "production", "see what is there with `engenho schedules`",
                    "production '%.200s' has no schedule", production ? production : "");
        return;
    }
    reply_jansson(call, schedules);
}
