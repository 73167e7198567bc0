#include "producer/shards_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

void shards_queue_init(struct shards_queue *queue, size_t records_max, size_t bytes_max)
{
    *queue = (struct shards_queue){.records_max = records_max, .bytes_max = bytes_max};
    STAILQ_INIT(&queue->waiting);
}

static size_t bytes_of(const struct shards_record *records, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += strlen(records[i].topic) + 1 + records[i].key_bytes + records[i].value_bytes;
    }
    return bytes;
}

/* Copies `bytes` bytes to *at and moves it behind them. NULL stays NULL. */
static const void *copy(uint8_t **at, const void *data, size_t bytes)
{
    if (data == NULL) {
        return NULL;
    }
    void *to = *at;
    memcpy(to, data, bytes);
    *at += bytes;
    return to;
}

int shards_queue_push(struct shards_queue *queue, const struct shards_record *records, size_t count,
                      shards_done done, void *context)
{
    size_t bytes = bytes_of(records, count);
    if (queue->records + count > queue->records_max || queue->bytes + bytes > queue->bytes_max) {
        return -ENOBUFS;
    }
    /* One piece of memory: the submission, its records, its deliveries, their bytes. */
    size_t fixed = sizeof(struct submission) +
                   count * (sizeof(struct shards_record) + sizeof(struct shards_delivery));
    struct submission *submission = malloc(fixed + bytes);
    if (submission == NULL) {
        return -ENOBUFS;
    }
    *submission =
        (struct submission){.count = count, .bytes = bytes, .done = done, .context = context};
    submission->records = (struct shards_record *)(submission + 1);
    submission->deliveries = (struct shards_delivery *)(submission->records + count);
    uint8_t *at = (uint8_t *)(submission->deliveries + count);
    for (size_t i = 0; i < count; i++) {
        submission->deliveries[i] = (struct shards_delivery){.partition = -1, .offset = -1};
        submission->records[i] = records[i];
        submission->records[i].topic = copy(&at, records[i].topic, strlen(records[i].topic) + 1);
        submission->records[i].key = copy(&at, records[i].key, records[i].key_bytes);
        submission->records[i].value = copy(&at, records[i].value, records[i].value_bytes);
    }
    STAILQ_INSERT_TAIL(&queue->waiting, submission, next);
    queue->records += count;
    queue->bytes += bytes;
    return 0;
}

void shards_queue_take(struct shards_queue *queue, size_t records_max, size_t bytes_max,
                       struct submission_list *ret_batch)
{
    struct submission *submission;
    size_t records = 0, bytes = 0;
    while ((submission = STAILQ_FIRST(&queue->waiting)) != NULL) {
        records += submission->count;
        bytes += submission->bytes;
        if (!STAILQ_EMPTY(ret_batch) && (records > records_max || bytes > bytes_max)) {
            return;
        }
        STAILQ_REMOVE_HEAD(&queue->waiting, next);
        queue->records -= submission->count;
        queue->bytes -= submission->bytes;
        STAILQ_INSERT_TAIL(ret_batch, submission, next);
    }
}

void shards_queue_put_back(struct shards_queue *queue, struct submission_list *batch)
{
    struct submission *submission;
    STAILQ_FOREACH (submission, batch, next) {
        queue->records += submission->count;
        queue->bytes += submission->bytes;
    }
    STAILQ_CONCAT(batch, &queue->waiting);
    STAILQ_CONCAT(&queue->waiting, batch);
}

void submissions_answer(struct submission_list *list, int result)
{
    struct submission_list answered = STAILQ_HEAD_INITIALIZER(answered);
    struct submission *submission;
    STAILQ_CONCAT(&answered, list);
    while ((submission = STAILQ_FIRST(&answered)) != NULL) {
        STAILQ_REMOVE_HEAD(&answered, next);
        if (submission->done != NULL) {
            submission->done(submission->context, result,
                             result == 0 ? submission->deliveries : NULL,
                             result == 0 ? submission->count : 0);
        }
        submission_free(submission);
    }
}

void submission_free(struct submission *submission)
{
    free(submission);
}
