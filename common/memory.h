/*
 * Small allocations that abort when memory is out, as STYLE asks: what an outsider can size has a
 * maximum and is allocated with the plain functions instead. Every process.
 */
#ifndef ENGENHO_COMMON_MEMORY_H
#define ENGENHO_COMMON_MEMORY_H

#include <stddef.h>

/*
 * Zeroed memory for `count` things of `size` bytes. Returns owned; release with free(). Aborts when
 * out of memory.
 */
void *memory_new(size_t count, size_t size) __attribute__((returns_nonnull, malloc));

/*
 * A longer or shorter copy of an array; new things are NOT zeroed. Aborts when out of memory or on
 * overflow.
 */
void *memory_resize(void *array, size_t count, size_t size) __attribute__((returns_nonnull));

/* A copy of a string; NULL gives NULL. Returns owned. */
char *memory_copy_text(const char *text);

/* A copy of `bytes` bytes with a NUL behind them. Returns owned. */
void *memory_copy(const void *data, size_t bytes) __attribute__((returns_nonnull));

/* printf into new memory. Returns owned. */
char *memory_print(const char *format, ...) __attribute__((format(printf, 1, 2), returns_nonnull));

#endif
