#include "producer/results_store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/murmur2.h"

struct entry {
    void *packed;
    uint32_t bytes;
    int32_t partition;
    int64_t offset;
    int64_t end_us;
    uint32_t production_hash, execution_hash;
    bool failed;
};

struct partition {
    int64_t from;    /* everything from here on was added and not let go */
    int64_t added;   /* the last offset added; -1: none */
    int64_t from_us; /* end time of the first that is here; 0: all of the topic is here */
};

struct results_store {
    struct entry *ring;
    size_t head, count, count_max; /* ring[head] is the oldest */
    size_t bytes, bytes_max;
    struct partition partitions[RESULTS_PARTITIONS_MAX];
    int partitions_count;
    uint64_t unreadable;
};

void results_cursor_init(struct results_cursor *cursor, int count)
{
    cursor->count = count;
    for (int i = 0; i < RESULTS_PARTITIONS_MAX; i++) {
        cursor->seen[i] = -1;
    }
}

void results_cursor_print(const struct results_cursor *cursor, char *text)
{
    size_t length = 0;
    text[0] = '\0';
    for (int i = 0; i < cursor->count; i++) {
        length += (size_t)snprintf(text + length, RESULTS_CURSOR_BYTES - length, "%s%" PRId64,
                                   i > 0 ? "," : "", cursor->seen[i]);
    }
}

int results_cursor_parse(const char *text, int count, struct results_cursor *ret_cursor)
{
    struct results_cursor cursor;
    results_cursor_init(&cursor, count);
    for (int i = 0; i < count; i++) {
        char *end;
        errno = 0;
        cursor.seen[i] = strtoll(text, &end, 10);
        if (end == text || errno != 0 || cursor.seen[i] < -1 ||
            *end != (i + 1 < count ? ',' : '\0')) {
            return -EINVAL;
        }
        text = end + 1;
    }
    *ret_cursor = cursor;
    return 0;
}

struct results_store *results_store_new(size_t count_max, size_t bytes_max)
{
    struct results_store *store = memory_new(1, sizeof *store);
    store->ring = memory_new(count_max, sizeof *store->ring);
    store->count_max = count_max;
    store->bytes_max = bytes_max;
    return store;
}

static struct entry *entry_at(const struct results_store *store, size_t index)
{
    return &store->ring[(store->head + index) % store->count_max];
}

static void drop_oldest(struct results_store *store)
{
    struct entry *entry = entry_at(store, 0);
    store->partitions[entry->partition].from = entry->offset + 1;
    store->partitions[entry->partition].from_us = entry->end_us + 1;
    store->bytes -= entry->bytes;
    free(entry->packed);
    entry->packed = NULL;
    store->head = (store->head + 1) % store->count_max;
    store->count--;
}

void results_store_free(struct results_store *store)
{
    if (store == NULL) {
        return;
    }
    while (store->count > 0) {
        drop_oldest(store);
    }
    free(store->ring);
    free(store);
}

void results_store_partition(struct results_store *store, int32_t partition, int64_t offset)
{
    if (partition < 0 || partition >= RESULTS_PARTITIONS_MAX) {
        return;
    }
    store->partitions[partition] = (struct partition){
        .from = offset, .added = offset - 1, .from_us = offset > 0 ? INT64_MAX : 0};
    if (partition >= store->partitions_count) {
        store->partitions_count = partition + 1;
    }
}

static uint32_t hash_text(const char *text)
{
    return murmur2(text, strlen(text));
}

static bool is_failed(const Engenho__Result *result)
{
    return result->outcome != ENGENHO__OUTCOME__OUTCOME_SUCCEEDED &&
           result->outcome != ENGENHO__OUTCOME__OUTCOME_SKIPPED;
}

void results_store_add(struct results_store *store, int32_t partition, int64_t offset,
                       const void *packed, size_t bytes)
{
    if (partition < 0 || partition >= store->partitions_count ||
        offset <= store->partitions[partition].added) {
        return;
    }
    struct partition *place = &store->partitions[partition];
    Engenho__Result *result = engenho__result__unpack(NULL, bytes, packed);
    place->added = offset;
    if (result == NULL || bytes > store->bytes_max) {
        store->unreadable++;
        if (result != NULL) {
            engenho__result__free_unpacked(result, NULL);
        }
        return;
    }
    while (store->count == store->count_max ||
           (store->count > 0 && store->bytes + bytes > store->bytes_max)) {
        drop_oldest(store);
    }
    struct entry *entry = entry_at(store, store->count);
    *entry = (struct entry){.packed = memory_copy(packed, bytes),
                            .bytes = (uint32_t)bytes,
                            .partition = partition,
                            .offset = offset,
                            .end_us = result->end_us,
                            .production_hash = hash_text(result->production),
                            .execution_hash = hash_text(result->execution_id),
                            .failed = is_failed(result)};
    if (place->from_us == INT64_MAX) {
        place->from_us = result->end_us;
    }
    store->count++;
    store->bytes += bytes;
    engenho__result__free_unpacked(result, NULL);
}

void results_store_merge(struct results_store *store)
{
    struct entry *merged = memory_new(store->count_max, sizeof *merged);
    size_t at[RESULTS_PARTITIONS_MAX] = {0}; /* where the next entry of each partition is sought */
    for (size_t filled = 0; filled < store->count; filled++) {
        const struct entry *first = NULL;
        for (int32_t partition = 0; partition < store->partitions_count; partition++) {
            while (at[partition] < store->count &&
                   entry_at(store, at[partition])->partition != partition) {
                at[partition]++;
            }
            const struct entry *next =
                at[partition] < store->count ? entry_at(store, at[partition]) : NULL;
            if (next != NULL && (first == NULL || next->end_us < first->end_us)) {
                first = next;
            }
        }
        merged[filled] = *first;
        at[first->partition]++;
    }
    free(store->ring);
    store->ring = merged;
    store->head = 0;
}

bool results_match(const struct results_query *query, const Engenho__Result *result)
{
    return (query->production == NULL || strcmp(query->production, result->production) == 0) &&
           (query->application == NULL || strcmp(query->application, result->application) == 0) &&
           (!query->failed || is_failed(result)) && result->end_us >= query->since_us;
}

/* What can be told without unpacking. */
static bool may_match(const struct results_query *query, uint32_t production_hash,
                      const struct entry *entry)
{
    return (query->production == NULL || production_hash == entry->production_hash) &&
           (!query->failed || entry->failed) && entry->end_us >= query->since_us &&
           (query->after == NULL || entry->partition >= query->after->count ||
            entry->offset > query->after->seen[entry->partition]);
}

/* Visit or count one; returns whether it matched. */
static bool try_entry(const struct results_query *query, uint32_t production_hash,
                      const struct entry *entry, results_visit visit, void *context)
{
    if (!may_match(query, production_hash, entry)) {
        return false;
    }
    if (visit == NULL && query->production == NULL && query->application == NULL) {
        return true;
    }
    Engenho__Result *result = engenho__result__unpack(NULL, entry->bytes, entry->packed);
    bool matches = result != NULL && results_match(query, result);
    if (matches && visit != NULL) {
        visit(context, result);
    }
    if (result != NULL) {
        engenho__result__free_unpacked(result, NULL);
    }
    return matches;
}

/* The index at which the newest `limit` that match begin. */
static size_t start_of_newest(const struct results_store *store, const struct results_query *query,
                              uint32_t production_hash)
{
    size_t found = 0, index = store->count;
    while (index > 0 && found < query->limit) {
        index--;
        found += try_entry(query, production_hash, entry_at(store, index), NULL, NULL) ? 1 : 0;
    }
    return index;
}

size_t results_store_find(const struct results_store *store, const struct results_query *query,
                          results_visit visit, void *context, struct results_cursor *ret_next)
{
    uint32_t production_hash = query->production != NULL ? hash_text(query->production) : 0;
    size_t found = 0, index = query->newest ? start_of_newest(store, query, production_hash) : 0;
    struct results_cursor next;
    results_cursor_init(&next, store->partitions_count);
    if (query->after != NULL) {
        next = *query->after;
    }
    for (; index < store->count && found < query->limit; index++) {
        const struct entry *entry = entry_at(store, index);
        found += try_entry(query, production_hash, entry, visit, context) ? 1 : 0;
        if (entry->offset > next.seen[entry->partition]) {
            next.seen[entry->partition] = entry->offset;
        }
    }
    if (index == store->count) {
        results_store_end(store, &next); /* all was looked at, also what is not held any more */
    }
    if (ret_next != NULL) {
        *ret_next = next;
    }
    return found;
}

bool results_store_covers(const struct results_store *store, const struct results_query *query)
{
    if (query->newest && query->since_us == 0) {
        return true;
    }
    for (int i = 0; i < store->partitions_count; i++) {
        const struct partition *partition = &store->partitions[i];
        bool by_cursor = query->after != NULL && query->after->seen[i] + 1 >= partition->from;
        bool by_time = partition->from_us == 0 ||
                       (query->since_us != 0 && query->since_us >= partition->from_us);
        if (!by_cursor && !by_time) {
            return false;
        }
    }
    return true;
}

bool results_store_show(const struct results_store *store, const char *execution_id,
                        results_visit visit, void *context)
{
    uint32_t hash = hash_text(execution_id);
    for (size_t i = store->count; i-- > 0;) {
        const struct entry *entry = entry_at(store, i);
        if (entry->execution_hash != hash) {
            continue;
        }
        Engenho__Result *result = engenho__result__unpack(NULL, entry->bytes, entry->packed);
        bool found = result != NULL && strcmp(result->execution_id, execution_id) == 0;
        if (found) {
            visit(context, result);
        }
        if (result != NULL) {
            engenho__result__free_unpacked(result, NULL);
        }
        if (found) {
            return true;
        }
    }
    return false;
}

void results_store_end(const struct results_store *store, struct results_cursor *ret_cursor)
{
    results_cursor_init(ret_cursor, store->partitions_count);
    for (int i = 0; i < store->partitions_count; i++) {
        ret_cursor->seen[i] = store->partitions[i].added;
    }
}

size_t results_store_count(const struct results_store *store)
{
    return store->count;
}

uint64_t results_store_unreadable(const struct results_store *store)
{
    return store->unreadable;
}
