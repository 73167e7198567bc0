/*
 * Random numbers: bytes from the system for the edges, and a seeded stream that cores and
 * simulations take as a port. The stream is not for secrets.
 */
#ifndef ENGENHO_COMMON_RANDOM_H
#define ENGENHO_COMMON_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct random {
    uint64_t state[4];
};

/* The same seed gives the same stream, on every machine. */
void random_init(struct random *random, uint64_t seed);
uint64_t random_next(struct random *random);
/* Uniform in [0, bound); bound > 0. */
uint64_t random_below(struct random *random, uint64_t bound);
/* Fill with bytes from the system's generator; aborts if it fails. */
void random_bytes(void *data, size_t bytes);
/* Write `bytes` random bytes as 2 * bytes hex digits and a NUL into `text`. */
void random_hex(char *text, size_t bytes);

#endif
