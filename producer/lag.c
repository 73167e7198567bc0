/*
 * A round: groups, their committed offsets, how many partitions the topics have; then, so that no
 * lag is negative, where the partitions start and end; then everything is computed and kept. An
 * answer that does not come costs the round; what was known before stays.
 */
#include "producer/lag.h"

#include <assert.h>
#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/duration.h"
#include "common/log.h"
#include "common/memory.h"
#include "kafka/loop_queue.h"
#include "kafka/topics.h"
#include "producer/lag_json.h"
#include "producer/lag_view.h"
#include "producer/lag_work.h"

#define INTERVAL_US_DEFAULT (5 * SECOND_US)
#define TRIM_INTERVAL_US_DEFAULT (60 * SECOND_US)
#define AGENTS_MAX_DEFAULT 200
#define TIMEOUT_MS 10000
#define POLL_MS 500
#define FAILURES_QUIET 6 /* rounds in a row between two lines in the log */

enum ask { ASK_END = 1, ASK_LOW = 2 }; /* the opaque of the two ListOffsets */

/* What a round asks, one after the other. */
enum step { STEP_NONE, STEP_TOPICS, STEP_GROUPS, STEP_ENDS };

struct lag {
    struct lag_view view;
    struct lag_options options;
    rd_kafka_t *admin;
    struct loop_queue answers;
    struct event *round_event;
    unsigned waiting; /* answers of this round; 0: no round */
    enum step step;   /* what the round asked last */
    bool failed;      /* the round missed an answer */
    bool trims;
    int64_t trimmed_us; /* when it was last asked for */
    int64_t began_us;
    unsigned failures_in_row;
    struct error trouble; /* the newest */
    struct metric *duration, *errors, *success;
};

static void note_failure(struct lag *lag, const char *what, const char *why)
{
    lag->failed = true;
    metric_add(lag->errors, 1);
    error_set(&lag->trouble, -EIO, "%s: %s", what, why);
}

/* Now and then an answer is missed, as after a topic was made: what lasts is worth a line. */
static void tell_failures(struct lag *lag)
{
    lag->failures_in_row = lag->failed ? lag->failures_in_row + 1 : 0;
    if (lag->failures_in_row % FAILURES_QUIET == FAILURES_QUIET - 1) {
        log_warn("lag can't be collected", LOG_TEXT("error", lag->trouble.text),
                 LOG_INT("rounds", lag->failures_in_row));
    }
}

static rd_kafka_AdminOptions_t *options_for(struct lag *lag, rd_kafka_admin_op_t operation)
{
    char text[256];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(lag->admin, operation);
    rd_kafka_AdminOptions_set_request_timeout(options, TIMEOUT_MS, text, sizeof text);
    lag->waiting++;
    return options;
}

static void ask_topics(struct lag *lag)
{
    size_t count = HASH_COUNT(lag->view.topics), i = 0;
    const char **names = memory_new(count, sizeof *names);
    struct lag_topic *topic, *next;
    HASH_ITER (hh, lag->view.topics, topic, next) {
        names[i++] = topic->name;
    }
    rd_kafka_TopicCollection_t *topics = rd_kafka_TopicCollection_of_topic_names(names, count);
    rd_kafka_AdminOptions_t *options = options_for(lag, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
    rd_kafka_DescribeTopics(lag->admin, topics, options, lag->answers.queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_TopicCollection_destroy(topics);
    free(names);
}

static void ask_groups(struct lag *lag)
{
    size_t count = HASH_COUNT(lag->view.agents), i = 0;
    const char **names = memory_new(count, sizeof *names);
    struct lag_agent *agent, *next;
    HASH_ITER (hh, lag->view.agents, agent, next) {
        names[i++] = agent->group;
    }
    rd_kafka_AdminOptions_t *options = options_for(lag, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS);
    rd_kafka_DescribeConsumerGroups(lag->admin, names, count, options, lag->answers.queue);
    rd_kafka_AdminOptions_destroy(options);
    free(names);
}

static void ask_committed(struct lag *lag)
{
    struct lag_agent *agent, *next;
    HASH_ITER (hh, lag->view.agents, agent, next) {
        rd_kafka_ListConsumerGroupOffsets_t *question =
            rd_kafka_ListConsumerGroupOffsets_new(agent->group, NULL);
        rd_kafka_AdminOptions_t *options =
            options_for(lag, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);
        rd_kafka_ListConsumerGroupOffsets(lag->admin, &question, 1, options, lag->answers.queue);
        rd_kafka_AdminOptions_destroy(options);
        rd_kafka_ListConsumerGroupOffsets_destroy(question);
    }
}

static void ask_offsets(struct lag *lag, int64_t which, enum ask ask)
{
    rd_kafka_topic_partition_list_t *parts = rd_kafka_topic_partition_list_new(64);
    struct lag_topic *topic, *next;
    HASH_ITER (hh, lag->view.topics, topic, next) {
        for (int32_t i = 0; i < topic->count; i++) {
            rd_kafka_topic_partition_list_add(parts, topic->name, i)->offset = which;
        }
    }
    if (parts->cnt > 0) {
        rd_kafka_AdminOptions_t *options = options_for(lag, RD_KAFKA_ADMIN_OP_LISTOFFSETS);
        rd_kafka_AdminOptions_set_opaque(options, (void *)ask);
        rd_kafka_error_t *error = rd_kafka_AdminOptions_set_isolation_level(
            options, RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED);
        assert(error == NULL);
        (void)error;
        rd_kafka_ListOffsets(lag->admin, parts, options, lag->answers.queue);
        rd_kafka_AdminOptions_destroy(options);
    }
    rd_kafka_topic_partition_list_destroy(parts);
}

static void read_topics(struct lag *lag, rd_kafka_event_t *event)
{
    size_t count, partitions;
    const rd_kafka_TopicDescription_t **topics =
        rd_kafka_DescribeTopics_result_topics(rd_kafka_event_DescribeTopics_result(event), &count);
    for (size_t i = 0; i < count; i++) {
        /* A topic that is not there yet has no partitions: no failure. */
        if (rd_kafka_error_code(rd_kafka_TopicDescription_error(topics[i])) ==
            RD_KAFKA_RESP_ERR_NO_ERROR) {
            rd_kafka_TopicDescription_partitions(topics[i], &partitions);
            lag_view_topic_size(&lag->view, rd_kafka_TopicDescription_name(topics[i]),
                                (int32_t)partitions);
        }
    }
}

static void read_group(struct lag *lag, const rd_kafka_ConsumerGroupDescription_t *group)
{
    struct lag_agent *agent =
        lag_view_agent_of_group(&lag->view, rd_kafka_ConsumerGroupDescription_group_id(group));
    const rd_kafka_error_t *error = rd_kafka_ConsumerGroupDescription_error(group);
    rd_kafka_resp_err_t code =
        error != NULL ? rd_kafka_error_code(error) : RD_KAFKA_RESP_ERR_NO_ERROR;
    if (agent == NULL) {
        return;
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND) {
        note_failure(lag, agent->group, rd_kafka_error_string(error));
        return;
    }
    bool there = code == RD_KAFKA_RESP_ERR_NO_ERROR;
    size_t members = there ? rd_kafka_ConsumerGroupDescription_member_count(group) : 0;
    lag_view_group(agent, there ? rd_kafka_ConsumerGroupDescription_state(group)
                                : RD_KAFKA_CONSUMER_GROUP_STATE_DEAD);
    for (size_t i = 0; i < members; i++) {
        const rd_kafka_MemberDescription_t *member =
            rd_kafka_ConsumerGroupDescription_member(group, i);
        const rd_kafka_topic_partition_list_t *parts =
            rd_kafka_MemberAssignment_partitions(rd_kafka_MemberDescription_assignment(member));
        lag_view_member(&lag->view, agent, rd_kafka_MemberDescription_client_id(member), parts);
    }
}

static void read_groups(struct lag *lag, rd_kafka_event_t *event)
{
    size_t count;
    const rd_kafka_ConsumerGroupDescription_t **groups =
        rd_kafka_DescribeConsumerGroups_result_groups(
            rd_kafka_event_DescribeConsumerGroups_result(event), &count);
    for (size_t i = 0; i < count; i++) {
        read_group(lag, groups[i]);
    }
}

static void read_committed(struct lag *lag, rd_kafka_event_t *event)
{
    size_t count;
    const rd_kafka_group_result_t **groups = rd_kafka_ListConsumerGroupOffsets_result_groups(
        rd_kafka_event_ListConsumerGroupOffsets_result(event), &count);
    assert(count == 1);
    struct lag_agent *agent =
        lag_view_agent_of_group(&lag->view, rd_kafka_group_result_name(groups[0]));
    const rd_kafka_error_t *error = rd_kafka_group_result_error(groups[0]);
    if (error != NULL) {
        note_failure(lag, rd_kafka_group_result_name(groups[0]), rd_kafka_error_string(error));
        return;
    }
    const rd_kafka_topic_partition_list_t *parts = rd_kafka_group_result_partitions(groups[0]);
    for (int i = 0; agent != NULL && i < parts->cnt; i++) {
        const rd_kafka_topic_partition_t *part = &parts->elems[i];
        if (part->err == RD_KAFKA_RESP_ERR_NO_ERROR && part->offset >= 0) {
            lag_view_committed(&lag->view, agent, part,
                               lag_work_done(part->metadata, part->metadata_size));
        }
    }
}

static void read_offsets(struct lag *lag, rd_kafka_event_t *event)
{
    size_t count;
    int64_t now_us = clock_mono_us();
    enum ask ask = (enum ask)(intptr_t)rd_kafka_event_opaque(event);
    const rd_kafka_ListOffsetsResultInfo_t **infos =
        rd_kafka_ListOffsets_result_infos(rd_kafka_event_ListOffsets_result(event), &count);
    for (size_t i = 0; i < count; i++) {
        const rd_kafka_topic_partition_t *part =
            rd_kafka_ListOffsetsResultInfo_topic_partition(infos[i]);
        if (part->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            note_failure(lag, part->topic, rd_kafka_err2str(part->err));
        } else if (ask == ASK_END) {
            lag_view_end(&lag->view, part->topic, part->partition, part->offset, now_us);
        } else {
            lag_view_low(&lag->view, part->topic, part->partition, part->offset);
        }
    }
}

/* Ask for the removal of what is done; the answer is no part of a round. */
static void trim(struct lag *lag)
{
    if (!lag->trims || clock_mono_us() - lag->trimmed_us < lag->options.trim_interval_us) {
        return;
    }
    lag->trimmed_us = clock_mono_us();
    rd_kafka_topic_partition_list_t *parts = lag_view_done(&lag->view);
    if (parts->cnt > 0) {
        char text[256];
        rd_kafka_DeleteRecords_t *order = rd_kafka_DeleteRecords_new(parts);
        rd_kafka_AdminOptions_t *options =
            rd_kafka_AdminOptions_new(lag->admin, RD_KAFKA_ADMIN_OP_DELETERECORDS);
        rd_kafka_AdminOptions_set_request_timeout(options, TIMEOUT_MS, text, sizeof text);
        rd_kafka_DeleteRecords(lag->admin, &order, 1, options, lag->answers.queue);
        rd_kafka_AdminOptions_destroy(options);
        rd_kafka_DeleteRecords_destroy(order);
    }
    rd_kafka_topic_partition_list_destroy(parts);
}

static void read_trimmed(struct lag *lag, rd_kafka_event_t *event)
{
    const rd_kafka_topic_partition_list_t *parts =
        rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event));
    for (int i = 0; i < parts->cnt; i++) {
        const rd_kafka_topic_partition_t *part = &parts->elems[i];
        if (part->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            log_warn("records that are done can't be removed", LOG_TEXT("topic", part->topic),
                     LOG_INT("partition", part->partition),
                     LOG_TEXT("error", rd_kafka_err2str(part->err)));
            continue;
        }
        int64_t before = lag_view_low_of(&lag->view, part->topic, part->partition);
        if (before >= 0 && part->offset > before) {
            metric_add(metrics_series(lag->options.metrics, "engenho_kafka_trimmed_records_total",
                                      METRIC_VALUES(part->topic)),
                       (double)(part->offset - before));
            lag_view_low(&lag->view, part->topic, part->partition, part->offset);
        }
    }
}

static void finish_round(struct lag *lag)
{
    int64_t now_us = clock_unix_us();
    tell_failures(lag);
    metric_set(lag->duration, (double)(clock_mono_us() - lag->began_us) / SECOND_US);
    if (!lag->failed) {
        lag_view_compute(&lag->view, clock_mono_us(), now_us);
        lag_view_show(&lag->view, lag->options.metrics);
        trim(lag);
        metric_set(lag->success, (double)now_us / SECOND_US);
    }
    int64_t wait_us = lag->options.interval_us;
    event_add(lag->round_event,
              &(struct timeval){.tv_sec = wait_us / SECOND_US, .tv_usec = wait_us % SECOND_US});
}

static void read_answer(struct lag *lag, rd_kafka_event_t *event)
{
    if (rd_kafka_event_error(event)) {
        note_failure(lag, rd_kafka_event_name(event), rd_kafka_event_error_string(event));
        return;
    }
    switch (rd_kafka_event_type(event)) {
    case RD_KAFKA_EVENT_DESCRIBETOPICS_RESULT:
        read_topics(lag, event);
        break;
    case RD_KAFKA_EVENT_DESCRIBECONSUMERGROUPS_RESULT:
        read_groups(lag, event);
        break;
    case RD_KAFKA_EVENT_LISTCONSUMERGROUPOFFSETS_RESULT:
        read_committed(lag, event);
        break;
    case RD_KAFKA_EVENT_LISTOFFSETS_RESULT:
        read_offsets(lag, event);
        break;
    case RD_KAFKA_EVENT_DELETERECORDS_RESULT:
        read_trimmed(lag, event);
        break;
    default:
        break;
    }
}

static bool is_answer(rd_kafka_event_t *event)
{
    rd_kafka_event_type_t type = rd_kafka_event_type(event);
    return type == RD_KAFKA_EVENT_DESCRIBETOPICS_RESULT ||
           type == RD_KAFKA_EVENT_DESCRIBECONSUMERGROUPS_RESULT ||
           type == RD_KAFKA_EVENT_LISTCONSUMERGROUPOFFSETS_RESULT ||
           type == RD_KAFKA_EVENT_LISTOFFSETS_RESULT;
}

/*
 * What a coordinator must answer is asked only when a broker has just answered: librdkafka's
 * requests to coordinators may abort the process when they time out
 * (docs/decisions/admin-client-is-a-consumer.md). Ends are asked after the commits, so that no
 * commit lies beyond them.
 */
static void ask_next(struct lag *lag)
{
    switch (++lag->step) {
    case STEP_TOPICS:
        ask_topics(lag);
        break;
    case STEP_GROUPS:
        ask_committed(lag);
        ask_groups(lag);
        break;
    case STEP_ENDS:
        ask_offsets(lag, RD_KAFKA_OFFSET_SPEC_LATEST, ASK_END);
        ask_offsets(lag, RD_KAFKA_OFFSET_SPEC_EARLIEST, ASK_LOW);
        break;
    default:
        break; /* that was all */
    }
}

static void on_wake(void *context)
{
    struct lag *lag = context;
    rd_kafka_event_t *event;
    while ((event = rd_kafka_queue_poll(lag->answers.queue, 0)) != NULL) {
        bool counts = is_answer(event);
        read_answer(lag, event);
        rd_kafka_event_destroy(event);
        if (!counts || --lag->waiting > 0) {
            continue;
        }
        if (!lag->failed) {
            ask_next(lag);
        }
        if (lag->waiting == 0) {
            finish_round(lag);
        }
    }
    rd_kafka_poll(lag->admin, 0);
}

static void on_round(evutil_socket_t fd, short events, void *context)
{
    struct lag *lag = context;
    (void)fd;
    (void)events;
    lag->began_us = clock_mono_us();
    lag->failed = false;
    lag->step = STEP_NONE;
    if (HASH_COUNT(lag->view.agents) == 0) {
        finish_round(lag);
        return;
    }
    lag_view_begin(&lag->view);
    ask_next(lag);
}

struct lag *lag_new(struct event_base *base, const struct lag_options *options, struct error *error)
{
    /* A consumer: librdkafka's ListConsumerGroupOffsets crashes in a producer (docs/decisions). */
    rd_kafka_conf_t *conf = kafka_conf_new(options->kafka, KAFKA_ROLE_READER, error);
    if (conf == NULL) {
        return NULL;
    }
    rd_kafka_t *admin =
        kafka_client_new(RD_KAFKA_CONSUMER, conf, "the lag collector's client", error);
    if (admin == NULL) {
        return NULL;
    }
    struct lag *lag = memory_new(1, sizeof *lag);
    lag->options = *options;
    lag->options.trim_interval_us =
        options->trim_interval_us != 0 ? options->trim_interval_us : TRIM_INTERVAL_US_DEFAULT;
    lag->options.interval_us =
        options->interval_us != 0 ? options->interval_us : INTERVAL_US_DEFAULT;
    lag->options.agents_max = options->agents_max != 0 ? options->agents_max : AGENTS_MAX_DEFAULT;
    lag->view.prefix = options->kafka->prefix;
    lag->admin = admin;
    loop_queue_open(&lag->answers, base, rd_kafka_queue_new(admin), POLL_MS, on_wake, lag);
    lag->round_event = event_new(base, -1, 0, on_round, lag);
    event_add(lag->round_event, &(struct timeval){.tv_usec = 100000});
    lag->duration =
        metrics_series(options->metrics, "engenho_kafka_lag_collector_duration_seconds", NULL);
    lag->errors =
        metrics_series(options->metrics, "engenho_kafka_lag_collector_errors_total", NULL);
    lag->success = metrics_series(
        options->metrics, "engenho_kafka_lag_collector_last_success_timestamp_seconds", NULL);
    return lag;
}

void lag_free(struct lag *lag)
{
    if (lag == NULL) {
        return;
    }
    event_free(lag->round_event);
    loop_queue_close(&lag->answers);
    rd_kafka_destroy(lag->admin);
    lag_view_release(&lag->view);
    free(lag);
}

void lag_trim(struct lag *lag, bool trims)
{
    lag->trims = trims;
}

void lag_agent_added(struct lag *lag, const char *agent)
{
    if (HASH_COUNT(lag->view.agents) >= (unsigned)lag->options.agents_max) {
        log_warn("too many agents for the lag collector: this one is left out",
                 LOG_TEXT("agent", agent), LOG_INT("agents_max", lag->options.agents_max));
        return;
    }
    lag_view_agent_added(&lag->view, agent);
}

void lag_agent_removed(struct lag *lag, const char *agent)
{
    lag_view_agent_removed(&lag->view, agent, lag->options.metrics);
}

json_t *lag_json(const struct lag *lag, const char *agent)
{
    return lag_view_json(&lag->view, agent);
}
