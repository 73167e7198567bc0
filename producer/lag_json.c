#include "producer/lag_json.h"

#include <string.h>

#include "common/duration.h"
#include "producer/lag_view.h"

static json_t *json_seconds(int64_t us)
{
    return json_real((double)us / 1e6);
}

static json_t *describe_part(const struct lag_view *view, const struct lag_part *part)
{
    struct lag_topic *topic;
    HASH_FIND_STR(view->topics, part->topic, topic);
    const struct lag_end *end =
        topic != NULL && part->partition < topic->count ? &topic->ends[part->partition] : NULL;
    json_t *object = json_object();
    json_object_set_new(object, "partition", json_integer(part->partition));
    json_object_set_new(object, "committed",
                        part->committed >= 0 ? json_integer(part->committed) : json_null());
    json_object_set_new(object, "end",
                        end != NULL && end->end >= 0 ? json_integer(end->end) : json_null());
    json_object_set_new(object, "low",
                        end != NULL && end->low >= 0 ? json_integer(end->low) : json_null());
    json_object_set_new(object, "lag", part->lag >= 0 ? json_integer(part->lag) : json_null());
    json_object_set_new(object, "unfinished",
                        part->lag >= 0
                            ? json_integer(part->lag > part->done ? part->lag - part->done : 0)
                            : json_null());
    json_object_set_new(object, "lagSeconds",
                        part->lag >= 0 ? json_seconds(part->age_us) : json_null());
    json_object_set_new(object, "atLeast", json_boolean(part->at_least));
    json_object_set_new(object, "status", json_string(lag_status_names[part->status]));
    json_object_set_new(object, "member",
                        part->member[0] != '\0' ? json_string(part->member) : json_null());
    json_object_set_new(object, "lost", json_integer(part->lost));
    return object;
}

/* Status words are ordered: the worst is the last. */
static enum lag_status worst_of(const struct lag_agent *agent, const char *topic)
{
    enum lag_status worst = LAG_OK;
    struct lag_part *part, *next;
    HASH_ITER (hh, agent->parts, part, next) {
        if ((topic == NULL || !strcmp(part->topic, topic)) && part->status > worst) {
            worst = part->status;
        }
    }
    return worst;
}

static void set_sums(json_t *object, const struct lag_agent *agent, const char *topic)
{
    int64_t lag, age_us;
    bool any = lag_view_sum(agent, topic, &lag, &age_us);
    json_object_set_new(object, "lag", any ? json_integer(lag) : json_null());
    json_object_set_new(object, "lagSeconds", any ? json_seconds(age_us) : json_null());
    json_object_set_new(object, "status", json_string(lag_status_names[worst_of(agent, topic)]));
}

static json_t *describe_topic(const struct lag_view *view, const struct lag_agent *agent,
                              const struct lag_topic *topic)
{
    json_t *partitions = json_array(), *object = json_object();
    for (int32_t i = 0; i < topic->count; i++) {
        struct lag_part *part, *next;
        HASH_ITER (hh, agent->parts, part, next) {
            if (part->partition == i && !strcmp(part->topic, topic->name)) {
                json_array_append_new(partitions, describe_part(view, part));
            }
        }
    }
    if (json_array_size(partitions) == 0) {
        json_decref(partitions);
        json_decref(object);
        return NULL;
    }
    const char *name = topic_without_prefix(view->prefix, topic->name);
    json_object_set_new(object, "topic", json_string(name != NULL ? name : topic->name));
    set_sums(object, agent, topic->name);
    json_object_set_new(object, "partitions", partitions);
    return object;
}

static json_t *describe_agent(const struct lag_view *view, const struct lag_agent *agent)
{
    json_t *object = json_object(), *topics = json_array();
    struct lag_topic *topic, *next;
    json_object_set_new(object, "agent", json_string(agent->agent));
    json_object_set_new(object, "group", json_string(agent->group));
    json_object_set_new(object, "state", json_string(lag_view_state_name(agent)));
    json_object_set_new(object, "members", json_integer(agent->members));
    json_object_set_new(object, "idleMembers", json_integer(agent->idle));
    set_sums(object, agent, NULL);
    HASH_ITER (hh, view->topics, topic, next) {
        json_t *described = describe_topic(view, agent, topic);
        if (described != NULL) {
            json_array_append_new(topics, described);
        }
    }
    json_object_set_new(object, "topics", topics);
    return object;
}

json_t *lag_view_json(const struct lag_view *view, const char *name)
{
    char text[INSTANT_TEXT_BYTES];
    json_t *agents = json_array(), *object = json_object();
    struct lag_agent *agent, *next;
    HASH_ITER (hh, view->agents, agent, next) {
        if (name == NULL || !strcmp(agent->agent, name)) {
            json_array_append_new(agents, describe_agent(view, agent));
        }
    }
    if (name != NULL && json_array_size(agents) == 0) {
        json_decref(agents);
        json_decref(object);
        return NULL;
    }
    instant_print(view->collected_unix_us, text);
    json_object_set_new(object, "collectedAt",
                        view->collected_unix_us != 0 ? json_string(text) : json_null());
    json_object_set_new(object, "agents", agents);
    return object;
}
