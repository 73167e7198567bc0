/*
 * The growable byte buffer. Every process.
 */
#include "common/buf.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 256

void buf_init(struct buf *buf, size_t max)
{
    assert(max < SIZE_MAX);
    *buf = (struct buf){.max = max};
}

void buf_release(struct buf *buf)
{
    if (buf) {
        free(buf->data);
        *buf = (struct buf){.max = buf->max};
    }
}

void buf_clear(struct buf *buf)
{
    buf->length = 0;
    if (buf->data) {
        buf->data[0] = 0;
    }
}

/* Room for `bytes` more and the NUL behind them. */
static int grow(struct buf *buf, size_t bytes)
{
    if (bytes > buf->max - buf->length) {
        return -EMSGSIZE;
    }
    size_t needed = buf->length + bytes + 1;
    if (needed <= buf->capacity) {
        return 0;
    }
    size_t capacity = buf->capacity ? buf->capacity : FIRST_CAPACITY;
    while (capacity < needed) {
        capacity = capacity > SIZE_MAX / 2 ? needed : capacity * 2;
    }
    if (capacity > buf->max + 1) {
        capacity = buf->max + 1;
    }
    uint8_t *data = realloc(buf->data, capacity);
    if (!data) {
        return -ENOMEM;
    }
    buf->data = data;
    buf->capacity = capacity;
    buf->data[buf->length] = 0;
    return 0;
}

int buf_append(struct buf *buf, const void *data, size_t bytes)
{
    int result = grow(buf, bytes);
    if (result) {
        return result;
    }
    if (bytes) {
        memcpy(buf->data + buf->length, data, bytes);
    }
    buf->length += bytes;
    buf->data[buf->length] = 0;
    return 0;
}

int buf_append_text(struct buf *buf, const char *text)
{
    return buf_append(buf, text, strlen(text));
}

int buf_print(struct buf *buf, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0) {
        return -EINVAL;
    }
    int result = grow(buf, (size_t)length);
    if (result) {
        return result;
    }
    va_start(arguments, format);
    vsnprintf((char *)buf->data + buf->length, (size_t)length + 1, format, arguments);
    va_end(arguments);
    buf->length += (size_t)length;
    return 0;
}

uint8_t *buf_reserve(struct buf *buf, size_t bytes)
{
    return grow(buf, bytes) ? NULL : buf->data + buf->length;
}

void buf_commit(struct buf *buf, size_t bytes)
{
    assert(bytes == 0 || bytes < buf->capacity - buf->length);
    buf->length += bytes;
    if (buf->data) {
        buf->data[buf->length] = 0;
    }
}

void buf_consume(struct buf *buf, size_t bytes)
{
    assert(bytes <= buf->length);
    if (!bytes) {
        return;
    }
    buf->length -= bytes;
    memmove(buf->data, buf->data + bytes, buf->length);
    buf->data[buf->length] = 0;
}
