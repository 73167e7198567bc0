#include "worker/offsets.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

#define CAPACITY_FIRST 1024
#define VARINT_BYTES_MAX 5

void offsets_init(struct offsets *offsets, int64_t base)
{
    *offsets = (struct offsets){.base = base, .cursor = base, .end = base};
}

void offsets_release(struct offsets *offsets)
{
    free(offsets->marks);
    offsets->marks = NULL;
    offsets->capacity = 0;
}

static uint8_t *mark_at(const struct offsets *offsets, int64_t offset)
{
    return &offsets->marks[(uint64_t)offset & (offsets->capacity - 1)];
}

static bool mark_is_done(uint8_t mark)
{
    return mark == OFFSETS_FILLED || mark == OFFSETS_GONE;
}

/* Outside the window: done below it, not done above it. */
static bool done_at(const struct offsets *offsets, int64_t offset)
{
    return offset < offsets->base ||
           (offset < offsets->end && mark_is_done(*mark_at(offsets, offset)));
}

static void set_mark(struct offsets *offsets, int64_t offset, enum offsets_mark mark)
{
    uint8_t *place = mark_at(offsets, offset);
    bool was = mark_is_done(*place), is = mark_is_done((uint8_t)mark);
    offsets->open += (size_t)(mark == OFFSETS_OPEN) - (size_t)(*place == OFFSETS_OPEN);
    *place = (uint8_t)mark;
    if (was == is) {
        return;
    }
    size_t neighbours = (size_t)(offset > offsets->base && done_at(offsets, offset - 1)) +
                        (size_t)done_at(offsets, offset + 1);
    /* A run begins, grows or joins two; undone the other way round. */
    if (is) {
        offsets->runs += 1 - neighbours;
    } else {
        offsets->runs -= 1 - neighbours;
    }
}

static void grow(struct offsets *offsets, size_t wanted)
{
    size_t capacity = offsets->capacity ? offsets->capacity : CAPACITY_FIRST;
    while (capacity < wanted) {
        capacity *= 2;
    }
    uint8_t *marks = memory_new(capacity, 1);
    for (int64_t offset = offsets->base; offset < offsets->end; offset++) {
        marks[(uint64_t)offset & (capacity - 1)] = *mark_at(offsets, offset);
    }
    free(offsets->marks);
    offsets->marks = marks;
    offsets->capacity = capacity;
}

static void advance_base(struct offsets *offsets)
{
    int64_t before = offsets->base;
    while (offsets->base < offsets->end && *mark_at(offsets, offsets->base) == OFFSETS_GONE) {
        offsets->base++;
    }
    if (offsets->base > before &&
        !(offsets->base < offsets->end && done_at(offsets, offsets->base))) {
        offsets->runs--;
    }
    if (offsets->cursor < offsets->base) {
        offsets->cursor = offsets->base;
    }
}

/* Make the window reach to `end`, new marks being absent. */
static int extend(struct offsets *offsets, int64_t end)
{
    if (end <= offsets->end) {
        return 0;
    }
    if (end - offsets->base > OFFSETS_WINDOW_MAX) {
        return -ENOBUFS;
    }
    if ((size_t)(end - offsets->base) > offsets->capacity) {
        grow(offsets, (size_t)(end - offsets->base));
    }
    while (offsets->end < end) {
        *mark_at(offsets, offsets->end++) = OFFSETS_ABSENT;
    }
    return 0;
}

/* What lies between the cursor and `offset`, and is absent, never was. */
static int pass_over(struct offsets *offsets, int64_t offset)
{
    if (offsets->base == offsets->end && offset > offsets->end) {
        /* An empty window moves as a whole, however wide the hole. */
        offsets->base = offsets->cursor = offsets->end = offset;
        return 0;
    }
    int result = extend(offsets, offset);
    if (result != 0) {
        return result;
    }
    for (; offsets->cursor < offset; offsets->cursor++) {
        if (*mark_at(offsets, offsets->cursor) == OFFSETS_ABSENT) {
            set_mark(offsets, offsets->cursor, OFFSETS_GONE);
        }
    }
    advance_base(offsets);
    return 0;
}

int offsets_see(struct offsets *offsets, int64_t offset, enum offsets_seen *ret_seen)
{
    *ret_seen = OFFSETS_SEEN_BEFORE;
    if (offset < offsets->cursor) {
        return 0;
    }
    if (offsets->base < offsets->end && offset - offsets->base >= OFFSETS_WINDOW_MAX) {
        return -ENOBUFS;
    }
    int result = pass_over(offsets, offset);
    if (result == 0) {
        result = extend(offsets, offset + 1);
    }
    if (result != 0) {
        return result;
    }
    offsets->cursor = offset + 1;
    if (*mark_at(offsets, offset) == OFFSETS_ABSENT) {
        set_mark(offsets, offset, OFFSETS_OPEN);
        *ret_seen = OFFSETS_SEEN_NEW;
    }
    return 0;
}

int offsets_see_end(struct offsets *offsets, int64_t offset)
{
    return offset <= offsets->cursor ? 0 : pass_over(offsets, offset);
}

void offsets_rewind(struct offsets *offsets)
{
    offsets->cursor = offsets->base;
}

void offsets_fill(struct offsets *offsets, int64_t offset)
{
    assert(*mark_at(offsets, offset) == OFFSETS_OPEN);
    set_mark(offsets, offset, OFFSETS_FILLED);
}

void offsets_unfill(struct offsets *offsets, int64_t offset)
{
    assert(*mark_at(offsets, offset) == OFFSETS_FILLED);
    set_mark(offsets, offset, OFFSETS_OPEN);
}

void offsets_settle(struct offsets *offsets, int64_t offset)
{
    assert(offset >= offsets->base && *mark_at(offsets, offset) == OFFSETS_FILLED);
    *mark_at(offsets, offset) = OFFSETS_GONE;
    if (offset == offsets->base) {
        advance_base(offsets);
    }
}

void offsets_unload(struct offsets *offsets, int64_t offset)
{
    assert(*mark_at(offsets, offset) == OFFSETS_OPEN);
    set_mark(offsets, offset, OFFSETS_ABSENT);
}

int64_t offsets_position(const struct offsets *offsets)
{
    int64_t offset = offsets->base;
    while (offset < offsets->end && done_at(offsets, offset)) {
        offset++;
    }
    return offset;
}

bool offsets_is_done(const struct offsets *offsets, int64_t offset)
{
    return done_at(offsets, offset);
}

static size_t put_varint(uint64_t value, uint8_t bytes[10])
{
    size_t count = 0;
    while (value >= 0x80) {
        bytes[count++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    bytes[count++] = (uint8_t)value;
    return count;
}

/* Call `each` with the lengths of runs from the position on, up to the last one that is done. */
static int walk(const struct offsets *offsets, int (*each)(void *context, uint64_t length),
                void *context)
{
    int64_t start = offsets_position(offsets);
    bool done = false;
    /* a run of what is not done, which is told only when something done follows */
    uint64_t pending = 0;
    for (int64_t offset = start; offset < offsets->end; offset++) {
        if (done_at(offsets, offset) != done) {
            int result = 0;
            if (done) {
                result = each(context, (uint64_t)(offset - start));
            } else {
                pending = (uint64_t)(offset - start);
                result = each(context, pending);
            }
            if (result != 0) {
                return result;
            }
            start = offset;
            done = !done;
        }
    }
    return done ? each(context, (uint64_t)(offsets->end - start)) : 0;
}

static int append_run(void *context, uint64_t length)
{
    uint8_t bytes[10];
    return buf_append(context, bytes, put_varint(length, bytes));
}

static int count_run(void *context, uint64_t length)
{
    uint8_t bytes[10];
    *(size_t *)context += put_varint(length, bytes);
    return 0;
}

int offsets_encode(const struct offsets *offsets, struct buf *out)
{
    return walk(offsets, append_run, out);
}

size_t offsets_encoded_bytes(const struct offsets *offsets, size_t limit)
{
    size_t most = 2 * VARINT_BYTES_MAX * offsets->runs;
    if (most <= limit) {
        return most;
    }
    size_t bytes = 0;
    int result = walk(offsets, count_run, &bytes);
    assert(result == 0);
    (void)result;
    return bytes;
}

static int get_varint(const uint8_t **data, const uint8_t *end, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 35 && *data < end; shift += 7) {
        uint8_t byte = *(*data)++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret_value = value;
            return value == 0 ? -EINVAL : 0;
        }
    }
    return -EINVAL;
}

int offsets_restore(struct offsets *offsets, const uint8_t *done, size_t bytes)
{
    assert(offsets->base == offsets->end);
    if (bytes == 0) {
        return 0;
    }
    const uint8_t *end = done + bytes;
    uint64_t length, total = 0, count = 0;
    for (const uint8_t *at = done; at < end; count++) {
        if (get_varint(&at, end, &length) != 0 || (total += length) > OFFSETS_WINDOW_MAX) {
            return -EINVAL;
        }
    }
    if (count % 2 != 0) {
        return -EINVAL;
    }
    int64_t offset = offsets->base;
    int result = extend(offsets, offset + (int64_t)total);
    assert(result == 0);
    bool is_done = false;
    for (const uint8_t *at = done; at < end; is_done = !is_done) {
        result = get_varint(&at, end, &length);
        assert(result == 0);
        for (int64_t stop = offset + (int64_t)length; offset < stop; offset++) {
            if (is_done) {
                set_mark(offsets, offset, OFFSETS_GONE);
            }
        }
    }
    return 0;
}
