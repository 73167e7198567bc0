/*
 * The clocks, for the edges: cores are given `now`. Every process.
 */
#ifndef ENGENHO_COMMON_CLOCK_H
#define ENGENHO_COMMON_CLOCK_H

#include <stdint.h>

#include "common/duration.h"

/* Microseconds of CLOCK_MONOTONIC: never steps. */
int64_t clock_mono_us(void);
/* Microseconds since 1970, UTC: may step. */
int64_t clock_unix_us(void);

#endif
