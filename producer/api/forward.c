/*
 * A call that only the owner of a shard may answer is handed to it, and its answer handed back.
 */
#include <errno.h>
#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>

#include "common/address.h"
#include "common/memory.h"
#include "producer/api/api_parts.h"

#define FORWARD_SECONDS 30
#define FORWARDED "X-Engenho-Forwarded"

static const char *const passed_headers[] = {
    "Authorization", "Content-Type", "If-Match", "If-None-Match",  "ce-id",         "ce-source",
    "ce-type",       "ce-subject",   "ce-time",  "ce-specversion", "X-Engenho-User"};

struct forwarding {
    struct call *call;
    struct evhttp_connection *connection;
};

static void free_connection(evutil_socket_t fd, short events, void *context)
{
    (void)fd;
    (void)events;
    evhttp_connection_free(context);
}

static void on_answer(struct evhttp_request *answer, void *context)
{
    struct forwarding *forwarding = context;
    struct call *call = forwarding->call;
    const struct timeval now = {0, 0};
    int code = answer != NULL ? evhttp_request_get_response_code(answer) : 0;
    if (code == 0) {
        call_refuse(call, 503, "the owner of this shard",
                    "try again: another replica takes over within some seconds",
                    "the replica that owns this does not answer");
    } else {
        struct evbuffer *body = evhttp_request_get_input_buffer(answer);
        size_t bytes = evbuffer_get_length(body);
        const char *etag = evhttp_find_header(evhttp_request_get_input_headers(answer), "ETag");
        if (etag != NULL) {
            call_set_header(call, "ETag", etag);
        }
        call_reply_bytes(call, code, "application/json",
                         bytes > 0 ? (const void *)evbuffer_pullup(body, -1) : "", bytes);
    }
    /* Not from within its own callback. */
    event_base_once(evhttp_connection_get_base(forwarding->connection), -1, EV_TIMEOUT,
                    free_connection, forwarding->connection, &now);
    free(forwarding);
}

void call_forward(struct call *call, int shard)
{
    const struct api_services *services = call_services(call);
    const char *owner = services->shards != NULL ? shards_owner(services->shards, shard) : NULL;
    struct address address;
    if (services->shards == NULL) {
        call_unavailable(call, "this");
        return;
    }
    if (owner == NULL || call_header(call, FORWARDED) != NULL ||
        address_parse(owner, &address, NULL) != 0) {
        call_set_header(call, "Retry-After", "1");
        call_refuse(call, 503, "the owner of this shard", "try again in some seconds",
                    "no replica owns shard %d at the moment, or it is still reading", shard);
        return;
    }
    struct forwarding *forwarding = memory_new(1, sizeof *forwarding);
    forwarding->call = call;
    forwarding->connection =
        evhttp_connection_base_new(call->api->base, NULL, address.host, address.port);
    evhttp_connection_set_timeout(forwarding->connection, FORWARD_SECONDS);
    struct evhttp_request *request = evhttp_request_new(on_answer, forwarding);
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    for (size_t i = 0; i < ARRAY_SIZE(passed_headers); i++) {
        const char *value = call_header(call, passed_headers[i]);
        if (value != NULL) {
            evhttp_add_header(headers, passed_headers[i], value);
        }
    }
    evhttp_add_header(headers, FORWARDED, "1");
    evhttp_add_header(headers, "Host", owner);
    evbuffer_add(evhttp_request_get_output_buffer(request), call->body, call->body_bytes);
    if (evhttp_make_request(forwarding->connection, request,
                            evhttp_request_get_command(call->request),
                            evhttp_request_get_uri(call->request)) != 0) {
        /*
         * It has called on_answer with nothing, or will not: either way the call must not be left.
         */
        evhttp_connection_free(forwarding->connection);
        free(forwarding);
        call_refuse(call, 503, "the owner of this shard", "try again in some seconds",
                    "%s can't be reached", owner);
    }
}
