/*
 * The worker's session with the licensor (SEATS sections 1, 2, 5): registers, keeps the lease, asks
 * for seats and gives them back, and comes back by itself after anything. An edge: libevent's
 * sockets. Worker.
 *
 *   AWAY ──connected──► REGISTERING ──registered──► LICENSED ──connection lost──► AWAY
 *                          └──refused──► REFUSED ──a while──► REGISTERING
 *
 * A request for a seat is repeated, under its own id, after every new connection until it is
 * answered: the licensor gives it the answer it already got.
 */
#ifndef ENGENHO_WORKER_LICENCE_CLIENT_H
#define ENGENHO_WORKER_LICENCE_CLIENT_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/error.h"
#include "proto/licensor.pb-c.h"
#include "worker/seats.h"

struct licence_client;

enum licence_state { LICENCE_AWAY, LICENCE_REGISTERING, LICENCE_REFUSED, LICENCE_LICENSED };

struct licence_callbacks {
    /* A session: new (`resumed` false: every seat of before is gone), or the one of before with the
     * same slot. */
    void (*registered)(void *context, const Engenho__Registered *registered, bool resumed);
    /* No session: the reason, in one sentence; it is tried again by itself. Called when the reason
     * changes. */
    void (*refused)(void *context, const char *reason);
    /* The licence changed: how many interpreters and productions from now on. */
    void (*limits)(void *context, uint32_t interpreters, uint32_t productions);
    void (*granted)(void *context, const Engenho__Granted *granted, uint64_t request);
    /* A request can't ever be granted as it is (an unknown pool); it is tried again each 5 s.
     * Called once for each reason. */
    void (*seat_refused)(void *context, uint64_t request, const char *reason);
    /* This pool has a waiting line: lingering seats of it are to be given back. */
    void (*waited)(void *context, const char *pool);
};

struct licence_options {
    const char *address; /* HOST:PORT, borrowed for ever; so are the others */
    const char *name, *agent;
    uint32_t interpreters;     /* wanted; 0: as many as there are */
    const struct seats *seats; /* what is held, for resuming */
};

/* Returns owned, or NULL with a sentence. Connects in the background. */
struct licence_client *licence_client_new(struct event_base *base,
                                          const struct licence_options *options,
                                          const struct licence_callbacks *callbacks, void *context,
                                          struct error *error);
/* Says nothing to the licensor: the session ends with its lease. For a clean stop:
 * licence_client_goodbye first. */
void licence_client_free(struct licence_client *client);

enum licence_state licence_client_state(const struct licence_client *client);
/* One sentence for people: why there is no session. */
const char *licence_client_reason(const struct licence_client *client);
/* Whether something new may start: a session whose lease has 2 s left at least, by our own
 * monotonic clock. */
bool licence_client_may_start(const struct licence_client *client);
/* The session and the highest operation number seen. */
const char *licence_client_session(const struct licence_client *client);

/* As struct seats_port says. `context` is the client. */
void licence_client_acquire(void *context, const struct seat *seat);
void licence_client_release(void *context, const struct seat *seat);
/* One more execution ran on a seat that was held: for the statistics. */
void licence_client_waived(struct licence_client *client, const char *pool);

/* Register afresh: another worker may have our slot (we were fenced). */
void licence_client_renew(struct licence_client *client);
/* A clean stop: `done` (may be NULL) is called when the licensor has answered, the connection
 * failed, or after 2 s. */
void licence_client_goodbye(struct licence_client *client, void (*done)(void *context),
                            void *context);

#endif
