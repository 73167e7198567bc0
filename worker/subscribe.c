/*
 * When a worker joins its agent's group: once every topic of the agent is there with a leader for
 * each partition. A worker that came earlier would be given what is there by then, and more with
 * each topic that appears: a rebalance for each, and lanes whose own topics can't be asked about.
 * An edge: librdkafka.
 */
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "worker/service.h"

#define LOOK_AGAIN_US 100000
#define TOLD_EVERY_US (10 * SECOND_US)
#define REQUEST_MS 5000
#define TOPICS_COUNT 6

static void name_topics(const struct service *service, char names[][TOPIC_NAME_BYTES_MAX])
{
    const char *prefix = service->config->kafka.prefix, *agent = service->config->agent;
    topic_name(prefix, TOPIC_EVENTS, names[0]);
    topic_of_agent(prefix, "triggers", agent, names[1]);
    topic_of_lane(prefix, "later", agent, "events", names[2]);
    topic_of_lane(prefix, "later", agent, "triggers", names[3]);
    topic_of_lane(prefix, "state", agent, "events", names[4]);
    topic_of_lane(prefix, "state", agent, "triggers", names[5]);
}

void subscribe_begin(struct service *service)
{
    service->joining = (struct joining){.told_us = clock_mono_us()};
}

void subscribe_tick(struct service *service)
{
    struct joining *joining = &service->joining;
    char names[TOPICS_COUNT][TOPIC_NAME_BYTES_MAX], text[128];
    const char *list[TOPICS_COUNT];
    if (service->phase != PHASE_GROUP || joining->joined || joining->asked ||
        clock_mono_us() < joining->again_us) {
        return;
    }
    name_topics(service, names);
    for (size_t i = 0; i < TOPICS_COUNT; i++) {
        list[i] = names[i];
    }
    rd_kafka_TopicCollection_t *topics =
        rd_kafka_TopicCollection_of_topic_names(list, TOPICS_COUNT);
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(service->group_client, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
    rd_kafka_AdminOptions_set_request_timeout(options, REQUEST_MS, text, sizeof text);
    rd_kafka_DescribeTopics(service->group_client, topics, options, service->admin_queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_TopicCollection_destroy(topics);
    joining->asked = true;
}

/* Why a topic can't be read yet, or NULL. */
static const char *find_fault(const rd_kafka_TopicDescription_t *topic)
{
    size_t count;
    const rd_kafka_error_t *error = rd_kafka_TopicDescription_error(topic);
    if (error != NULL) {
        return rd_kafka_error_string(error);
    }
    const rd_kafka_TopicPartitionInfo_t **parts =
        rd_kafka_TopicDescription_partitions(topic, &count);
    for (size_t i = 0; i < count; i++) {
        if (rd_kafka_TopicPartitionInfo_leader(parts[i]) == NULL) {
            return "a partition has no leader";
        }
    }
    return count > 0 ? NULL : "it has no partitions";
}

static void wait_on(struct joining *joining, const char *topic, const char *reason)
{
    int64_t now_us = clock_mono_us();
    joining->again_us = now_us + LOOK_AGAIN_US;
    if (now_us - joining->told_us >= TOLD_EVERY_US) {
        joining->told_us = now_us;
        log_warn("waiting for the agent's topics, which a producer creates: see that one runs",
                 LOG_TEXT("topic", topic), LOG_TEXT("reason", reason));
    }
}

static void join(struct service *service)
{
    char topic[TOPIC_NAME_BYTES_MAX];
    const struct config *config = service->config;
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(2);
    rd_kafka_topic_partition_list_add(topics, topic_name(config->kafka.prefix, TOPIC_EVENTS, topic),
                                      RD_KAFKA_PARTITION_UA);
    rd_kafka_topic_partition_list_add(
        topics, topic_of_agent(config->kafka.prefix, "triggers", config->agent, topic),
        RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t code = rd_kafka_subscribe(service->group_client, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    service->joining.joined = code == RD_KAFKA_RESP_ERR_NO_ERROR;
    if (!service->joining.joined) {
        service_start_over(service, rd_kafka_err2str(code));
    }
}

void subscribe_event(struct service *service, rd_kafka_event_t *event)
{
    size_t count;
    service->joining.asked = false;
    if (service->phase != PHASE_GROUP || service->joining.joined) {
        return;
    }
    if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        wait_on(&service->joining, "", rd_kafka_event_error_string(event));
        return;
    }
    const rd_kafka_TopicDescription_t **topics =
        rd_kafka_DescribeTopics_result_topics(rd_kafka_event_DescribeTopics_result(event), &count);
    for (size_t i = 0; i < count; i++) {
        const char *fault = find_fault(topics[i]);
        if (fault != NULL) {
            wait_on(&service->joining, rd_kafka_TopicDescription_name(topics[i]), fault);
            return;
        }
    }
    join(service);
}
