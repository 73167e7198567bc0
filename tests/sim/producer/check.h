/* A check of a simulation that says where it was: the file's `world` has seed and step. */
#ifndef ENGENHO_TESTS_SIM_PRODUCER_CHECK_H
#define ENGENHO_TESTS_SIM_PRODUCER_CHECK_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "seed %" PRIu64 " step %" PRIu64 ": ", world.seed, world.step);        \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fprintf(stderr, "\n");                                                                 \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif
