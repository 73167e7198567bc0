#include "producer/kafka_jobs.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/memory.h"
#include "kafka/topics.h"

#define CALL_MS 3000
#define PAGE_US (4 * SECOND_US)

struct kafka_jobs {
    rd_kafka_t *client;
    pthread_t thread;
    int to_thread[2], to_loop[2]; /* pipes of job pointers: a write of a pointer is atomic */
    struct event *answered;
    size_t waiting;
};

struct kafka_job *kafka_job_new(enum kafka_job_kind kind, const char *prefix, const char *topic)
{
    struct kafka_job *job = memory_new(1, sizeof *job);
    job->kind = kind;
    topic_name(prefix, topic, job->topic);
    job->only = -1;
    job->records_max = 1000;
    job->bytes_max = 16 * 1024 * 1024;
    for (int i = 0; i < KAFKA_JOB_PARTITIONS_MAX; i++) {
        job->from[i] = job->read[i] = -1;
    }
    return job;
}

void kafka_job_free(struct kafka_job *job)
{
    if (job == NULL) {
        return;
    }
    for (size_t i = 0; i < job->count; i++) {
        struct kafka_page_record *record = &job->records[i];
        for (size_t j = 0; j < 2 * record->headers_count; j++) {
            free(record->headers[j]);
        }
        free(record->headers);
        free(record->key);
        free(record->value);
    }
    free(job->records);
    free(job);
}

static int failed(struct kafka_job *job, rd_kafka_resp_err_t code)
{
    int result = code == RD_KAFKA_RESP_ERR__TIMED_OUT || code == RD_KAFKA_RESP_ERR__TRANSPORT
                     ? -ETIMEDOUT
                 : code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
                         code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC
                     ? -ENOENT
                     : -EIO;
    return error_set(&job->error, result, "kafka, topic %s: %s", job->topic,
                     rd_kafka_err2str(code));
}

static int find_size(rd_kafka_t *client, struct kafka_job *job)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(client, job->topic, NULL);
    rd_kafka_resp_err_t code = rd_kafka_metadata(client, 0, topic, &metadata, CALL_MS);
    rd_kafka_topic_destroy(topic);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return failed(job, code);
    }
    code = metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
    job->partitions = metadata->topic_cnt == 1 ? metadata->topics[0].partition_cnt : 0;
    rd_kafka_metadata_destroy(metadata);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && job->partitions == 0) {
        code = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    }
    if (job->partitions > KAFKA_JOB_PARTITIONS_MAX) {
        return error_set(&job->error, -EIO, "topic %s has %d partitions: %d at most are read",
                         job->topic, job->partitions, KAFKA_JOB_PARTITIONS_MAX);
    }
    for (int i = 0; i < job->partitions && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        code = rd_kafka_query_watermark_offsets(client, job->topic, i, &job->low[i], &job->high[i],
                                                CALL_MS);
    }
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : failed(job, code);
}

/* From where each partition is read, into a list for assign. */
static int find_start(rd_kafka_t *client, struct kafka_job *job,
                      rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < job->partitions; i++) {
        if (job->only < 0 || job->only == i) {
            rd_kafka_topic_partition_list_add(list, job->topic, i)->offset =
                job->since_ms > 0 ? job->since_ms : 0;
        }
    }
    if (job->kind == KAFKA_JOB_PAGE && job->since_ms > 0) {
        rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(client, list, CALL_MS);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            return failed(job, code);
        }
    }
    for (int i = 0; i < list->cnt; i++) {
        rd_kafka_topic_partition_t *partition = &list->elems[i];
        int32_t number = partition->partition;
        if (job->kind == KAFKA_JOB_TAIL) {
            int64_t first = job->high[number] - (int64_t)job->records_max;
            partition->offset = first > job->low[number] ? first : job->low[number];
        } else if (job->from[number] >= 0) {
            partition->offset =
                job->from[number] > job->low[number] ? job->from[number] : job->low[number];
        } else if (partition->offset < 0) {
            partition->offset = job->high[number]; /* nothing is that new */
        } else if (partition->offset < job->low[number]) {
            partition->offset = job->low[number];
        }
        job->read[number] = partition->offset - 1;
    }
    return 0;
}

static void copy_headers(const rd_kafka_message_t *message, struct kafka_page_record *record)
{
    rd_kafka_headers_t *headers;
    const char *name;
    const void *value;
    size_t bytes;
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return;
    }
    size_t count = rd_kafka_header_cnt(headers);
    record->headers = memory_new(2 * count + 1, sizeof *record->headers);
    for (size_t i = 0; i < count; i++) {
        if (rd_kafka_header_get_all(headers, i, &name, &value, &bytes) ==
            RD_KAFKA_RESP_ERR_NO_ERROR) {
            record->headers[2 * record->headers_count] = memory_copy_text(name);
            record->headers[2 * record->headers_count + 1] = memory_copy(value, bytes);
            record->headers_count++;
        }
    }
}

static void add_record(struct kafka_job *job, const rd_kafka_message_t *message)
{
    struct kafka_page_record *record = &job->records[job->count++];
    memset(record, 0, sizeof *record);
    record->partition = message->partition;
    record->offset = message->offset;
    record->timestamp_ms = rd_kafka_message_timestamp(message, NULL);
    record->key = message->key != NULL ? memory_copy(message->key, message->key_len) : NULL;
    record->key_bytes = message->key_len;
    record->value = message->payload != NULL ? memory_copy(message->payload, message->len) : NULL;
    record->value_bytes = message->len;
    copy_headers(message, record);
}

/* Keep a record, or see that there is no more of a partition. Returns its bytes. */
static size_t take_message(struct kafka_job *job, const rd_kafka_message_t *message, int *ends)
{
    if (message == NULL) {
        return 0;
    }
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        (*ends)++;
    } else if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        job->read[message->partition] = message->offset;
        if (job->keep == NULL || job->keep(job, message->payload, message->len)) {
            add_record(job, message);
            return message->len + message->key_len;
        }
    }
    return 0;
}

static int read_page(rd_kafka_t *client, struct kafka_job *job,
                     const rd_kafka_topic_partition_list_t *list)
{
    int64_t until_us = clock_mono_us() + PAGE_US;
    size_t bytes = 0, room = job->kind == KAFKA_JOB_TAIL ? job->records_max * (size_t)list->cnt
                                                         : job->records_max;
    int ends = 0;
    job->records = memory_new(room + 1, sizeof *job->records);
    rd_kafka_resp_err_t code = rd_kafka_assign(client, list);
    while (code == RD_KAFKA_RESP_ERR_NO_ERROR && ends < list->cnt && job->count < room &&
           bytes < job->bytes_max) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(client, 200);
        bytes += take_message(job, message, &ends);
        if (message != NULL) {
            rd_kafka_message_destroy(message);
        }
        if (clock_mono_us() > until_us) {
            code = job->count > 0 ? code : RD_KAFKA_RESP_ERR__TIMED_OUT;
            break;
        }
    }
    rd_kafka_assign(client, NULL);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : failed(job, code);
}

static int trim(rd_kafka_t *client, struct kafka_job *job)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(job->partitions);
    for (int i = 0; i < job->partitions; i++) {
        rd_kafka_topic_partition_list_add(list, job->topic, i)->offset = job->high[i];
    }
    rd_kafka_DeleteRecords_t *request = rd_kafka_DeleteRecords_new(list);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_DeleteRecords(client, &request, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, CALL_MS);
    rd_kafka_resp_err_t code =
        event != NULL ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    if (event != NULL) {
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_DeleteRecords_destroy(request);
    rd_kafka_topic_partition_list_destroy(list);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : failed(job, code);
}

static void run(rd_kafka_t *client, struct kafka_job *job)
{
    job->result = find_size(client, job);
    if (job->result != 0 || job->kind == KAFKA_JOB_SIZE) {
        return;
    }
    if (job->kind == KAFKA_JOB_TRIM) {
        job->result = trim(client, job);
        return;
    }
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(job->partitions);
    job->result = find_start(client, job, list);
    if (job->result == 0) {
        job->result = read_page(client, job, list);
    }
    rd_kafka_topic_partition_list_destroy(list);
}

static void *thread_main(void *argument)
{
    struct kafka_jobs *jobs = argument;
    struct kafka_job *job;
    while (read(jobs->to_thread[0], &job, sizeof job) == (ssize_t)sizeof job && job != NULL) {
        run(jobs->client, job);
        if (write(jobs->to_loop[1], &job, sizeof job) != (ssize_t)sizeof job) {
            kafka_job_free(job);
        }
    }
    return NULL;
}

static void on_answer(evutil_socket_t fd, short events, void *context)
{
    struct kafka_jobs *jobs = context;
    struct kafka_job *job;
    (void)events;
    while (read(fd, &job, sizeof job) == (ssize_t)sizeof job) {
        jobs->waiting--;
        job->done(job);
        kafka_job_free(job);
    }
}

struct kafka_jobs *kafka_jobs_new(struct event_base *base, const struct kafka_options *kafka,
                                  struct error *error)
{
    sigset_t all, before;
    rd_kafka_conf_t *conf = kafka_conf_new(kafka, KAFKA_ROLE_READER, error);
    if (conf == NULL) {
        return NULL;
    }
    struct kafka_jobs *jobs = memory_new(1, sizeof *jobs);
    jobs->client = kafka_client_new(RD_KAFKA_CONSUMER, conf, "a reader", error);
    if (jobs->client == NULL) {
        free(jobs);
        return NULL;
    }
    rd_kafka_poll_set_consumer(jobs->client);
    if (pipe2(jobs->to_thread, O_CLOEXEC) != 0 || pipe2(jobs->to_loop, O_CLOEXEC) != 0) {
        abort(); /* no descriptors left at start */
    }
    fcntl(jobs->to_loop[0], F_SETFL, O_NONBLOCK);
    jobs->answered = event_new(base, jobs->to_loop[0], EV_READ | EV_PERSIST, on_answer, jobs);
    event_add(jobs->answered, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&jobs->thread, NULL, thread_main, jobs) != 0) {
        abort();
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return jobs;
}

int kafka_jobs_run(struct kafka_jobs *jobs, struct kafka_job *job)
{
    if (jobs->waiting >= KAFKA_JOBS_WAITING_MAX ||
        write(jobs->to_thread[1], &job, sizeof job) != (ssize_t)sizeof job) {
        return -EAGAIN;
    }
    jobs->waiting++;
    return 0;
}

void kafka_jobs_free(struct kafka_jobs *jobs)
{
    static struct kafka_job *const end = NULL;
    struct kafka_job *job;
    if (jobs == NULL) {
        return;
    }
    /*
     * Take back what has not begun; the thread may be reading the same pipe: whoever gets a job
     * frees or answers it.
     */
    fcntl(jobs->to_thread[0], F_SETFL, O_NONBLOCK);
    while (read(jobs->to_thread[0], &job, sizeof job) == (ssize_t)sizeof job) {
        kafka_job_free(job);
    }
    fcntl(jobs->to_thread[0], F_SETFL, 0);
    if (write(jobs->to_thread[1], &end, sizeof end) == (ssize_t)sizeof end) {
        pthread_join(jobs->thread, NULL);
    }
    while (read(jobs->to_loop[0], &job, sizeof job) == (ssize_t)sizeof job) {
        kafka_job_free(job);
    }
    event_free(jobs->answered);
    close(jobs->to_thread[0]);
    close(jobs->to_thread[1]);
    close(jobs->to_loop[0]);
    close(jobs->to_loop[1]);
    rd_kafka_destroy(jobs->client);
    free(jobs);
}
