/*
 * `later` and `triggers` are kept until they are read: what is committed as done is deleted from
 * their beginning, now and then (DESIGN section 3). An edge: librdkafka.
 */
#include "common/clock.h"
#include "common/log.h"
#include "worker/service.h"

#define TRIM_EVERY_US (60 * SECOND_US)
#define REQUEST_MS 10000

static void add(rd_kafka_topic_partition_list_t *list, const char *topic, int32_t partition,
                int64_t offset, int64_t *trimmed)
{
    if (offset > *trimmed) {
        rd_kafka_topic_partition_list_add(list, topic, partition)->offset = offset;
        *trimmed = offset;
    }
}

void trim_tick(struct service *service)
{
    struct lane_io *io;
    int64_t now_us = clock_mono_us();
    char text[128];
    if (now_us < service->trim_us) {
        return;
    }
    service->trim_us = now_us + TRIM_EVERY_US;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    LIST_FOREACH (io, &service->lanes, next) {
        if (io->lane->state != LANE_RUNNING) {
            continue;
        }
        add(list, io->later_topic, io->partition, io->lane->later_committed, &io->later_trimmed);
        if (io->lane->is_triggers) {
            add(list, io->topic, io->partition, io->lane->committed, &io->trimmed);
        }
    }
    if (list->cnt > 0) {
        rd_kafka_DeleteRecords_t *request = rd_kafka_DeleteRecords_new(list);
        rd_kafka_AdminOptions_t *options =
            rd_kafka_AdminOptions_new(service->group_client, RD_KAFKA_ADMIN_OP_DELETERECORDS);
        rd_kafka_AdminOptions_set_request_timeout(options, REQUEST_MS, text, sizeof text);
        rd_kafka_DeleteRecords(service->group_client, &request, 1, options, service->admin_queue);
        rd_kafka_AdminOptions_destroy(options);
        rd_kafka_DeleteRecords_destroy(request);
    }
    rd_kafka_topic_partition_list_destroy(list);
}

void trim_event(rd_kafka_event_t *event)
{
    if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        log_warn("what is done can't be deleted from later and triggers; tried again later",
                 LOG_TEXT("reason", rd_kafka_event_error_string(event)));
    }
}
