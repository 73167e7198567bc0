/*
 * What the memory store's pools were used for, minute by minute, until it is acknowledged.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "licensor/store/memory_state.h"

#define MINUTE_MS 60000
#define MINUTES_KEPT 1500 /* 25 hours */

/* Rounded down, as Lua does it. */
static int64_t minute_of(int64_t at_ms)
{
    return at_ms / MINUTE_MS;
}

struct usage_record *usage_of(struct memory *memory, struct pool *pool)
{
    if (pool->minute.opened_ms == 0) {
        pool->minute.opened_ms = memory->now_ms;
        pool->minute.counts.peak = pool_busy(pool);
    }
    return &pool->minute.counts;
}

void usage_peak(struct memory *memory, struct pool *pool)
{
    struct usage_record *counts = usage_of(memory, pool);
    uint32_t busy = pool_busy(pool);
    if (busy > counts->peak) {
        counts->peak = busy;
    }
    if (busy > pool->totals.peak) {
        pool->totals.peak = busy;
    }
}

static void count_holder(struct usage_record *counts, const struct store_holder *told)
{
    struct usage_holder *others = NULL;
    size_t named = 0;
    for (size_t i = 0; i < counts->holders_count; i++) {
        struct usage_holder *holder = &counts->holders[i];
        if (strcmp(holder->processor, told->processor) == 0 &&
            strcmp(holder->production, told->production) == 0) {
            holder->granted += told->granted;
            return;
        }
        bool is_others = holder->processor[0] == '\0';
        others = is_others ? holder : others;
        named += !is_others;
    }
    if (named == USAGE_HOLDERS_MAX && others != NULL) {
        others->granted += told->granted;
        return;
    }
    struct usage_holder *fresh = &counts->holders[counts->holders_count++];
    fresh->granted = told->granted;
    if (named < USAGE_HOLDERS_MAX) {
        snprintf(fresh->processor, sizeof(fresh->processor), "%s", told->processor);
        snprintf(fresh->production, sizeof(fresh->production), "%s", told->production);
    }
}

void memory_count_holders(struct memory *memory, const struct store_request *request)
{
    for (size_t i = 0; i < request->holders_count; i++) {
        struct pool *pool = pool_find(memory, request->holders[i].pool);
        if (pool != NULL && pool->minute.opened_ms != 0) {
            count_holder(&pool->minute.counts, &request->holders[i]);
        }
    }
}

static int by_who(const void *a, const void *b)
{
    const struct usage_holder *left = a, *right = b;
    int order = strcmp(left->processor, right->processor);
    return order != 0 ? order : strcmp(left->production, right->production);
}

static bool is_through(const struct usage_record *record, int64_t minute, const char *pool)
{
    int64_t its = strtoll(record->id, NULL, 10);
    return its < minute || (its == minute && strcmp(record->pool, pool) <= 0);
}

static void forget_through(struct memory *memory, int64_t minute, const char *pool)
{
    size_t gone = 0;
    while (gone < memory->records_count && is_through(memory->records[gone], minute, pool)) {
        free(memory->records[gone++]);
    }
    if (gone > 0) {
        memory->records_count -= gone;
        memmove(memory->records, memory->records + gone,
                memory->records_count * sizeof(struct usage_record *));
    }
}

static void add_record(struct memory *memory, int64_t minute, const struct usage_record *record)
{
    size_t at = memory->records_count++;
    memory->records =
        memory_resize(memory->records, memory->records_count, sizeof(struct usage_record *));
    while (at > 0 && !is_through(memory->records[at - 1], minute, record->pool)) {
        memory->records[at] = memory->records[at - 1];
        at--;
    }
    memory->records[at] = memory_copy(record, sizeof(*record));
}

/* `last`: the highest id that any pool had before; ids go up over all pools. */
static void keep_record(struct memory *memory, struct pool *pool, int64_t last)
{
    struct usage_record *counts = &pool->minute.counts;
    int64_t minute = minute_of(pool->minute.opened_ms);
    int64_t id = minute > last ? minute : last + 1;
    pool->minute.last = id;
    snprintf(counts->id, sizeof(counts->id), "%" PRId64 ":%s", id, pool->name);
    snprintf(counts->pool, sizeof(counts->pool), "%s", pool->name);
    counts->from_ms = minute * MINUTE_MS;
    counts->until_ms = (minute + 1) * MINUTE_MS;
    counts->limit = pool->cap;
    if (counts->holders_count > 1) {
        qsort(counts->holders, counts->holders_count, sizeof(*counts->holders), by_who);
    }
    forget_through(memory, id - MINUTES_KEPT - 1, "");
    add_record(memory, id, counts);
    memset(counts, 0, sizeof(*counts));
    pool->minute.opened_ms = 0;
}

void memory_close_minutes(struct memory *memory)
{
    int64_t last = 0;
    for (struct pool *pool = memory->pools; pool != NULL; pool = pool->hh.next) {
        last = pool->minute.last > last ? pool->minute.last : last;
    }
    for (struct pool *pool = memory->pools; pool != NULL; pool = pool->hh.next) {
        if (pool->minute.opened_ms != 0 &&
            minute_of(pool->minute.opened_ms) != minute_of(memory->now_ms)) {
            keep_record(memory, pool, last);
        }
        if (pool_busy(pool) > 0) {
            usage_of(memory, pool);
        }
    }
}

void memory_usage(struct memory *memory, const struct store_request *request,
                  struct store_answer *answer)
{
    size_t count = memory->records_count < request->max ? memory->records_count : request->max;
    answer->word = STORE_RECORDS;
    answer->records = memory_new(count + 1, sizeof(*answer->records));
    for (size_t i = 0; i < count; i++) {
        answer->records[i] = *memory->records[i];
    }
    answer->records_count = count;
}

void memory_acknowledge(struct memory *memory, const struct store_request *request,
                        struct store_answer *answer)
{
    char *end;
    int64_t minute = strtoll(request->through, &end, 10);
    if (request->through[0] < '0' || request->through[0] > '9' || *end != ':' || end[1] == '\0') {
        memory_refuse(answer, STORE_BAD_REQUEST);
        return;
    }
    forget_through(memory, minute, end + 1);
    answer->word = STORE_DONE;
}
