#include "worker/package_fetch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/buf.h"
#include "common/memory.h"
#include "kafka/follower.h"
#include "kafka/topics.h"

#define SILENCE_SECONDS 20 /* without a record: Kafka is away */
#define PART_KEY_BYTES (2 * PACKAGE_SHA256_BYTES)

struct wanted {
    uint8_t sha256[PACKAGE_SHA256_BYTES];
    char *file_name;
    int32_t partition;
    int64_t first_offset, last_offset;
    uint64_t size_bytes;
    uint32_t parts;
    package_fetched done;
    void *context;
    STAILQ_ENTRY(wanted) next;
};

struct package_fetch {
    struct packages *packages;
    struct follower *follower;
    struct event *start, *silence;
    char topic[TOPIC_NAME_BYTES_MAX];
    STAILQ_HEAD(wanted_list, wanted) waiting;
    unsigned count;
    struct wanted *reading; /* NULL: none */
    struct buf content;
    uint32_t next_part;
};

static void free_wanted(struct wanted *wanted)
{
    free(wanted->file_name);
    free(wanted);
}

/* Answer the one that is being read and go on with the next one. */
static void finish(struct package_fetch *fetch, const char *folder, bool again, const char *reason)
{
    struct wanted *wanted = fetch->reading;
    follower_remove(fetch->follower, fetch->topic, wanted->partition);
    event_del(fetch->silence);
    buf_release(&fetch->content);
    fetch->reading = NULL;
    fetch->count--;
    if (!STAILQ_EMPTY(&fetch->waiting)) {
        event_active(fetch->start, EV_TIMEOUT, 0);
    }
    wanted->done(wanted->context, folder, again, reason);
    free_wanted(wanted);
}

static void store(struct package_fetch *fetch)
{
    struct wanted *wanted = fetch->reading;
    const char *folder;
    struct error error;
    int result = packages_store(fetch->packages, wanted->sha256, wanted->file_name,
                                fetch->content.data, fetch->content.length, &folder, &error);
    if (result == 0) {
        finish(fetch, folder, false, NULL);
    } else {
        finish(fetch, NULL, result == -ENOSPC || result == -EIO, error.text);
    }
}

static bool is_next_part(const struct package_fetch *fetch, const rd_kafka_message_t *message)
{
    char key[PART_KEY_BYTES + 16];
    size_t length = 0;
    for (size_t i = 0; i < PACKAGE_SHA256_BYTES; i++) {
        length +=
            (size_t)snprintf(key + length, sizeof key - length, "%02x", fetch->reading->sha256[i]);
    }
    length += (size_t)snprintf(key + length, sizeof key - length, "/%" PRIu32, fetch->next_part);
    return message->key_len == length && !memcmp(message->key, key, length);
}

static void on_record(void *context, const rd_kafka_message_t *message)
{
    struct package_fetch *fetch = context;
    struct wanted *wanted = fetch->reading;
    if (wanted == NULL) {
        return;
    }
    event_add(fetch->silence, &(struct timeval){.tv_sec = SILENCE_SECONDS});
    if (is_next_part(fetch, message)) {
        fetch->next_part++;
        if (buf_append(&fetch->content, message->payload, message->len) != 0) {
            finish(fetch, NULL, false,
                   "its parts on Kafka are longer than its manifest says; deploy it again");
            return;
        }
    }
    if (fetch->next_part == wanted->parts) {
        store(fetch);
    } else if (message->offset >= wanted->last_offset) {
        finish(fetch, NULL, false, "its parts on Kafka are not complete; deploy it again");
    }
}

static void on_caught_up(void *context, const char *topic, int32_t partition)
{
    struct package_fetch *fetch = context;
    (void)topic;
    (void)partition;
    if (fetch->reading != NULL) {
        finish(fetch, NULL, false, "its parts are not on Kafka any more; deploy it again");
    }
}

static void on_silence(evutil_socket_t fd, short events, void *context)
{
    struct package_fetch *fetch = context;
    (void)fd;
    (void)events;
    if (fetch->reading != NULL) {
        finish(fetch, NULL, true, "Kafka did not bring its parts within 20 s");
    }
}

static void on_start(evutil_socket_t fd, short events, void *context)
{
    struct package_fetch *fetch = context;
    struct error error;
    (void)fd;
    (void)events;
    if (fetch->reading != NULL || STAILQ_EMPTY(&fetch->waiting)) {
        return;
    }
    struct wanted *wanted = STAILQ_FIRST(&fetch->waiting);
    STAILQ_REMOVE_HEAD(&fetch->waiting, next);
    fetch->reading = wanted;
    fetch->next_part = 0;
    buf_init(&fetch->content,
             wanted->size_bytes < PACKAGE_BYTES_MAX ? wanted->size_bytes : PACKAGE_BYTES_MAX);
    event_add(fetch->silence, &(struct timeval){.tv_sec = SILENCE_SECONDS});
    const char *folder = packages_find(fetch->packages, wanted->sha256);
    if (folder != NULL) {
        finish(fetch, folder, false, NULL);
    } else if (follower_add(fetch->follower, fetch->topic, wanted->partition, wanted->first_offset,
                            &error) != 0) {
        finish(fetch, NULL, true, error.text);
    }
}

struct package_fetch *package_fetch_new(struct event_base *base, const struct kafka_options *kafka,
                                        struct packages *packages, struct error *error)
{
    static const struct follower_callbacks callbacks = {.record = on_record,
                                                        .caught_up = on_caught_up};
    struct package_fetch *fetch = memory_new(1, sizeof *fetch);
    fetch->follower = follower_new(base, kafka, &callbacks, fetch, error);
    if (fetch->follower == NULL) {
        free(fetch);
        return NULL;
    }
    fetch->packages = packages;
    topic_name(kafka->prefix, TOPIC_PACKAGES, fetch->topic);
    STAILQ_INIT(&fetch->waiting);
    buf_init(&fetch->content, 0);
    fetch->start = event_new(base, -1, 0, on_start, fetch);
    fetch->silence = event_new(base, -1, 0, on_silence, fetch);
    return fetch;
}

void package_fetch_free(struct package_fetch *fetch)
{
    struct wanted *wanted;
    if (fetch == NULL) {
        return;
    }
    while ((wanted = STAILQ_FIRST(&fetch->waiting)) != NULL) {
        STAILQ_REMOVE_HEAD(&fetch->waiting, next);
        free_wanted(wanted);
    }
    if (fetch->reading != NULL) {
        free_wanted(fetch->reading);
    }
    follower_free(fetch->follower);
    event_free(fetch->start);
    event_free(fetch->silence);
    buf_release(&fetch->content);
    free(fetch);
}

int package_fetch_ask(struct package_fetch *fetch, const Engenho__PackageVersion *version,
                      package_fetched done, void *context)
{
    if (fetch->count == PACKAGE_FETCHES_MAX) {
        return -ENOBUFS;
    }
    if (version->sha256.len != PACKAGE_SHA256_BYTES) {
        return -EINVAL;
    }
    struct wanted *wanted = memory_new(1, sizeof *wanted);
    memcpy(wanted->sha256, version->sha256.data, PACKAGE_SHA256_BYTES);
    wanted->file_name = memory_copy_text(version->file_name);
    wanted->partition = version->partition;
    wanted->first_offset = version->first_offset;
    wanted->last_offset = version->last_offset;
    wanted->size_bytes = version->size_bytes;
    wanted->parts = version->parts;
    wanted->done = done;
    wanted->context = context;
    STAILQ_INSERT_TAIL(&fetch->waiting, wanted, next);
    fetch->count++;
    event_active(fetch->start, EV_TIMEOUT, 0);
    return 0;
}
