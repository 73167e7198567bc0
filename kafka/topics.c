#include "kafka/topics.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *print_name(char *text, const char *prefix, const char *first, const char *second,
                              const char *third)
{
    int length =
        snprintf(text, TOPIC_NAME_BYTES_MAX, "%s%s%s%s%s%s", prefix, first, second ? "." : "",
                 second ? second : "", third ? "." : "", third ? third : "");
    assert(length > 0 && length < TOPIC_NAME_BYTES_MAX);
    (void)length;
    return text;
}

const char *topic_name(const char *prefix, const char *name, char *text)
{
    return print_name(text, prefix, name, NULL, NULL);
}

const char *topic_of_agent(const char *prefix, const char *kind, const char *agent, char *text)
{
    return print_name(text, prefix, kind, agent, NULL);
}

const char *topic_of_lane(const char *prefix, const char *kind, const char *agent,
                          const char *input, char *text)
{
    return print_name(text, prefix, kind, agent, input);
}

const char *topic_without_prefix(const char *prefix, const char *topic)
{
    size_t length = strlen(prefix);
    return strncmp(topic, prefix, length) == 0 ? topic + length : NULL;
}

/* How a topic is kept (DESIGN section 3). */
enum keep {
    KEEP_TIME,    /* removed by age */
    KEEP_USAGE,   /* removed by an age of its own */
    KEEP_TRIMMED, /* never removed by the broker: DeleteRecords below the committed position */
    KEEP_COMPACT  /* the newest record of each key */
};

struct plan {
    const char *name; /* without prefix; of an agent: the kind */
    enum keep keep;
    int partitions;    /* 0: as configured */
    bool append_time;  /* timestamps are the broker's */
    const char *input; /* lanes' topics: later.<agent>.<input> */
};

static const struct plan common_plans[] = {
    {TOPIC_EVENTS, KEEP_TIME, 0, true, NULL},        {TOPIC_RESULTS, KEEP_TIME, 0, false, NULL},
    {TOPIC_DEAD_LETTERS, KEEP_TIME, 0, false, NULL}, {TOPIC_ENTRIES, KEEP_TIME, 0, false, NULL},
    {TOPIC_CATALOG, KEEP_COMPACT, 1, false, NULL},   {TOPIC_PACKAGES, KEEP_COMPACT, 0, false, NULL},
    {TOPIC_REQUESTS, KEEP_TRIMMED, 0, false, NULL},  {TOPIC_CONTROL, KEEP_COMPACT, 0, false, NULL},
    {TOPIC_USAGE, KEEP_USAGE, 0, false, NULL},
};

static const struct plan agent_plans[] = {
    {"triggers", KEEP_TRIMMED, 0, true, NULL},     {"simulations", KEEP_TIME, 0, true, NULL},
    {"later", KEEP_TRIMMED, 0, false, "events"},   {"state", KEEP_COMPACT, 0, false, "events"},
    {"later", KEEP_TRIMMED, 0, false, "triggers"}, {"state", KEEP_COMPACT, 0, false, "triggers"},
};

#define PLANS_MAX 16

static rd_kafka_NewTopic_t *new_topic(const struct topics_options *options, const struct plan *plan,
                                      const char *agent)
{
    char name[TOPIC_NAME_BYTES_MAX], number[32], text[256];
    print_name(name, options->prefix, plan->name, agent, plan->input);
    rd_kafka_NewTopic_t *topic =
        rd_kafka_NewTopic_new(name, plan->partitions ? plan->partitions : options->partitions,
                              options->replication_factor, text, sizeof text);
    if (topic == NULL) {
        return NULL;
    }
    rd_kafka_NewTopic_set_config(topic, "message.timestamp.type",
                                 plan->append_time ? "LogAppendTime" : "CreateTime");
    switch (plan->keep) {
    case KEEP_TIME:
    case KEEP_USAGE:
        snprintf(number, sizeof number, "%" PRId64,
                 plan->keep == KEEP_USAGE ? options->usage_retention_ms : options->retention_ms);
        rd_kafka_NewTopic_set_config(topic, "cleanup.policy", "delete");
        rd_kafka_NewTopic_set_config(topic, "retention.ms", number);
        break;
    case KEEP_TRIMMED:
        rd_kafka_NewTopic_set_config(topic, "cleanup.policy", "delete");
        rd_kafka_NewTopic_set_config(topic, "retention.ms", "-1");
        rd_kafka_NewTopic_set_config(topic, "retention.bytes", "-1");
        break;
    case KEEP_COMPACT:
        rd_kafka_NewTopic_set_config(topic, "cleanup.policy", "compact");
        break;
    }
    return topic;
}

/* The first real refusal in the answer; that a topic is there already is what we want. */
static int read_answer(rd_kafka_event_t *event, struct error *error)
{
    size_t count;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    for (size_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[i]);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
            const char *why = rd_kafka_topic_result_error_string(results[i]);
            return error_set(error, -EIO, "the broker does not create topic %s: %s",
                             rd_kafka_topic_result_name(results[i]),
                             why != NULL ? why : rd_kafka_err2str(code));
        }
    }
    return 0;
}

int topics_create_send(rd_kafka_t *admin, const struct topics_options *options, const char *agent,
                       int timeout_ms, rd_kafka_queue_t *queue, void *opaque, struct error *error)
{
    const struct plan *plans = agent ? agent_plans : common_plans;
    size_t count = agent ? ARRAY_SIZE(agent_plans) : ARRAY_SIZE(common_plans);
    rd_kafka_NewTopic_t *topics[PLANS_MAX];
    char text[256];
    assert(count <= PLANS_MAX);
    for (size_t i = 0; i < count; i++) {
        topics[i] = new_topic(options, &plans[i], agent);
        if (topics[i] == NULL) {
            rd_kafka_NewTopic_destroy_array(topics, i);
            return error_set(
                error, -EINVAL,
                "librdkafka refuses a topic named %s%s%s%s with %d partitions: check prefix and agent",
                options->prefix, plans[i].name, agent ? "." : "", agent ? agent : "",
                options->partitions);
        }
    }
    rd_kafka_AdminOptions_t *admin_options =
        rd_kafka_AdminOptions_new(admin, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_AdminOptions_set_request_timeout(admin_options, timeout_ms, text, sizeof text);
    rd_kafka_AdminOptions_set_operation_timeout(admin_options, timeout_ms, text, sizeof text);
    rd_kafka_AdminOptions_set_opaque(admin_options, opaque);
    rd_kafka_CreateTopics(admin, topics, count, admin_options, queue);
    rd_kafka_AdminOptions_destroy(admin_options);
    rd_kafka_NewTopic_destroy_array(topics, count);
    return 0;
}

int topics_create_read(rd_kafka_event_t *event, struct error *error)
{
    if (rd_kafka_event_error(event)) {
        return error_set(error, -EIO, "topics could not be created: %s",
                         rd_kafka_event_error_string(event));
    }
    return read_answer(event, error);
}

int topics_create(rd_kafka_t *admin, const struct topics_options *options, const char *agent,
                  int timeout_ms, struct error *error)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(admin);
    int result = topics_create_send(admin, options, agent, timeout_ms, queue, NULL, error);
    if (result == 0) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms + 1000);
        if (event == NULL) {
            result = error_set(error, -ETIMEDOUT,
                               "the broker did not answer within %d ms when asked to create topics",
                               timeout_ms);
        } else {
            result = topics_create_read(event, error);
            rd_kafka_event_destroy(event);
        }
    }
    rd_kafka_queue_destroy(queue);
    return result;
}
