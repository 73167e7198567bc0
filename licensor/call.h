/*
 * Messages of clients on their way through the store (call.c), for requests.c only.
 */
#ifndef ENGENHO_LICENSOR_CALL_H
#define ENGENHO_LICENSOR_CALL_H

#include "licensor/service_private.h"

/* Who asks: a message of a connection. */
struct asker {
    struct service *service;
    struct connection *connection;
    uint64_t id; /* 0: we ask again, and nobody waits for a refusal */
};

/* One message while the store works on it. */
struct call {
    struct service *service;
    uint64_t connection; /* 0: nobody waits for the answer */
    uint64_t id;
    int64_t since_mono_us;
    struct store_request request;     /* only verb, ask.use and ask.wait stay valid */
    char text[REQUEST_BYTES_MAX + 1]; /* the request's id */
    char pool[POOL_BYTES_MAX + 1];
    char who[NAME_BYTES_MAX + 1]; /* register: the processor; acquire: the production */
    bool resumed;
    struct store_story *story; /* explain: found, while the holders of its pool are asked for */
};

struct call *call_new(const struct asker *asker, enum store_verb verb);
/* Submit what `request` borrows; takes the call, which keeps what the answer needs. */
void call_submit(struct call *call, const struct store_request *request);
/* Refuse without the store. */
void call_refuse(const struct asker *asker, Engenho__RefusalReason reason, const char *en,
                 const char *pt);
void call_answer_licence(const struct asker *asker);
/* Put what an operator did or was refused into the store's list; `detail` is cut where it is too
 * long. */
void call_audit(const struct asker *asker, const char *who, const char *what, const char *detail);
/* How a connection is called in the store. */
void call_connection_text(const struct service *service, uint64_t number, char text[48]);

#endif
