#include "kafka/txn.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include "common/memory.h"
#include "kafka/config.h"

#define ATTEMPT_MS                                                                                 \
    5000 /* one try of a blocking call; between tries the thread looks whether it is still wanted  \
          */
#define SETTLE_MS 100  /* between tries that failed at once */
#define POLL_EVERY 256 /* records between two looks at delivery reports while filling */
#define REASON_BYTES_MAX 512

enum job_kind { JOB_INIT, JOB_COMMIT, JOB_ABORT, JOB_FREE };

/*
 * Shared by two producers that alternate. The thread counts the commits that did not happen, the
 * loop those it was told.
 */
struct pair {
    unsigned references;
    unsigned failures;      /* thread */
    unsigned failures_seen; /* loop */
};

/* What was handed over. Owned by the loop, then by the thread, then by the loop again. */
struct job {
    enum job_kind kind;
    rd_kafka_topic_partition_list_t *offsets;
    rd_kafka_consumer_group_metadata_t *group;
    unsigned failures_seen; /* of the pair when it was handed over */
    txn_callback done;
    void *context;
    enum txn_result result;
    bool broke_the_pair;
    char reason[REASON_BYTES_MAX];
};

struct txn {
    struct txn_thread *thread;
    rd_kafka_t *client;
    char *id;
    enum txn_state state; /* loop */
    struct pair *pair;    /* NULL: alone */
    struct job job;       /* one at a time: state BUSY while it is handed over */
    atomic_bool dropped;  /* nobody waits for the answer any more */
    bool freed;           /* loop: txn_free was called while BUSY */
    unsigned since_poll;
    /* written where delivery reports are served: loop while FILLING, thread while BUSY */
    struct txn_delivery *deliveries;
    size_t delivery_count, delivery_capacity;
    STAILQ_ENTRY(txn) next;
};

STAILQ_HEAD(txn_list, txn);

struct txn_thread {
    pthread_t thread;
    pthread_mutex_t mutex; /* guards both lists and `stop` */
    pthread_cond_t wake;
    struct txn_list handed, answered;
    bool stop;
    int answered_fd;
    struct event *answered_event;
};

static void remember_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    struct txn *txn = opaque;
    (void)client;
    if (message->_private == NULL || message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return;
    }
    if (txn->delivery_count == txn->delivery_capacity) {
        txn->delivery_capacity = txn->delivery_capacity ? 2 * txn->delivery_capacity : 64;
        txn->deliveries =
            memory_resize(txn->deliveries, txn->delivery_capacity, sizeof *txn->deliveries);
    }
    txn->deliveries[txn->delivery_count++] = (struct txn_delivery){
        .opaque = message->_private, .partition = message->partition, .offset = message->offset};
}

/* What an error of a transactional call asks for. */
enum verdict { VERDICT_DONE, VERDICT_AGAIN, VERDICT_ABORT, VERDICT_FENCED, VERDICT_FATAL };

/* Takes `error`. */
static enum verdict judge(struct job *job, const char *call, rd_kafka_error_t *error)
{
    if (error == NULL) {
        return VERDICT_DONE;
    }
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    snprintf(job->reason, sizeof job->reason, "%s: %s", call, rd_kafka_error_string(error));
    enum verdict verdict = VERDICT_ABORT;
    if (code == RD_KAFKA_RESP_ERR__FENCED || code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
        code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH) {
        verdict = VERDICT_FENCED;
    } else if (rd_kafka_error_is_fatal(error)) {
        verdict = VERDICT_FATAL;
    } else if (rd_kafka_error_txn_requires_abort(error)) {
        verdict = VERDICT_ABORT;
    } else if (rd_kafka_error_is_retriable(error) || code == RD_KAFKA_RESP_ERR__TIMED_OUT) {
        verdict = VERDICT_AGAIN;
    }
    rd_kafka_error_destroy(error);
    return verdict;
}

static bool wait_to_try_again(struct txn *txn)
{
    usleep(SETTLE_MS * 1000);
    return !atomic_load(&txn->dropped);
}

static enum txn_result give_up(enum verdict verdict)
{
    return verdict == VERDICT_FENCED ? TXN_FENCED : TXN_FAILED;
}

static enum txn_result run_init(struct txn *txn)
{
    enum verdict verdict;
    do {
        verdict = judge(&txn->job, "init_transactions",
                        rd_kafka_init_transactions(txn->client, ATTEMPT_MS));
    } while (verdict == VERDICT_AGAIN && wait_to_try_again(txn));
    return verdict == VERDICT_DONE ? TXN_DONE : give_up(verdict);
}

/*
 * `otherwise`: the result when the abort itself went well. The reason of what made us abort is
 * kept.
 */
static enum txn_result run_abort(struct txn *txn, enum txn_result otherwise)
{
    enum verdict verdict;
    char reason[REASON_BYTES_MAX];
    snprintf(reason, sizeof reason, "%s", txn->job.reason);
    do {
        verdict = judge(&txn->job, "abort_transaction",
                        rd_kafka_abort_transaction(txn->client, ATTEMPT_MS));
    } while (verdict == VERDICT_AGAIN && wait_to_try_again(txn));
    if (verdict == VERDICT_DONE) {
        snprintf(txn->job.reason, sizeof txn->job.reason, "%s", reason);
        return otherwise;
    }
    return give_up(verdict);
}

static enum verdict send_offsets(struct txn *txn)
{
    enum verdict verdict;
    if (txn->job.offsets == NULL) {
        return VERDICT_DONE;
    }
    do {
        verdict = judge(&txn->job, "send_offsets_to_transaction",
                        rd_kafka_send_offsets_to_transaction(txn->client, txn->job.offsets,
                                                             txn->job.group, ATTEMPT_MS));
    } while (verdict == VERDICT_AGAIN && wait_to_try_again(txn));
    return verdict;
}

static enum txn_result run_commit(struct txn *txn)
{
    struct job *job = &txn->job;
    if (txn->pair != NULL && job->failures_seen != txn->pair->failures) {
        snprintf(job->reason, sizeof job->reason, "the transaction before it did not happen");
        return run_abort(txn, TXN_ABORTED);
    }
    enum verdict verdict = send_offsets(txn);
    while (verdict == VERDICT_DONE) {
        verdict =
            judge(job, "commit_transaction", rd_kafka_commit_transaction(txn->client, ATTEMPT_MS));
        if (verdict == VERDICT_DONE) {
            return TXN_DONE;
        }
        if (verdict == VERDICT_AGAIN && wait_to_try_again(txn)) {
            verdict = VERDICT_DONE;
        }
    }
    enum txn_result result =
        verdict == VERDICT_ABORT ? run_abort(txn, TXN_ABORTED) : give_up(verdict);
    if (txn->pair != NULL) {
        txn->pair->failures++;
        job->broke_the_pair = true;
    }
    return result;
}

static void release_job(struct job *job)
{
    if (job->offsets != NULL) {
        rd_kafka_topic_partition_list_destroy(job->offsets);
    }
    if (job->group != NULL) {
        rd_kafka_consumer_group_metadata_destroy(job->group);
    }
    job->offsets = NULL;
    job->group = NULL;
}

static void run(struct txn *txn)
{
    switch (txn->job.kind) {
    case JOB_INIT:
        txn->job.result = run_init(txn);
        break;
    case JOB_COMMIT:
        txn->job.result = run_commit(txn);
        break;
    case JOB_ABORT:
        txn->job.result = run_abort(txn, TXN_DONE);
        break;
    case JOB_FREE:
        /* Joins librdkafka's threads: may take a moment, so not on the loop. */
        rd_kafka_destroy(txn->client);
        txn->client = NULL;
        break;
    }
    release_job(&txn->job);
}

static void release_memory(struct txn *txn)
{
    if (txn->pair != NULL && --txn->pair->references == 0) {
        free(txn->pair);
    }
    free(txn->deliveries);
    free(txn->id);
    free(txn);
}

static void *thread_main(void *argument)
{
    struct txn_thread *thread = argument;
    pthread_mutex_lock(&thread->mutex);
    for (;;) {
        while (STAILQ_EMPTY(&thread->handed) && !thread->stop) {
            pthread_cond_wait(&thread->wake, &thread->mutex);
        }
        struct txn *txn = STAILQ_FIRST(&thread->handed);
        if (txn == NULL) {
            break;
        }
        STAILQ_REMOVE_HEAD(&thread->handed, next);
        pthread_mutex_unlock(&thread->mutex);
        run(txn);
        pthread_mutex_lock(&thread->mutex);
        STAILQ_INSERT_TAIL(&thread->answered, txn, next);
        uint64_t one = 1;
        ssize_t written = write(thread->answered_fd, &one, sizeof one);
        (void)written; /* the counter can't overflow, and a wake-up that is pending is enough */
    }
    pthread_mutex_unlock(&thread->mutex);
    return NULL;
}

static void hand_over(struct txn *txn, enum job_kind kind, txn_callback done, void *context)
{
    struct txn_thread *thread = txn->thread;
    txn->state = TXN_BUSY;
    txn->job.kind = kind;
    txn->job.done = done;
    txn->job.context = context;
    txn->job.result = TXN_FAILED;
    txn->job.broke_the_pair = false;
    txn->job.reason[0] = '\0';
    txn->job.failures_seen = txn->pair != NULL ? txn->pair->failures_seen : 0;
    pthread_mutex_lock(&thread->mutex);
    STAILQ_INSERT_TAIL(&thread->handed, txn, next);
    pthread_cond_signal(&thread->wake);
    pthread_mutex_unlock(&thread->mutex);
}

static void answer(struct txn *txn)
{
    struct job *job = &txn->job;
    if (job->kind == JOB_FREE) {
        release_memory(txn);
        return;
    }
    if (job->broke_the_pair) {
        txn->pair->failures_seen++;
    }
    if (txn->freed) {
        hand_over(txn, JOB_FREE, NULL, NULL);
        return;
    }
    txn->state = job->result == TXN_DONE || job->result == TXN_ABORTED ? TXN_IDLE : TXN_DEAD;
    if (job->done != NULL) {
        job->done(job->context, txn, job->result, job->reason);
    }
}

static void on_answered(evutil_socket_t fd, short events, void *context)
{
    struct txn_thread *thread = context;
    struct txn_list answered = STAILQ_HEAD_INITIALIZER(answered);
    uint64_t count;
    (void)events;
    ssize_t got = read(fd, &count, sizeof count);
    (void)got;
    pthread_mutex_lock(&thread->mutex);
    STAILQ_CONCAT(&answered, &thread->answered);
    pthread_mutex_unlock(&thread->mutex);
    struct txn *txn;
    while ((txn = STAILQ_FIRST(&answered)) != NULL) {
        STAILQ_REMOVE_HEAD(&answered, next);
        answer(txn);
    }
}

struct txn_thread *txn_thread_new(struct event_base *base)
{
    struct txn_thread *thread = memory_new(1, sizeof *thread);
    STAILQ_INIT(&thread->handed);
    STAILQ_INIT(&thread->answered);
    pthread_mutex_init(&thread->mutex, NULL);
    pthread_cond_init(&thread->wake, NULL);
    thread->answered_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert(thread->answered_fd >= 0);
    thread->answered_event =
        event_new(base, thread->answered_fd, EV_READ | EV_PERSIST, on_answered, thread);
    event_add(thread->answered_event, NULL);
    int result = pthread_create(&thread->thread, NULL, thread_main, thread);
    assert(result == 0);
    (void)result;
    return thread;
}

void txn_thread_free(struct txn_thread *thread)
{
    if (thread == NULL) {
        return;
    }
    /*
     * Producers that were freed while busy come back once more to be destroyed: turn until the
     * thread has none.
     */
    bool idle = false;
    while (!idle) {
        pthread_mutex_lock(&thread->mutex);
        thread->stop = true;
        pthread_cond_signal(&thread->wake);
        pthread_mutex_unlock(&thread->mutex);
        pthread_join(thread->thread, NULL);
        on_answered(thread->answered_fd, EV_READ, thread);
        pthread_mutex_lock(&thread->mutex);
        idle = STAILQ_EMPTY(&thread->handed);
        thread->stop = false;
        pthread_mutex_unlock(&thread->mutex);
        if (!idle) {
            int result = pthread_create(&thread->thread, NULL, thread_main, thread);
            assert(result == 0);
            (void)result;
        }
    }
    event_free(thread->answered_event);
    close(thread->answered_fd);
    pthread_cond_destroy(&thread->wake);
    pthread_mutex_destroy(&thread->mutex);
    free(thread);
}

struct txn *txn_new(struct txn_thread *thread, rd_kafka_conf_t *conf, const char *transactional_id,
                    struct error *error)
{
    char text[256];
    struct txn *txn = memory_new(1, sizeof *txn);
    txn->thread = thread;
    txn->id = memory_copy_text(transactional_id);
    kafka_conf_set(conf, "transactional.id", transactional_id);
    /*
     * With a delivery report callback a commit's flush wakes at once instead of in steps of 10 ms.
     */
    rd_kafka_conf_set_dr_msg_cb(conf, remember_delivery);
    rd_kafka_conf_set_opaque(conf, txn);
    txn->client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (txn->client == NULL) {
        rd_kafka_conf_destroy(conf);
        error_set(error, -EINVAL, "librdkafka refuses the transactional producer %s: %s",
                  transactional_id, text);
        free(txn->id);
        free(txn);
        return NULL;
    }
    txn->state = TXN_NEW;
    return txn;
}

void txn_free(struct txn *txn)
{
    if (txn == NULL) {
        return;
    }
    atomic_store(&txn->dropped, true);
    txn->freed = true;
    if (txn->state != TXN_BUSY) {
        hand_over(txn, JOB_FREE, NULL, NULL);
    }
}

enum txn_state txn_state(const struct txn *txn)
{
    return txn->state;
}

const char *txn_id(const struct txn *txn)
{
    return txn->id;
}

void txn_pair(struct txn *a, struct txn *b)
{
    assert(a->thread == b->thread && a->pair == NULL && b->pair == NULL);
    a->pair = b->pair = memory_new(1, sizeof *a->pair);
    a->pair->references = 2;
}

void txn_init(struct txn *txn, txn_callback done, void *context)
{
    assert(txn->state == TXN_NEW);
    hand_over(txn, JOB_INIT, done, context);
}

int txn_begin(struct txn *txn, struct error *error)
{
    assert(txn->state == TXN_IDLE);
    rd_kafka_error_t *refused = rd_kafka_begin_transaction(txn->client);
    if (refused != NULL) {
        txn->state = TXN_DEAD;
        error_set(error, -EIO, "begin_transaction of %s: %s", txn->id,
                  rd_kafka_error_string(refused));
        rd_kafka_error_destroy(refused);
        return -EIO;
    }
    txn->state = TXN_FILLING;
    txn->delivery_count = 0;
    txn->since_poll = 0;
    return 0;
}

static int explain_refusal(const struct txn_record *record, rd_kafka_resp_err_t code,
                           const char *why, struct error *error)
{
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        return -ENOBUFS;
    }
    if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
        return error_set(error, -EMSGSIZE,
                         "a record of %zu bytes for %s is larger than message.max.bytes",
                         record->value_bytes, record->topic);
    }
    return error_set(error, -EIO, "a record for %s was refused: %s", record->topic, why);
}

int txn_produce(struct txn *txn, const struct txn_record *record, struct error *error)
{
    assert(txn->state == TXN_FILLING);
    if (++txn->since_poll == POLL_EVERY) {
        txn->since_poll = 0;
        rd_kafka_poll(txn->client, 0);
    }
    rd_kafka_vu_t parts[] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = record->topic},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = record->partition},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {(void *)record->key, record->key_bytes}},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {(void *)record->value, record->value_bytes}},
        {.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = record->timestamp_ms},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = record->opaque},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = record->headers},
    };
    size_t count = ARRAY_SIZE(parts) - (record->headers == NULL ? 1 : 0);
    rd_kafka_error_t *refused = rd_kafka_produceva(txn->client, parts, count);
    if (refused == NULL) {
        return 0;
    }
    int result = explain_refusal(record, rd_kafka_error_code(refused),
                                 rd_kafka_error_string(refused), error);
    if (result == -ENOBUFS) {
        rd_kafka_poll(txn->client, 0);
    }
    rd_kafka_error_destroy(refused);
    return result;
}

bool txn_flushed(struct txn *txn)
{
    assert(txn->state == TXN_FILLING);
    rd_kafka_poll(txn->client, 0);
    return rd_kafka_outq_len(txn->client) == 0;
}

void txn_commit(struct txn *txn, rd_kafka_topic_partition_list_t *offsets,
                rd_kafka_consumer_group_metadata_t *group, txn_callback done, void *context)
{
    assert(txn->state == TXN_FILLING && (offsets == NULL) == (group == NULL));
    txn->job.offsets = offsets;
    txn->job.group = group;
    hand_over(txn, JOB_COMMIT, done, context);
}

void txn_abort(struct txn *txn, txn_callback done, void *context)
{
    assert(txn->state == TXN_FILLING);
    hand_over(txn, JOB_ABORT, done, context);
}

const struct txn_delivery *txn_deliveries(const struct txn *txn, size_t *ret_count)
{
    *ret_count = txn->delivery_count;
    return txn->deliveries;
}
