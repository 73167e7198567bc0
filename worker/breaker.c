#include "worker/breaker.h"

bool breaker_count(struct breaker *breaker, bool failed, uint32_t limit)
{
    if (!failed) {
        breaker->in_a_row = 0;
        return false;
    }
    if (breaker->in_a_row < UINT32_MAX) {
        breaker->in_a_row++;
    }
    if (breaker->open || limit == 0 || breaker->in_a_row < limit) {
        return false;
    }
    breaker->open = true;
    return true;
}

void breaker_reset(struct breaker *breaker)
{
    *breaker = (struct breaker){0};
}
