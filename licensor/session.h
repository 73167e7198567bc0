/*
 * What the licensor keeps with a connection: its session, and its requests that wait or are being
 * asked. Core: pure.
 *
 * A grant of the waiting line may arrive before the answer "waiting" of its own request (they come
 * by two connections to the store): it is kept until that answer is there, so that a client sees
 * Waiting before Granted.
 */
#ifndef ENGENHO_LICENSOR_SESSION_H
#define ENGENHO_LICENSOR_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attributes.h"
#include "licensor/store.h"

struct waiting; /* one request */

struct session {
    char id[SESSION_BYTES_MAX + 1]; /* "": nobody has registered on the connection */
    char name[NAME_BYTES_MAX + 1];  /* the processor's */
    uint64_t sequence;              /* of its newest registration */
    struct waiting *waiting;        /* by request */
};

void session_release(struct session *session);
/*
 * A request that may wait is asked for. `frame` is kept (copied) to ask again after Redis was away.
 */
void session_ask(struct session *session, const char *request, const uint8_t *frame, size_t bytes,
                 int64_t now_mono_us);
/*
 * It was answered "waiting". Returns true when its grant was there already: send it after
 * "waiting"; the request is forgotten.
 */
MUST_CHECK bool session_waits(struct session *session, const char *request,
                              struct store_grant *ret_grant);
/* It was answered otherwise, released or refused: forget it. */
void session_forget(struct session *session, const char *request);
/*
 * A grant of the waiting line. Returns true when it is to be sent now, with how long it waited; the
 * request is forgotten.
 */
MUST_CHECK bool session_granted(struct session *session, const struct store_grant *grant,
                                int64_t now_mono_us, int64_t *ret_waited_us);
/* The frame of a request that waits or is being asked, borrowed; NULL: there is none. */
const uint8_t *session_frame(const struct session *session, const char *request, size_t *ret_bytes);
/*
 * Call `visit` with the frame of each request that stands in the waiting line. It must not change
 * the session.
 */
void session_each_waiting(const struct session *session,
                          void (*visit)(void *context, const uint8_t *frame, size_t bytes),
                          void *context);

#endif
