/*
 * Taking lanes over (DESIGN section 4): the group's stable offsets, asked for asynchronously; where
 * a dead worker's transaction is in the way, its slot (named in the commit metadata) is fenced with
 * short-lived producers; then `state` and `later` are read to their ends, and the lane is claimed
 * by a commit of its own. An edge: librdkafka.
 *
 * A worker that gave a lane away answered only when it was in no transaction, so what is still open
 * there after a moment was left by a dead one.
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
#include "worker/commit_metadata.h"
#include "worker/service.h"

#define ASK_AGAIN_US 50000 /* between looks at an offset that is not stable */
#define SETTLE_US 400000   /* a commit's markers may take so long; then the slot is fenced */
#define TROUBLE_AGAIN_US 200000
#define TROUBLE_TOLD_US 10000000
#define TAKEN_MAX 1024 /* lanes at once; more follow */
#define REQUEST_MS 5000

enum ask { ASK_STABLE = 1, ASK_UNSTABLE, ASK_EARLIEST, ASK_END, ASK_COMMITTED_END };

struct takeover {
    struct service *service;
    unsigned asked;     /* answers that are awaited */
    int64_t again_us;   /* when to look again */
    int64_t unclear_us; /* since when a transaction is in the way; 0: none is */
    bool unstable;      /* some offset was not stable */
    bool trouble;       /* some answer was an error */
    struct txn_thread *fence_thread;
    struct txn *fences[2];
    uint32_t fencing; /* slot */
    unsigned fences_done;
    int64_t told_us;   /* when trouble was last told */
    int64_t fenced_us; /* when a slot was last fenced */
};

struct takeover *takeover_new(struct service *service)
{
    struct takeover *takeover = memory_new(1, sizeof *takeover);
    takeover->service = service;
    takeover->told_us = -TROUBLE_TOLD_US;
    return takeover;
}

void takeover_free(struct takeover *takeover)
{
    if (takeover == NULL) {
        return;
    }
    txn_free(takeover->fences[0]);
    txn_free(takeover->fences[1]);
    txn_thread_free(takeover->fence_thread);
    free(takeover);
}

static rd_kafka_AdminOptions_t *options_for(struct takeover *takeover, rd_kafka_admin_op_t op,
                                            enum ask ask)
{
    char text[128];
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(takeover->service->group_client, op);
    rd_kafka_AdminOptions_set_request_timeout(options, REQUEST_MS, text, sizeof text);
    rd_kafka_AdminOptions_set_opaque(options, (void *)(uintptr_t)ask);
    return options;
}

/* A lane that was given back, or closed by a stop, before it was ours is not taken any more. */
static bool is_taken_up(const struct lane_io *io, enum lane_step step)
{
    return io->step == step && io->lane->state == LANE_TAKING;
}

static rd_kafka_topic_partition_list_t *list_lanes(const struct takeover *takeover)
{
    const struct lane_io *io;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    LIST_FOREACH (io, &takeover->service->lanes, next) {
        if (is_taken_up(io, STEP_OFFSETS)) {
            rd_kafka_topic_partition_list_add(list, io->topic, io->partition);
        }
    }
    return list;
}

static void ask_offsets(struct takeover *takeover, enum ask ask)
{
    struct service *service = takeover->service;
    rd_kafka_topic_partition_list_t *list = list_lanes(takeover);
    rd_kafka_AdminOptions_t *options =
        options_for(takeover, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS, ask);
    rd_kafka_error_t *error =
        rd_kafka_AdminOptions_set_require_stable_offsets(options, ask == ASK_STABLE);
    if (error != NULL) {
        rd_kafka_error_destroy(error);
    }
    rd_kafka_ListConsumerGroupOffsets_t *request =
        rd_kafka_ListConsumerGroupOffsets_new(service->group, list);
    rd_kafka_ListConsumerGroupOffsets(service->group_client, &request, 1, options,
                                      service->admin_queue);
    rd_kafka_ListConsumerGroupOffsets_destroy(request);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_topic_partition_list_destroy(list);
    takeover->asked++;
}

static void ask_ends(struct takeover *takeover, enum ask ask)
{
    const struct lane_io *io;
    int64_t spec =
        ask == ASK_EARLIEST ? RD_KAFKA_OFFSET_SPEC_EARLIEST : RD_KAFKA_OFFSET_SPEC_LATEST;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(32);
    LIST_FOREACH (io, &takeover->service->lanes, next) {
        if (!is_taken_up(io, STEP_OFFSETS)) {
            continue;
        }
        if (ask != ASK_COMMITTED_END) {
            rd_kafka_topic_partition_list_add(list, io->topic, io->partition)->offset = spec;
        }
        if (ask != ASK_EARLIEST) {
            rd_kafka_topic_partition_list_add(list, io->later_topic, io->partition)->offset = spec;
            rd_kafka_topic_partition_list_add(list, io->state_topic, io->partition)->offset = spec;
        }
    }
    rd_kafka_AdminOptions_t *options = options_for(takeover, RD_KAFKA_ADMIN_OP_LISTOFFSETS, ask);
    rd_kafka_error_t *error = rd_kafka_AdminOptions_set_isolation_level(
        options, ask == ASK_COMMITTED_END ? RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED
                                          : RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED);
    if (error != NULL) {
        rd_kafka_error_destroy(error);
    }
    rd_kafka_ListOffsets(takeover->service->group_client, list, options,
                         takeover->service->admin_queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_topic_partition_list_destroy(list);
    takeover->asked++;
}

/* Everything of every lane that is being taken, anew: the answers belong together. */
static void ask_all(struct takeover *takeover)
{
    struct lane_io *io;
    takeover->unstable = takeover->trouble = false;
    LIST_FOREACH (io, &takeover->service->lanes, next) {
        if (io->step == STEP_OFFSETS) {
            io->has_offset = false;
            io->clear = true;
            io->end = io->earliest = -1;
            io->later_end = io->state_end = -1;
        }
    }
    ask_offsets(takeover, ASK_STABLE);
    ask_ends(takeover, ASK_EARLIEST);
    ask_ends(takeover, ASK_END);
    ask_ends(takeover, ASK_COMMITTED_END);
}

/* Once, and again when it goes on. */
static void tell_trouble(struct takeover *takeover, const char *what, const char *topic,
                         int32_t partition, const char *reason)
{
    int64_t now_us = clock_mono_us();
    takeover->trouble = true;
    if (now_us < takeover->told_us + TROUBLE_TOLD_US) {
        return;
    }
    takeover->told_us = now_us;
    log_warn("lanes can't be taken yet; trying on", LOG_TEXT("while", what),
             LOG_TEXT("topic", topic), LOG_INT("partition", partition), LOG_TEXT("reason", reason));
}

static void note_offset(struct takeover *takeover, const rd_kafka_topic_partition_t *part,
                        enum ask ask)
{
    struct lane_io *io = consume_find(takeover->service, part->topic, part->partition);
    if (io == NULL || io->step != STEP_OFFSETS) {
        return;
    }
    if (part->err == RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT) {
        takeover->unstable = true;
        return;
    }
    if (part->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        tell_trouble(takeover, "reading committed offsets", part->topic, part->partition,
                     rd_kafka_err2str(part->err));
        return;
    }
    io->has_offset = io->has_offset || ask == ASK_STABLE;
    io->committed = part->offset >= 0 ? part->offset : -1;
    free(io->metadata);
    io->metadata =
        part->metadata_size > 0 ? memory_copy(part->metadata, part->metadata_size) : NULL;
}

static void on_offsets(struct takeover *takeover, rd_kafka_event_t *event, enum ask ask)
{
    size_t count;
    const rd_kafka_group_result_t **groups = rd_kafka_ListConsumerGroupOffsets_result_groups(
        rd_kafka_event_ListConsumerGroupOffsets_result(event), &count);
    for (size_t i = 0; i < count; i++) {
        const rd_kafka_error_t *error = rd_kafka_group_result_error(groups[i]);
        if (error != NULL &&
            rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT) {
            takeover->unstable = true;
            continue;
        }
        if (error != NULL) {
            tell_trouble(takeover, "reading committed offsets", "", -1,
                         rd_kafka_error_string(error));
            continue;
        }
        const rd_kafka_topic_partition_list_t *parts = rd_kafka_group_result_partitions(groups[i]);
        for (int at = 0; at < parts->cnt; at++) {
            note_offset(takeover, &parts->elems[at], ask);
        }
    }
}

static void note_end(struct takeover *takeover, const rd_kafka_topic_partition_t *part,
                     enum ask ask)
{
    struct lane_io *io;
    if (part->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        tell_trouble(takeover, "looking where it ends", part->topic, part->partition,
                     rd_kafka_err2str(part->err));
        return;
    }
    LIST_FOREACH (io, &takeover->service->lanes, next) {
        if (io->partition != part->partition || io->step != STEP_OFFSETS) {
            continue;
        }
        if (!strcmp(part->topic, io->topic)) {
            *(ask == ASK_EARLIEST ? &io->earliest : &io->end) = part->offset;
            continue;
        }
        bool later = !strcmp(part->topic, io->later_topic);
        if (!later && strcmp(part->topic, io->state_topic) != 0) {
            continue;
        }
        int64_t *end = later ? &io->later_end : &io->state_end;
        if (*end < 0) {
            *end = part->offset; /* the first of the two answers */
        } else if (*end != part->offset) {
            io->clear = false; /* something is open, or has just been written: look again */
        }
    }
}

static void on_ends(struct takeover *takeover, rd_kafka_event_t *event, enum ask ask)
{
    size_t count;
    const rd_kafka_ListOffsetsResultInfo_t **infos =
        rd_kafka_ListOffsets_result_infos(rd_kafka_event_ListOffsets_result(event), &count);
    for (size_t i = 0; i < count; i++) {
        note_end(takeover, rd_kafka_ListOffsetsResultInfo_topic_partition(infos[i]), ask);
    }
}

static void on_fenced(void *context, struct txn *txn, enum txn_result result, const char *reason)
{
    struct takeover *takeover = context;
    (void)txn;
    if (result != TXN_DONE) {
        log_warn("a slot can't be fenced; trying on", LOG_INT("slot", takeover->fencing),
                 LOG_TEXT("reason", reason));
    }
    if (++takeover->fences_done == 2) {
        txn_free(takeover->fences[0]);
        txn_free(takeover->fences[1]);
        takeover->fences[0] = takeover->fences[1] = NULL;
        takeover->again_us = clock_mono_us();
        takeover->unclear_us = clock_mono_us();
        metric_add(metrics_series(takeover->service->metrics, "engenho_worker_slots_fenced_total",
                                  METRIC_VALUES(takeover->service->config->agent)),
                   1);
        log_info("slot of a dead worker fenced", LOG_INT("slot", takeover->fencing));
        service_wake(takeover->service);
    }
}

static void fence(struct takeover *takeover, uint32_t slot)
{
    struct service *service = takeover->service;
    struct error error = {{0}};
    takeover->fencing = slot;
    takeover->fences_done = 0;
    takeover->fenced_us = clock_mono_us();
    if (takeover->fence_thread == NULL) {
        takeover->fence_thread = txn_thread_new(service->base);
    }
    for (unsigned i = 0; i < 2; i++) {
        char id[256];
        rd_kafka_conf_t *conf =
            kafka_conf_new(&service->config->kafka, KAFKA_ROLE_TRANSACTIONAL, &error);
        snprintf(id, sizeof id, "%s%s.%" PRIu32 ".%c", service->config->kafka.prefix,
                 service->config->agent, slot, i == 0 ? 'a' : 'b');
        takeover->fences[i] =
            conf != NULL ? txn_new(takeover->fence_thread, conf, id, &error) : NULL;
        if (takeover->fences[i] == NULL) {
            log_error("no producer to fence a slot with", LOG_TEXT("reason", error.text));
            takeover->fences_done++;
        } else {
            txn_init(takeover->fences[i], on_fenced, takeover);
        }
    }
}

/*
 * The slot of the last owner of a lane that is not clear: the metadata names it. Returns whether
 * there is one to fence.
 */
static bool find_slot(struct takeover *takeover, uint32_t *ret_slot)
{
    const struct lane_io *io;
    LIST_FOREACH (io, &takeover->service->lanes, next) {
        if (io->step != STEP_OFFSETS || (io->has_offset && io->clear) || io->metadata == NULL) {
            continue;
        }
        Engenho__CommitMetadata *metadata =
            commit_metadata_parse(io->metadata, strlen(io->metadata));
        if (metadata == NULL) {
            continue;
        }
        uint32_t slot = metadata->slot;
        engenho__commit_metadata__free_unpacked(metadata, NULL);
        if (slot != takeover->service->slot) {
            *ret_slot = slot;
            return true;
        }
    }
    return false;
}

static void check_retention(struct takeover *takeover, struct lane_io *io)
{
    struct service *service = takeover->service;
    if (io->committed < 0 || io->earliest <= io->committed) {
        return;
    }
    int64_t lost = io->earliest - io->committed;
    log_error("records were removed before they were read: raise the topic's retention",
              LOG_TEXT("topic", io->topic), LOG_INT("partition", io->partition),
              LOG_INT("committed", io->committed), LOG_INT("earliest", io->earliest),
              LOG_INT("lost", lost));
    metric_add(metrics_series(service->metrics, "engenho_worker_records_lost_total",
                              METRIC_VALUES(service->config->agent)),
               (double)lost);
}

static int restore(struct takeover *takeover, struct lane_io *io)
{
    struct error error;
    uint32_t slot = 0;
    int64_t position = io->committed >= 0 ? io->committed : io->earliest;
    check_retention(takeover, io);
    int result = lane_restore(io->lane, position, io->metadata,
                              io->metadata ? strlen(io->metadata) : 0, &slot);
    if (result == -EBADMSG) {
        log_warn("the committed offset's metadata is not ours; nothing beyond it counts as done",
                 LOG_TEXT("topic", io->topic), LOG_INT("partition", io->partition));
    }
    io->step = STEP_STATE;
    io->following_state = true;
    if (follower_add(takeover->service->follower, io->state_topic, io->partition,
                     RD_KAFKA_OFFSET_BEGINNING, &error) != 0) {
        io->following_state = false;
        log_error("state can't be read", LOG_TEXT("reason", error.text));
        service_start_over(takeover->service, error.text);
        return -EIO;
    }
    return 0;
}

static bool is_known(const struct lane_io *io)
{
    return io->has_offset && io->clear && io->end >= 0 && io->earliest >= 0 && io->later_end >= 0 &&
           io->state_end >= 0;
}

/* Take the lanes that are clear. Returns whether one is not, or -EIO: starting over. */
static int take_clear_ones(struct takeover *takeover)
{
    struct lane_io *io, *taken[TAKEN_MAX];
    size_t count = 0;
    int unclear = 0;
    LIST_FOREACH (io, &takeover->service->lanes, next) {
        if (!is_taken_up(io, STEP_OFFSETS)) {
            continue;
        }
        if (!is_known(io) || count == TAKEN_MAX) {
            unclear = 1;
        } else {
            taken[count++] = io;
        }
    }
    for (size_t i = 0; i < count; i++) {
        int result = restore(takeover, taken[i]);
        if (result != 0) {
            return result;
        }
    }
    if (count > 0) {
        consume_assign_input(takeover->service, taken, count);
    }
    return unclear;
}

/* All answers are here: take what is clear, see to what is not. */
static void conclude(struct takeover *takeover)
{
    int unclear = take_clear_ones(takeover);
    int64_t now_us = clock_mono_us();
    uint32_t slot;
    if (unclear <= 0) {
        takeover->unclear_us = 0;
        takeover->again_us = INT64_MAX;
        return;
    }
    takeover->again_us = now_us + (takeover->trouble ? TROUBLE_AGAIN_US : ASK_AGAIN_US);
    if (takeover->unclear_us == 0) {
        takeover->unclear_us = now_us;
    }
    if (!takeover->trouble && now_us - takeover->unclear_us >= SETTLE_US &&
        find_slot(takeover, &slot)) {
        log_warn("a transaction of a dead worker is in the way", LOG_INT("slot", slot));
        fence(takeover, slot);
    }
}

void takeover_event(struct takeover *takeover, rd_kafka_event_t *event)
{
    enum ask ask = (enum ask)(uintptr_t)rd_kafka_event_opaque(event);
    if (takeover == NULL || takeover->asked == 0) {
        return; /* of before we left or started over */
    }
    takeover->asked--;
    if (rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT) {
        takeover->unstable = true;
    } else if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        tell_trouble(takeover, "asking the broker", "", -1, rd_kafka_event_error_string(event));
    } else if (ask == ASK_STABLE || ask == ASK_UNSTABLE) {
        on_offsets(takeover, event, ask);
    } else {
        on_ends(takeover, event, ask);
    }
    if (takeover->asked > 0) {
        return;
    }
    if (takeover->unstable && ask != ASK_UNSTABLE) {
        /* The one that is not stable still names its owner's slot. */
        takeover->unstable = false;
        ask_offsets(takeover, ASK_UNSTABLE);
        return;
    }
    conclude(takeover);
}

void takeover_tick(struct takeover *takeover)
{
    const struct lane_io *io;
    bool wanted = false;
    if (takeover->asked > 0 || takeover->fences[0] != NULL || takeover->fences[1] != NULL ||
        takeover->service->phase != PHASE_GROUP) {
        return;
    }
    LIST_FOREACH (io, &takeover->service->lanes, next) {
        wanted = wanted || is_taken_up(io, STEP_OFFSETS);
    }
    if (!wanted) {
        takeover->again_us = 0;
        takeover->unclear_us = 0;
    } else if (takeover->again_us == INT64_MAX || clock_mono_us() >= takeover->again_us) {
        ask_all(takeover);
    }
}

void takeover_state_record(struct lane_io *io, const rd_kafka_message_t *message)
{
    if (!is_taken_up(io, STEP_STATE)) {
        return; /* our own writes come back */
    }
    if (lane_take_state(io->lane, message->key, message->key_len, message->payload, message->len) !=
        0) {
        log_error("a record of state can't be read; it is passed over",
                  LOG_TEXT("topic", io->state_topic), LOG_INT("partition", io->partition),
                  LOG_INT("offset", message->offset));
    }
}

void takeover_state_caught_up(struct lane_io *io)
{
    struct service *service = io->service;
    if (!is_taken_up(io, STEP_STATE)) {
        return;
    }
    follower_remove(service->follower, io->state_topic, io->partition);
    io->following_state = false;
    io->step = STEP_LATER;
    if (consume_read_later(io) != 0) {
        service_start_over(service, "later can't be read");
    }
}

void takeover_later_end(struct lane_io *io)
{
    if (!is_taken_up(io, STEP_LATER)) {
        return;
    }
    io->step = STEP_READY;
    engine_claim_lane(&io->service->engine, io->lane, io->end);
}
