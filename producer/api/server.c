/*
 * The HTTP server of the API: routes, who may call, and what every answer has. Producer.
 */
#include "producer/api/api.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/address.h"
#include "common/bound_port.h"
#include "common/memory.h"
#include "producer/api/api_parts.h"
#include "producer/packages.h"
#include "producer/packages_hash.h"

#define HEADERS_BYTES_MAX 16384
#define BODY_BYTES_MAX (PACKAGES_BYTES_MAX + 1024 * 1024)

/*
 * A route: parts of the path behind /v1/; `*` is any one part, `**` the rest. The first that fits.
 */
struct route {
    const char *method;
    const char *path;
    const char *name;
    api_handler handler;
};

static const struct route routes[] = {
    {"GET", "version", "version", api_version},
    {"POST", "apply", "apply", api_definitions_apply},
    {"GET", "export", "export", api_definitions_export},
    {"POST", "events", "events", api_events},
    {"GET", "sources/**", "sources", api_source},
    {"POST", "runs", "runs", api_runs},
    {"GET", "results", "results", api_results},
    {"GET", "results/**", "result", api_result},
    {"GET", "stream", "stream", api_stream},
    {"GET", "dead-letters", "dead-letters", api_dead_letters},
    {"POST", "dead-letters/purge", "dead-letters-purge", api_dead_letters_purge},
    {"GET", "dead-letters/*", "dead-letter", api_dead_letter},
    {"POST", "dead-letters/*/redrive", "dead-letter-redrive", api_dead_letter_redrive},
    {"GET", "lag", "lag", api_lag},
    {"GET", "seats", "seats", api_seats},
    {"GET", "seats/audit", "seats-audit", api_seats_audit},
    {"GET", "seats/*/explain", "seat-explain", api_seat_explain},
    {"POST", "seats/*/release", "seat-release", api_seat_release},
    {"GET", "licence", "licence", api_licence},
    {"POST", "licence", "licence-install", api_licence_install},
    {"PUT", "licence/master", "licence-master", api_licence_master},
    {"GET", "usage", "usage", api_usage},
    {"GET", "workers", "workers", api_workers},
    {"GET", "schedules", "schedules", api_schedules},
    {"POST", "production/*/start", "start", api_production_start},
    {"POST", "production/*/stop", "stop", api_production_stop},
    {"POST", "productions/*/start", "start", api_production_start},
    {"POST", "productions/*/stop", "stop", api_production_stop},
    {"POST", "packages/*/active", "packages-active", api_packages_activate},
    {"POST", "packages/*", "packages", api_packages_deploy},
    {"GET", "*", "definitions", api_definitions_list},
    {"GET", "*/**", "definition", api_definitions_get},
    {"PUT", "*/**", "definition", api_definitions_put},
    {"DELETE", "*/**", "definition", api_definitions_delete},
};

static bool path_fits(const struct call *call, const char *path)
{
    for (int i = 0;; i++) {
        size_t bytes = strcspn(path, "/");
        if (bytes == 2 && path[0] == '*' && path[1] == '*') {
            return call->tail != NULL && call->tail[0] != '\0';
        }
        if (i >= call->parts_count) {
            return false;
        }
        bool any = bytes == 1 && path[0] == '*';
        if (!any && (strlen(call->parts[i]) != bytes || memcmp(call->parts[i], path, bytes) != 0)) {
            return false;
        }
        if (path[bytes] == '\0') {
            return i + 1 == call->parts_count;
        }
        path += bytes + 1;
    }
}

static bool is_authorised(const struct call *call)
{
    const char *header = call_header(call, "Authorization");
    return header != NULL && strncasecmp(header, "Bearer ", 7) == 0 &&
           secret_equal(header + 7, call->api->options.token);
}

static void dispatch(struct call *call)
{
    bool other_method = false;
    for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
        if (!path_fits(call, routes[i].path)) {
            continue;
        }
        if (strcmp(call->method, routes[i].method) == 0) {
            call->handler = routes[i].name;
            if (call->body_bytes > CALL_BODY_BYTES_MAX &&
                routes[i].handler != api_packages_deploy) {
                call_refuse(call, 413, "the body", "send it in smaller parts",
                            "the body is larger than %d MiB", CALL_BODY_BYTES_MAX / 1024 / 1024);
            } else {
                routes[i].handler(call);
            }
            return;
        }
        other_method = true;
    }
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(call->request));
    if (other_method) {
        call_refuse(call, 405, path, "see docs/openapi.yaml", "%s is not taken here", call->method);
    } else {
        call_refuse(call, 404, path, "see docs/openapi.yaml", "there is nothing at this path");
    }
}

static void on_request(struct evhttp_request *request, void *context)
{
    struct api *api = context;
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request));
    struct call *call = call_new(api, request);
    if (path == NULL || strncmp(path, "/v1/", 4) != 0) {
        call->handler = "console";
        if (strcmp(call->method, "GET") != 0 || !api_console(call, path != NULL ? path : "/")) {
            call_refuse(call, 404, path != NULL ? path : "/",
                        "the API is under /v1/, the console at /", "there is nothing at this path");
        }
        return;
    }
    if (!is_authorised(call)) {
        call_set_header(call, "WWW-Authenticate", "Bearer");
        call_refuse(
            call, 401, "Authorization",
            "send `Authorization: Bearer TOKEN`; the token is in the file of --token-file, or under the "
            "data directory of `engenho up`",
            "%s",
            call_header(call, "Authorization") ? "this token is not the one"
                                               : "a token is missing");
        return;
    }
    if (api->stopping) {
        call_refuse(call, 503, "the producer", "try again", "this replica is stopping");
        return;
    }
    dispatch(call);
}

struct api *api_new(struct event_base *base, const struct api_options *options, struct error *error)
{
    struct address address;
    if (address_parse(options->listen, &address, error) != 0) {
        return NULL;
    }
    struct evhttp *http = evhttp_new(base);
    errno = 0;
    struct evhttp_bound_socket *bound =
        evhttp_bind_socket_with_handle(http, address.host, address.port);
    if (bound == NULL) {
        int code = errno;
        evhttp_free(http);
        error_set(error, -EADDRINUSE,
                  "the API can't listen on %s (%s): choose another address with --api-listen",
                  options->listen,
                  code == EADDRINUSE ? "the port is in use"
                  : code != 0        ? strerror(code)
                                     : "no such host");
        return NULL;
    }
    struct api *api = memory_new(1, sizeof *api);
    api->base = base;
    api->http = http;
    api->options = *options;
    api->port = bound_port(evhttp_bound_socket_get_fd(bound));
    LIST_INIT(&api->calls);
    LIST_INIT(&api->streams);
    evhttp_set_allowed_methods(http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_PUT |
                                         EVHTTP_REQ_DELETE);
    evhttp_set_max_headers_size(http, HEADERS_BYTES_MAX);
    evhttp_set_max_body_size(http, BODY_BYTES_MAX);
    evhttp_set_timeout(http, (int)(options->connections_idle_us / 1000000));
    evhttp_set_gencb(http, on_request, api);
    return api;
}

uint16_t api_port(const struct api *api)
{
    return api->port;
}

void api_stop(struct api *api)
{
    api->stopping = true;
    api_streams_stop(api);
}

void api_free(struct api *api)
{
    if (api == NULL) {
        return;
    }
    api_streams_stop(api);
    while (!LIST_EMPTY(&api->calls)) {
        call_refuse(LIST_FIRST(&api->calls), 503, "the producer", "try again",
                    "this replica is stopping");
    }
    evhttp_free(api->http);
    free(api);
}

const char *api_caller(const struct call *call)
{
    /* one token for all: who it is, as the caller says */
    const char *name = call_header(call, "X-Engenho-User");
    return name != NULL && name[0] != '\0' && strlen(name) < 100 ? name : "token";
}

void api_version(struct call *call)
{
    writer_object(&call->json, NULL);
    writer_text(&call->json, "version", ENGENHO_VERSION);
    writer_end(&call->json);
    call_reply(call, 200);
}
