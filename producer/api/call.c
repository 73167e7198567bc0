#include "producer/api/call.h"

#include <errno.h>
#include <event2/buffer.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/memory.h"
#include "producer/api/api_parts.h"

static const char *method_name(enum evhttp_cmd_type type)
{
    switch (type) {
    case EVHTTP_REQ_GET:
        return "GET";
    case EVHTTP_REQ_POST:
        return "POST";
    case EVHTTP_REQ_PUT:
        return "PUT";
    case EVHTTP_REQ_DELETE:
        return "DELETE";
    case EVHTTP_REQ_HEAD:
        return "HEAD";
    default:
        return "other";
    }
}

/* Split /v1/a/b into decoded parts; more than CALL_PARTS_MAX stay in the tail only. */
static void split_path(struct call *call, const char *path)
{
    const char *at = strncmp(path, "/v1/", 4) == 0 ? path + 4 : path;
    const char *slash = strchr(at, '/');
    call->tail = slash != NULL ? evhttp_uridecode(slash + 1, 0, NULL) : NULL;
    while (*at != '\0' && call->parts_count < CALL_PARTS_MAX) {
        size_t bytes = strcspn(at, "/");
        char *raw = memory_copy(at, bytes);
        call->parts[call->parts_count++] = evhttp_uridecode(raw, 0, NULL);
        free(raw);
        at += bytes + (at[bytes] == '/');
    }
}

struct call *call_new(struct api *api, struct evhttp_request *request)
{
    struct call *call = memory_new(1, sizeof *call);
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
    const char *path = evhttp_uri_get_path(uri), *query = evhttp_uri_get_query(uri);
    struct evbuffer *input = evhttp_request_get_input_buffer(request);
    call->api = api;
    call->request = request;
    call->method = method_name(evhttp_request_get_command(request));
    call->handler = "none";
    call->start_us = clock_mono_us();
    split_path(call, path != NULL ? path : "/");
    TAILQ_INIT(&call->query);
    if (query != NULL && evhttp_parse_query_str(query, &call->query) != 0) {
        TAILQ_INIT(&call->query);
    }
    call->body_bytes = evbuffer_get_length(input);
    evbuffer_add(input, "", 1); /* the NUL */
    call->body = (const char *)evbuffer_pullup(input, -1);
    buf_init(&call->out, CALL_ANSWER_BYTES_MAX);
    writer_init(&call->json, &call->out);
    LIST_INSERT_HEAD(&api->calls, call, next);
    return call;
}

void call_end(struct call *call)
{
    LIST_REMOVE(call, next);
    for (int i = 0; i < call->parts_count; i++) {
        free(call->parts[i]);
    }
    free(call->tail);
    evhttp_clear_headers(&call->query);
    buf_release(&call->out);
    if (call->timer != NULL) {
        event_free(call->timer);
    }
    free(call->extra);
    free(call);
}

const struct api_services *call_services(const struct call *call)
{
    return call->api->options.services;
}

const char *call_query(const struct call *call, const char *name)
{
    return evhttp_find_header(&call->query, name);
}

bool call_flag(const struct call *call, const char *name)
{
    const char *text = call_query(call, name);
    return text != NULL && strcmp(text, "false") != 0 && strcmp(text, "0") != 0;
}

const char *call_header(const struct call *call, const char *name)
{
    return evhttp_find_header(evhttp_request_get_input_headers(call->request), name);
}

bool call_number(struct call *call, const char *name, int64_t max, int64_t *value)
{
    const char *text = call_query(call, name);
    char *end;
    if (text == NULL) {
        return true;
    }
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || number < 0 || number > max) {
        call_refuse(call, 400, name, "give a whole number in this range",
                    "%s must be a whole number from 0 to %lld, not '%.60s'", name, (long long)max,
                    text);
        return false;
    }
    *value = number;
    return true;
}

void call_set_header(struct call *call, const char *name, const char *value)
{
    evhttp_add_header(evhttp_request_get_output_headers(call->request), name, value);
}

static void count_call(const struct call *call, int code)
{
    struct metrics *metrics = call->api->options.metrics;
    char text[8];
    snprintf(text, sizeof text, "%d", code);
    metric_add(metrics_series(metrics, "engenho_http_requests_total",
                              METRIC_VALUES(call->handler, call->method, text)),
               1);
    metric_observe(metrics_series(metrics, "engenho_http_request_duration_seconds",
                                  METRIC_VALUES(call->handler, call->method)),
                   (double)(clock_mono_us() - call->start_us) / (double)SECOND_US);
}

void call_reply_bytes(struct call *call, int code, const char *type, const void *data, size_t bytes)
{
    struct evbuffer *body = evbuffer_new();
    evbuffer_add(body, data, bytes);
    call_set_header(call, "Content-Type", type);
    call_set_header(call, "X-Content-Type-Options", "nosniff");
    call_set_header(call, "Cache-Control", "no-store");
    count_call(call, code);
    evhttp_send_reply(call->request, code, NULL, body);
    evbuffer_free(body);
    call_end(call);
}

void call_reply(struct call *call, int code)
{
    if (writer_result(&call->json) != 0) {
        buf_clear(&call->out);
        writer_init(&call->json, &call->out);
        call_refuse_begin(call, "the answer", "ask for less: use limit",
                          "the answer is larger than 64 MiB");
        writer_end(&call->json);
        code = 500;
    }
    call_reply_bytes(call, code, "application/json", call->out.data, call->out.length);
}

void call_refuse_begin(struct call *call, const char *where, const char *fix, const char *text)
{
    buf_clear(&call->out);
    writer_init(&call->json, &call->out);
    writer_object(&call->json, NULL);
    writer_text(&call->json, "error", text);
    writer_text(&call->json, "where", where);
    writer_text(&call->json, "fix", fix);
}

void call_refuse(struct call *call, int code, const char *where, const char *fix,
                 const char *format, ...)
{
    char text[2 * ERROR_TEXT_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    call_refuse_begin(call, where, fix, text);
    writer_end(&call->json);
    call_reply(call, code);
}

void call_ask_kafka(struct call *call, struct kafka_job *job, const char *what)
{
    if (kafka_jobs_run(call_services(call)->jobs, job) != 0) {
        kafka_job_free(job);
        call_set_header(call, "Retry-After", "1");
        call_refuse(call, 503, what, "try again in a moment",
                    "too many questions wait for Kafka already");
    }
}

void call_unavailable(struct call *call, const char *what)
{
    const struct api_services *services = call_services(call);
    const char *trouble =
        services->provision != NULL ? provision_trouble(services->provision) : NULL;
    call_set_header(call, "Retry-After", "1");
    call_refuse(call, 503, "kafka",
                "try again in a moment; /readyz of the admin address says what is missing",
                "%s %s: %s", what, "can't be answered yet",
                trouble != NULL ? trouble : "this replica is still reading from Kafka");
}
