#include "producer/schedule_book.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/memory.h"

#define NOT_IN_HEAP SIZE_MAX

struct entry {
    char *production;
    int shard;
    struct schedule *schedule; /* NULL: no definition with a schedule */
    struct schedule_definition definition;
    bool has_state;
    Engenho__ScheduleState state;
    uint64_t ticket;                /* not 0: in flight */
    Engenho__ScheduleState pending; /* the state that is in flight */
    int64_t due_us;
    size_t place; /* in the heap, or NOT_IN_HEAP */
    UT_hash_handle hh;
};

struct schedule_book {
    int shards;
    bool *owned; /* by shard */
    int64_t late_us;
    uint64_t last_ticket;
    struct entry *entries;
    struct entry **heap; /* the smallest due_us first */
    size_t heap_count, heap_capacity;
};

struct schedule_book *schedule_book_new(int shards, int64_t late_us)
{
    struct schedule_book *book = memory_new(1, sizeof *book);
    book->shards = shards;
    book->owned = memory_new((size_t)shards, sizeof *book->owned);
    book->late_us = late_us;
    return book;
}

static void free_entry(struct schedule_book *book, struct entry *entry)
{
    HASH_DEL(book->entries, entry);
    schedule_free(entry->schedule);
    free(entry->production);
    free(entry);
}

void schedule_book_free(struct schedule_book *book)
{
    if (book == NULL) {
        return;
    }
    struct entry *entry, *next;
    HASH_ITER (hh, book->entries, entry, next) {
        free_entry(book, entry);
    }
    free(book->heap);
    free(book->owned);
    free(book);
}

static void put(struct schedule_book *book, size_t place, struct entry *entry)
{
    book->heap[place] = entry;
    entry->place = place;
}

/* Move an entry of the heap to where it belongs. */
static void settle_place(struct schedule_book *book, struct entry *entry)
{
    size_t place = entry->place;
    while (place > 0 && book->heap[(place - 1) / 2]->due_us > entry->due_us) {
        put(book, place, book->heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    for (;;) {
        size_t child = 2 * place + 1;
        if (child + 1 < book->heap_count &&
            book->heap[child + 1]->due_us < book->heap[child]->due_us) {
            child++;
        }
        if (child >= book->heap_count || book->heap[child]->due_us >= entry->due_us) {
            break;
        }
        put(book, place, book->heap[child]);
        place = child;
    }
    put(book, place, entry);
}

static void take_out(struct schedule_book *book, struct entry *entry)
{
    size_t place = entry->place;
    if (place == NOT_IN_HEAP) {
        return;
    }
    entry->place = NOT_IN_HEAP;
    struct entry *last = book->heap[--book->heap_count];
    if (last != entry) {
        put(book, place, last);
        settle_place(book, last);
    }
}

/* Up to where everything is decided for this production. */
static int64_t base_of(const struct entry *entry)
{
    int64_t base_us = entry->has_state ? entry->state.last_nominal_us : 0;
    bool same_times = entry->has_state && entry->schedule != NULL &&
                      entry->state.times == schedule_fingerprint(entry->schedule);
    if (!same_times && entry->definition.changed_us > base_us) {
        base_us = entry->definition.changed_us;
    }
    return entry->definition.started_us > base_us ? entry->definition.started_us : base_us;
}

/* Put the entry into the heap where its next time says, or out of it when it can't fire now. */
static void plan(struct schedule_book *book, struct entry *entry)
{
    bool ready = entry->schedule != NULL && book->owned[entry->shard] && entry->ticket == 0;
    int64_t due_us = ready ? schedule_next(entry->schedule, base_of(entry)) : SCHEDULE_NEVER;
    if (due_us == SCHEDULE_NEVER) {
        take_out(book, entry);
        return;
    }
    entry->due_us = due_us;
    if (entry->place == NOT_IN_HEAP) {
        if (book->heap_count == book->heap_capacity) {
            book->heap_capacity = book->heap_capacity != 0 ? 2 * book->heap_capacity : 64;
            book->heap = memory_resize(book->heap, book->heap_capacity, sizeof(struct entry *));
        }
        put(book, book->heap_count++, entry);
    }
    settle_place(book, entry);
}

static struct entry *find(const struct schedule_book *book, const char *production)
{
    struct entry *entry;
    HASH_FIND_STR(book->entries, production, entry);
    return entry;
}

static struct entry *find_or_add(struct schedule_book *book, const char *production, int shard)
{
    struct entry *entry = find(book, production);
    if (entry == NULL) {
        assert(shard >= 0 && shard < book->shards);
        entry = memory_new(1, sizeof *entry);
        entry->production = memory_copy_text(production);
        entry->shard = shard;
        entry->place = NOT_IN_HEAP;
        HASH_ADD_KEYPTR(hh, book->entries, entry->production, strlen(entry->production), entry);
    }
    assert(entry->shard == shard);
    return entry;
}

static void free_if_empty(struct schedule_book *book, struct entry *entry)
{
    if (entry->schedule == NULL && !entry->has_state && entry->ticket == 0) {
        free_entry(book, entry);
    }
}

void schedule_book_define(struct schedule_book *book, const char *production, int shard,
                          struct schedule *schedule, const struct schedule_definition *definition)
{
    struct entry *entry = find_or_add(book, production, shard);
    schedule_free(entry->schedule);
    entry->schedule = schedule;
    entry->definition = *definition;
    plan(book, entry);
}

void schedule_book_undefine(struct schedule_book *book, const char *production)
{
    struct entry *entry = find(book, production);
    if (entry == NULL) {
        return;
    }
    schedule_free(entry->schedule);
    entry->schedule = NULL;
    plan(book, entry);
    free_if_empty(book, entry);
}

void schedule_book_restore(struct schedule_book *book, const char *production, int shard,
                           const Engenho__ScheduleState *state)
{
    if (book->owned[shard]) {
        return;
    }
    struct entry *entry = find_or_add(book, production, shard);
    entry->has_state = state != NULL;
    if (state != NULL) {
        entry->state = *state;
        entry->state.base.n_unknown_fields = 0;
        entry->state.base.unknown_fields = NULL;
    }
    free_if_empty(book, entry);
}

void schedule_book_own(struct schedule_book *book, int shard)
{
    struct entry *entry, *next;
    book->owned[shard] = true;
    HASH_ITER (hh, book->entries, entry, next) {
        if (entry->shard == shard) {
            plan(book, entry);
        }
    }
}

void schedule_book_disown(struct schedule_book *book, int shard)
{
    struct entry *entry, *next;
    book->owned[shard] = false;
    HASH_ITER (hh, book->entries, entry, next) {
        if (entry->shard == shard) {
            entry->ticket = 0;
            entry->has_state = false;
            plan(book, entry);
            free_if_empty(book, entry);
        }
    }
}

int64_t schedule_book_due_us(const struct schedule_book *book)
{
    return book->heap_count != 0 ? book->heap[0]->due_us : SCHEDULE_NEVER;
}

bool schedule_book_pop(struct schedule_book *book, int64_t now_us,
                       struct schedule_firing *ret_firing)
{
    if (schedule_book_due_us(book) > now_us) {
        return false;
    }
    struct entry *entry = book->heap[0];
    ret_firing->production = entry->production;
    ret_firing->shard = entry->shard;
    ret_firing->generation = entry->definition.generation;
    schedule_decide(entry->schedule, base_of(entry), now_us, book->late_us, &ret_firing->due);
    engenho__schedule_state__init(&entry->pending);
    if (entry->has_state) {
        entry->pending = entry->state;
    }
    entry->pending.last_nominal_us = ret_firing->due.newest_us;
    entry->pending.fired += ret_firing->due.count;
    entry->pending.misfired += ret_firing->due.left_out;
    entry->pending.generation = entry->definition.generation;
    entry->pending.times = schedule_fingerprint(entry->schedule);
    ret_firing->state = entry->pending;
    ret_firing->ticket = entry->ticket = ++book->last_ticket;
    take_out(book, entry);
    return true;
}

void schedule_book_settle(struct schedule_book *book, const char *production, uint64_t ticket,
                          bool committed)
{
    struct entry *entry = find(book, production);
    if (entry == NULL || ticket == 0 || entry->ticket != ticket) {
        return;
    }
    entry->ticket = 0;
    if (committed) {
        entry->state = entry->pending;
        entry->has_state = true;
    }
    plan(book, entry);
    free_if_empty(book, entry);
}

bool schedule_book_view(const struct schedule_book *book, const char *production,
                        struct schedule_view *ret_view)
{
    const struct entry *entry = find(book, production);
    if (entry == NULL) {
        return false;
    }
    *ret_view = (struct schedule_view){
        .defined = entry->schedule != NULL,
        .owned = book->owned[entry->shard],
        .in_flight = entry->ticket != 0,
        .schedule = entry->schedule,
        .state = entry->has_state ? &entry->state : NULL,
        .base_us = base_of(entry),
    };
    return true;
}

size_t schedule_book_active(const struct schedule_book *book)
{
    size_t count = 0;
    struct entry *entry, *next;
    HASH_ITER (hh, book->entries, entry, next) {
        count += entry->schedule != NULL && book->owned[entry->shard];
    }
    return count;
}
