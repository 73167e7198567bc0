/*
 * A cooperative revoke is answered only when every shard of it has been given up, so that a
 * transaction that is open can be finished: librdkafka waits for the unassign call, and the other
 * member for us.
 */
#include "producer/shards_group.h"

#include <assert.h>
#include <librdkafka/rdkafka.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "kafka/loop_queue.h"
#include "kafka/topics.h"
#include "producer/shards.h"

#define TICK_MS 500
#define REJOIN_MS 1000
#define TROUBLE_EVERY_US (10 * SECOND_US)

struct shards_group {
    rd_kafka_t *client;
    struct loop_queue messages;
    struct event *rejoin_event;
    char topic[TOPIC_NAME_BYTES_MAX];
    int count;
    struct shards_group_callbacks callbacks;
    void *context;
    bool ours[SHARDS_MAX];
    rd_kafka_topic_partition_list_t
        *revoked;             /* asked back and not answered yet; NULL: nothing is */
    bool leaving[SHARDS_MAX]; /* of `revoked`: not finished yet */
    bool stopping, rejoining;
    int64_t last_trouble_us;
};

static void warn_of(const char *what, rd_kafka_error_t *refused)
{
    if (refused != NULL) {
        log_warn(what, LOG_TEXT("error", rd_kafka_error_string(refused)));
        rd_kafka_error_destroy(refused);
    }
}

static void join(struct shards_group *group)
{
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, group->topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t code = rd_kafka_subscribe(group->client, topics);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        log_warn("the shards' group can't be joined", LOG_TEXT("error", rd_kafka_err2str(code)));
    }
    rd_kafka_topic_partition_list_destroy(topics);
}

static bool is_shard(const struct shards_group *group, int partition)
{
    return partition >= 0 && partition < group->count;
}

static void on_assign(struct shards_group *group, rd_kafka_topic_partition_list_t *parts)
{
    /* Its records are the follower's business: nothing is fetched here. */
    for (int i = 0; i < parts->cnt; i++) {
        parts->elems[i].offset = RD_KAFKA_OFFSET_END;
    }
    warn_of("the assignment of shards failed", rd_kafka_incremental_assign(group->client, parts));
    rd_kafka_pause_partitions(group->client, parts);
    for (int i = 0; i < parts->cnt; i++) {
        int shard = parts->elems[i].partition;
        if (!is_shard(group, shard)) {
            log_error(
                "control has more partitions than this producer was told: give --shards their number",
                LOG_INT("partition", shard), LOG_INT("shards", group->count));
        } else if (!group->ours[shard]) {
            group->ours[shard] = true;
            group->callbacks.given(group->context, shard);
        }
    }
}

static void answer_revoke(struct shards_group *group)
{
    for (int i = 0; i < group->count; i++) {
        if (group->leaving[i]) {
            return;
        }
    }
    rd_kafka_topic_partition_list_t *revoked = group->revoked;
    group->revoked = NULL;
    warn_of("giving shards back failed", rd_kafka_incremental_unassign(group->client, revoked));
    rd_kafka_topic_partition_list_destroy(revoked);
}

static void lose(struct shards_group *group, int shard)
{
    group->leaving[shard] = false;
    if (group->ours[shard]) {
        group->ours[shard] = false;
        group->callbacks.lost(group->context, shard);
    }
}

static void on_revoke(struct shards_group *group, rd_kafka_topic_partition_list_t *parts)
{
    bool lost = group->stopping || rd_kafka_assignment_lost(group->client);
    if (group->revoked != NULL) {
        /* What was asked back before is gone with this. */
        lost = true;
        rd_kafka_topic_partition_list_destroy(group->revoked);
        for (int i = 0; i < group->count; i++) {
            if (group->leaving[i]) {
                lose(group, i);
            }
        }
    }
    group->revoked = rd_kafka_topic_partition_list_copy(parts);
    for (int i = 0; i < parts->cnt; i++) {
        int shard = parts->elems[i].partition;
        if (is_shard(group, shard) && group->ours[shard] && !lost) {
            group->leaving[shard] = true;
        } else if (is_shard(group, shard)) {
            lose(group, shard);
        }
    }
    for (int i = 0; i < group->count; i++) {
        if (group->leaving[i]) {
            group->callbacks.asked_back(group->context, i);
        }
    }
    if (group->revoked != NULL) {
        answer_revoke(group);
    }
}

static void on_rebalance(rd_kafka_t *client, rd_kafka_resp_err_t code,
                         rd_kafka_topic_partition_list_t *parts, void *opaque)
{
    (void)client;
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        on_assign(opaque, parts);
    } else {
        on_revoke(opaque, parts);
    }
}

static void on_wake(void *context)
{
    struct shards_group *group = context;
    rd_kafka_message_t *message;
    while ((message = rd_kafka_consumer_poll(group->client, 0)) != NULL) {
        int64_t now_us = clock_mono_us();
        if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR &&
            message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF &&
            now_us - group->last_trouble_us > TROUBLE_EVERY_US) {
            group->last_trouble_us = now_us;
            log_warn("trouble in the shards' group",
                     LOG_TEXT("error", rd_kafka_message_errstr(message)));
        }
        rd_kafka_message_destroy(message);
    }
}

static void on_rejoin(evutil_socket_t fd, short events, void *context)
{
    struct shards_group *group = context;
    (void)fd;
    (void)events;
    group->rejoining = false;
    join(group);
}

struct shards_group *shards_group_new(struct event_base *base, const struct kafka_options *options,
                                      int count, const struct shards_group_callbacks *callbacks,
                                      void *context, struct error *error)
{
    char name[TOPIC_NAME_BYTES_MAX];
    rd_kafka_conf_t *conf = kafka_conf_new(options, KAFKA_ROLE_GROUP, error);
    if (conf == NULL) {
        return NULL;
    }
    struct shards_group *group = memory_new(1, sizeof *group);
    /* An agent's name has no dot: no agent's group can be called so. */
    kafka_conf_set(conf, "group.id", topic_name(options->prefix, "producer.shards", name));
    kafka_conf_set(conf, "session.timeout.ms", "10000");
    kafka_conf_set(conf, "heartbeat.interval.ms", "500");
    kafka_conf_set(conf, "enable.partition.eof", "false");
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    rd_kafka_conf_set_opaque(conf, group);
    group->client = kafka_client_new(RD_KAFKA_CONSUMER, conf, "the shards' consumer", error);
    if (group->client == NULL) {
        free(group);
        return NULL;
    }
    assert(count <= SHARDS_MAX);
    group->count = count;
    group->callbacks = *callbacks;
    group->context = context;
    topic_name(options->prefix, TOPIC_CONTROL, group->topic);
    rd_kafka_poll_set_consumer(group->client);
    loop_queue_open(&group->messages, base, rd_kafka_queue_get_consumer(group->client), TICK_MS,
                    on_wake, group);
    group->rejoin_event = event_new(base, -1, 0, on_rejoin, group);
    join(group);
    return group;
}

void shards_group_free(struct shards_group *group)
{
    if (group == NULL) {
        return;
    }
    group->stopping = true;
    event_free(group->rejoin_event);
    loop_queue_close(&group->messages);
    if (group->revoked != NULL) {
        memset(group->leaving, 0, sizeof group->leaving);
        answer_revoke(group);
    }
    rd_kafka_consumer_close(group->client);
    rd_kafka_destroy(group->client);
    for (int i = 0; i < group->count; i++) {
        lose(group, i);
    }
    free(group);
}

void shards_group_left(struct shards_group *group, int shard)
{
    if (!group->leaving[shard]) {
        return;
    }
    group->leaving[shard] = false;
    group->ours[shard] = false;
    if (group->revoked != NULL && !group->stopping) {
        answer_revoke(group);
    }
}

void shards_group_rejoin(struct shards_group *group)
{
    if (group->rejoining || group->stopping) {
        return;
    }
    group->rejoining = true;
    rd_kafka_resp_err_t code = rd_kafka_unsubscribe(group->client);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        log_warn("the shards' group can't be left", LOG_TEXT("error", rd_kafka_err2str(code)));
    }
    event_add(group->rejoin_event,
              &(struct timeval){.tv_sec = REJOIN_MS / 1000, .tv_usec = REJOIN_MS % 1000 * 1000});
}
