/*
 * One shard's life here:
 *
 *            given            init done             at its end            asked back, nothing in a transaction
 *     FOREIGN ─────► FENCING ───────────► READING ─────────────► OURS ──────────────────────────────────────────► FOREIGN
 *        ▲                                                        └─ a transaction is open ─► LEAVING ─ decided ────┘
 *        └────────── lost, fenced or dead, from any state: its memory is dropped
 *
 * The follower reads every partition of `control` from the start on, so that the owners' addresses
 * are known; a shard that is given to us is read again after init_transactions, since only then
 * nobody else can write.
 */
#include "producer/shards.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/murmur2.h"
#include "kafka/follower.h"
#include "kafka/topics.h"
#include "kafka/txn.h"
#include "producer/shards_group.h"
#include "producer/shards_queue.h"

#define WAITING_RECORDS_MAX 100000
#define WAITING_BYTES_MAX (64U << 20)
/* Of one transaction: far below what librdkafka's own queue holds, so that it never fills in the
 * middle. */
#define TXN_RECORDS_MAX 20000
#define TXN_BYTES_MAX (16U << 20)
#define RETRY_MS 200
#define ATTEMPTS_MAX 3 /* to commit a batch before those who wait for it are told */
#define STOP_US_MAX (5 * SECOND_US)
#define KEY_BYTES_MAX 512

enum shard_state { SHARD_FOREIGN, SHARD_FENCING, SHARD_READING, SHARD_OURS, SHARD_LEAVING };

struct shard {
    struct shards *shards;
    int number;
    enum shard_state state;
    struct txn_thread *thread;
    struct txn *txn; /* NULL when FOREIGN */
    struct shards_queue queue;
    struct submission_list batch; /* in the transaction that is open */
    int aborts;                   /* in a row */
    int failed;                   /* not 0: the first of the batch can't be produced; why */
    struct event *retry_event;
    char *owner_replica, *owner_address; /* as the log says; NULL: not known */
    struct metric *owned, *takeovers;
};

struct shards {
    struct event_base *base;
    const struct kafka_options *kafka;
    struct shards_callbacks callbacks;
    void *context;
    char *replica, *address;
    int count;
    struct shards_group *group;
    struct follower *follower;
    char control[TOPIC_NAME_BYTES_MAX];
    struct shard shard[SHARDS_MAX];
};

static void pump(struct shard *shard);

/* Forget the shard and answer what waits: what was in a transaction with `batch_result`, the rest
 * with -EAGAIN. */
static void drop(struct shard *shard, int batch_result)
{
    enum shard_state before = shard->state;
    if (before == SHARD_FOREIGN) {
        return;
    }
    shard->state = SHARD_FOREIGN;
    shard->aborts = 0;
    event_del(shard->retry_event);
    txn_free(shard->txn);
    shard->txn = NULL;
    metric_set(shard->owned, 0);
    submissions_answer(&shard->batch, batch_result);
    struct submission_list rest = STAILQ_HEAD_INITIALIZER(rest);
    shards_queue_take(&shard->queue, SIZE_MAX, SIZE_MAX, &rest);
    submissions_answer(&rest, -EAGAIN);
    if (before != SHARD_FENCING) {
        shard->shards->callbacks.lost(shard->shards->context, shard->number);
    }
}

/* Nothing of ours is in a transaction: let the next owner have it. */
static void leave(struct shard *shard)
{
    log_info("shard given back", LOG_INT("shard", shard->number));
    drop(shard, -EAGAIN);
    shards_group_left(shard->shards->group, shard->number);
}

/* Another has this shard's producer, or ours is broken: whether the open transaction happened, only
 * the log says. */
static void abandon(struct shard *shard, const char *why)
{
    log_warn("shard lost: its producer was fenced or failed; joining anew",
             LOG_INT("shard", shard->number), LOG_TEXT("error", why));
    drop(shard, -ESTALE);
    shards_group_rejoin(shard->shards->group);
}

static void tell_deliveries(const struct txn *txn)
{
    size_t count;
    const struct txn_delivery *deliveries = txn_deliveries(txn, &count);
    for (size_t i = 0; i < count; i++) {
        struct shards_delivery *to = deliveries[i].opaque;
        *to = (struct shards_delivery){.partition = deliveries[i].partition,
                                       .offset = deliveries[i].offset};
    }
}

static void try_again(struct shard *shard)
{
    if (++shard->aborts < ATTEMPTS_MAX) {
        shards_queue_put_back(&shard->queue, &shard->batch);
    } else {
        shard->aborts = 0;
        submissions_answer(&shard->batch, -EAGAIN);
    }
    event_add(shard->retry_event, &(struct timeval){.tv_usec = RETRY_MS * 1000});
}

static void on_committed(void *context, struct txn *txn, enum txn_result result, const char *reason)
{
    struct shard *shard = context;
    if (result == TXN_FENCED || result == TXN_FAILED) {
        abandon(shard, reason);
        return;
    }
    if (result == TXN_DONE) {
        shard->aborts = 0;
        tell_deliveries(txn);
        submissions_answer(&shard->batch, 0);
    } else {
        log_warn("a shard's transaction was aborted", LOG_INT("shard", shard->number),
                 LOG_TEXT("error", reason));
        if (shard->state == SHARD_OURS) {
            try_again(shard);
        }
    }
    if (shard->state == SHARD_LEAVING) {
        leave(shard);
    } else if (result == TXN_DONE && shard->state == SHARD_OURS) {
        pump(shard);
    }
}

/* The batch was not published because of one submission, which stands first in it: only that one is
 * answered. */
static void on_aborted(void *context, struct txn *txn, enum txn_result result, const char *reason)
{
    struct shard *shard = context;
    (void)txn;
    if (result != TXN_DONE) {
        abandon(shard, reason);
        return;
    }
    struct submission_list refused = STAILQ_HEAD_INITIALIZER(refused);
    struct submission *first = STAILQ_FIRST(&shard->batch);
    STAILQ_REMOVE_HEAD(&shard->batch, next);
    STAILQ_INSERT_TAIL(&refused, first, next);
    shards_queue_put_back(&shard->queue, &shard->batch);
    submissions_answer(&refused, shard->failed);
    if (shard->state == SHARD_LEAVING) {
        leave(shard);
    } else {
        pump(shard);
    }
}

/* Returns 0, or why the submission can't be in a transaction. */
static int produce(struct shard *shard, struct submission *submission)
{
    char topic[TOPIC_NAME_BYTES_MAX];
    struct error error;
    for (size_t i = 0; i < submission->count; i++) {
        const struct shards_record *record = &submission->records[i];
        struct txn_record out = {
            .topic = topic_name(shard->shards->kafka->prefix, record->topic, topic),
            .partition = record->partition >= 0 ? record->partition : RD_KAFKA_PARTITION_UA,
            .key = record->key,
            .key_bytes = record->key_bytes,
            .value = record->value,
            .value_bytes = record->value_bytes,
            .opaque = &submission->deliveries[i],
        };
        int result = txn_produce(shard->txn, &out, &error);
        if (result != 0) {
            log_warn("records for a shard's transaction are refused",
                     LOG_INT("shard", shard->number), LOG_TEXT("topic", topic),
                     LOG_TEXT("error", result == -ENOBUFS ? "queue full" : error.text));
            return result;
        }
    }
    return 0;
}

/* Begin a transaction with all that waits, if none is open. */
static void pump(struct shard *shard)
{
    struct error error;
    struct submission *submission;
    if (shard->state != SHARD_OURS || txn_state(shard->txn) != TXN_IDLE ||
        STAILQ_EMPTY(&shard->queue.waiting) ||
        event_pending(shard->retry_event, EV_TIMEOUT, NULL)) {
        return;
    }
    if (txn_begin(shard->txn, &error) != 0) {
        abandon(shard, error.text);
        return;
    }
    shards_queue_take(&shard->queue, TXN_RECORDS_MAX, TXN_BYTES_MAX, &shard->batch);
    STAILQ_FOREACH (submission, &shard->batch, next) {
        shard->failed = produce(shard, submission);
        if (shard->failed != 0) {
            STAILQ_REMOVE(&shard->batch, submission, submission, next);
            STAILQ_INSERT_HEAD(&shard->batch, submission, next);
            txn_abort(shard->txn, on_aborted, shard);
            return;
        }
    }
    txn_commit(shard->txn, NULL, NULL, on_committed, shard);
}

static void on_retry(evutil_socket_t fd, short events, void *context)
{
    (void)fd;
    (void)events;
    pump(context);
}

/* Tell the other replicas where the shard's owner answers. */
static void publish_owner(struct shard *shard)
{
    struct shards *shards = shard->shards;
    char key[32];
    Engenho__Owner owner = ENGENHO__OWNER__INIT;
    Engenho__Control control = ENGENHO__CONTROL__INIT;
    int key_length = snprintf(key, sizeof key, "owner/%d", shard->number);
    owner.replica = shards->replica;
    owner.address = shards->address;
    owner.since_us = clock_unix_us();
    control.body_case = ENGENHO__CONTROL__BODY_OWNER;
    control.owner = &owner;
    size_t bytes = engenho__control__get_packed_size(&control);
    uint8_t *value = memory_new(bytes + 1, 1);
    engenho__control__pack(&control, value);
    struct shards_record record = {.topic = TOPIC_CONTROL,
                                   .partition = shard->number,
                                   .key = key,
                                   .key_bytes = (size_t)key_length,
                                   .value = value,
                                   .value_bytes = bytes};
    int result = shards_submit(shards, shard->number, &record, 1, NULL, NULL);
    assert(result == 0);
    (void)result;
    free(value);
}

static int read_from_start(struct shards *shards, int shard, struct error *error)
{
    follower_remove(shards->follower, shards->control, shard);
    return follower_add(shards->follower, shards->control, shard, RD_KAFKA_OFFSET_BEGINNING, error);
}

static void on_init(void *context, struct txn *txn, enum txn_result result, const char *reason)
{
    struct shard *shard = context;
    struct error error;
    (void)txn;
    if (result != TXN_DONE) {
        abandon(shard, reason);
        return;
    }
    if (shard->state == SHARD_LEAVING) {
        leave(shard);
        return;
    }
    shard->state = SHARD_READING;
    if (read_from_start(shard->shards, shard->number, &error) != 0) {
        abandon(shard, error.text);
    }
}

static void on_caught_up(void *context, const char *topic, int32_t partition)
{
    struct shards *shards = context;
    struct shard *shard = &shards->shard[partition];
    (void)topic;
    if (shard->state != SHARD_READING) {
        return;
    }
    shard->state = SHARD_OURS;
    metric_set(shard->owned, 1);
    metric_add(shard->takeovers, 1);
    log_info("shard taken", LOG_INT("shard", shard->number));
    shards->callbacks.taken(shards->context, shard->number);
    publish_owner(shard);
}

static void remember_owner(struct shard *shard, const Engenho__Owner *owner)
{
    free(shard->owner_replica);
    free(shard->owner_address);
    shard->owner_replica = memory_copy_text(owner->replica);
    shard->owner_address = memory_copy_text(owner->address);
}

static void read_record(struct shard *shard, const char *key, const rd_kafka_message_t *message)
{
    struct shards *shards = shard->shards;
    Engenho__Control *control = NULL;
    if (message->payload != NULL) {
        control = engenho__control__unpack(NULL, message->len, message->payload);
        if (control == NULL) {
            log_warn("a record of control is no Control message: it is left out",
                     LOG_INT("shard", shard->number), LOG_INT("offset", message->offset),
                     LOG_TEXT("key", key));
            return;
        }
    }
    if (control != NULL && control->body_case == ENGENHO__CONTROL__BODY_OWNER) {
        remember_owner(shard, control->owner);
    } else if (shard->state >= SHARD_READING) {
        shards->callbacks.state(shards->context, shard->number, key, control);
    }
    if (control != NULL) {
        engenho__control__free_unpacked(control, NULL);
    }
}

static void on_record(void *context, const rd_kafka_message_t *message)
{
    struct shards *shards = context;
    char key[KEY_BYTES_MAX];
    if (message->key == NULL || message->key_len >= sizeof key ||
        memchr(message->key, '\0', message->key_len) != NULL) {
        log_warn("a record of control has no key of ours: it is left out",
                 LOG_INT("shard", message->partition), LOG_INT("offset", message->offset));
        return;
    }
    memcpy(key, message->key, message->key_len);
    key[message->key_len] = '\0';
    read_record(&shards->shard[message->partition], key, message);
}

static void on_trouble(void *context, const char *sentence)
{
    (void)context;
    log_warn("control can't be read", LOG_TEXT("error", sentence));
}

static void on_given(void *context, int number)
{
    struct shards *shards = context;
    struct shard *shard = &shards->shard[number];
    struct error error;
    char suffix[32], id[TOPIC_NAME_BYTES_MAX];
    if (shard->state != SHARD_FOREIGN) {
        return;
    }
    snprintf(suffix, sizeof suffix, "shard.%d", number);
    rd_kafka_conf_t *conf = kafka_conf_new(shards->kafka, KAFKA_ROLE_TRANSACTIONAL, &error);
    shard->txn = conf == NULL ? NULL
                              : txn_new(shard->thread, conf,
                                        topic_name(shards->kafka->prefix, suffix, id), &error);
    if (shard->txn == NULL) {
        log_error("a shard's producer can't be made", LOG_INT("shard", number),
                  LOG_TEXT("error", error.text));
        shards_group_rejoin(shards->group);
        return;
    }
    shard->state = SHARD_FENCING;
    txn_init(shard->txn, on_init, shard);
}

static void on_asked_back(void *context, int number)
{
    struct shards *shards = context;
    struct shard *shard = &shards->shard[number];
    if (shard->state == SHARD_FOREIGN) {
        shards_group_left(shards->group, number);
    } else if (shard->state == SHARD_OURS && !STAILQ_EMPTY(&shard->batch)) {
        shard->state = SHARD_LEAVING;
    } else {
        leave(shard);
    }
}

static void on_lost(void *context, int number)
{
    struct shards *shards = context;
    if (shards->shard[number].state != SHARD_FOREIGN) {
        log_warn("shard lost: the group gave it to another", LOG_INT("shard", number));
        drop(&shards->shard[number], -ESTALE);
    }
}

static void init_shard(struct shards *shards, int number, struct metrics *metrics)
{
    struct shard *shard = &shards->shard[number];
    char label[16];
    snprintf(label, sizeof label, "%d", number);
    shard->shards = shards;
    shard->number = number;
    shard->thread = txn_thread_new(shards->base);
    shard->retry_event = event_new(shards->base, -1, 0, on_retry, shard);
    shards_queue_init(&shard->queue, WAITING_RECORDS_MAX, WAITING_BYTES_MAX);
    STAILQ_INIT(&shard->batch);
    shard->owned = metrics_series(metrics, "engenho_shard_owned", METRIC_VALUES(label));
    shard->takeovers =
        metrics_series(metrics, "engenho_shard_takeovers_total", METRIC_VALUES(label));
    metric_set(shard->owned, 0);
}

static int start(struct shards *shards, struct error *error)
{
    static const struct follower_callbacks follower_callbacks = {
        .record = on_record, .caught_up = on_caught_up, .trouble = on_trouble};
    static const struct shards_group_callbacks group_callbacks = {
        .given = on_given, .asked_back = on_asked_back, .lost = on_lost};
    shards->follower =
        follower_new(shards->base, shards->kafka, &follower_callbacks, shards, error);
    if (shards->follower == NULL) {
        return -EINVAL;
    }
    for (int i = 0; i < shards->count; i++) {
        int result =
            follower_add(shards->follower, shards->control, i, RD_KAFKA_OFFSET_BEGINNING, error);
        if (result != 0) {
            return result;
        }
    }
    shards->group = shards_group_new(shards->base, shards->kafka, shards->count, &group_callbacks,
                                     shards, error);
    return shards->group != NULL ? 0 : -EINVAL;
}

struct shards *shards_new(struct event_base *base, const struct shards_options *options,
                          const struct shards_callbacks *callbacks, void *context,
                          struct error *error)
{
    if (options->count < 1 || options->count > SHARDS_MAX) {
        error_set(error, -EINVAL, "shards: %d is out of range: it takes 1 to %d", options->count,
                  SHARDS_MAX);
        return NULL;
    }
    struct shards *shards = memory_new(1, sizeof *shards);
    shards->base = base;
    shards->kafka = options->kafka;
    shards->callbacks = *callbacks;
    shards->context = context;
    shards->replica = memory_copy_text(options->replica);
    shards->address = memory_copy_text(options->address);
    shards->count = options->count;
    topic_name(options->kafka->prefix, TOPIC_CONTROL, shards->control);
    for (int i = 0; i < shards->count; i++) {
        init_shard(shards, i, options->metrics);
    }
    if (start(shards, error) != 0) {
        shards_free(shards);
        return NULL;
    }
    return shards;
}

static bool is_busy(const struct shards *shards)
{
    for (int i = 0; i < shards->count; i++) {
        if (shards->shard[i].state == SHARD_LEAVING) {
            return true;
        }
    }
    return false;
}

static void on_nothing(evutil_socket_t fd, short events, void *context)
{
    (void)fd;
    (void)events;
    (void)context;
}

/* Turn the loop until no transaction is open, or until it takes too long. */
static void finish(struct shards *shards)
{
    int64_t until_us = clock_mono_us() + STOP_US_MAX;
    struct event *tick = event_new(shards->base, -1, EV_PERSIST, on_nothing, NULL);
    event_add(tick, &(struct timeval){.tv_usec = 50000});
    for (int i = 0; i < shards->count; i++) {
        if (shards->shard[i].state != SHARD_FOREIGN) {
            on_asked_back(shards, i);
        }
    }
    while (is_busy(shards) && clock_mono_us() < until_us) {
        event_base_loop(shards->base, EVLOOP_ONCE);
    }
    event_free(tick);
}

void shards_free(struct shards *shards)
{
    if (shards == NULL) {
        return;
    }
    if (shards->group != NULL) {
        finish(shards);
    }
    shards_group_free(shards->group);
    follower_free(shards->follower);
    for (int i = 0; i < shards->count; i++) {
        struct shard *shard = &shards->shard[i];
        drop(shard, -ESTALE);
        txn_thread_free(shard->thread);
        event_free(shard->retry_event);
        free(shard->owner_replica);
        free(shard->owner_address);
    }
    free(shards->replica);
    free(shards->address);
    free(shards);
}

int shards_of(const struct shards *shards, const char *kind, const char *name)
{
    char key[KEY_BYTES_MAX];
    int length = snprintf(key, sizeof key, "%s/%s", kind, name);
    assert(length > 0 && (size_t)length < sizeof key);
    return murmur2_partition(key, (size_t)length, shards->count);
}

bool shards_ready(const struct shards *shards, int shard)
{
    return shards->shard[shard].state == SHARD_OURS;
}

const char *shards_owner(const struct shards *shards, int shard)
{
    const struct shard *asked = &shards->shard[shard];
    if (asked->state != SHARD_FOREIGN || asked->owner_replica == NULL ||
        !strcmp(asked->owner_replica, shards->replica)) {
        return NULL;
    }
    return asked->owner_address;
}

int shards_submit(struct shards *shards, int shard, const struct shards_record *records,
                  size_t count, shards_done done, void *context)
{
    struct shard *to = &shards->shard[shard];
    if (to->state != SHARD_OURS) {
        return -EAGAIN;
    }
    int result = shards_queue_push(&to->queue, records, count, done, context);
    if (result == 0) {
        pump(to);
    }
    return result;
}
