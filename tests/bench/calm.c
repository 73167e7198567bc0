/*
 * Walks over memory. See calm.h.
 */
#include "tests/bench/calm.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/memory.h"

#define MEMORY_BYTES ((size_t)32 << 20)
#define STEPS 128 /* places that a walk touches, each on another page */
#define EVERY_US 1000
#define LOOKS_MAX 600000
#define SLOWER 3            /* times the median walk */
#define BEFORE_US 2000      /* a slow time may have begun since the look before */
#define AFTERWARDS_US 60000 /* what has piled up meanwhile is worked off */

struct look {
    int64_t at_us;
    int64_t took_us;
};

struct calm {
    uint8_t *memory;
    uint64_t random;
    struct look looks[LOOKS_MAX];
    size_t count;
};

struct calm *calm_new(void)
{
    struct calm *calm = memory_new(1, sizeof(*calm));
    calm->memory = memory_new(1, MEMORY_BYTES);
    memset(calm->memory, 1, MEMORY_BYTES);
    calm->random = 1;
    return calm;
}

void calm_free(struct calm *calm)
{
    if (calm != NULL) {
        free(calm->memory);
        free(calm);
    }
}

void calm_look(struct calm *calm, int64_t now_us)
{
    if (calm->count == LOOKS_MAX ||
        (calm->count > 0 && now_us - calm->looks[calm->count - 1].at_us < EVERY_US)) {
        return;
    }
    int64_t begun_us = clock_mono_us();
    for (int i = 0; i < STEPS; i++) {
        calm->random = calm->random * 6364136223846793005ULL + 1442695040888963407ULL;
        calm->memory[(calm->random >> 33) % MEMORY_BYTES]++;
    }
    calm->looks[calm->count++] =
        (struct look){.at_us = now_us, .took_us = clock_mono_us() - begun_us};
}

static int by_size(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

void calm_end(struct calm *calm)
{
    if (calm->count == 0) {
        return;
    }
    int64_t *sorted = memory_new(calm->count, sizeof(*sorted));
    for (size_t i = 0; i < calm->count; i++) {
        sorted[i] = calm->looks[i].took_us;
    }
    qsort(sorted, calm->count, sizeof(*sorted), by_size);
    int64_t slow_us = SLOWER * sorted[calm->count / 2];
    free(sorted);
    size_t kept = 0; /* from now on only the slow ones are of use */
    for (size_t i = 0; i < calm->count; i++) {
        if (calm->looks[i].took_us > slow_us) {
            calm->looks[kept++] = calm->looks[i];
        }
    }
    calm->count = kept;
}

bool calm_was(const struct calm *calm, int64_t from_us, int64_t to_us)
{
    size_t low = 0, high = calm->count; /* the first slow look that reaches past `from_us` */
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (calm->looks[middle].at_us + AFTERWARDS_US < from_us) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == calm->count || calm->looks[low].at_us - BEFORE_US > to_us;
}
