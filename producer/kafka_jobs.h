/*
 * A thread for the few calls of librdkafka that block: the sizes of topics, pages of a topic from
 * an offset or a time, removing records. The loop hands over a job and gets it back; nothing is
 * shared. An edge: librdkafka, libevent. Producer.
 */
#ifndef ENGENHO_PRODUCER_KAFKA_JOBS_H
#define ENGENHO_PRODUCER_KAFKA_JOBS_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/error.h"
#include "kafka/config.h"

#define KAFKA_JOBS_WAITING_MAX 16
#define KAFKA_JOB_PARTITIONS_MAX 64

enum kafka_job_kind {
    KAFKA_JOB_SIZE, /* partitions and watermarks of the topic */
    KAFKA_JOB_PAGE, /* records from where it says */
    KAFKA_JOB_TAIL, /* the last records of each partition */
    KAFKA_JOB_TRIM  /* remove all that is there now */
};

struct kafka_page_record {
    int32_t partition;
    int64_t offset;
    int64_t timestamp_ms;
    char *key;   /* NUL-terminated; NULL: none */
    void *value; /* NUL behind it; NULL: none */
    size_t key_bytes, value_bytes;
    char **headers;       /* name, value, name, value ...; NUL-terminated */
    size_t headers_count; /* pairs */
};

struct kafka_job {
    /* Given. */
    enum kafka_job_kind kind;
    char topic[250]; /* with the prefix */
    /* PAGE: from this time, where `from` does not say; 0: from the beginning */
    int64_t since_ms;
    int64_t from[KAFKA_JOB_PARTITIONS_MAX]; /* PAGE: an offset, or -1 */
    int only;                               /* PAGE: one partition, or -1 */
    size_t records_max;
    size_t bytes_max;
    /* Whether to keep a record; runs on the thread and touches nothing else. NULL: all. */
    bool (*keep)(const struct kafka_job *job, const void *value, size_t bytes);
    void (*done)(struct kafka_job *job); /* on the loop; the job is released after it */
    void *context;
    /* Found. */
    int result; /* 0, -ENOENT: no such topic, -ETIMEDOUT, -EIO with a sentence */
    struct error error;
    int partitions;
    int64_t low[KAFKA_JOB_PARTITIONS_MAX], high[KAFKA_JOB_PARTITIONS_MAX];
    int64_t read[KAFKA_JOB_PARTITIONS_MAX]; /* PAGE: the last offset looked at; -1: none */
    struct kafka_page_record *records;
    size_t count;
    char extra[600]; /* the caller's, for `keep` */
};

struct kafka_jobs;

/* Returns owned, or NULL with a sentence. */
struct kafka_jobs *kafka_jobs_new(struct event_base *base, const struct kafka_options *kafka,
                                  struct error *error);
/* Waits for the job that runs (some seconds at most); the rest is dropped without its callback. */
void kafka_jobs_free(struct kafka_jobs *jobs);

/* A job with nothing set. Returns owned. */
struct kafka_job *kafka_job_new(enum kafka_job_kind kind, const char *prefix, const char *topic);
void kafka_job_free(struct kafka_job *job);
/* Takes `job` on success. Returns 0, or -EAGAIN: KAFKA_JOBS_WAITING_MAX wait already. */
MUST_CHECK int kafka_jobs_run(struct kafka_jobs *jobs, struct kafka_job *job);

#endif
