/*
 * Connections of workers and producers: frames in, frames out. Edge: libevent. It knows nothing of
 * what the frames say.
 */
#ifndef ENGENHO_LICENSOR_SERVER_H
#define ENGENHO_LICENSOR_SERVER_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/error.h"

#define SERVER_FRAME_BYTES_MAX (1024 * 1024)

struct server;
struct connection;

struct server_options {
    const char *listen;
    size_t connections_max;
    size_t requests_max;   /* of one connection; then it is read no further */
    size_t send_bytes_max; /* that a client may leave unread; then it is closed */
    /* from its start, or from the begin of a frame, until a frame is whole; then it is closed */
    int64_t silent_us_max;
};

struct server_callbacks {
    /* A frame; the payload is borrowed. Each is answered by server_answered, later or at once. */
    void (*message)(void *context, struct connection *connection, const uint8_t *payload,
                    size_t bytes);
    /* The connection is gone after this call. */
    void (*closed)(void *context, struct connection *connection);
    /* A connection was refused or closed by us, with why. */
    void (*complained)(void *context, const char *peer, const char *why);
};

/* Returns owned, or NULL with a sentence (a port in use: which, and what to do). */
struct server *server_new(struct event_base *base, const struct server_options *options,
                          const struct server_callbacks *callbacks, void *context,
                          struct error *error);
void server_free(struct server *server);
uint16_t server_port(const struct server *server);
size_t server_connections(const struct server *server);

/* A connection by its number, which is never used twice; NULL when it is gone. */
struct connection *server_find(struct server *server, uint64_t number);
/* Call `visit` for each connection; it may close none. */
void server_each(struct server *server, void (*visit)(void *context, struct connection *connection),
                 void *context);

uint64_t connection_number(const struct connection *connection);
const char *connection_peer(const struct connection *connection);
/* The client had closed its end, or died, before what is read of it now was read. */
bool connection_is_gone(const struct connection *connection);
/* What the service keeps with a connection; NULL at first. */
void *connection_data(const struct connection *connection);
void connection_set_data(struct connection *connection, void *data);
/* Send a frame. Past send_bytes_max the connection is closed a moment later, not in this call. */
void connection_send(struct connection *connection, const uint8_t *payload, size_t bytes);
/* One request less is unanswered. */
void connection_answered(struct connection *connection);
/* Close it a moment later, not in this call. */
void connection_close(struct connection *connection, const char *why);

#endif
