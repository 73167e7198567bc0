/*
 * A time zone as the pure parts see it: spans of time with one offset. The rules themselves come
 * from zone_database.h. Pure.
 */
#ifndef ENGENHO_PRODUCER_ZONE_H
#define ENGENHO_PRODUCER_ZONE_H

#include <stdint.h>

/* Local time is UTC + offset_s for from_s <= UTC < until_s (seconds since 1970, UTC). Neighbours
 * may have the same offset. */
struct zone_span {
    int64_t from_s, until_s;
    int32_t offset_s;
};

struct zone {
    /* The span that `unix_s` is in; one second long at least. */
    void (*span)(const struct zone *zone, int64_t unix_s, struct zone_span *ret_span);
};

/* UTC: one span. */
extern const struct zone zone_utc;

/* The farthest instant that anything here looks at: the end of 2199. */
#define ZONE_END_S INT64_C(7258118400)

#endif
