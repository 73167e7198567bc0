/*
 * The TCP side of the licensor.
 */
#include "licensor/server.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/address.h"
#include "common/bound_port.h"
#include "common/clock.h"
#include "common/frames.h"
#include "common/memory.h"

struct connection {
    struct server *server;
    uint64_t number;
    struct bufferevent *stream;
    struct event *closing; /* closes it outside of everybody's calls */
    struct event *silence; /* runs while a frame of the client is due */
    char peer[96];
    size_t unanswered;
    bool handling; /* frames of it are being handled */
    bool gone;     /* the client was, when they were begun */
    bool doomed;
    void *data;
    UT_hash_handle hh;
};

struct server {
    struct event_base *base;
    struct server_options options;
    struct server_callbacks callbacks;
    void *context;
    struct evconnlistener *listener;
    uint16_t port;
    struct connection *connections; /* by number */
    uint64_t last_number;
};

static void connection_free(struct connection *connection)
{
    HASH_DEL(connection->server->connections, connection);
    connection->server->callbacks.closed(connection->server->context, connection);
    bufferevent_free(connection->stream);
    event_free(connection->closing);
    event_free(connection->silence);
    free(connection);
}

static void expect_frame(struct connection *connection)
{
    int64_t within_us = connection->server->options.silent_us_max;
    struct timeval within = {.tv_sec = within_us / SECOND_US, .tv_usec = within_us % SECOND_US};
    event_add(connection->silence, &within);
}

static void on_silence(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct connection *connection = context;
    bool has_begun = evbuffer_get_length(bufferevent_get_input(connection->stream)) > 0;
    connection_close(connection, has_begun
                                     ? "the rest of a frame did not come within --client-timeout"
                                     : "the client sent nothing within --client-timeout");
}

static void on_closing(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    connection_free(context);
}

void connection_close(struct connection *connection, const char *why)
{
    if (connection->doomed) {
        return;
    }
    connection->doomed = true;
    connection->server->callbacks.complained(connection->server->context, connection->peer, why);
    bufferevent_disable(connection->stream, EV_READ);
    event_active(connection->closing, EV_TIMEOUT, 0);
}

/* Handle one frame. Returns whether there may be another. */
static bool handle_frame(struct connection *connection, struct evbuffer *input)
{
    uint8_t header[FRAME_HEADER_BYTES];
    if (evbuffer_copyout(input, header, sizeof(header)) < (ev_ssize_t)sizeof(header)) {
        return false;
    }
    size_t bytes =
        (size_t)header[0] << 24 | (size_t)header[1] << 16 | (size_t)header[2] << 8 | header[3];
    if (bytes > SERVER_FRAME_BYTES_MAX) {
        connection_close(connection, "a frame longer than 1 MiB");
        return false;
    }
    if (evbuffer_get_length(input) < FRAME_HEADER_BYTES + bytes) {
        return false;
    }
    const uint8_t *frame = evbuffer_pullup(input, (ev_ssize_t)(FRAME_HEADER_BYTES + bytes));
    connection->unanswered++;
    connection->server->callbacks.message(connection->server->context, connection,
                                          frame + FRAME_HEADER_BYTES, bytes);
    evbuffer_drain(input, FRAME_HEADER_BYTES + bytes);
    return !connection->doomed;
}

/* Asked once for all that was read, which may be much. */
static bool is_gone(const struct connection *connection)
{
    struct pollfd poll_fd = {.fd = bufferevent_getfd(connection->stream), .events = POLLRDHUP};
    return poll(&poll_fd, 1, 0) == 1;
}

static void handle_frames(struct connection *connection)
{
    struct evbuffer *input = bufferevent_get_input(connection->stream);
    size_t before = evbuffer_get_length(input);
    connection->handling = true;
    connection->gone = is_gone(connection);
    while (connection->unanswered < connection->server->options.requests_max &&
           handle_frame(connection, input)) {
    }
    connection->handling = false;
    bool is_full = connection->unanswered >= connection->server->options.requests_max;
    size_t left = evbuffer_get_length(input);
    if (is_full) {
        bufferevent_disable(connection->stream, EV_READ);
    }
    if (left < before || is_full) {
        event_del(connection->silence);
    }
    if (left > 0 && !is_full && !event_pending(connection->silence, EV_TIMEOUT, NULL)) {
        expect_frame(connection);
    }
}

static void on_read(struct bufferevent *stream, void *context)
{
    (void)stream;
    handle_frames(context);
}

static void on_event(struct bufferevent *stream, short what, void *context)
{
    (void)stream;
    struct connection *connection = context;
    if ((what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) != 0 && !connection->doomed) {
        connection_free(connection);
    }
}

void connection_answered(struct connection *connection)
{
    bool was_full = connection->unanswered >= connection->server->options.requests_max;
    connection->unanswered--;
    if (was_full && !connection->handling && !connection->doomed) {
        bufferevent_enable(connection->stream, EV_READ);
        bufferevent_trigger(connection->stream, EV_READ,
                            BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
    }
}

void connection_send(struct connection *connection, const uint8_t *payload, size_t bytes)
{
    if (connection->doomed) {
        return;
    }
    struct evbuffer *output = bufferevent_get_output(connection->stream);
    uint8_t header[FRAME_HEADER_BYTES];
    frame_header(header, (uint32_t)bytes);
    evbuffer_add(output, header, sizeof(header));
    evbuffer_add(output, payload, bytes);
    if (evbuffer_get_length(output) > connection->server->options.send_bytes_max) {
        connection_close(connection, "the client does not read its answers");
    }
}

static void write_peer(const struct sockaddr *address, int bytes, char *text, size_t text_bytes)
{
    char host[64], port[16];
    if (getnameinfo(address, (socklen_t)bytes, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        snprintf(text, text_bytes, "unknown");
        return;
    }
    snprintf(text, text_bytes, "%s:%s", host, port);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
                      int bytes, void *context)
{
    (void)listener;
    struct server *server = context;
    char peer[96];
    write_peer(address, bytes, peer, sizeof(peer));
    if (HASH_COUNT(server->connections) >= server->options.connections_max) {
        server->callbacks.complained(server->context, peer,
                                     "there are max-connections connections already");
        evutil_closesocket(fd);
        return;
    }
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    struct connection *connection = memory_new(1, sizeof(*connection));
    connection->server = server;
    connection->number = ++server->last_number;
    memcpy(connection->peer, peer, sizeof(peer));
    connection->stream = bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE);
    connection->closing = evtimer_new(server->base, on_closing, connection);
    connection->silence = evtimer_new(server->base, on_silence, connection);
    expect_frame(connection);
    HASH_ADD(hh, server->connections, number, sizeof(connection->number), connection);
    bufferevent_setcb(connection->stream, on_read, NULL, on_event, connection);
    bufferevent_enable(connection->stream, EV_READ | EV_WRITE);
}

static int bind_to(struct server *server, struct error *error)
{
    struct address address;
    int rc = address_parse(server->options.listen, &address, error);
    if (rc != 0) {
        return rc;
    }
    char port[8];
    snprintf(port, sizeof(port), "%u", address.port);
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE},
                    *found = NULL;
    if (getaddrinfo(address.host, port, &hints, &found) != 0) {
        return error_set(error, -EADDRNOTAVAIL, "can't listen on %s: no such host; change --listen",
                         server->options.listen);
    }
    server->listener =
        evconnlistener_new_bind(server->base, on_accept, server,
                                LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_EXEC,
                                1024, found->ai_addr, (int)found->ai_addrlen);
    rc = errno;
    freeaddrinfo(found);
    if (server->listener == NULL) {
        return error_set(error, -rc,
                         "can't listen on %s: %s; stop what uses it, or change --listen",
                         server->options.listen, strerror(rc));
    }
    server->port = bound_port(evconnlistener_get_fd(server->listener));
    return 0;
}

struct server *server_new(struct event_base *base, const struct server_options *options,
                          const struct server_callbacks *callbacks, void *context,
                          struct error *error)
{
    struct server *server = memory_new(1, sizeof(*server));
    server->base = base;
    server->options = *options;
    server->callbacks = *callbacks;
    server->context = context;
    if (bind_to(server, error) != 0) {
        free(server);
        return NULL;
    }
    return server;
}

void server_free(struct server *server)
{
    if (server == NULL) {
        return;
    }
    struct connection *connection, *next;
    HASH_ITER (hh, server->connections, connection, next) {
        connection_free(connection);
    }
    evconnlistener_free(server->listener);
    free(server);
}

uint16_t server_port(const struct server *server)
{
    return server->port;
}

size_t server_connections(const struct server *server)
{
    return HASH_COUNT(server->connections);
}

struct connection *server_find(struct server *server, uint64_t number)
{
    struct connection *connection;
    HASH_FIND(hh, server->connections, &number, sizeof(number), connection);
    return connection != NULL && !connection->doomed ? connection : NULL;
}

void server_each(struct server *server, void (*visit)(void *context, struct connection *connection),
                 void *context)
{
    struct connection *connection, *next;
    HASH_ITER (hh, server->connections, connection, next) {
        visit(context, connection);
    }
}

uint64_t connection_number(const struct connection *connection)
{
    return connection->number;
}

const char *connection_peer(const struct connection *connection)
{
    return connection->peer;
}

bool connection_is_gone(const struct connection *connection)
{
    return connection->gone;
}

void *connection_data(const struct connection *connection)
{
    return connection->data;
}

void connection_set_data(struct connection *connection, void *data)
{
    connection->data = data;
}
