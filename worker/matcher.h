/*
 * Which started productions an event starts: exact names in a hash, patterns after them, and the
 * answer for a (connection, object) remembered, so that what nobody wants costs one look-up (DESIGN
 * section 4). Conditions are not looked at here. Worker, core.
 */
#ifndef ENGENHO_WORKER_MATCHER_H
#define ENGENHO_WORKER_MATCHER_H

#include <stddef.h>

#include "worker/event_view.h"
#include "worker/production.h"

#define MATCHER_REMEMBERED_MAX 65536

struct matcher;

struct matches {
    struct production *const *productions; /* borrowed until the matcher changes */
    size_t count;
};

struct matcher *matcher_new(void);
void matcher_free(struct matcher *matcher);

/* Takes a reference of its own. A production without an event as its trigger is left out. */
void matcher_add(struct matcher *matcher, struct production *production);
/* Forget every production. */
void matcher_clear(struct matcher *matcher);

/* In the order in which they were added. */
struct matches matcher_find(struct matcher *matcher, const struct event_view *event);

#endif
