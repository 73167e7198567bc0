/*
 * A job is the common topics, or one agent:
 *
 *     topics created ─► how many partitions ─► what is committed ─► live members? ─► where events ends, triggers starts ─► commit ─► done
 *     (common topics: done)                     (all: done)          (any: done)
 *
 * Any failure starts the job again after a moment: each step finds what the ones before it did.
 */
#include "producer/provision.h"

#include <assert.h>
#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/log.h"
#include "common/memory.h"
#include "kafka/loop_queue.h"

#define TIMEOUT_MS 10000
#define AGAIN_MS 250
#define ATTEMPTS_QUIET 8 /* a topic that was just created is not known everywhere at once */
#define TICK_MS 500

struct job {
    struct provision *provision;
    char *agent; /* NULL: the common topics */
    char group[TOPIC_NAME_BYTES_MAX], events[TOPIC_NAME_BYTES_MAX], triggers[TOPIC_NAME_BYTES_MAX];
    rd_kafka_topic_partition_list_t *missing; /* partitions without a committed offset */
    unsigned attempts;                        /* that failed */
    struct event *again_event;
    LIST_ENTRY(job) next;
};

struct provision {
    struct provision_options options;
    struct provision_callbacks callbacks;
    void *context;
    rd_kafka_t *admin;
    struct event_base *base;
    struct loop_queue answers;
    LIST_HEAD(, job) jobs;
    struct error trouble; /* empty: none */
};

static void begin(struct job *job);

static void free_job(struct job *job)
{
    LIST_REMOVE(job, next);
    event_free(job->again_event);
    if (job->missing != NULL) {
        rd_kafka_topic_partition_list_destroy(job->missing);
    }
    free(job->agent);
    free(job);
}

static void fail(struct job *job, const char *what, const char *why)
{
    struct provision *provision = job->provision;
    struct error now;
    error_set(&now, -EIO, "%s%s%s: %s", what, job->agent ? " of agent " : "",
              job->agent ? job->agent : "", why);
    if (++job->attempts >= ATTEMPTS_QUIET && strcmp(now.text, provision->trouble.text) != 0) {
        log_warn("topics and starting offsets are not ready", LOG_TEXT("error", now.text));
        provision->trouble = now;
    }
    event_add(job->again_event,
              &(struct timeval){.tv_sec = AGAIN_MS / 1000, .tv_usec = AGAIN_MS % 1000 * 1000});
}

static void done(struct job *job)
{
    struct provision *provision = job->provision;
    char *agent = job->agent;
    provision->trouble.text[0] = '\0';
    job->agent = NULL;
    free_job(job);
    if (agent == NULL) {
        provision->callbacks.topics_ready(provision->context);
    } else if (provision->callbacks.agent_ready != NULL) {
        provision->callbacks.agent_ready(provision->context, agent);
    }
    free(agent);
}

static rd_kafka_AdminOptions_t *options_for(struct job *job, rd_kafka_admin_op_t operation)
{
    char text[256];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(job->provision->admin, operation);
    rd_kafka_AdminOptions_set_request_timeout(options, TIMEOUT_MS, text, sizeof text);
    rd_kafka_AdminOptions_set_opaque(options, job);
    return options;
}

static void ask_partitions(struct job *job)
{
    const char *names[] = {job->events, job->triggers};
    rd_kafka_TopicCollection_t *topics =
        rd_kafka_TopicCollection_of_topic_names(names, ARRAY_SIZE(names));
    rd_kafka_AdminOptions_t *options = options_for(job, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
    rd_kafka_DescribeTopics(job->provision->admin, topics, options, job->provision->answers.queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_TopicCollection_destroy(topics);
}

static void ask_committed(struct job *job)
{
    rd_kafka_ListConsumerGroupOffsets_t *question =
        rd_kafka_ListConsumerGroupOffsets_new(job->group, job->missing);
    rd_kafka_AdminOptions_t *options = options_for(job, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);
    rd_kafka_ListConsumerGroupOffsets(job->provision->admin, &question, 1, options,
                                      job->provision->answers.queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_ListConsumerGroupOffsets_destroy(question);
}

static void ask_members(struct job *job)
{
    const char *groups[] = {job->group};
    rd_kafka_AdminOptions_t *options = options_for(job, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS);
    rd_kafka_DescribeConsumerGroups(job->provision->admin, groups, 1, options,
                                    job->provision->answers.queue);
    rd_kafka_AdminOptions_destroy(options);
}

static void ask_offsets(struct job *job)
{
    for (int i = 0; i < job->missing->cnt; i++) {
        rd_kafka_topic_partition_t *part = &job->missing->elems[i];
        part->offset = !strcmp(part->topic, job->events) ? RD_KAFKA_OFFSET_SPEC_LATEST
                                                         : RD_KAFKA_OFFSET_SPEC_EARLIEST;
    }
    rd_kafka_AdminOptions_t *options = options_for(job, RD_KAFKA_ADMIN_OP_LISTOFFSETS);
    rd_kafka_ListOffsets(job->provision->admin, job->missing, options,
                         job->provision->answers.queue);
    rd_kafka_AdminOptions_destroy(options);
}

static void commit(struct job *job)
{
    rd_kafka_AlterConsumerGroupOffsets_t *order =
        rd_kafka_AlterConsumerGroupOffsets_new(job->group, job->missing);
    rd_kafka_AdminOptions_t *options =
        options_for(job, RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS);
    rd_kafka_AlterConsumerGroupOffsets(job->provision->admin, &order, 1, options,
                                       job->provision->answers.queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_AlterConsumerGroupOffsets_destroy(order);
}

static void read_created(struct job *job, rd_kafka_event_t *event)
{
    struct error error;
    if (topics_create_read(event, &error) != 0) {
        fail(job, "topics", error.text);
    } else if (job->agent == NULL) {
        done(job);
    } else {
        ask_partitions(job);
    }
}

static void read_partitions(struct job *job, rd_kafka_event_t *event)
{
    size_t count, partitions;
    const rd_kafka_TopicDescription_t **topics =
        rd_kafka_DescribeTopics_result_topics(rd_kafka_event_DescribeTopics_result(event), &count);
    if (job->missing != NULL) {
        rd_kafka_topic_partition_list_destroy(job->missing);
    }
    job->missing = rd_kafka_topic_partition_list_new(16);
    for (size_t i = 0; i < count; i++) {
        const rd_kafka_error_t *error = rd_kafka_TopicDescription_error(topics[i]);
        if (rd_kafka_error_code(error) != RD_KAFKA_RESP_ERR_NO_ERROR) {
            fail(job, "topics", rd_kafka_error_string(error));
            return;
        }
        rd_kafka_TopicDescription_partitions(topics[i], &partitions);
        rd_kafka_topic_partition_list_add_range(
            job->missing, rd_kafka_TopicDescription_name(topics[i]), 0, (int32_t)partitions - 1);
    }
    ask_committed(job);
}

static void read_committed(struct job *job, rd_kafka_event_t *event)
{
    size_t count;
    const rd_kafka_group_result_t **groups = rd_kafka_ListConsumerGroupOffsets_result_groups(
        rd_kafka_event_ListConsumerGroupOffsets_result(event), &count);
    assert(count == 1);
    const rd_kafka_error_t *error = rd_kafka_group_result_error(groups[0]);
    if (error != NULL) {
        fail(job, "committed offsets", rd_kafka_error_string(error));
        return;
    }
    const rd_kafka_topic_partition_list_t *parts = rd_kafka_group_result_partitions(groups[0]);
    for (int i = 0; i < parts->cnt; i++) {
        if (parts->elems[i].offset >= 0) {
            rd_kafka_topic_partition_list_del(job->missing, parts->elems[i].topic,
                                              parts->elems[i].partition);
        }
    }
    if (job->missing->cnt == 0) {
        done(job);
    } else {
        ask_members(job);
    }
}

static void read_members(struct job *job, rd_kafka_event_t *event)
{
    size_t count;
    const rd_kafka_ConsumerGroupDescription_t **groups =
        rd_kafka_DescribeConsumerGroups_result_groups(
            rd_kafka_event_DescribeConsumerGroups_result(event), &count);
    assert(count == 1);
    const rd_kafka_error_t *error = rd_kafka_ConsumerGroupDescription_error(groups[0]);
    rd_kafka_resp_err_t code =
        error != NULL ? rd_kafka_error_code(error) : RD_KAFKA_RESP_ERR_NO_ERROR;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR &&
        rd_kafka_ConsumerGroupDescription_member_count(groups[0]) > 0) {
        /* Whoever is live has a position already, and commits it. */
        done(job);
    } else if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND) {
        ask_offsets(job);
    } else {
        fail(job, "members of the group", rd_kafka_error_string(error));
    }
}

static void read_offsets(struct job *job, rd_kafka_event_t *event)
{
    size_t count;
    const rd_kafka_ListOffsetsResultInfo_t **infos =
        rd_kafka_ListOffsets_result_infos(rd_kafka_event_ListOffsets_result(event), &count);
    for (size_t i = 0; i < count; i++) {
        const rd_kafka_topic_partition_t *part =
            rd_kafka_ListOffsetsResultInfo_topic_partition(infos[i]);
        if (part->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            fail(job, "offsets", rd_kafka_err2str(part->err));
            return;
        }
        rd_kafka_topic_partition_t *missing =
            rd_kafka_topic_partition_list_find(job->missing, part->topic, part->partition);
        assert(missing != NULL);
        missing->offset = part->offset;
    }
    commit(job);
}

static void read_altered(struct job *job, rd_kafka_event_t *event)
{
    size_t count;
    const rd_kafka_group_result_t **groups = rd_kafka_AlterConsumerGroupOffsets_result_groups(
        rd_kafka_event_AlterConsumerGroupOffsets_result(event), &count);
    assert(count == 1);
    const rd_kafka_error_t *error = rd_kafka_group_result_error(groups[0]);
    const rd_kafka_topic_partition_list_t *parts = rd_kafka_group_result_partitions(groups[0]);
    rd_kafka_resp_err_t code =
        error != NULL ? rd_kafka_error_code(error) : RD_KAFKA_RESP_ERR_NO_ERROR;
    for (int i = 0; parts != NULL && i < parts->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        code = parts->elems[i].err;
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fail(job, "starting offsets", rd_kafka_err2str(code));
        return;
    }
    log_info("starting offsets committed", LOG_TEXT("agent", job->agent),
             LOG_INT("partitions", job->missing->cnt));
    done(job);
}

static void read_answer(struct job *job, rd_kafka_event_t *event)
{
    rd_kafka_event_type_t type = rd_kafka_event_type(event);
    if (rd_kafka_event_error(event) && type != RD_KAFKA_EVENT_CREATETOPICS_RESULT) {
        fail(job, "topics and offsets", rd_kafka_event_error_string(event));
        return;
    }
    switch (type) {
    case RD_KAFKA_EVENT_CREATETOPICS_RESULT:
        read_created(job, event);
        break;
    case RD_KAFKA_EVENT_DESCRIBETOPICS_RESULT:
        read_partitions(job, event);
        break;
    case RD_KAFKA_EVENT_LISTCONSUMERGROUPOFFSETS_RESULT:
        read_committed(job, event);
        break;
    case RD_KAFKA_EVENT_DESCRIBECONSUMERGROUPS_RESULT:
        read_members(job, event);
        break;
    case RD_KAFKA_EVENT_LISTOFFSETS_RESULT:
        read_offsets(job, event);
        break;
    case RD_KAFKA_EVENT_ALTERCONSUMERGROUPOFFSETS_RESULT:
        read_altered(job, event);
        break;
    default:
        break;
    }
}

static void on_wake(void *context)
{
    struct provision *provision = context;
    rd_kafka_event_t *event;
    while ((event = rd_kafka_queue_poll(provision->answers.queue, 0)) != NULL) {
        struct job *job = rd_kafka_event_opaque(event);
        if (job != NULL) {
            read_answer(job, event);
        }
        rd_kafka_event_destroy(event);
    }
    rd_kafka_poll(provision->admin, 0);
}

static void begin(struct job *job)
{
    struct error error;
    struct provision *provision = job->provision;
    if (topics_create_send(provision->admin, &provision->options.topics, job->agent, TIMEOUT_MS,
                           provision->answers.queue, job, &error) != 0) {
        fail(job, "topics", error.text);
    }
}

static void on_again(evutil_socket_t fd, short events, void *context)
{
    (void)fd;
    (void)events;
    begin(context);
}

static void add_job(struct provision *provision, struct event_base *base, const char *agent)
{
    struct job *job = memory_new(1, sizeof *job);
    const char *prefix = provision->options.kafka->prefix;
    job->provision = provision;
    job->again_event = event_new(base, -1, 0, on_again, job);
    if (agent != NULL) {
        job->agent = memory_copy_text(agent);
        topic_name(prefix, agent, job->group);
        topic_name(prefix, TOPIC_EVENTS, job->events);
        topic_of_agent(prefix, "triggers", agent, job->triggers);
    }
    LIST_INSERT_HEAD(&provision->jobs, job, next);
    begin(job);
}

struct provision *provision_new(struct event_base *base, const struct provision_options *options,
                                const struct provision_callbacks *callbacks, void *context,
                                struct error *error)
{
    /* A consumer: librdkafka's ListConsumerGroupOffsets crashes in a producer (docs/decisions). */
    rd_kafka_conf_t *conf = kafka_conf_new(options->kafka, KAFKA_ROLE_READER, error);
    if (conf == NULL) {
        return NULL;
    }
    rd_kafka_t *admin = kafka_client_new(RD_KAFKA_CONSUMER, conf, "an admin client", error);
    if (admin == NULL) {
        return NULL;
    }
    struct provision *provision = memory_new(1, sizeof *provision);
    provision->options = *options;
    provision->callbacks = *callbacks;
    provision->context = context;
    provision->admin = admin;
    provision->base = base;
    loop_queue_open(&provision->answers, base, rd_kafka_queue_new(admin), TICK_MS, on_wake,
                    provision);
    LIST_INIT(&provision->jobs);
    add_job(provision, base, NULL);
    return provision;
}

void provision_free(struct provision *provision)
{
    if (provision == NULL) {
        return;
    }
    while (!LIST_EMPTY(&provision->jobs)) {
        free_job(LIST_FIRST(&provision->jobs));
    }
    loop_queue_close(&provision->answers);
    rd_kafka_destroy(provision->admin);
    free(provision);
}

void provision_agent(struct provision *provision, const char *agent)
{
    struct job *job;
    LIST_FOREACH (job, &provision->jobs, next) {
        if (job->agent != NULL && !strcmp(job->agent, agent)) {
            return;
        }
    }
    add_job(provision, provision->base, agent);
}

const char *provision_trouble(const struct provision *provision)
{
    return provision->trouble.text[0] != '\0' ? provision->trouble.text : NULL;
}
