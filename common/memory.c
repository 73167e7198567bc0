/*
 * Small allocations that abort when memory is out. Every process.
 */
#include "common/memory.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void stop_without_memory(void) __attribute__((noreturn));

static void stop_without_memory(void)
{
    static const char text[] = "{\"level\":\"error\",\"message\":\"out of memory\"}\n";
    /* No more can be done about a failing stderr. */
    ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);
    (void)written;
    abort();
}

void *memory_new(size_t count, size_t size)
{
    /* calloc(0) may give NULL, which would look like a failure. */
    void *memory = calloc(count ? count : 1, size ? size : 1);
    if (!memory) {
        stop_without_memory();
    }
    return memory;
}

void *memory_resize(void *array, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        stop_without_memory();
    }
    void *memory = realloc(array, bytes ? bytes : 1);
    if (!memory) {
        stop_without_memory();
    }
    return memory;
}

char *memory_copy_text(const char *text)
{
    return text ? memory_copy(text, strlen(text)) : NULL;
}

void *memory_copy(const void *data, size_t bytes)
{
    if (bytes == SIZE_MAX) {
        stop_without_memory();
    }
    char *copy = malloc(bytes + 1);
    if (!copy) {
        stop_without_memory();
    }
    if (bytes) {
        memcpy(copy, data, bytes);
    }
    copy[bytes] = 0;
    return copy;
}

char *memory_print(const char *format, ...)
{
    char *text;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0) {
        stop_without_memory();
    }
    return text;
}
