/*
 * Events as people and programs push them over HTTP: our JSON and CloudEvents 1.0 into Events.
 * Pure. Producer.
 */
#ifndef ENGENHO_PRODUCER_SOURCES_PUSH_H
#define ENGENHO_PRODUCER_SOURCES_PUSH_H

#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/error.h"
#include "producer/node.h"
#include "proto/event.pb-c.h"

#define PUSH_EVENTS_MAX NODE_CHILDREN_MAX /* of one call */
#define PUSH_TEXT_BYTES_MAX 65536         /* of a text value */

enum push_format {
    PUSH_OURS,       /* an object or a list */
    PUSH_CLOUDEVENT, /* structured, or the attributes of a binary one with `data` */
    PUSH_CLOUDEVENTS /* a batch */
};

struct push {
    Engenho__Event **events; /* owned */
    size_t count;
};

/*
 * Read all events of a body, or none. `now_us` is the time of those that bring none.
 * Returns 0, or -EINVAL with a sentence and the index of the first bad one (-1: the body itself).
 */
MUST_CHECK int push_read(const struct node *body, enum push_format format, int64_t now_us,
                         struct push *ret_push, int *ret_index, struct error *error);
void push_release(struct push *push);

/* The key of an event's record: connection/object. Returns owned. */
char *push_key(const Engenho__Event *event);

#endif
