/*
 * Lag, schedules, seats and workers over HTTP.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/labels.h"
#include "common/memory.h"
#include "producer/api/api_parts.h"

/* Takes `json`. */
static void reply_jansson(struct call *call, json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    if (text == NULL) {
        call_refuse(call, 500, "the answer", "try again", "out of memory");
        return;
    }
    call_reply_bytes(call, 200, "application/json", text, strlen(text));
    free(text);
}

void api_lag(struct call *call)
{
    const struct api_services *services = call_services(call);
    const char *agent = call_query(call, "agent");
    if (services->lag == NULL) {
        call_unavailable(call, "lag");
        return;
    }
    json_t *lag = lag_json(services->lag, agent);
    if (lag == NULL) {
        call_refuse(call, 404, "agent", "see what is there with `engenho get agents`",
                    "there is no agent '%.60s'", agent ? agent : "");
        return;
    }
    reply_jansson(call, lag);
}

void api_schedules(struct call *call)
{
    const struct api_services *services = call_services(call);
    const char *production = call_query(call, "production");
    int64_t next = 5;
    if (services->schedules == NULL) {
        call_unavailable(call, "schedules");
        return;
    }
    if (!call_number(call, "next", 100, &next)) {
        return;
    }
    json_t *schedules = schedules_json(services->schedules, production, (int)next);
    if (schedules == NULL) {
        call_refuse(call, 404, "production", "see what is there with `engenho schedules`",
                    "production '%.200s' has no schedule", production ? production : "");
        return;
    }
    reply_jansson(call, schedules);
}

static void write_pool(struct writer *json, const Engenho__PoolState *pool)
{
    writer_object(json, NULL);
    writer_text(json, "pool", pool->pool);
    writer_integer(json, "limit", pool->limit);
    writer_integer(json, "inUse", pool->in_use);
    writer_integer(json, "queued", pool->queued);
    writer_integer(json, "waiting", pool->waiting);
    writer_integer(json, "peak", pool->peak);
    writer_integer(json, "granted", (int64_t)pool->granted);
    writer_integer(json, "reused", (int64_t)pool->reused);
    writer_integer(json, "waived", (int64_t)pool->waived);
    writer_integer(json, "escalated", (int64_t)pool->escalated);
    writer_integer(json, "refused", (int64_t)pool->refused);
    writer_integer(json, "notified", (int64_t)pool->notified);
    writer_end(json);
}

static void write_seat(struct writer *json, const Engenho__Seat *seat)
{
    writer_object(json, NULL);
    writer_text(json, "pool", seat->pool);
    writer_integer(json, "number", (int64_t)seat->number);
    writer_text(json, "state", seat->state);
    writer_text(json, "kind", label_of(&engenho__seat_kind__descriptor, (int)seat->kind));
    writer_text(json, "processor", seat->processor);
    writer_text(json, "host", seat->host);
    writer_text(json, "user", seat->user);
    writer_text(json, "agent", seat->agent);
    writer_text(json, "production", seat->production);
    writer_text(json, "request", seat->request);
    writer_text(json, "requestedPool", seat->requested_pool);
    writer_bool(json, "escalated", seat->escalated);
    writer_instant(json, "since", seat->since_us);
    writer_real(json, "lifeLeftSeconds", (double)seat->life_left_us / (double)SECOND_US);
    writer_integer(json, "token", (int64_t)seat->token);
    writer_end(json);
}

static void write_processor(struct writer *json, const Engenho__ProcessorState *processor)
{
    writer_object(json, NULL);
    writer_text(json, "name", processor->name);
    writer_text(json, "agent", processor->agent);
    writer_text(json, "host", processor->host);
    writer_integer(json, "pid", processor->pid);
    writer_integer(json, "slot", processor->slot);
    writer_text(json, "session", processor->session);
    writer_real(json, "leaseLeftSeconds", (double)processor->lease_left_us / (double)SECOND_US);
    writer_integer(json, "productions", processor->productions);
    writer_end(json);
}

static void write_licence(struct writer *json, const Engenho__LicenceState *licence)
{
    writer_object(json, "licence");
    writer_text(json, "edition", licence->edition);
    writer_text(json, "customer", licence->customer);
    writer_integer(json, "keys", licence->keys);
    writer_integer(json, "keysUsed", licence->keys_used);
    writer_instant(json, "validFrom", licence->valid_from_us);
    writer_instant(json, "validUntil", licence->valid_until_us);
    writer_integer(json, "graceDays", licence->grace_days);
    writer_bool(json, "inGrace", licence->in_grace);
    writer_text(json, "contact", licence->contact);
    writer_integer(json, "files", licence->files);
    writer_text(json, "warning", licence->warning);
    writer_end(json);
}

void api_write_seats(struct writer *json, const char *key, const Engenho__SeatList *seats,
                     const Engenho__LicenceState *licence)
{
    writer_object(json, key);
    writer_array(json, "pools");
    for (size_t i = 0; i < seats->n_pools; i++) {
        write_pool(json, seats->pools[i]);
    }
    writer_end(json);
    writer_array(json, "seats");
    for (size_t i = 0; i < seats->n_seats; i++) {
        write_seat(json, seats->seats[i]);
    }
    writer_end(json);
    writer_array(json, "processors");
    for (size_t i = 0; i < seats->n_processors; i++) {
        write_processor(json, seats->processors[i]);
    }
    writer_end(json);
    if (licence != NULL) {
        write_licence(json, licence);
    }
    writer_end(json);
}

static void refuse_licensor(struct call *call, const char *reason)
{
    call_set_header(call, "Retry-After", "1");
    call_refuse(call, 503, "licensor", "see that engenho-licensor runs, and its /readyz", "%s",
                reason);
}

/* Ask one thing. Returns whether it was asked; else the call was answered. */
static bool ask(struct call *call, Engenho__ToLicensor__BodyCase what, licensor_answered done)
{
    Engenho__ToLicensor question = ENGENHO__TO_LICENSOR__INIT;
    Engenho__ListSeats list = ENGENHO__LIST_SEATS__INIT;
    Engenho__ShowLicence show = ENGENHO__SHOW_LICENCE__INIT;
    struct licensor_client *licensor = call_services(call)->licensor;
    question.body_case = what;
    if (what == ENGENHO__TO_LICENSOR__BODY_LIST_SEATS) {
        question.list_seats = &list;
    } else {
        question.show_licence = &show;
    }
    if (licensor == NULL) {
        refuse_licensor(call, "this producer was started without --licensor");
        return false;
    }
    if (licensor_client_ask(licensor, &question, done, call) != 0) {
        refuse_licensor(call, "too many questions wait for the licensor already");
        return false;
    }
    return true;
}

/* The list waits, packed, for the licence. */
struct seats_packed {
    size_t bytes;
    uint8_t data[];
};

static void on_licence(void *context, const Engenho__FromLicensor *answer, const char *reason)
{
    struct call *call = context;
    const struct seats_packed *packed = call->extra;
    Engenho__SeatList *seats = engenho__seat_list__unpack(NULL, packed->bytes, packed->data);
    if (seats == NULL || answer == NULL ||
        answer->body_case != ENGENHO__FROM_LICENSOR__BODY_LICENCE) {
        refuse_licensor(call, reason != NULL ? reason : "the licensor answered something else");
    } else {
        api_write_seats(&call->json, NULL, seats, answer->licence);
        call_reply(call, 200);
    }
    if (seats != NULL) {
        engenho__seat_list__free_unpacked(seats, NULL);
    }
}

static void on_seats(void *context, const Engenho__FromLicensor *answer, const char *reason)
{
    struct call *call = context;
    if (answer == NULL || answer->body_case != ENGENHO__FROM_LICENSOR__BODY_SEATS) {
        refuse_licensor(call, reason != NULL ? reason : "the licensor answered something else");
        return;
    }
    size_t bytes = engenho__seat_list__get_packed_size(answer->seats);
    struct seats_packed *packed = memory_new(1, sizeof *packed + bytes);
    packed->bytes = engenho__seat_list__pack(answer->seats, packed->data);
    call->extra = packed;
    ask(call, ENGENHO__TO_LICENSOR__BODY_SHOW_LICENCE, on_licence);
}

void api_seats(struct call *call)
{
    ask(call, ENGENHO__TO_LICENSOR__BODY_LIST_SEATS, on_seats);
}

static void on_workers(void *context, const Engenho__FromLicensor *answer, const char *reason)
{
    struct call *call = context;
    if (answer == NULL || answer->body_case != ENGENHO__FROM_LICENSOR__BODY_SEATS) {
        refuse_licensor(call, reason != NULL ? reason : "the licensor answered something else");
        return;
    }
    writer_object(&call->json, NULL);
    writer_array(&call->json, "items");
    for (size_t i = 0; i < answer->seats->n_processors; i++) {
        write_processor(&call->json, answer->seats->processors[i]);
    }
    writer_end(&call->json);
    writer_end(&call->json);
    call_reply(call, 200);
}

void api_workers(struct call *call)
{
    ask(call, ENGENHO__TO_LICENSOR__BODY_LIST_SEATS, on_workers);
}
