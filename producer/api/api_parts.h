/*
 * What the files of producer/api share: the server's state and the handlers of its routes. Only
 * producer/api.
 */
#ifndef ENGENHO_PRODUCER_API_API_PARTS_H
#define ENGENHO_PRODUCER_API_API_PARTS_H

#include "producer/api/call.h"

struct stream;

struct api {
    struct event_base *base;
    struct evhttp *http;
    uint16_t port;
    struct api_options options;
    LIST_HEAD(, call) calls; /* not answered yet */
    LIST_HEAD(, stream) streams;
    int64_t streams_count;
    struct event *stream_tick; /* gauges and keep-alives of streams */
    bool stream_seats_asked;
    size_t stream_seats_rest; /* ticks until it is asked again */
    bool stopping;
};

typedef void (*api_handler)(struct call *call);

void api_version(struct call *call);
void api_definitions_apply(struct call *call);
void api_definitions_export(struct call *call);
void api_definitions_list(struct call *call);
void api_definitions_get(struct call *call);
void api_definitions_put(struct call *call);
void api_definitions_delete(struct call *call);
void api_production_start(struct call *call);
void api_production_stop(struct call *call);
void api_packages_deploy(struct call *call);
void api_packages_activate(struct call *call);
void api_events(struct call *call);
void api_source(struct call *call);
void api_runs(struct call *call);
void api_results(struct call *call);
void api_result(struct call *call);
void api_stream(struct call *call);
void api_dead_letters(struct call *call);
void api_dead_letter(struct call *call);
void api_dead_letter_redrive(struct call *call);
void api_dead_letters_purge(struct call *call);
void api_lag(struct call *call);
void api_seats(struct call *call);
void api_seat_explain(struct call *call);
void api_seat_release(struct call *call);
void api_seats_audit(struct call *call);
void api_workers(struct call *call);
void api_licence(struct call *call);
void api_licence_install(struct call *call);
void api_licence_master(struct call *call);
void api_usage(struct call *call);
void api_schedules(struct call *call);

/* A file of the console, without a token. Returns whether there is one at this path. */
bool api_console(struct call *call, const char *path);

void api_streams_stop(struct api *api);
/* Which of the seats are written; `seatsTotal` says how many there are. */
struct seats_page {
    size_t offset, limit;
};
/* What ListSeats and ShowLicence (NULL: left out) say, as one object. */
void api_write_seats(struct writer *json, const char *key, const Engenho__SeatList *seats,
                     const Engenho__LicenceState *licence, const struct seats_page *page);
void api_write_licence(struct writer *json, const char *key, const Engenho__LicenceState *licence);
/* Ask; `done` gets the call. Returns whether it was asked; else the call was answered. */
bool api_ask_licensor(struct call *call, Engenho__ToLicensor *question, licensor_answered done);
/* Say the licensor's refusal (`answer`), or why it gave none (`reason`). Ends the call. */
void api_refuse_licensor(struct call *call, const Engenho__FromLicensor *answer,
                         const char *reason);
/* Who asks, for changed_by and requested_by. */
const char *api_caller(const struct call *call);

#endif
