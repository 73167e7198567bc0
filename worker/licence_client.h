/*
 * The worker's side of the licensor's protocol (proto/licensor.proto): registers, keeps the session
 * alive, asks for seats and gives them back; over a lost connection it comes back with its session
 * and what it holds. An edge: libevent.
 */
#ifndef ENGENHO_WORKER_LICENCE_CLIENT_H
#define ENGENHO_WORKER_LICENCE_CLIENT_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/address.h"
#include "common/attributes.h"
#include "proto/licensor.pb-c.h"
#include "worker/seats.h"

struct licence_client;

struct licence_client_callbacks {
    /* A session begins, or (resumed) goes on after a lost connection. */
    void (*registered)(void *context, const Engenho__Registered *registered, bool resumed);
    /* No key, or another reason; it tries again by itself. */
    void (*refused)(void *context, const Engenho__Refused *refused);
    /* The session is gone: everything it held is lost. A new one is asked for. */
    void (*session_lost)(void *context);
    void (*limits)(void *context, uint32_t interpreters);
    void (*granted)(void *context, const Engenho__Granted *granted, uint64_t request);
    /* For good, or for longer than the licensor keeps a line: ask again later. */
    void (*seat_refused)(void *context, uint64_t request, const Engenho__Refused *refused);
    /* A seat that we held is not ours any more. */
    void (*seat_lost)(void *context, uint64_t token);
    /* The pool has a waiting line. */
    void (*waited)(void *context, const char *pool);
    /* The connection came or went. */
    void (*connected)(void *context, bool connected, const char *reason);
};

struct licence_client_options {
    struct address address;
    const char *name, *agent;
    uint32_t interpreters;     /* wanted; 0: as many as the licence gives */
    const struct seats *seats; /* what is held and asked, for resuming */
};

/* Returns owned. Connects in the background, again and again. */
struct licence_client *licence_client_new(struct event_base *base,
                                          const struct licence_client_options *options,
                                          const struct licence_client_callbacks *callbacks,
                                          void *context);
/* Says goodbye when it can within the call: the session's seats and key are free at once. */
void licence_client_free(struct licence_client *client);

void licence_client_acquire(struct licence_client *client, const struct seat *seat);
void licence_client_release(struct licence_client *client, const struct seat *seat);
/* One execution was waived: told with the next heartbeat. */
void licence_client_waived(struct licence_client *client, const char *pool);

/* One execution went on past the end of the lease: told with the next heartbeat. */
void licence_client_overrun(struct licence_client *client, const char *pool);

/*
 * Ask whether the session, and with it the slot, is still ours: `registered` or `session_lost`
 * follows.
 */
void licence_client_confirm(struct licence_client *client);
/* Registered over the connection that there is now. */
bool licence_client_registered(const struct licence_client *client);
/*
 * Whether something new may start: registered, and heard of a licensor within the lease less 2 s
 * (SEATS section 5).
 */
bool licence_client_may_start(const struct licence_client *client, int64_t now_us);
/*
 * Monotonic: when the session's lease ends, unless a licensor answers before; INT64_MAX without a
 * session. While a licensor answers that Redis is away, no lease ends.
 */
int64_t licence_client_lease_end(const struct licence_client *client);
/* Borrowed until the session changes; "" without one. */
const char *licence_client_session(const struct licence_client *client);

#endif
