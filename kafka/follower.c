#include "kafka/follower.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/clock.h"
#include "common/memory.h"
#include "kafka/loop_queue.h"

#define TURN_US 10000 /* of callbacks in a row */
#define TICK_MS 500   /* a look without a wake-up: librdkafka's own callbacks need to be served */
#define TROUBLE_EVERY_US (10 * SECOND_US)

struct part {
    char *topic;
    int32_t partition;
    bool caught_up;
    LIST_ENTRY(part) next;
};

struct follower {
    rd_kafka_t *client;
    struct loop_queue messages;
    struct follower_callbacks callbacks;
    void *context;
    LIST_HEAD(, part) parts;
    rd_kafka_resp_err_t last_trouble;
    int64_t last_trouble_us;
};

static struct part *find_part(struct follower *follower, const char *topic, int32_t partition)
{
    struct part *part;
    LIST_FOREACH (part, &follower->parts, next) {
        if (part->partition == partition && !strcmp(part->topic, topic)) {
            return part;
        }
    }
    return NULL;
}

static void tell_trouble(struct follower *follower, const rd_kafka_message_t *message)
{
    int64_t now_us = clock_mono_us();
    if (follower->callbacks.trouble == NULL ||
        (message->err == follower->last_trouble &&
         now_us - follower->last_trouble_us < TROUBLE_EVERY_US)) {
        return;
    }
    follower->last_trouble = message->err;
    follower->last_trouble_us = now_us;
    follower->callbacks.trouble(follower->context, rd_kafka_message_errstr(message));
}

static void handle(struct follower *follower, const rd_kafka_message_t *message)
{
    struct part *part = NULL;
    if (message->rkt != NULL) {
        part = find_part(follower, rd_kafka_topic_name(message->rkt), message->partition);
    }
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (part != NULL) {
            follower->callbacks.record(follower->context, message);
        }
    } else if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        if (part != NULL && !part->caught_up) {
            part->caught_up = true;
            follower->callbacks.caught_up(follower->context, part->topic, part->partition);
        }
    } else {
        tell_trouble(follower, message);
    }
}

static void on_wake(void *context)
{
    struct follower *follower = context;
    int64_t until_us = clock_mono_us() + TURN_US;
    rd_kafka_message_t *message;
    while ((message = rd_kafka_consumer_poll(follower->client, 0)) != NULL) {
        handle(follower, message);
        rd_kafka_message_destroy(message);
        if (clock_mono_us() > until_us) {
            /* The wake-up comes only when the queue was empty: ask for the next turn ourselves. */
            loop_queue_again(&follower->messages);
            return;
        }
    }
}

struct follower *follower_new(struct event_base *base, const struct kafka_options *options,
                              const struct follower_callbacks *callbacks, void *context,
                              struct error *error)
{
    rd_kafka_conf_t *conf = kafka_conf_new(options, KAFKA_ROLE_READER, error);
    if (conf == NULL) {
        return NULL;
    }
    rd_kafka_t *client = kafka_client_new(RD_KAFKA_CONSUMER, conf, "a reader", error);
    if (client == NULL) {
        return NULL;
    }
    struct follower *follower = memory_new(1, sizeof *follower);
    follower->client = client;
    follower->callbacks = *callbacks;
    follower->context = context;
    LIST_INIT(&follower->parts);
    rd_kafka_poll_set_consumer(client);
    loop_queue_open(&follower->messages, base, rd_kafka_queue_get_consumer(client), TICK_MS,
                    on_wake, follower);
    return follower;
}

static void free_part(struct part *part)
{
    LIST_REMOVE(part, next);
    free(part->topic);
    free(part);
}

void follower_free(struct follower *follower)
{
    if (follower == NULL) {
        return;
    }
    loop_queue_close(&follower->messages);
    while (!LIST_EMPTY(&follower->parts)) {
        free_part(LIST_FIRST(&follower->parts));
    }
    rd_kafka_consumer_close(follower->client);
    rd_kafka_destroy(follower->client);
    free(follower);
}

int follower_add(struct follower *follower, const char *topic, int32_t partition, int64_t offset,
                 struct error *error)
{
    assert(find_part(follower, topic, partition) == NULL);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = offset;
    rd_kafka_error_t *refused = rd_kafka_incremental_assign(follower->client, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (refused != NULL) {
        error_set(error, -EIO, "can't read partition %d of %s: %s", partition, topic,
                  rd_kafka_error_string(refused));
        rd_kafka_error_destroy(refused);
        return -EIO;
    }
    struct part *part = memory_new(1, sizeof *part);
    part->topic = memory_copy_text(topic);
    part->partition = partition;
    LIST_INSERT_HEAD(&follower->parts, part, next);
    return 0;
}

bool follower_has_broker(const struct follower *follower)
{
    return rd_kafka_controllerid(follower->client, 0) >= 0;
}

void follower_remove(struct follower *follower, const char *topic, int32_t partition)
{
    struct part *part = find_part(follower, topic, partition);
    if (part == NULL) {
        return;
    }
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition);
    rd_kafka_error_t *refused = rd_kafka_incremental_unassign(follower->client, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (refused != NULL) {
        rd_kafka_error_destroy(refused);
    }
    free_part(part);
}
