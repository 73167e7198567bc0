/*
 * A production that fails so many times in a row is stopped, and its backlog kept (PITFALLS,
 * Delivery). Worker, core.
 */
#ifndef ENGENHO_WORKER_BREAKER_H
#define ENGENHO_WORKER_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

struct breaker {
    uint32_t in_a_row;
    bool open; /* it tripped; nothing runs until the production is started again */
};

/*
 * An attempt ended. `limit` is the production's breaker_failures, 0: never. Returns whether the
 * breaker tripped just now.
 */
bool breaker_count(struct breaker *breaker, bool failed, uint32_t limit);
/* The production was started again. */
void breaker_reset(struct breaker *breaker);

#endif
