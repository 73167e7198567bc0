/*
 * What the worker must know of a packed Event, without unpacking it; checks on the way that all of
 * it is well formed, so that an interpreter never gets what cannot be decoded. Worker, core: bytes
 * from outside.
 */
#ifndef ENGENHO_WORKER_EVENT_VIEW_H
#define ENGENHO_WORKER_EVENT_VIEW_H

#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/when.h"
#include "proto/event.pb-c.h"

/* Not NUL-terminated. */
struct text_view {
    const char *data;
    size_t bytes;
};

enum event_kind { EVENT_DATA, EVENT_NAMED, EVENT_TRANSITION };

struct event_view {
    enum event_kind kind;
    struct text_view connection, object; /* named: object is the event's name */
    struct text_view process, from_stage, to_stage;
    int64_t timestamp_us;
};

/* `data` is borrowed as long as the view. Returns 0, or -EBADMSG: not an Event. */
MUST_CHECK int event_view_read(const uint8_t *data, size_t bytes, struct event_view *ret_view);

/* when_lookup over an unpacked Event (context). */
struct when_value event_lookup(void *context, enum when_name name, const char *member);

#endif
