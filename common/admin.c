/*
 * The admin server: /metrics and the probes, on the process's loop. Every service.
 */
#include "common/admin.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/address.h"
#include "common/bound_port.h"
#include "common/memory.h"

#define EXPOSITION_BYTES_MAX (64 * 1024 * 1024)
#define REQUEST_BYTES_MAX 8192
#define IDLE_SECONDS 30

struct admin {
    struct evhttp *http;
    struct admin_options options;
    uint16_t port;
};

static void answer_text(struct evhttp_request *request, int code, const char *text)
{
    struct evbuffer *body = evbuffer_new();
    evbuffer_add_printf(body, "%s\n", text);
    evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type",
                      "text/plain; charset=utf-8");
    evhttp_send_reply(request, code, NULL, body);
    evbuffer_free(body);
}

static void answer_metrics(struct evhttp_request *request, void *context)
{
    struct admin *admin = context;
    const char *accept = evhttp_find_header(evhttp_request_get_input_headers(request), "Accept");
    bool open = accept != NULL && strstr(accept, "application/openmetrics-text") != NULL;
    if (admin->options.before_scrape != NULL) {
        admin->options.before_scrape(admin->options.context);
    }
    struct buf text;
    buf_init(&text, EXPOSITION_BYTES_MAX);
    if (metrics_write(admin->options.metrics, open ? METRICS_OPENMETRICS : METRICS_TEXT, &text) !=
        0) {
        answer_text(request, 500, "the exposition is larger than 64 MiB");
    } else {
        struct evbuffer *body = evbuffer_new();
        evbuffer_add(body, text.data, text.length);
        evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type",
                          open ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                               : "text/plain; version=0.0.4; charset=utf-8");
        evhttp_send_reply(request, 200, NULL, body);
        evbuffer_free(body);
    }
    buf_release(&text);
}

static void answer_probe(struct evhttp_request *request, struct admin *admin, admin_probe probe)
{
    struct error reason = {.text = ""};
    if (probe == NULL || probe(admin->options.context, &reason)) {
        answer_text(request, 200, "ok");
    } else {
        answer_text(request, 503, reason.text);
    }
}

static void answer_live(struct evhttp_request *request, void *context)
{
    struct admin *admin = context;
    answer_probe(request, admin, admin->options.live);
}

static void answer_ready(struct evhttp_request *request, void *context)
{
    struct admin *admin = context;
    answer_probe(request, admin, admin->options.ready);
}

static void answer_started(struct evhttp_request *request, void *context)
{
    struct admin *admin = context;
    answer_probe(request, admin, admin->options.started);
}

static void answer_unknown(struct evhttp_request *request, void *context)
{
    (void)context;
    answer_text(request, 404, "here are /metrics, /livez, /readyz and /startupz");
}

static void refuse_address(const char *address, int code, struct error *error)
{
    if (code == EADDRINUSE) {
        error_set(
            error, -code,
            "port %s is in use: choose another with --admin-listen, or stop what listens there",
            address);
    } else {
        error_set(
            error, -code,
            "the admin server can't listen on %s (%s): choose another address with --admin-listen",
            address, code ? strerror(code) : "no such host");
    }
}

struct admin *admin_new(struct event_base *base, const struct admin_options *options,
                        struct error *error)
{
    struct address address;
    if (address_parse(options->address, &address, error) != 0) {
        return NULL;
    }
    struct evhttp *http = evhttp_new(base);
    /* A name that does not resolve leaves errno as it was. */
    errno = 0;
    struct evhttp_bound_socket *bound =
        evhttp_bind_socket_with_handle(http, address.host, address.port);
    if (bound == NULL) {
        int code = errno;
        evhttp_free(http);
        refuse_address(options->address, code, error);
        return NULL;
    }
    struct admin *admin = memory_new(1, sizeof *admin);
    admin->http = http;
    admin->options = *options;
    admin->port = bound_port(evhttp_bound_socket_get_fd(bound));
    evhttp_set_allowed_methods(http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
    evhttp_set_max_headers_size(http, REQUEST_BYTES_MAX);
    evhttp_set_max_body_size(http, REQUEST_BYTES_MAX);
    evhttp_set_timeout(http, IDLE_SECONDS);
    evhttp_set_cb(http, "/metrics", answer_metrics, admin);
    evhttp_set_cb(http, "/livez", answer_live, admin);
    evhttp_set_cb(http, "/readyz", answer_ready, admin);
    evhttp_set_cb(http, "/startupz", answer_started, admin);
    evhttp_set_gencb(http, answer_unknown, admin);
    return admin;
}

void admin_free(struct admin *admin)
{
    if (admin == NULL) {
        return;
    }
    evhttp_free(admin->http);
    free(admin);
}

uint16_t admin_port(const struct admin *admin)
{
    return admin->port;
}
