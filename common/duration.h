/*
 * Durations and instants as people write them. Pure. Every process.
 */
#ifndef ENGENHO_COMMON_DURATION_H
#define ENGENHO_COMMON_DURATION_H

#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"

#define SECOND_US INT64_C(1000000)

/*
 * 10us, 200ms, 60s, 30m, 12h, 7d, or EPM's ddd.hh:mm:ss (000.00:01:00). Returns 0, or -EINVAL, or
 * -ERANGE past 100 years.
 */
MUST_CHECK int duration_parse(const char *text, int64_t *ret_us);
/* The shortest exact form with one unit: 1m, 90s, 1500ms. `text` holds DURATION_TEXT_BYTES. */
#define DURATION_TEXT_BYTES 32
void duration_print(int64_t us, char *text);

/*
 * An instant: RFC 3339 (2026-01-31T12:00:00.5Z, with any offset; a space for the T; without an
 * offset: UTC; a date alone: midnight UTC), to microseconds since 1970, UTC. Returns 0 or -EINVAL.
 */
MUST_CHECK int instant_parse(const char *text, int64_t *ret_unix_us);
/* RFC 3339 in UTC, with as many decimals as needed (0, 3 or 6). `text` holds INSTANT_TEXT_BYTES. */
#define INSTANT_TEXT_BYTES 40
void instant_print(int64_t unix_us, char *text);

#endif
