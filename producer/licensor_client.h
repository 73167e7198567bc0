/*
 * Asks the licensor what the console and the command line show: seats, processors, the licence. Not
 * a session: it takes no seat. An edge: libevent's sockets. Producer.
 */
#ifndef ENGENHO_PRODUCER_LICENSOR_CLIENT_H
#define ENGENHO_PRODUCER_LICENSOR_CLIENT_H

#include <event2/event.h>

#include "common/attributes.h"
#include "common/error.h"
#include "proto/licensor.pb-c.h"

#define LICENSOR_QUESTIONS_MAX 100

struct licensor_client;

/* `address`: HOST:PORT. Returns owned, or NULL with a sentence. Connects when first asked. */
struct licensor_client *licensor_client_new(struct event_base *base, const char *address,
                                            struct error *error);
/* Questions on their way are answered with NULL first. */
void licensor_client_free(struct licensor_client *client);

/*
 * The answer (borrowed for the call): with `refused` set, and its sentence as the reason, when the
 * licensor refuses; or NULL with why there is none.
 */
typedef void (*licensor_answered)(void *context, const Engenho__FromLicensor *answer,
                                  const char *reason);

/* Ask; the id is set here. `done` is called once, later. Returns 0, or -ENOBUFS. */
MUST_CHECK int licensor_client_ask(struct licensor_client *client, Engenho__ToLicensor *question,
                                   licensor_answered done, void *context);

#endif
