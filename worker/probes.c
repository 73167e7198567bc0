/*
 * /startupz, /livez, /readyz: started, alive, fit to be counted on. None of them asks another
 * server.
 */
#include "common/clock.h"
#include "worker/service.h"

#define HEARTBEAT_US (60 * SECOND_US)

static bool probe_started(void *context, struct error *reason)
{
    struct service *service = context;
    if (!service->broker_seen) {
        error_set(reason, 0,
                  "no broker has answered since the start: is Kafka at %s, and are its topics made",
                  service->config->kafka.servers);
        return false;
    }
    if (service->unlicensed[0] != '\0') {
        return true; /* interpreters come with the licence */
    }
    if (service->pool == NULL || !pool_has_answered(service->pool)) {
        error_set(reason, 0, "no interpreter has answered yet");
        return false;
    }
    return true;
}

/* A backlog, nothing in work, nothing in the queue, and nothing fetched for long. */
static bool is_stalled(const struct service *service, const struct lane_io *io, int64_t now_us)
{
    const struct lane *lane = io->lane;
    if (lane->state != LANE_RUNNING || lane->open > lane->due_count ||
        io->input.next < io->input.count || now_us - io->fetched_us < service->config->stall_us ||
        (io->input.queue != NULL && rd_kafka_queue_length(io->input.queue) > 0)) {
        return false;
    }
    int64_t low, high;
    return rd_kafka_get_watermark_offsets(service->group_client, io->topic, io->partition, &low,
                                          &high) == RD_KAFKA_RESP_ERR_NO_ERROR &&
           high > lane->input.cursor;
}

unsigned probes_stalled(const struct service *service)
{
    const struct lane_io *io;
    unsigned count = 0;
    int64_t now_us = clock_mono_us();
    LIST_FOREACH (io, &service->lanes, next) {
        count += is_stalled(service, io, now_us);
    }
    return count;
}

static bool probe_live(void *context, struct error *reason)
{
    const struct service *service = context;
    if (service->fatal) {
        error_set(reason, 0, "the kafka client can't go on: %s", service->fatal_reason);
        return false;
    }
    if (service->phase == PHASE_GROUP && clock_mono_us() - service->polled_us > HEARTBEAT_US) {
        error_set(reason, 0, "kafka has not been polled for a minute");
        return false;
    }
    unsigned stalled = probes_stalled(service);
    if (stalled > 0) {
        error_set(reason, 0, "%u partitions have a backlog and fetch nothing", stalled);
        return false;
    }
    return true;
}

static bool probe_ready(void *context, struct error *reason)
{
    const struct service *service = context;
    if (service->stopping) {
        error_set(reason, 0, "stopping");
        return false;
    }
    if (service->pool_failed) {
        error_set(reason, 0, "interpreters can't be started; the log says why");
        return false;
    }
    if (service->catalog_read && service->phase == PHASE_LICENCE &&
        service->unlicensed[0] != '\0') {
        error_set(reason, 0, "ready, unlicensed: %s", service->unlicensed);
        return true;
    }
    if (service->phase != PHASE_GROUP) {
        error_set(reason, 0, "%s",
                  service->catalog_read ? "joining the group" : "reading the catalog");
        return false;
    }
    char *member = rd_kafka_memberid(service->group_client);
    bool joined = member != NULL && member[0] != '\0';
    if (member != NULL) {
        rd_kafka_mem_free(service->group_client, member);
    }
    if (!joined) {
        error_set(reason, 0, "joining the group");
    } else if (service->pool == NULL || pool_live(service->pool) == 0) {
        error_set(reason, 0, "no interpreter lives");
        joined = false;
    }
    return joined;
}

void probes_fill(struct admin_options *options)
{
    options->started = probe_started;
    options->live = probe_live;
    options->ready = probe_ready;
}
