/*
 * What waits to be committed in one shard: submissions, each of some records that stand or fall
 * together, in order. Pure.
 */
#ifndef ENGENHO_PRODUCER_SHARDS_QUEUE_H
#define ENGENHO_PRODUCER_SHARDS_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/attributes.h"
#include "producer/shards_record.h"

/* Owned by the queue it stands in. */
struct submission {
    struct shards_record *records;      /* with copies of their bytes */
    struct shards_delivery *deliveries; /* one for each record, filled by whoever commits them */
    size_t count, bytes;
    shards_done done;
    void *context;
    STAILQ_ENTRY(submission) next;
};

STAILQ_HEAD(submission_list, submission);

struct shards_queue {
    struct submission_list waiting;
    size_t records, bytes; /* in `waiting` */
    size_t records_max, bytes_max;
};

void shards_queue_init(struct shards_queue *queue, size_t records_max, size_t bytes_max);

/* Copies the records. Returns 0, or -ENOBUFS past a maximum: then nothing has changed. */
MUST_CHECK int shards_queue_push(struct shards_queue *queue, const struct shards_record *records,
                                 size_t count, shards_done done, void *context);
/* Move submissions from the front to `ret_batch` (empty), as many as fit into these limits, and one
 * at least if any waits. */
void shards_queue_take(struct shards_queue *queue, size_t records_max, size_t bytes_max,
                       struct submission_list *ret_batch);
/* Put a batch back in front, in its order. Its maximum may be passed by it. */
void shards_queue_put_back(struct shards_queue *queue, struct submission_list *batch);
/* Answer all of a list with `result` and free them, in order. The list is empty before the first
 * answer is given. */
void submissions_answer(struct submission_list *list, int result);
void submission_free(struct submission *submission);

#endif
