/*
 * Whether this machine runs at its own speed. On a virtual machine the host may take away, for some
 * hundredths of a second, what its processors remember of memory: everything that touches memory
 * is then ten times as slow, and no counter of the guest says so. A walk over as much memory as a
 * Redis has says it: it is slow for as long as Redis is.
 *
 * A benchmark's part; no test.
 */
#ifndef ENGENHO_TESTS_BENCH_CALM_H
#define ENGENHO_TESTS_BENCH_CALM_H

#include <stdbool.h>
#include <stdint.h>

struct calm;

/* Returns owned. */
struct calm *calm_new(void);
void calm_free(struct calm *calm);
/* Look, when the last look is a millisecond ago. Takes some microseconds. */
void calm_look(struct calm *calm, int64_t now_us);
/* After the last look: find the times in which the machine was slow. */
void calm_end(struct calm *calm);
/* Whether the machine ran at its own speed between these times; after calm_end. */
bool calm_was(const struct calm *calm, int64_t from_us, int64_t to_us);

#endif
