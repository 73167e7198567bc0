#include "producer/catalog.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "kafka/follower.h"
#include "kafka/topics.h"
#include "producer/definitions_reader.h"
#include "proto/request.pb-c.h"

struct writing {
    struct catalog_change *changes;
    size_t count;
    char *who;
    bool dry_run;
    catalog_done done;
    void *context;
    int64_t wait_offset; /* until the view has this record; -1: not committed yet */
    TAILQ_ENTRY(writing) next;
};

struct catalog {
    struct follower *follower;
    struct shards *shards;
    int requests_partitions;
    struct catalog_view *view;
    struct catalog_callbacks callbacks;
    void *context;
    char topic[TOPIC_NAME_BYTES_MAX], requests_topic[TOPIC_NAME_BYTES_MAX];
    int64_t next_offset; /* everything below is in the view */
    bool is_read;
    bool taken;      /* shard 0 is ours */
    bool writable;   /* and the view has all that was written before we took it */
    bool committing; /* the first of the queue was handed to the shard */
    TAILQ_HEAD(writings, writing) queue;
    struct event *turn; /* goes on with the queue outside of callbacks */
};

static void kick(struct catalog *catalog)
{
    event_active(catalog->turn, EV_TIMEOUT, 0);
}

static void finish(struct catalog *catalog, struct writing *writing, int result)
{
    TAILQ_REMOVE(&catalog->queue, writing, next);
    writing->done(writing->context, result, writing->changes, writing->count);
    for (size_t i = 0; i < writing->count; i++) {
        catalog_change_release(&writing->changes[i]);
    }
    free(writing->changes);
    free(writing->who);
    free(writing);
}

static void apply_record(struct catalog *catalog, const rd_kafka_message_t *message)
{
    char *key = memory_copy(message->key != NULL ? message->key : "",
                            message->key != NULL ? message->key_len : 0);
    char *slash = strchr(key, '/');
    uint64_t generation = (uint64_t)message->offset + 1;
    Engenho__Definition *definition = NULL;
    if (slash == NULL) {
        log_warn("a record of the catalog has no kind/name as key: ignored",
                 LOG_INT("offset", message->offset));
        free(key);
        return;
    }
    *slash = '\0';
    if (message->payload != NULL) {
        definition = engenho__definition__unpack(NULL, message->len, message->payload);
        if (definition == NULL || strcmp(definition->kind, key) != 0 ||
            strcmp(definition->name, slash + 1) != 0) {
            log_warn("a record of the catalog is not a definition of its key: ignored",
                     LOG_TEXT("kind", key), LOG_TEXT("name", slash + 1),
                     LOG_INT("offset", message->offset));
            if (definition != NULL) {
                engenho__definition__free_unpacked(definition, NULL);
            }
            free(key);
            return;
        }
        catalog_view_put(catalog->view, definition, generation);
    } else {
        catalog_view_delete(catalog->view, key, slash + 1);
    }
    catalog->callbacks.changed(catalog->context, key, slash + 1, definition, generation);
    free(key);
}

static void on_stopped(void *context, int result, const struct catalog_change *changes,
                       size_t count)
{
    (void)context;
    (void)count;
    if (result == 0) {
        log_warn("production stopped", LOG_TEXT("production", changes[0].name),
                 LOG_TEXT("reason", changes[0].definition->production->stopped_reason));
    }
    /*
     * Refused: another write came first, and is left alone. Not written: whoever has the shard next
     * reads the request again.
     */
}

/*
 * A worker asks that a production be stopped. Safe to see again: a newer generation is left alone.
 */
static void apply_request(struct catalog *catalog, const rd_kafka_message_t *message)
{
    struct catalog_change *change;
    Engenho__Request *request = message->payload != NULL
                                    ? engenho__request__unpack(NULL, message->len, message->payload)
                                    : NULL;
    if (request == NULL || request->body_case != ENGENHO__REQUEST__BODY_STOP ||
        !catalog->writable) {
        if (request != NULL) {
            engenho__request__free_unpacked(request, NULL);
        }
        return;
    }
    const Engenho__StopProduction *stop = request->stop;
    const struct catalog_entry *entry =
        catalog_view_find(catalog->view, "production", stop->production);
    if (entry != NULL && entry->generation == stop->generation &&
        entry->definition->production->started) {
        change = memory_new(1, sizeof *change);
        if (catalog_change_started(catalog, stop->production, false, stop->reason, change) != 0 ||
            catalog_submit(catalog, &(struct catalog_write){.changes = change,
                                                            .count = 1,
                                                            .who = request->worker,
                                                            .done = on_stopped}) != 0) {
            catalog_change_release(change);
            free(change);
        }
    }
    engenho__request__free_unpacked(request, NULL);
}

static void on_record(void *context, const rd_kafka_message_t *message)
{
    struct catalog *catalog = context;
    if (strcmp(rd_kafka_topic_name(message->rkt), catalog->requests_topic) == 0) {
        apply_request(catalog, message);
        return;
    }
    apply_record(catalog, message);
    catalog->next_offset = message->offset + 1;
    kick(catalog);
}

static void on_caught_up(void *context, const char *topic, int32_t partition)
{
    struct catalog *catalog = context;
    struct error error;
    (void)partition;
    if (strcmp(topic, catalog->topic) != 0) {
        return;
    }
    if (!catalog->is_read) {
        catalog->is_read = true;
        catalog->callbacks.read(catalog->context);
    }
    if (catalog->taken && !catalog->writable) {
        catalog->writable = true;
        for (int i = 0; i < catalog->requests_partitions; i++) {
            if (follower_add(catalog->follower, catalog->requests_topic, i,
                             RD_KAFKA_OFFSET_BEGINNING, &error) != 0) {
                log_error("requests can't be read", LOG_TEXT("reason", error.text),
                          LOG_INT("partition", i));
            }
        }
        kick(catalog);
    }
}

static void on_trouble(void *context, const char *sentence)
{
    (void)context;
    log_warn("catalog can't be read: it goes on trying", LOG_TEXT("reason", sentence));
}

/* Committed, or not: a commit that the view must show before the next one is checked. */
static void on_committed(void *context, int result, const struct shards_delivery *deliveries,
                         size_t count)
{
    struct catalog *catalog = context;
    struct writing *writing = TAILQ_FIRST(&catalog->queue);
    catalog->committing = false;
    if (result != 0) {
        finish(catalog, writing, -EAGAIN);
        kick(catalog);
        return;
    }
    writing->wait_offset = deliveries[count - 1].offset;
    for (size_t i = 0, j = 0; i < writing->count; i++) {
        if (writing->changes[i].result != CATALOG_UNCHANGED) {
            writing->changes[i].generation = (uint64_t)deliveries[j++].offset + 1;
        }
    }
    kick(catalog);
}

struct packing {
    struct shards_record *records;
    char **keys;
    void **values;
    size_t count;
};

static void pack(const struct writing *writing, struct packing *packing)
{
    packing->records = memory_new(writing->count, sizeof *packing->records);
    packing->keys = memory_new(writing->count, sizeof *packing->keys);
    packing->values = memory_new(writing->count, sizeof *packing->values);
    packing->count = 0;
    for (size_t i = 0; i < writing->count; i++) {
        const struct catalog_change *change = &writing->changes[i];
        if (change->result == CATALOG_UNCHANGED) {
            continue;
        }
        size_t n = packing->count++, bytes = 0;
        packing->keys[n] = memory_print("%s/%s", change->kind, change->name);
        if (change->definition != NULL) {
            bytes = engenho__definition__get_packed_size(change->definition);
            packing->values[n] = memory_new(bytes + 1, 1);
            engenho__definition__pack(change->definition, packing->values[n]);
        }
        packing->records[n] = (struct shards_record){.topic = TOPIC_CATALOG,
                                                     .partition = 0,
                                                     .key = packing->keys[n],
                                                     .key_bytes = strlen(packing->keys[n]),
                                                     .value = packing->values[n],
                                                     .value_bytes = bytes};
    }
}

static void packing_release(struct packing *packing)
{
    for (size_t i = 0; i < packing->count; i++) {
        free(packing->keys[i]);
        free(packing->values[i]);
    }
    free(packing->records);
    free(packing->keys);
    free(packing->values);
}

/* Check the first of the queue against the view, and hand it to the shard. */
static void begin(struct catalog *catalog, struct writing *writing)
{
    struct packing packing;
    if (!catalog->writable) {
        finish(catalog, writing, -EAGAIN);
        return;
    }
    if (catalog_plan(catalog->view, writing->changes, writing->count, writing->who,
                     clock_unix_us()) != 0) {
        finish(catalog, writing, -EINVAL);
        return;
    }
    pack(writing, &packing);
    if (packing.count == 0 || writing->dry_run) {
        finish(catalog, writing, 0);
    } else {
        int result = shards_submit(catalog->shards, SHARD_OF_CATALOG, packing.records,
                                   packing.count, on_committed, catalog);
        catalog->committing = result == 0;
        if (result != 0) {
            finish(catalog, writing, -EAGAIN);
        }
    }
    packing_release(&packing);
}

static void on_turn(evutil_socket_t fd, short events, void *context)
{
    struct catalog *catalog = context;
    struct writing *writing;
    (void)fd;
    (void)events;
    while (!catalog->committing && (writing = TAILQ_FIRST(&catalog->queue)) != NULL) {
        if (writing->wait_offset < 0) {
            begin(catalog, writing);
        } else if (catalog->next_offset > writing->wait_offset) {
            finish(catalog, writing, 0);
        } else {
            return; /* the view is not there yet */
        }
    }
}

struct catalog *catalog_new(struct event_base *base, const struct kafka_options *kafka,
                            const struct catalog_callbacks *callbacks, void *context,
                            struct error *error)
{
    static const struct follower_callbacks follower_callbacks = {on_record, on_caught_up,
                                                                 on_trouble};
    struct catalog *catalog = memory_new(1, sizeof *catalog);
    catalog->callbacks = *callbacks;
    catalog->context = context;
    TAILQ_INIT(&catalog->queue);
    catalog->view = catalog_view_new();
    catalog->turn = event_new(base, -1, 0, on_turn, catalog);
    topic_name(kafka->prefix, TOPIC_CATALOG, catalog->topic);
    topic_name(kafka->prefix, TOPIC_REQUESTS, catalog->requests_topic);
    catalog->follower = follower_new(base, kafka, &follower_callbacks, catalog, error);
    if (catalog->follower == NULL ||
        follower_add(catalog->follower, catalog->topic, 0, RD_KAFKA_OFFSET_BEGINNING, error) != 0) {
        catalog_free(catalog);
        return NULL;
    }
    return catalog;
}

void catalog_free(struct catalog *catalog)
{
    struct writing *writing;
    if (catalog == NULL) {
        return;
    }
    while ((writing = TAILQ_FIRST(&catalog->queue)) != NULL) {
        finish(catalog, writing, -EAGAIN);
    }
    follower_free(catalog->follower);
    catalog_view_free(catalog->view);
    event_free(catalog->turn);
    free(catalog);
}

void catalog_set_shards(struct catalog *catalog, struct shards *shards, int requests_partitions)
{
    catalog->shards = shards;
    catalog->requests_partitions = requests_partitions;
}

void catalog_shard_taken(struct catalog *catalog, int shard)
{
    struct error error;
    if (shard != SHARD_OF_CATALOG) {
        return;
    }
    catalog->taken = true;
    /*
     * What the owner before us committed is in the log by now: read to its end again before the
     * first write.
     */
    follower_remove(catalog->follower, catalog->topic, 0);
    int64_t from = catalog->next_offset > 0 ? catalog->next_offset : RD_KAFKA_OFFSET_BEGINNING;
    if (follower_add(catalog->follower, catalog->topic, 0, from, &error) != 0) {
        log_error("catalog can't be read", LOG_TEXT("reason", error.text));
    }
}

void catalog_shard_lost(struct catalog *catalog, int shard)
{
    if (shard != SHARD_OF_CATALOG || !catalog->taken) {
        return;
    }
    for (int i = 0; catalog->writable && i < catalog->requests_partitions; i++) {
        follower_remove(catalog->follower, catalog->requests_topic, i);
    }
    catalog->taken = catalog->writable = false;
    kick(catalog);
}

const struct catalog_view *catalog_view_of(const struct catalog *catalog)
{
    return catalog->view;
}

bool catalog_is_read(const struct catalog *catalog)
{
    return catalog->is_read;
}

bool catalog_is_ours(const struct catalog *catalog)
{
    return catalog->writable;
}

int catalog_submit(struct catalog *catalog, const struct catalog_write *write)
{
    size_t waiting = 0;
    struct writing *writing;
    TAILQ_FOREACH (writing, &catalog->queue, next) {
        waiting++;
    }
    if (waiting >= CATALOG_WRITES_WAITING_MAX) {
        return -ENOBUFS;
    }
    if (!catalog->writable) {
        return -EAGAIN;
    }
    writing = memory_new(1, sizeof *writing);
    *writing = (struct writing){.changes = write->changes,
                                .count = write->count,
                                .who = memory_copy_text(write->who),
                                .dry_run = write->dry_run,
                                .done = write->done,
                                .context = write->context,
                                .wait_offset = -1};
    TAILQ_INSERT_TAIL(&catalog->queue, writing, next);
    kick(catalog);
    return 0;
}

int catalog_change_started(const struct catalog *catalog, const char *production, bool started,
                           const char *reason, struct catalog_change *ret_change)
{
    const struct catalog_entry *entry = catalog_view_find(catalog->view, "production", production);
    if (entry == NULL) {
        return -ENOENT;
    }
    *ret_change = (struct catalog_change){.kind = memory_copy_text("production"),
                                          .name = memory_copy_text(production),
                                          .definition = definition_copy(entry->definition),
                                          .started = started ? 1 : 0,
                                          .expected = (int64_t)entry->generation};
    definition_set_text(&ret_change->definition->production->stopped_reason,
                        reason != NULL ? reason : "");
    return 0;
}
