/*
 * The clocks, for the edges. Every process.
 */
#include "common/clock.h"

#include <assert.h>
#include <time.h>

static int64_t read_us(clockid_t clock)
{
    struct timespec now;
    int failed = clock_gettime(clock, &now);
    assert(!failed);
    (void)failed;
    return (int64_t)now.tv_sec * SECOND_US + now.tv_nsec / 1000;
}

int64_t clock_mono_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t clock_unix_us(void)
{
    return read_us(CLOCK_REALTIME);
}
