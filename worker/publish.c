/*
 * The engine's transactions on librdkafka: two producers by the slot's ids and their thread; or,
 * at-least-once, one plain producer whose offsets are committed when everything was delivered. An
 * edge: kafka/txn.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "worker/service.h"

#define FLUSH_STEP_MS 0

static bool exactly_once(const struct service *service)
{
    return service->config->delivery == DELIVERY_EXACTLY_ONCE;
}

static void count(struct service *service, const char *outcome)
{
    metric_add(metrics_series(service->metrics, "engenho_worker_transactions_total",
                              METRIC_VALUES(service->config->agent, outcome)),
               1);
}

static const char *topic_of(const struct service *service, const struct lane *lane,
                            const struct emit *emit)
{
    const struct lane_io *io = lane != NULL ? lane->edge : NULL;
    switch (emit->topic) {
    case EMIT_LATER:
        return io->later_topic;
    case EMIT_STATE:
        return io->state_topic;
    default:
        return service->topics[emit->topic];
    }
}

/* A dead letter takes its record's headers along, and says why in ours. */
static rd_kafka_headers_t *make_headers(const struct emit *emit)
{
    rd_kafka_headers_t *original = NULL, *headers;
    char name[64];
    if (emit->headers == NULL) {
        return NULL;
    }
    if (emit->original != NULL &&
        rd_kafka_message_headers(emit->original, &original) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        headers = rd_kafka_headers_copy(original);
    } else {
        headers = rd_kafka_headers_new(EMIT_HEADERS_MAX);
    }
    for (const struct emit_header *header = emit->headers; header->name != NULL; header++) {
        int length = snprintf(name, sizeof name, "engenho-%s", header->name);
        rd_kafka_header_add(headers, name, length, header->value, (ssize_t)strlen(header->value));
    }
    return headers;
}

static int port_begin(void *context, unsigned producer)
{
    struct service *service = context;
    struct error error;
    if (!exactly_once(service)) {
        return 0;
    }
    if (txn_begin(service->txns[producer], &error) != 0) {
        log_error("transaction can't begin", LOG_TEXT("reason", error.text));
        service_start_over(service, error.text);
        return -EIO;
    }
    return 0;
}

static int produce_plain(struct service *service, unsigned producer,
                         const struct txn_record *record)
{
    rd_kafka_vu_t parts[] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = record->topic},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = record->partition},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {(void *)record->key, record->key_bytes}},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {(void *)record->value, record->value_bytes}},
        {.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = record->timestamp_ms},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = &service->outstanding[producer]},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = record->headers},
    };
    size_t parts_count = ARRAY_SIZE(parts) - (record->headers == NULL ? 1 : 0);
    rd_kafka_error_t *refused = rd_kafka_produceva(service->plain, parts, parts_count);
    if (refused == NULL) {
        service->outstanding[producer]++;
        return 0;
    }
    rd_kafka_resp_err_t code = rd_kafka_error_code(refused);
    rd_kafka_error_destroy(refused);
    return code == RD_KAFKA_RESP_ERR__QUEUE_FULL          ? -ENOBUFS
           : code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ? -EMSGSIZE
                                                          : -EIO;
}

static int port_produce(void *context, unsigned producer, const struct lane *lane,
                        const struct emit *emit)
{
    struct service *service = context;
    struct error error;
    struct txn_record record = {
        .topic = topic_of(service, lane, emit),
        .partition = emit->partition < 0 ? RD_KAFKA_PARTITION_UA : emit->partition,
        .key = emit->key,
        .key_bytes = emit->key_bytes,
        .value = emit->value,
        .value_bytes = emit->value_bytes,
        .timestamp_ms = emit->timestamp_ms,
        .headers = make_headers(emit),
    };
    int result = exactly_once(service) ? txn_produce(service->txns[producer], &record, &error)
                                       : produce_plain(service, producer, &record);
    if (result != 0 && record.headers != NULL) {
        rd_kafka_headers_destroy(record.headers);
    }
    if (result == -EIO) {
        log_error("a record can't be written", LOG_TEXT("topic", record.topic),
                  LOG_TEXT("reason", exactly_once(service) ? error.text : "refused"));
    }
    return result;
}

static void on_committed(void *context, struct txn *txn, enum txn_result result, const char *reason)
{
    struct service *service = context;
    unsigned producer = txn == service->txns[0] ? 0 : 1;
    double took_s = (double)(clock_mono_us() - service->handed_us[producer]) / 1e6;
    metric_observe(metrics_series(service->metrics, "engenho_worker_transaction_duration_seconds",
                                  METRIC_VALUES(service->config->agent)),
                   took_s);
    engine_set_time(&service->engine, clock_mono_us(), clock_unix_us());
    switch (result) {
    case TXN_DONE:
        count(service, "committed");
        engine_txn_decided(&service->engine, producer, TXN_DECIDED_DONE);
        break;
    case TXN_ABORTED:
        count(service, "aborted");
        log_warn("transaction did not happen; the same is published again",
                 LOG_TEXT("reason", reason));
        engine_txn_decided(&service->engine, producer, TXN_DECIDED_ABORTED);
        break;
    default:
        count(service, result == TXN_FENCED ? "fenced" : "failed");
        service_start_over(service, reason);
        break;
    }
    service_wake(service);
}

static void on_aborted(void *context, struct txn *txn, enum txn_result result, const char *reason)
{
    struct service *service = context;
    unsigned producer = txn == service->txns[0] ? 0 : 1;
    engine_set_time(&service->engine, clock_mono_us(), clock_unix_us());
    if (result == TXN_DONE || result == TXN_ABORTED) {
        count(service, "aborted");
        engine_txn_decided(&service->engine, producer, TXN_DECIDED_ABORTED);
    } else {
        service_start_over(service, reason);
    }
    service_wake(service);
}

static rd_kafka_topic_partition_list_t *list_offsets(const struct lane_commit *commits,
                                                     size_t commit_count)
{
    rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new((int)commit_count);
    for (size_t i = 0; i < commit_count; i++) {
        const struct lane_io *io = commits[i].lane->edge;
        rd_kafka_topic_partition_t *part =
            rd_kafka_topic_partition_list_add(offsets, io->topic, io->partition);
        part->offset = commits[i].position;
        part->metadata_size = strlen(commits[i].metadata);
        /* Freed by librdkafka with the list: plain malloc. */
        part->metadata = strdup(commits[i].metadata);
    }
    return offsets;
}

static bool port_flushed(void *context, unsigned producer)
{
    struct service *service = context;
    /* One plain producer keeps its order by itself. */
    return !exactly_once(service) || txn_flushed(service->txns[producer]);
}

static void port_commit(void *context, unsigned producer, const struct lane_commit *commits,
                        size_t commit_count)
{
    struct service *service = context;
    rd_kafka_topic_partition_list_t *offsets =
        commit_count > 0 ? list_offsets(commits, commit_count) : NULL;
    service->handed_us[producer] = clock_mono_us();
    if (exactly_once(service)) {
        rd_kafka_consumer_group_metadata_t *group =
            offsets != NULL ? rd_kafka_consumer_group_metadata(service->group_client) : NULL;
        txn_commit(service->txns[producer], offsets, group, on_committed, service);
    } else {
        struct plain_commit *plain = &service->plain_commits[producer];
        plain->offsets = offsets; /* a record may have failed already */
        plain->handed = true;
    }
}

static void port_abort(void *context, unsigned producer)
{
    struct service *service = context;
    service->handed_us[producer] = clock_mono_us();
    if (exactly_once(service)) {
        txn_abort(service->txns[producer], on_aborted, service);
    } else {
        service->plain_commits[producer] = (struct plain_commit){.handed = true, .failed = true};
    }
}

void publish_fill_port(struct engine_port *port)
{
    port->txn_begin = port_begin;
    port->txn_produce = port_produce;
    port->txn_flushed = port_flushed;
    port->txn_commit = port_commit;
    port->txn_abort = port_abort;
}

static void on_ready(void *context, struct txn *txn, enum txn_result result, const char *reason)
{
    struct service *service = context;
    (void)txn;
    if (result != TXN_DONE) {
        log_error("producer can't be made", LOG_TEXT("reason", reason));
        service_start_over(service, reason);
        return;
    }
    service->txns_ready++;
    service_wake(service);
}

static void on_delivered(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    struct service *service = opaque;
    uint64_t *outstanding = message->_private;
    (void)client;
    --*outstanding;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        service->plain_commits[outstanding == &service->outstanding[0] ? 0 : 1].failed = true;
    }
}

static void start_plain(struct service *service)
{
    struct error error;
    char text[256];
    rd_kafka_conf_t *conf = kafka_conf_new(&service->config->kafka, KAFKA_ROLE_PRODUCER, &error);
    if (conf == NULL) {
        service_start_over(service, error.text);
        return;
    }
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivered);
    rd_kafka_conf_set_opaque(conf, service);
    service->plain = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (service->plain == NULL) {
        rd_kafka_conf_destroy(conf);
        service_start_over(service, text);
        return;
    }
    service->txns_ready = 2;
    service_wake(service);
}

void publish_start(struct service *service)
{
    const struct config *config = service->config;
    topic_name(config->kafka.prefix, TOPIC_RESULTS, service->topics[EMIT_RESULTS]);
    topic_name(config->kafka.prefix, TOPIC_DEAD_LETTERS, service->topics[EMIT_DEAD_LETTERS]);
    topic_name(config->kafka.prefix, TOPIC_REQUESTS, service->topics[EMIT_REQUESTS]);
    topic_of_agent(config->kafka.prefix, "triggers", config->agent, service->topics[EMIT_TRIGGERS]);
    struct error error;
    service->txns_ready = 0;
    if (!exactly_once(service)) {
        start_plain(service);
        return;
    }
    for (unsigned producer = 0; producer < 2; producer++) {
        char id[256];
        rd_kafka_conf_t *conf =
            kafka_conf_new(&service->config->kafka, KAFKA_ROLE_TRANSACTIONAL, &error);
        snprintf(id, sizeof id, "%s%s.%" PRIu32 ".%c", service->config->kafka.prefix,
                 service->config->agent, service->slot, producer == 0 ? 'a' : 'b');
        service->txns[producer] =
            conf != NULL ? txn_new(service->txn_thread, conf, id, &error) : NULL;
        if (service->txns[producer] == NULL) {
            service_start_over(service, error.text);
            return;
        }
    }
    txn_pair(service->txns[0], service->txns[1]);
    txn_init(service->txns[0], on_ready, service);
    txn_init(service->txns[1], on_ready, service);
}

void publish_stop(struct service *service)
{
    for (unsigned producer = 0; producer < 2; producer++) {
        txn_free(service->txns[producer]);
        service->txns[producer] = NULL;
        if (service->plain_commits[producer].offsets != NULL) {
            rd_kafka_topic_partition_list_destroy(service->plain_commits[producer].offsets);
        }
        service->plain_commits[producer] = (struct plain_commit){0};
        service->outstanding[producer] = 0;
    }
    if (service->plain != NULL) {
        rd_kafka_purge(service->plain, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_poll(service->plain, FLUSH_STEP_MS);
        rd_kafka_destroy(service->plain);
        service->plain = NULL;
    }
    service->txns_ready = 0;
}

/*
 * At-least-once: what was delivered is committed; asynchronously, because a commit that is lost
 * only repeats work.
 */
static void serve_plain(struct service *service, unsigned producer)
{
    struct plain_commit *commit = &service->plain_commits[producer];
    if (!commit->handed || service->outstanding[producer] > 0) {
        return;
    }
    bool failed = commit->failed;
    if (!failed && commit->offsets != NULL) {
        failed = rd_kafka_commit(service->group_client, commit->offsets, 1) !=
                 RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    if (commit->offsets != NULL) {
        rd_kafka_topic_partition_list_destroy(commit->offsets);
    }
    *commit = (struct plain_commit){0};
    count(service, failed ? "aborted" : "committed");
    engine_txn_decided(&service->engine, producer, failed ? TXN_DECIDED_ABORTED : TXN_DECIDED_DONE);
}

void publish_turn(struct service *service)
{
    if (service->plain != NULL) {
        rd_kafka_poll(service->plain, 0);
        serve_plain(service, 0);
        if (service->plain != NULL) {
            serve_plain(service, 1);
        }
    }
}
