/*
 * The licensor at work: messages of clients become transitions of the store, answers go back. Joins
 * the edges (server, Redis, licence directory, metrics); rules are elsewhere.
 */
#ifndef ENGENHO_LICENSOR_SERVICE_H
#define ENGENHO_LICENSOR_SERVICE_H

#include <event2/event.h>

#include "common/attributes.h"
#include "common/error.h"
#include "licensor/config.h"

struct service;

/* Returns owned, or NULL with a sentence. `config` is borrowed for its life. */
struct service *service_new(struct event_base *base, const struct config *config,
                            struct error *error);
void service_free(struct service *service);

#endif
