#include "producer/publisher.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/memory.h"
#include "kafka/loop_queue.h"
#include "kafka/topics.h"

#define RECORDS_WAITING_MAX 200000
#define TICK_MS 200

struct batch;

struct item {
    struct batch *batch;
    size_t index;
};

struct batch {
    struct publisher *publisher;
    publisher_done done;
    void *context;
    size_t count, waiting;
    struct item *items;
    struct shards_delivery *deliveries;
    char reason[256]; /* empty: all is well so far */
    LIST_ENTRY(batch) next;
};

struct publisher {
    rd_kafka_t *client;
    const char *prefix;
    struct loop_queue reports;
    size_t waiting;
    LIST_HEAD(, batch) batches;
};

static void batch_free(struct batch *batch)
{
    LIST_REMOVE(batch, next);
    free(batch->items);
    free(batch->deliveries);
    free(batch);
}

static void finish(struct batch *batch)
{
    int result = batch->reason[0] == '\0' ? 0 : -EIO;
    batch->done(batch->context, result, batch->deliveries, batch->count, batch->reason);
    batch_free(batch);
}

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    struct publisher *publisher = opaque;
    struct item *item = message->_private;
    struct batch *batch = item->batch;
    (void)client;
    publisher->waiting--;
    batch->deliveries[item->index].partition = message->partition;
    batch->deliveries[item->index].offset = message->offset;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        snprintf(batch->reason, sizeof batch->reason, "%s", rd_kafka_err2str(message->err));
    }
    if (--batch->waiting == 0) {
        finish(batch);
    }
}

static void on_wake(void *context)
{
    struct publisher *publisher = context;
    rd_kafka_poll(publisher->client, 0);
}

struct publisher *publisher_new(struct event_base *base, const struct kafka_options *kafka,
                                struct error *error)
{
    rd_kafka_conf_t *conf = kafka_conf_new(kafka, KAFKA_ROLE_PROMPT, error);
    if (conf == NULL) {
        return NULL;
    }
    struct publisher *publisher = memory_new(1, sizeof *publisher);
    /* A caller waits for the answer: it must come while he still does. */
    kafka_conf_set(conf, "message.timeout.ms", "20000");
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_opaque(conf, publisher);
    publisher->client = kafka_client_new(RD_KAFKA_PRODUCER, conf, "a producer", error);
    if (publisher->client == NULL) {
        free(publisher);
        return NULL;
    }
    publisher->prefix = kafka->prefix;
    loop_queue_open(&publisher->reports, base, rd_kafka_queue_get_main(publisher->client), TICK_MS,
                    on_wake, publisher);
    return publisher;
}

void publisher_free(struct publisher *publisher)
{
    if (publisher == NULL) {
        return;
    }
    loop_queue_close(&publisher->reports);
    rd_kafka_destroy(publisher->client); /* no callback comes from here: nobody polls */
    while (!LIST_EMPTY(&publisher->batches)) {
        batch_free(LIST_FIRST(&publisher->batches));
    }
    free(publisher);
}

static rd_kafka_resp_err_t produce(struct publisher *publisher, const struct shards_record *record,
                                   struct item *item)
{
    char topic[TOPIC_NAME_BYTES_MAX];
    topic_name(publisher->prefix, record->topic, topic);
    return rd_kafka_producev(
        publisher->client, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(record->partition),
        RD_KAFKA_V_KEY(record->key, record->key_bytes),
        RD_KAFKA_V_VALUE((void *)(uintptr_t)record->value, record->value_bytes),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_OPAQUE(item), RD_KAFKA_V_END);
}

int publisher_send(struct publisher *publisher, const struct shards_record *records, size_t count,
                   publisher_done done, void *context)
{
    if (publisher->waiting + count > RECORDS_WAITING_MAX || count == 0) {
        return -ENOBUFS;
    }
    struct batch *batch = memory_new(1, sizeof *batch);
    *batch =
        (struct batch){.publisher = publisher, .done = done, .context = context, .count = count};
    batch->items = memory_new(count, sizeof *batch->items);
    batch->deliveries = memory_new(count, sizeof *batch->deliveries);
    LIST_INSERT_HEAD(&publisher->batches, batch, next);
    for (size_t i = 0; i < count; i++) {
        batch->items[i] = (struct item){batch, i};
        rd_kafka_resp_err_t code = produce(publisher, &records[i], &batch->items[i]);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            snprintf(batch->reason, sizeof batch->reason, "record %zu: %s", i,
                     rd_kafka_err2str(code));
            break;
        }
        batch->waiting++;
        publisher->waiting++;
    }
    if (batch->waiting == 0) {
        batch_free(batch);
        return -ENOBUFS;
    }
    return 0;
}
