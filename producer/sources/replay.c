#include "producer/sources/replay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/clock.h"
#include "common/memory.h"
#include "kafka/topics.h"

#define KIND "source"

struct source {
    char *name;
    int shard;
    uint64_t position;
    bool busy;
    bool gone; /* its shard was lost while busy: freed by on_committed */
    struct replay *replay;
    uint64_t next; /* busy: the position after the batch */
    replay_done done;
    void *context;
    UT_hash_handle hh;
};

struct replay {
    struct shards *shards;
    struct source *sources;
};

struct replay *replay_new(struct shards *shards)
{
    struct replay *replay = memory_new(1, sizeof *replay);
    replay->shards = shards;
    return replay;
}

static void source_free(struct source *source)
{
    free(source->name);
    free(source);
}

/* Out of the map; freed now, or when its commit is decided. */
static void forget(struct replay *replay, struct source *source)
{
    HASH_DEL(replay->sources, source);
    if (source->busy) {
        source->gone = true;
    } else {
        source_free(source);
    }
}

void replay_free(struct replay *replay)
{
    struct source *source, *next;
    if (replay == NULL) {
        return;
    }
    HASH_ITER (hh, replay->sources, source, next) {
        forget(replay, source);
    }
    free(replay);
}

static struct source *find(const struct replay *replay, const char *name)
{
    struct source *source;
    HASH_FIND_STR(replay->sources, name, source);
    return source;
}

static struct source *find_or_new(struct replay *replay, const char *name, int shard)
{
    struct source *source = find(replay, name);
    if (source == NULL) {
        source = memory_new(1, sizeof *source);
        source->name = memory_copy_text(name);
        source->shard = shard;
        source->replay = replay;
        HASH_ADD_KEYPTR(hh, replay->sources, source->name, strlen(source->name), source);
    }
    return source;
}

void replay_state(struct replay *replay, int shard, const char *key,
                  const Engenho__Control *control)
{
    if (strncmp(key, KIND "/", sizeof KIND) != 0 || control == NULL ||
        control->body_case != ENGENHO__CONTROL__BODY_SOURCE) {
        return;
    }
    struct source *source = find_or_new(replay, key + sizeof KIND, shard);
    /* Positions only grow: our own older writes come back here after newer ones were answered. */
    if (control->source->position > source->position) {
        source->position = control->source->position;
    }
}

void replay_shard_lost(struct replay *replay, int shard)
{
    struct source *source, *next;
    HASH_ITER (hh, replay->sources, source, next) {
        if (source->shard == shard) {
            forget(replay, source);
        }
    }
}

int replay_shard(const struct replay *replay, const char *source)
{
    return shards_of(replay->shards, KIND, source);
}

int replay_position(const struct replay *replay, const char *name, uint64_t *ret_position)
{
    if (!shards_ready(replay->shards, replay_shard(replay, name))) {
        return -EAGAIN;
    }
    const struct source *source = find(replay, name);
    *ret_position = source != NULL ? source->position : 0;
    return 0;
}

static void on_committed(void *context, int result, const struct shards_delivery *deliveries,
                         size_t count)
{
    struct source *source = context;
    (void)deliveries;
    (void)count;
    source->busy = false;
    if (result == 0 && source->next > source->position) {
        source->position = source->next;
    }
    source->done(source->context, result == 0 ? 0 : -EAGAIN, source->next);
    if (source->gone) {
        source_free(source);
    }
}

struct shards_record *push_records(const struct push *push)
{
    struct shards_record *records = memory_new(push->count + 1, sizeof *records);
    for (size_t i = 0; i < push->count; i++) {
        char *key = push_key(push->events[i]);
        size_t bytes = engenho__event__get_packed_size(push->events[i]);
        uint8_t *value = memory_new(bytes + 1, 1);
        engenho__event__pack(push->events[i], value);
        records[i] = (struct shards_record){.topic = TOPIC_EVENTS,
                                            .partition = -1,
                                            .key = key,
                                            .key_bytes = strlen(key),
                                            .value = value,
                                            .value_bytes = bytes};
    }
    return records;
}

void push_records_free(struct shards_record *records, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free((void *)(uintptr_t)records[i].key);
        free((void *)(uintptr_t)records[i].value);
    }
    free(records);
}

static int commit(struct source *source, const struct push *push)
{
    Engenho__SourcePosition position = ENGENHO__SOURCE_POSITION__INIT;
    Engenho__Control control = ENGENHO__CONTROL__INIT;
    uint8_t packed[64];
    position.position = source->next;
    position.changed_us = clock_unix_us();
    control.body_case = ENGENHO__CONTROL__BODY_SOURCE;
    control.source = &position;
    char *key = memory_print(KIND "/%s", source->name);
    struct shards_record *records = push_records(push);
    records[push->count] =
        (struct shards_record){.topic = TOPIC_CONTROL,
                               .partition = source->shard,
                               .key = key,
                               .key_bytes = strlen(key),
                               .value = packed,
                               .value_bytes = engenho__control__pack(&control, packed)};
    int result = shards_submit(source->replay->shards, source->shard, records, push->count + 1,
                               on_committed, source);
    push_records_free(records, push->count);
    free(key);
    return result;
}

/* long: a batch, its place in the source, and the place it has */
int replay_submit(struct replay *replay, const char *name, uint64_t from, const struct push *push,
                  replay_done done, void *context, uint64_t *ret_position)
{
    uint64_t position;
    int result = replay_position(replay, name, &position);
    if (result != 0) {
        return result;
    }
    struct source *source = find_or_new(replay, name, replay_shard(replay, name));
    if (source->busy) {
        return -EBUSY;
    }
    if (from != position) {
        *ret_position = position;
        return -ESTALE;
    }
    source->next = from + push->count;
    source->done = done;
    source->context = context;
    result = commit(source, push);
    source->busy = result == 0;
    return result;
}
