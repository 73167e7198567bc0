/*
 * The admin server of a process: plain HTTP with /metrics, /livez, /readyz, /startupz; nothing
 * else, nothing secret. An edge: libevent's HTTP server on the process's loop.
 */
#ifndef ENGENHO_COMMON_ADMIN_H
#define ENGENHO_COMMON_ADMIN_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/error.h"
#include "common/metrics.h"

/* One probe: true: 200 "ok". False: 503 with the reason that the function wrote: one sentence. */
typedef bool (*admin_probe)(void *context, struct error *reason);

struct admin_options {
    const char *address; /* 127.0.0.1:9464; port 0: any */
    struct metrics *metrics;
    void (*before_scrape)(void *context); /* NULL, or: bring gauges up to date */
    admin_probe live, ready, started;
    void *context;
};

struct admin;

/* Returns owned, or NULL with a sentence (a port in use: which, and what to do). */
struct admin *admin_new(struct event_base *base, const struct admin_options *options,
                        struct error *error);
void admin_free(struct admin *admin);
uint16_t admin_port(const struct admin *admin);

#endif
