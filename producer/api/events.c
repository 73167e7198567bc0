/*
 * Events in, and runs on demand.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/duration.h"
#include "common/execution_id.h"
#include "common/memory.h"
#include "common/names.h"
#include "kafka/topics.h"
#include "producer/api/api_parts.h"
#include "producer/definitions_reader.h"
#include "producer/document.h"
#include "producer/sources/push.h"
#include "proto/trigger.pb-c.h"

static struct metric *rejected(const struct call *call, const char *source, const char *reason)
{
    return metrics_series(call->api->options.metrics, "engenho_events_rejected_total",
                          METRIC_VALUES(source, TOPIC_EVENTS, reason));
}

static struct metric *published(const struct call *call, const char *source)
{
    return metrics_series(call->api->options.metrics, "engenho_events_published_total",
                          METRIC_VALUES(source, TOPIC_EVENTS));
}

/* A binary CloudEvent: its attributes from the headers, its data from the body. Takes `data`. */
static struct node *binary_event(const struct call *call, struct node *data)
{
    static const struct {
        const char *header, *name;
    } attributes[] = {{"ce-specversion", "specversion"}, {"ce-id", "id"},
                      {"ce-source", "source"},           {"ce-type", "type"},
                      {"ce-subject", "subject"},         {"ce-time", "time"}};
    struct node *event = node_new(NODE_MAP, 0);
    for (size_t i = 0; i < ARRAY_SIZE(attributes); i++) {
        const char *value = call_header(call, attributes[i].header);
        if (value != NULL) {
            node_add(event, attributes[i].name, node_new_text(value, 0));
        }
    }
    node_add(event, "data", data);
    return event;
}

static void refuse_events(struct call *call, int index, const char *text)
{
    char where[64] = "the body";
    if (index >= 0) {
        snprintf(where, sizeof where, "event %d", index);
    }
    metric_add(rejected(call, "http", "invalid"), 1);
    call_refuse_begin(call, where, "correct it and send all again: none was published", text);
    if (index >= 0) {
        writer_array(&call->json, "errors");
        writer_object(&call->json, NULL);
        writer_integer(&call->json, "index", index);
        writer_text(&call->json, "error", text);
        writer_end(&call->json);
        writer_end(&call->json);
    }
    writer_end(&call->json);
    call_reply(call, 400);
}

/* Read the body. Returns whether it could be read; else the call was answered. */
static bool read_events(struct call *call, struct push *ret_push)
{
    const char *type = call_header(call, "Content-Type");
    struct error error;
    struct node *body;
    int index = -1;
    enum push_format format = PUSH_OURS;
    if (document_parse_json(call->body, call->body_bytes, &body, &error) != 0) {
        refuse_events(call, -1, error.text);
        return false;
    }
    if (call_header(call, "ce-specversion") != NULL) {
        format = PUSH_CLOUDEVENT;
        body = binary_event(call, body);
    } else if (type != NULL && strncasecmp(type, "application/cloudevents-batch+json", 34) == 0) {
        format = PUSH_CLOUDEVENTS;
    } else if (type != NULL && strncasecmp(type, "application/cloudevents+json", 28) == 0) {
        format = PUSH_CLOUDEVENT;
    }
    int result = push_read(body, format, clock_unix_us(), ret_push, &index, &error);
    node_free(body);
    if (result != 0) {
        refuse_events(call, index, error.text);
    }
    return result == 0;
}

static void reply_accepted(struct call *call, size_t count, bool has_position, uint64_t position)
{
    writer_object(&call->json, NULL);
    writer_integer(&call->json, "accepted", (int64_t)count);
    if (has_position) {
        writer_integer(&call->json, "position", (int64_t)position);
    }
    writer_end(&call->json);
    call_reply(call, 202);
}

static void on_published(void *context, int result, const struct shards_delivery *deliveries,
                         size_t count, const char *reason)
{
    struct call *call = context;
    (void)deliveries;
    if (result == 0) {
        metric_add(published(call, "http"), (double)count);
        reply_accepted(call, count, false, 0);
        return;
    }
    metric_add(rejected(call, "http", "kafka"), (double)count);
    call_refuse(call, 503, "kafka", "send all again: some may be published already",
                "not all events are on Kafka: %s", reason);
}

struct replaying {
    size_t count;
    char source[];
};

static void on_replayed(void *context, int result, uint64_t position)
{
    struct call *call = context;
    const struct replaying *replaying = call->extra;
    if (result == 0) {
        metric_add(published(call, "replay"), (double)replaying->count);
        reply_accepted(call, replaying->count, true, position);
        return;
    }
    call_set_header(call, "Retry-After", "1");
    call_refuse(call, 503, "kafka", "ask GET /v1/sources/NAME for the position and go on there",
                "the batch of source '%.200s' is not known to be committed", replaying->source);
}

static void refuse_position(struct call *call, const char *source, int result, uint64_t from,
                            uint64_t position)
{
    char text[256];
    if (result == -EBUSY) {
        snprintf(text, sizeof text, "another batch of this source is being committed");
        if (replay_position(call_services(call)->replay, source, &position) != 0) {
            position = from; /* the shard has just gone: the next answer says better */
        }
    } else {
        snprintf(text, sizeof text, "the source's committed position is %llu, not %llu",
                 (unsigned long long)position, (unsigned long long)from);
    }
    call_refuse_begin(call, "from", "go on at this position", text);
    writer_text(&call->json, "source", source);
    writer_integer(&call->json, "position", (int64_t)position);
    writer_end(&call->json);
    call_reply(call, 409);
}

static void replay(struct call *call, const char *source, struct push *push)
{
    const struct api_services *services = call_services(call);
    uint64_t position = 0;
    int64_t from = -1;
    if (!call_number(call, "from", INT64_MAX - PUSH_EVENTS_MAX, &from)) {
        return;
    }
    if (from < 0) {
        call_refuse(call, 400, "from",
                    "add from=N: how many records of the source came before these",
                    "a source needs a position");
        return;
    }
    struct replaying *replaying = memory_new(1, sizeof *replaying + strlen(source) + 1);
    replaying->count = push->count;
    memcpy(replaying->source, source, strlen(source) + 1);
    call->extra = replaying;
    int result = replay_submit(services->replay, replaying->source, (uint64_t)from, push,
                               on_replayed, call, &position);
    if (result == -ESTALE || result == -EBUSY) {
        refuse_position(call, replaying->source, result, (uint64_t)from, position);
    } else if (result != 0) {
        call_set_header(call, "Retry-After", "1");
        call_refuse(call, 503, "kafka", "try again in a moment",
                    "too much waits for Kafka already, or this replica lost the source's shard");
    }
}

void api_events(struct call *call)
{
    const struct api_services *services = call_services(call);
    const char *source = call_query(call, "source");
    struct push push;
    if (services->publisher == NULL || services->replay == NULL) {
        call_unavailable(call, "events");
        return;
    }
    if (source != NULL && !name_is_valid(source)) {
        call_refuse(call, 400, "source", "choose another name",
                    "a source's name is 1 to %d bytes of UTF-8 without control characters",
                    NAME_BYTES_MAX);
        return;
    }
    if (source != NULL && !shards_ready(services->shards, replay_shard(services->replay, source))) {
        call_forward(call, replay_shard(services->replay, source));
        return;
    }
    if (!read_events(call, &push)) {
        return;
    }
    if (source != NULL) {
        replay(call, source, &push);
    } else if (push.count == 0) {
        reply_accepted(call, 0, false, 0);
    } else {
        struct shards_record *records = push_records(&push);
        if (publisher_send(services->publisher, records, push.count, on_published, call) != 0) {
            call_refuse(call, 503, "kafka", "try again in a moment",
                        "too many events wait for Kafka already");
        }
        push_records_free(records, push.count);
    }
    push_release(&push);
}

void api_source(struct call *call)
{
    const struct api_services *services = call_services(call);
    uint64_t position;
    if (services->replay == NULL) {
        call_unavailable(call, "sources");
    } else if (replay_position(services->replay, call->tail, &position) != 0) {
        call_forward(call, replay_shard(services->replay, call->tail));
    } else {
        writer_object(&call->json, NULL);
        writer_text(&call->json, "source", call->tail);
        writer_integer(&call->json, "position", (int64_t)position);
        writer_end(&call->json);
        call_reply(call, 200);
    }
}

struct run {
    char topic[TOPIC_NAME_BYTES_MAX];
    char agent[AGENT_NAME_BYTES_MAX + 1];
};

static void on_run(void *context, int result, const struct shards_delivery *deliveries,
                   size_t count, const char *reason)
{
    struct call *call = context;
    const struct run *run = call->extra;
    char id[EXECUTION_ID_BYTES_MAX];
    (void)count;
    if (result != 0) {
        call_refuse(call, 503, "kafka", "run it again; it may run already",
                    "the run is not known to be on Kafka: %s", reason);
        return;
    }
    execution_id_print(run->agent, run->topic, deliveries[0].partition, deliveries[0].offset, "",
                       id);
    writer_object(&call->json, NULL);
    writer_text(&call->json, "execution", id);
    writer_end(&call->json);
    call_reply(call, 202);
}

static void send_run(struct call *call, const Engenho__Trigger *trigger, const char *agent)
{
    struct run *run = memory_new(1, sizeof *run);
    call->extra = run;
    topic_of_agent("", "triggers", agent, run->topic);
    snprintf(run->agent, sizeof run->agent, "%s", agent);
    size_t bytes = engenho__trigger__get_packed_size(trigger);
    uint8_t *packed = memory_new(bytes + 1, 1);
    engenho__trigger__pack(trigger, packed);
    const struct shards_record record = {.topic = run->topic,
                                         .partition = -1,
                                         .key = trigger->application,
                                         .key_bytes = strlen(trigger->application),
                                         .value = packed,
                                         .value_bytes = bytes};
    if (publisher_send(call_services(call)->publisher, &record, 1, on_run, call) != 0) {
        call_refuse(call, 503, "kafka", "try again in a moment",
                    "too much waits for Kafka already");
    }
    free(packed);
}

/* Whether the body has no other members than those of a run; else the call was answered. */
static bool check_run_keys(struct call *call, const struct node *body)
{
    static const char *const names[] = {"application", "parameters", "at", "agent"};
    for (const struct node *child = body->first; child != NULL; child = child->next) {
        size_t i = 0;
        while (i < ARRAY_SIZE(names) && (child->key == NULL || strcmp(child->key, names[i]) != 0)) {
            i++;
        }
        if (i == ARRAY_SIZE(names)) {
            call_refuse(call, 400, "the body", "it takes application, parameters, at and agent",
                        "unknown key '%.60s'", child->key != NULL ? child->key : "");
            return false;
        }
    }
    return true;
}

/* `at`, which may be absent. Returns whether it is good; else the call was answered. */
static bool read_run_time(struct call *call, const struct node *at, Engenho__Trigger *trigger)
{
    if (at != NULL &&
        (at->type != NODE_TEXT || instant_parse(at->text, &trigger->nominal_us) != 0)) {
        call_refuse(call, 400, "at", "write it as 2026-01-31T12:00:00Z", "at is not a time");
        return false;
    }
    if (trigger->nominal_us > trigger->actual_us) {
        call_refuse(call, 400, "at", "leave it out, or give a time that is not in the future",
                    "this version runs at once: it keeps no runs for later");
        return false;
    }
    return true;
}

/* The body's members. Returns whether they are good; else the call was answered. */
static bool read_run(struct call *call, const struct node *body, Engenho__Trigger *trigger,
                     const char **ret_agent)
{
    const struct node *parameters = node_get(body, "parameters"), *agent = node_get(body, "agent");
    struct error error;
    if (!check_run_keys(call, body) || !read_run_time(call, node_get(body, "at"), trigger)) {
        return false;
    }
    if (node_text(body, "application") == NULL) {
        call_refuse(call, 400, "application", "name the application to run",
                    "application is missing, or not text");
        return false;
    }
    if (parameters != NULL && definition_parameters(parameters, &trigger->n_parameters,
                                                    &trigger->parameters, &error) != 0) {
        call_refuse(call, 400, "parameters", "give a JSON object of names and values", "%s",
                    error.text);
        return false;
    }
    if (agent != NULL && (agent->type != NODE_TEXT || !name_is_agent(agent->text))) {
        call_refuse(call, 400, "agent", "leave it out for the agent default",
                    "agent is not an agent's name");
        return false;
    }
    *ret_agent = agent != NULL ? agent->text : AGENT_DEFAULT;
    return true;
}

/* Whether what the run names is there; stamps the package's version. Else the call was answered. */
static bool complete_run(struct call *call, Engenho__Trigger *trigger, const char *agent)
{
    const struct catalog_view *view = catalog_view_of(call_services(call)->catalog);
    const struct catalog_entry *entry =
        catalog_view_find(view, "application", trigger->application);
    if (entry == NULL) {
        call_refuse(call, 404, "application", "see what is there with `engenho get applications`",
                    "there is no application '%.200s'", trigger->application);
        return false;
    }
    if (strcmp(agent, AGENT_DEFAULT) != 0 && catalog_view_find(view, "agent", agent) == NULL) {
        call_refuse(call, 404, "agent", "see what is there with `engenho get agents`",
                    "there is no agent '%s'", agent);
        return false;
    }
    const Engenho__PackageVersion *version =
        catalog_view_active(view, entry->definition->application->package);
    trigger->package_version = version != NULL ? version->version : 0;
    return true;
}

void api_runs(struct call *call)
{
    const struct api_services *services = call_services(call);
    struct error error;
    struct node *body;
    const char *agent;
    if (services->publisher == NULL || services->catalog == NULL ||
        !catalog_is_read(services->catalog)) {
        call_unavailable(call, "a run");
        return;
    }
    if (document_parse_json(call->body, call->body_bytes, &body, &error) != 0) {
        call_refuse(call, 400, "the body", "send a JSON object with application", "%s", error.text);
        return;
    }
    Engenho__Trigger *trigger = memory_new(1, sizeof *trigger);
    engenho__trigger__init(trigger);
    trigger->kind = ENGENHO__TRIGGER_KIND__TRIGGER_KIND_DEMAND;
    trigger->actual_us = clock_unix_us();
    trigger->attempt = 1;
    definition_set_text(&trigger->requested_by, api_caller(call));
    if (read_run(call, body, trigger, &agent)) {
        definition_set_text(&trigger->application, node_text(body, "application"));
        if (complete_run(call, trigger, agent)) {
            send_run(call, trigger, agent);
        }
    }
    engenho__trigger__free_unpacked(trigger, NULL);
    node_free(body);
}
