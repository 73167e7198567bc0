/*
 * Server-sent events: results as they come, lag and seats once a second.
 */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/memory.h"
#include "common/names.h"
#include "producer/api/api_parts.h"
#include "producer/results_json.h"

#define UNSENT_BYTES_MAX                                                                           \
    (4 * 1024 *                                                                                    \
     1024) /* of a listener that does not read: it is let go, and comes again with its cursor */
#define KEEP_ALIVE_TICKS 15
#define CATCH_UP_MAX 10000
#define SEATS_A_TICK                                                                               \
    500               /* of a longer list one is asked for less often: the store makes it at once */
#define SEATS_MAX 200 /* each second, to each listener: the first of them; /v1/seats has all */

struct stream {
    struct api *api;
    struct evhttp_request *request;
    char *production; /* NULL: all */
    bool only_results;
    bool gone; /* the connection was closed */
    int ticks;
    LIST_ENTRY(stream) next;
};

static void stream_free(struct stream *stream)
{
    struct evhttp_connection *connection = evhttp_request_get_connection(stream->request);
    LIST_REMOVE(stream, next);
    stream->api->streams_count--;
    if (connection != NULL) {
        evhttp_connection_set_closecb(connection, NULL, NULL);
    }
    evhttp_send_reply_end(stream->request);
    free(stream->production);
    free(stream);
}

static void on_close(struct evhttp_connection *connection, void *context)
{
    struct stream *stream = context;
    (void)connection;
    stream->gone = true; /* libevent is in the middle of it: let go at the next tick */
}

/* One event of the stream; `data` is one line of JSON. */
static void send_event(struct stream *stream, const char *name, const char *id, const void *data,
                       size_t bytes)
{
    struct evhttp_connection *connection = evhttp_request_get_connection(stream->request);
    if (stream->gone || connection == NULL) {
        stream->gone = true;
        return;
    }
    if (evbuffer_get_length(bufferevent_get_output(evhttp_connection_get_bufferevent(connection))) >
        UNSENT_BYTES_MAX) {
        stream->gone = true;
        return;
    }
    struct evbuffer *out = evbuffer_new();
    if (id != NULL) {
        evbuffer_add_printf(out, "id: %s\n", id);
    }
    evbuffer_add_printf(out, "event: %s\ndata: ", name);
    evbuffer_add(out, data, bytes);
    evbuffer_add(out, "\n\n", 2);
    evhttp_send_reply_chunk(stream->request, out);
    evbuffer_free(out);
}

static void send_result(struct stream *stream, const Engenho__Result *result, const char *cursor)
{
    struct buf text;
    struct writer json;
    if (stream->production != NULL && strcmp(stream->production, result->production) != 0) {
        return;
    }
    buf_init(&text, UNSENT_BYTES_MAX);
    writer_init(&json, &text);
    results_write_json(&json, NULL, result);
    if (writer_result(&json) == 0) {
        send_event(stream, "result", cursor, text.data, text.length);
    }
    buf_release(&text);
}

void api_result_came(struct api *api, const Engenho__Result *result)
{
    char text[RESULTS_CURSOR_BYTES];
    struct results_cursor cursor;
    struct stream *stream;
    if (LIST_EMPTY(&api->streams)) {
        return;
    }
    results_store_end(results_store_of(api->options.services->results), &cursor);
    results_cursor_print(&cursor, text);
    LIST_FOREACH (stream, &api->streams, next) {
        send_result(stream, result, text);
    }
}

static void send_all(struct api *api, const char *name, const void *data, size_t bytes)
{
    struct stream *stream;
    LIST_FOREACH (stream, &api->streams, next) {
        if (!stream->only_results) {
            send_event(stream, name, NULL, data, bytes);
        }
    }
}

static void send_lag(struct api *api)
{
    const struct api_services *services = api->options.services;
    json_t *lag = services->lag != NULL ? lag_json(services->lag, NULL) : NULL;
    char *text = lag != NULL ? json_dumps(lag, JSON_COMPACT) : NULL;
    if (text != NULL) {
        send_all(api, "lag", text, strlen(text));
    }
    free(text);
    json_decref(lag);
}

static void on_seats(void *context, const Engenho__FromLicensor *answer, const char *reason)
{
    struct api *api = context;
    const struct seats_page page = {.limit = SEATS_MAX};
    struct buf text;
    struct writer json;
    api->stream_seats_asked = false;
    buf_init(&text, CALL_ANSWER_BYTES_MAX);
    writer_init(&json, &text);
    if (answer != NULL && answer->body_case == ENGENHO__FROM_LICENSOR__BODY_SEATS) {
        api->stream_seats_rest = answer->seats->n_seats / SEATS_A_TICK;
        api_write_seats(&json, NULL, answer->seats, NULL, &page);
    } else {
        writer_object(&json, NULL);
        writer_text(&json, "error",
                    reason != NULL ? reason : "the licensor answered something else");
        writer_end(&json);
    }
    if (writer_result(&json) == 0) {
        send_all(api, "seats", text.data, text.length);
    }
    buf_release(&text);
}

static void ask_seats(struct api *api)
{
    Engenho__ToLicensor question = ENGENHO__TO_LICENSOR__INIT;
    Engenho__ListSeats list = ENGENHO__LIST_SEATS__INIT;
    struct licensor_client *licensor = api->options.services->licensor;
    question.body_case = ENGENHO__TO_LICENSOR__BODY_LIST_SEATS;
    question.list_seats = &list;
    if (api->stream_seats_rest > 0) {
        api->stream_seats_rest--;
        return;
    }
    if (licensor != NULL && !api->stream_seats_asked) {
        api->stream_seats_asked = licensor_client_ask(licensor, &question, on_seats, api) == 0;
    }
}

static void on_tick(evutil_socket_t fd, short events, void *context)
{
    struct api *api = context;
    struct stream *stream, *next;
    bool gauges = false;
    (void)fd;
    (void)events;
    for (stream = LIST_FIRST(&api->streams); stream != NULL; stream = next) {
        next = LIST_NEXT(stream, next);
        if (!stream->gone && ++stream->ticks % KEEP_ALIVE_TICKS == 0) {
            send_event(stream, "alive", NULL, "{}", 2);
        }
        if (stream->gone) {
            stream_free(stream);
        } else {
            gauges = gauges || !stream->only_results;
        }
    }
    if (gauges) {
        send_lag(api);
        ask_seats(api);
    }
    if (LIST_EMPTY(&api->streams)) {
        event_free(api->stream_tick);
        api->stream_tick = NULL;
    }
}

static void begin_ticks(struct api *api)
{
    const struct timeval second = {1, 0};
    if (api->stream_tick == NULL) {
        api->stream_tick = event_new(api->base, -1, EV_PERSIST, on_tick, api);
        event_add(api->stream_tick, &second);
    }
    event_active(api->stream_tick, EV_TIMEOUT, 0);
}

static void visit(void *context, const Engenho__Result *result)
{
    send_result(context, result, NULL);
}

/* What came since the cursor, then where the listener stands. */
static void catch_up(struct stream *stream, const struct results_store *store,
                     const struct results_cursor *after)
{
    const struct results_query query = {
        .after = after, .limit = CATCH_UP_MAX, .production = stream->production};
    struct results_cursor next;
    char text[RESULTS_CURSOR_BYTES];
    results_store_end(store, &next);
    if (after != NULL) {
        results_store_find(store, &query, visit, stream, &next);
    }
    results_cursor_print(&next, text);
    send_event(stream, "cursor", text, "{}", 2);
}

void api_stream(struct call *call)
{
    const struct api_services *services = call_services(call);
    struct api *api = call->api;
    const struct results_store *store =
        services->results != NULL ? results_store_of(services->results) : NULL;
    const char *after = call_query(call, "after"), *only = call_query(call, "only");
    struct results_cursor cursor, end;
    if (store == NULL || !results_are_read(services->results)) {
        call_unavailable(call, "the stream");
        return;
    }
    if (api->streams_count >= api->options.streams_max) {
        call_refuse(call, 503, "the stream", "close one, or raise --streams-max",
                    "%lld streams are open already, which is the most",
                    (long long)api->streams_count);
        return;
    }
    results_store_end(store, &end);
    after = after != NULL ? after : call_header(call, "Last-Event-ID");
    if (after != NULL && results_cursor_parse(after, end.count, &cursor) != 0) {
        call_refuse(call, 400, "after", "give the id of an event, or leave it out",
                    "after '%.60s' is not a cursor", after);
        return;
    }
    struct stream *stream = memory_new(1, sizeof *stream);
    stream->api = api;
    stream->request = call->request;
    stream->production = memory_copy_text(call_query(call, "production"));
    stream->only_results = only != NULL && strcmp(only, "results") == 0;
    call_set_header(call, "Content-Type", "text/event-stream");
    call_set_header(call, "Cache-Control", "no-store");
    call_set_header(call, "X-Accel-Buffering", "no");
    evhttp_connection_set_closecb(evhttp_request_get_connection(call->request), on_close, stream);
    evhttp_send_reply_start(call->request, 200, NULL);
    LIST_INSERT_HEAD(&api->streams, stream, next);
    api->streams_count++;
    catch_up(stream, store, after != NULL ? &cursor : NULL);
    call_end(call);
    begin_ticks(api);
}

void api_streams_stop(struct api *api)
{
    while (!LIST_EMPTY(&api->streams)) {
        stream_free(LIST_FIRST(&api->streams));
    }
    if (api->stream_tick != NULL) {
        event_free(api->stream_tick);
        api->stream_tick = NULL;
    }
}
