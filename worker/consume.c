/*
 * The agent's group, and the second consumer without one that reads `later`: assignments and
 * revokes, and popping each partition's own queue by choice (PITFALLS, librdkafka). An edge:
 * librdkafka.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "worker/decode_json.h"
#include "worker/service.h"

#define HEADERS_MAX 64 /* of an event that are looked at */
#define DOWN_TOLD_US (10 * SECOND_US)
#define ROUNDS_MAX 8 /* of POP_MAX records of a lane before others have their turn */

static void count_rebalance(struct service *service, const char *kind)
{
    metric_add(metrics_series(service->metrics, "engenho_kafka_rebalances_total",
                              METRIC_VALUES(service->config->agent, kind, "cooperative")),
               1);
}

struct lane_io *consume_find(struct service *service, const char *topic, int32_t partition)
{
    struct lane_io *io;
    LIST_FOREACH (io, &service->lanes, next) {
        if (io->partition == partition && !strcmp(io->topic, topic)) {
            return io;
        }
    }
    return NULL;
}

void inlet_open(struct inlet *inlet, struct service *service, rd_kafka_t *client, const char *topic,
                int32_t partition)
{
    uint64_t one = 1;
    inlet->queue = rd_kafka_queue_get_partition(client, topic, partition);
    assert(inlet->queue != NULL);
    rd_kafka_queue_forward(inlet->queue, NULL);
    rd_kafka_queue_io_event_enable(inlet->queue, service->wake_fd, &one, sizeof one);
    inlet->may_have = true;
}

static void inlet_clear(struct inlet *inlet)
{
    while (inlet->next < inlet->count) {
        rd_kafka_message_destroy(inlet->messages[inlet->next++]);
    }
    inlet->next = inlet->count = 0;
}

void inlet_close(struct inlet *inlet)
{
    inlet_clear(inlet);
    if (inlet->queue != NULL) {
        rd_kafka_queue_io_event_enable(inlet->queue, -1, NULL, 0);
        rd_kafka_queue_destroy(inlet->queue);
        inlet->queue = NULL;
    }
}

static rd_kafka_topic_partition_list_t *one_partition(const char *topic, int32_t partition,
                                                      int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = offset;
    return list;
}

/* Takes `error`. */
static int explain(rd_kafka_error_t *error, const char *what)
{
    if (error == NULL) {
        return 0;
    }
    log_error(what, LOG_TEXT("reason", rd_kafka_error_string(error)));
    rd_kafka_error_destroy(error);
    return -EIO;
}

int consume_read_later(struct lane_io *io)
{
    struct service *service = io->service;
    rd_kafka_topic_partition_list_t *list =
        one_partition(io->later_topic, io->partition, io->lane->later.base);
    inlet_open(&io->later, service, service->later_client, io->later_topic, io->partition);
    int result =
        explain(rd_kafka_incremental_assign(service->later_client, list), "later can't be read");
    rd_kafka_topic_partition_list_destroy(list);
    return result;
}

static void stop_later(struct lane_io *io)
{
    if (io->later.queue == NULL) {
        return;
    }
    rd_kafka_topic_partition_list_t *list =
        one_partition(io->later_topic, io->partition, RD_KAFKA_OFFSET_INVALID);
    inlet_close(&io->later);
    explain(rd_kafka_incremental_unassign(io->service->later_client, list), "later can't be left");
    rd_kafka_topic_partition_list_destroy(list);
}

static void port_rewind(void *context, struct lane *lane)
{
    struct lane_io *io = lane->edge;
    (void)context;
    if (io->later.queue != NULL) {
        stop_later(io);
        int result = consume_read_later(io);
        (void)result; /* logged; the next rewind tries again */
    }
}

void consume_drop_lane(struct service *service, struct lane_io *io)
{
    stop_later(io);
    inlet_close(&io->input);
    if (io->following_state) {
        follower_remove(service->follower, io->state_topic, io->partition);
    }
    if (io->lane != NULL) {
        engine_drop_lane(&service->engine, io->lane);
    }
    LIST_REMOVE(io, next);
    free(io->metadata);
    free(io);
}

static void add_lane(struct service *service, const rd_kafka_topic_partition_t *part)
{
    const char *prefix = service->config->kafka.prefix, *agent = service->config->agent;
    const char *name = topic_without_prefix(prefix, part->topic);
    bool triggers = name != NULL && !strncmp(name, "triggers.", 9);
    struct lane_io *io = memory_new(1, sizeof *io);
    io->service = service;
    io->partition = part->partition;
    io->committed = io->earliest = io->end = -1;
    io->assigned_us = io->fetched_us = clock_mono_us();
    snprintf(io->topic, sizeof io->topic, "%s", part->topic);
    topic_of_lane(prefix, "later", agent, triggers ? "triggers" : "events", io->later_topic);
    topic_of_lane(prefix, "state", agent, triggers ? "triggers" : "events", io->state_topic);
    io->lane =
        engine_add_lane(&service->engine, name ? name : part->topic, triggers, part->partition);
    io->lane->edge = io;
    LIST_INSERT_HEAD(&service->lanes, io, next);
}

void consume_assign_input(struct service *service, struct lane_io **ios, size_t count)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++) {
        struct lane_io *io = ios[i];
        int64_t start = io->lane->input.base;
        inlet_open(&io->input, service, service->group_client, io->topic, io->partition);
        rd_kafka_topic_partition_list_add(list, io->topic, io->partition)->offset = start;
    }
    explain(rd_kafka_incremental_assign(service->group_client, list),
            "partitions can't be assigned");
    rd_kafka_topic_partition_list_destroy(list);
}

static void on_assign(struct service *service, const rd_kafka_topic_partition_list_t *parts)
{
    count_rebalance(service, "assign");
    log_info("partitions assigned", LOG_INT("count", parts->cnt));
    for (int i = 0; i < parts->cnt; i++) {
        if (consume_find(service, parts->elems[i].topic, parts->elems[i].partition) == NULL) {
            add_lane(service, &parts->elems[i]);
        }
    }
    if (parts->cnt == 0) {
        rd_kafka_topic_partition_list_t *none = rd_kafka_topic_partition_list_new(0);
        explain(rd_kafka_incremental_assign(service->group_client, none),
                "nothing can't be assigned");
        rd_kafka_topic_partition_list_destroy(none);
    }
    takeover_tick(service->takeover);
}

static void on_lost(struct service *service, const rd_kafka_topic_partition_list_t *parts)
{
    count_rebalance(service, "lost");
    /* Nothing can be committed any more: librdkafka is answered at once, our memory goes on the
     * next turn. */
    explain(rd_kafka_incremental_unassign(service->group_client, parts),
            "lost partitions can't be left");
    service_start_over(service, "the group gave our partitions to others");
}

static void on_revoke(struct service *service, const rd_kafka_topic_partition_list_t *parts)
{
    count_rebalance(service, "revoke");
    log_info("partitions revoked", LOG_INT("count", parts->cnt));
    engine_set_time(&service->engine, clock_mono_us(), clock_unix_us());
    service->revoke_until_us = clock_mono_us() + service->config->revoke_us;
    for (int i = 0; i < parts->cnt; i++) {
        struct lane_io *io =
            consume_find(service, parts->elems[i].topic, parts->elems[i].partition);
        if (io != NULL) {
            io->revoked = true;
            engine_close_lane(&service->engine, io->lane);
        }
    }
    if (parts->cnt == 0) {
        rd_kafka_topic_partition_list_t *none = rd_kafka_topic_partition_list_new(0);
        explain(rd_kafka_incremental_unassign(service->group_client, none),
                "nothing can't be revoked");
        rd_kafka_topic_partition_list_destroy(none);
    }
    service_wake(service);
}

void consume_check_revoked(struct service *service)
{
    struct lane_io *io, *following;
    size_t revoked = 0;
    bool late = clock_mono_us() >= service->revoke_until_us;
    LIST_FOREACH (io, &service->lanes, next) {
        if (!io->revoked) {
            continue;
        }
        revoked++;
        if (io->lane->state != LANE_CLOSED) {
            if (late && io->lane->running > 0) {
                log_warn(
                    "scripts of a revoked partition did not end in time; they run again elsewhere",
                    LOG_TEXT("topic", io->topic), LOG_INT("partition", io->partition),
                    LOG_INT("running", io->lane->running));
                engine_cut_lane(&service->engine, io->lane);
            }
            return;
        }
    }
    if (revoked == 0 || !engine_txn_idle(&service->engine)) {
        return;
    }
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)revoked);
    for (io = LIST_FIRST(&service->lanes); io != NULL; io = following) {
        following = LIST_NEXT(io, next);
        if (io->revoked) {
            if (io->input.queue != NULL) {
                rd_kafka_topic_partition_list_add(list, io->topic, io->partition);
            }
            consume_drop_lane(service, io);
        }
    }
    explain(rd_kafka_incremental_unassign(service->group_client, list),
            "partitions can't be given back");
    rd_kafka_topic_partition_list_destroy(list);
}

static void on_rebalance(rd_kafka_t *client, rd_kafka_resp_err_t code,
                         rd_kafka_topic_partition_list_t *parts, void *opaque)
{
    struct service *service = opaque;
    if (service->closing_group) {
        /* Leaving: everything was finished and committed, or is given up. */
        rd_kafka_error_t *error = code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS
                                      ? rd_kafka_incremental_assign(client, parts)
                                      : rd_kafka_incremental_unassign(client, parts);
        if (error != NULL) {
            rd_kafka_error_destroy(error);
        }
    } else if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        on_assign(service, parts);
    } else if (rd_kafka_assignment_lost(client)) {
        on_lost(service, parts);
    } else {
        on_revoke(service, parts);
    }
}

static void on_error(rd_kafka_t *client, int code, const char *reason, void *opaque)
{
    struct service *service = opaque;
    char text[256];
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        rd_kafka_fatal_error(client, text, sizeof text);
        service->fatal = true;
        snprintf(service->fatal_reason, sizeof service->fatal_reason, "%s", text);
        log_error("kafka client can't go on", LOG_TEXT("reason", text));
    } else if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN &&
               clock_mono_us() - service->down_told_us > DOWN_TOLD_US) {
        service->down_told_us = clock_mono_us();
        log_warn("no broker answers; trying on", LOG_TEXT("reason", reason));
    }
}

static rd_kafka_t *new_consumer(struct service *service, rd_kafka_conf_t *conf, struct error *error)
{
    rd_kafka_conf_set_opaque(conf, service);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_t *client = kafka_client_new(RD_KAFKA_CONSUMER, conf, "a consumer", error);
    if (client == NULL) {
        return NULL;
    }
    rd_kafka_poll_set_consumer(client);
    return client;
}

static rd_kafka_queue_t *watch(struct service *service, rd_kafka_t *client)
{
    uint64_t one = 1;
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(client);
    rd_kafka_queue_io_event_enable(queue, service->wake_fd, &one, sizeof one);
    return queue;
}

int consume_start(struct service *service, struct error *error)
{
    const struct config *config = service->config;
    char number[32];
    uint64_t one = 1;
    rd_kafka_conf_t *conf = kafka_conf_new(&config->kafka, KAFKA_ROLE_GROUP, error);
    if (conf == NULL) {
        return -EINVAL;
    }
    kafka_conf_set(conf, "group.id", service->group);
    snprintf(number, sizeof number, "%lld", (long long)(config->session_timeout_us / 1000));
    kafka_conf_set(conf, "session.timeout.ms", number);
    snprintf(number, sizeof number, "%lld", (long long)(config->session_timeout_us / 1000 / 10));
    kafka_conf_set(conf, "heartbeat.interval.ms",
                   config->session_timeout_us > 30 * SECOND_US ? "3000" : number);
    /* topics may be made after we came */
    kafka_conf_set(conf, "topic.metadata.refresh.interval.ms", "1000");
    if (config->session_timeout_us > 300 * SECOND_US) {
        snprintf(number, sizeof number, "%lld", (long long)(config->session_timeout_us / 1000));
        kafka_conf_set(conf, "max.poll.interval.ms", number);
    }
    if (config->static_membership) {
        kafka_conf_set(conf, "group.instance.id", config->name);
    }
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    service->group_client = new_consumer(service, conf, error);
    if (service->group_client == NULL) {
        return -EINVAL;
    }
    service->group_queue = watch(service, service->group_client);
    service->admin_queue = rd_kafka_queue_new(service->group_client);
    rd_kafka_queue_io_event_enable(service->admin_queue, service->wake_fd, &one, sizeof one);
    conf = kafka_conf_new(&config->kafka, KAFKA_ROLE_READER, error);
    service->later_client = conf != NULL ? new_consumer(service, conf, error) : NULL;
    if (service->later_client == NULL) {
        return -EINVAL;
    }
    service->later_queue = watch(service, service->later_client);
    service->closing_group = false;
    subscribe_begin(service);
    return 0;
}

/* Events of others: their headers say what they are. Ours have none that matter. */
static void read_foreign(const rd_kafka_message_t *message, struct record_view *view)
{
    rd_kafka_headers_t *headers;
    struct decode_header list[HEADERS_MAX];
    size_t count = 0;
    const void *value;
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return;
    }
    while (count < HEADERS_MAX &&
           rd_kafka_header_get_all(headers, count, &list[count].name, &value, &list[count].bytes) ==
               RD_KAFKA_RESP_ERR_NO_ERROR) {
        list[count].value = value != NULL ? value : "";
        count++;
    }
    const char *reason = NULL;
    if (decode_json(list, count, message->payload, message->len, view->timestamp_us, &view->event,
                    &view->event_bytes, &reason) < 0) {
        view->undecodable = reason;
    }
}

static void take(struct lane_io *io, rd_kafka_message_t *message, bool later)
{
    struct lane *lane = io->lane;
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        if (later) {
            lane_see_later_end(lane, message->offset);
            takeover_later_end(io);
        } else if (lane->state == LANE_RUNNING) {
            lane_see_end(lane, message->offset);
        }
        rd_kafka_message_destroy(message);
        return;
    }
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        log_warn("reading a partition", LOG_TEXT("topic", later ? io->later_topic : io->topic),
                 LOG_INT("partition", io->partition),
                 LOG_TEXT("reason", rd_kafka_message_errstr(message)));
        rd_kafka_message_destroy(message);
        return;
    }
    rd_kafka_timestamp_type_t type;
    struct record_view view = {
        .offset = message->offset,
        .timestamp_us = rd_kafka_message_timestamp(message, &type) * 1000,
        .key = message->key,
        .key_bytes = message->key_len,
        .value = message->payload,
        .value_bytes = message->len,
        .message = message,
    };
    if (later) {
        lane_take_later(lane, &view);
        return;
    }
    if (!lane->is_triggers) {
        read_foreign(message, &view);
    }
    io->fetched_us = io->service->engine.now_us;
    lane_take(lane, &view);
}

static bool has_room(const struct lane_io *io, bool later)
{
    return later ? lane_has_later_room(io->lane) : lane_has_room(io->lane);
}

/* Pop what the lane has room for. Returns whether there was something. */
static bool pop(struct lane_io *io, struct inlet *inlet, bool later)
{
    bool any = false;
    if (inlet->queue == NULL) {
        return false;
    }
    for (unsigned round = 0; round < ROUNDS_MAX && has_room(io, later); round++) {
        if (inlet->next == inlet->count) {
            if (!inlet->may_have) {
                break;
            }
            ssize_t got = rd_kafka_consume_batch_queue(inlet->queue, 0, inlet->messages, POP_MAX);
            inlet->next = 0;
            inlet->count = got > 0 ? (size_t)got : 0;
            if (inlet->count == 0) {
                inlet->may_have = false;
                break;
            }
        }
        while (inlet->next < inlet->count && has_room(io, later)) {
            take(io, inlet->messages[inlet->next++], later);
            any = true;
            if (inlet->queue == NULL) {
                return true;
            }
        }
    }
    return any;
}

static void serve_queues(struct service *service)
{
    rd_kafka_event_t *event;
    rd_kafka_message_t *message;
    while (service->group_client != NULL &&
           (message = rd_kafka_consumer_poll(service->group_client, 0)) != NULL) {
        if (message->err == RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED) {
            metric_add(metrics_series(service->metrics, "engenho_kafka_max_poll_exceeded_total",
                                      METRIC_VALUES(service->config->agent)),
                       1);
        }
        if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            log_warn("group consumer", LOG_TEXT("reason", rd_kafka_message_errstr(message)));
        }
        rd_kafka_message_destroy(message);
    }
    while (service->later_client != NULL &&
           (message = rd_kafka_consumer_poll(service->later_client, 0)) != NULL) {
        if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            log_warn("reader of later", LOG_TEXT("reason", rd_kafka_message_errstr(message)));
        }
        rd_kafka_message_destroy(message);
    }
    while (service->admin_queue != NULL &&
           (event = rd_kafka_queue_poll(service->admin_queue, 0)) != NULL) {
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DELETERECORDS_RESULT) {
            trim_event(event);
        } else if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DESCRIBETOPICS_RESULT) {
            subscribe_event(service, event);
        } else {
            takeover_event(service->takeover, event);
        }
        rd_kafka_event_destroy(event);
    }
    service->polled_us = clock_mono_us();
}

static bool drain_wake(struct service *service)
{
    uint64_t count;
    return read(service->wake_fd, &count, sizeof count) == sizeof count;
}

bool consume_turn(struct service *service)
{
    struct lane_io *io, *following;
    bool any = false;
    if (service->group_client == NULL) {
        return false;
    }
    if (drain_wake(service)) {
        LIST_FOREACH (io, &service->lanes, next) {
            io->input.may_have = io->later.may_have = true;
        }
    }
    serve_queues(service);
    if (service->phase != PHASE_GROUP) {
        return false;
    }
    for (io = LIST_FIRST(&service->lanes); io != NULL; io = following) {
        following = LIST_NEXT(io, next);
        any = pop(io, &io->later, true) || any;
        any = pop(io, &io->input, false) || any;
    }
    return any;
}

void consume_leave(struct service *service)
{
    if (service->group_client == NULL || service->closing_group) {
        return;
    }
    service->closing_group = true;
    rd_kafka_error_t *error =
        rd_kafka_consumer_close_queue(service->group_client, service->group_queue);
    explain(error, "the group can't be left");
    /* An assignment or revoke that was not answered yet would be waited for; when closing this
     * means all of it. */
    rd_kafka_topic_partition_list_t *none = rd_kafka_topic_partition_list_new(0);
    error = rd_kafka_incremental_unassign(service->group_client, none);
    if (error != NULL) {
        rd_kafka_error_destroy(error);
    }
    rd_kafka_topic_partition_list_destroy(none);
}

bool consume_left(struct service *service)
{
    return service->group_client == NULL || rd_kafka_consumer_closed(service->group_client);
}

static void destroy_client(rd_kafka_t **client, rd_kafka_queue_t **queue)
{
    if (*queue != NULL) {
        rd_kafka_queue_io_event_enable(*queue, -1, NULL, 0);
        rd_kafka_queue_destroy(*queue);
        *queue = NULL;
    }
    if (*client != NULL) {
        rd_kafka_destroy(*client);
        *client = NULL;
    }
}

static void port_message_free(void *context, void *message)
{
    (void)context;
    rd_kafka_message_destroy(message);
}

static void port_lane_running(void *context, struct lane *lane)
{
    struct service *service = context;
    struct lane_io *io = lane->edge;
    int64_t took_us = clock_mono_us() - io->assigned_us;
    metric_observe(metrics_series(service->metrics, "engenho_worker_lane_take_duration_seconds",
                                  METRIC_VALUES(service->config->agent)),
                   (double)took_us / 1e6);
    log_info("lane taken", LOG_TEXT("topic", io->topic), LOG_INT("partition", io->partition),
             LOG_INT("offset", lane->committed), LOG_INT("later", lane->later.base),
             LOG_INT("took_us", took_us), LOG_INT("unclean_starts", lane->unclean_starts),
             LOG_BOOL("one_by_one", lane->one_by_one));
    io->fetched_us = clock_mono_us();
    service_wake(service);
}

static void port_lane_closed(void *context, struct lane *lane)
{
    (void)lane;
    service_wake(context);
}

void consume_fill_port(struct engine_port *port)
{
    port->message_free = port_message_free;
    port->rewind_later = port_rewind;
    port->lane_running = port_lane_running;
    port->lane_closed = port_lane_closed;
}

void consume_stop(struct service *service)
{
    struct lane_io *io;
    while ((io = LIST_FIRST(&service->lanes)) != NULL) {
        consume_drop_lane(service, io);
    }
    if (service->admin_queue != NULL) {
        rd_kafka_queue_io_event_enable(service->admin_queue, -1, NULL, 0);
        rd_kafka_queue_destroy(service->admin_queue);
        service->admin_queue = NULL;
    }
    if (service->later_client != NULL) {
        rd_kafka_consumer_close(service->later_client);
    }
    destroy_client(&service->later_client, &service->later_queue);
    destroy_client(&service->group_client, &service->group_queue);
    service->closing_group = false;
}
