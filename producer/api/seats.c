/*
 * Seats and workers over HTTP, as the licensor tells them: what people see, ask and free.
 */
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/labels.h"
#include "common/log.h"
#include "common/memory.h"
#include "producer/api/api_parts.h"

#define LIMIT_MAX 100000
#define AUDIT_LIMIT 100
#define TOKEN_MAX (UINT64_C(1) << 46) /* the licensor knows none above */
#define AUDIT_LIMIT_MAX 1000

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
    writer_real(json, "idleSeconds", (double)seat->idle_us / (double)SECOND_US);
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

void api_write_licence(struct writer *json, const char *key, const Engenho__LicenceState *licence)
{
    writer_object(json, key);
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
                     const Engenho__LicenceState *licence, const struct seats_page *page)
{
    size_t from = page->offset < seats->n_seats ? page->offset : seats->n_seats;
    size_t until = seats->n_seats - from > page->limit ? from + page->limit : seats->n_seats;
    writer_object(json, key);
    writer_array(json, "pools");
    for (size_t i = 0; i < seats->n_pools; i++) {
        write_pool(json, seats->pools[i]);
    }
    writer_end(json);
    writer_array(json, "seats");
    for (size_t i = from; i < until; i++) {
        write_seat(json, seats->seats[i]);
    }
    writer_end(json);
    writer_integer(json, "seatsTotal", (int64_t)seats->n_seats);
    writer_array(json, "processors");
    for (size_t i = 0; i < seats->n_processors; i++) {
        write_processor(json, seats->processors[i]);
    }
    writer_end(json);
    if (licence != NULL) {
        api_write_licence(json, "licence", licence);
    }
    writer_end(json);
}

/* The code of HTTP that says the same as the licensor's refusal, and what helps. */
static int code_of(Engenho__RefusalReason reason, const char **ret_fix)
{
    switch (reason) {
    case ENGENHO__REFUSAL_REASON__REFUSAL_REASON_STORE_DOWN:
    case ENGENHO__REFUSAL_REASON__REFUSAL_REASON_RECOVERING:
        *ret_fix = "see /readyz of engenho-licensor: it says what its Redis lacks";
        return 503;
    case ENGENHO__REFUSAL_REASON__REFUSAL_REASON_STALE:
    case ENGENHO__REFUSAL_REASON__REFUSAL_REASON_UNKNOWN_POOL:
    case ENGENHO__REFUSAL_REASON__REFUSAL_REASON_BAD_REQUEST:
        *ret_fix = "see what there is now with `engenho seats -o wide`";
        return 404;
    case ENGENHO__REFUSAL_REASON__REFUSAL_REASON_LICENCE:
    case ENGENHO__REFUSAL_REASON__REFUSAL_REASON_EDITION_MIX:
        *ret_fix = "what counted before still counts";
        return 422;
    case ENGENHO__REFUSAL_REASON__REFUSAL_REASON_NOT_WRITTEN:
        *ret_fix = "what counted before still counts";
        return 507;
    default:
        *ret_fix = "see `engenho seats`";
        return 409;
    }
}

void api_refuse_licensor(struct call *call, const Engenho__FromLicensor *answer, const char *reason)
{
    const char *fix = "see that engenho-licensor runs, and its /readyz";
    bool is_refused = answer != NULL && answer->refused != NULL;
    int code = is_refused ? code_of(answer->refused->reason, &fix) : 503;
    if (code == 503) {
        call_set_header(call, "Retry-After", "1");
    }
    call_refuse_begin(call, "licensor", fix,
                      reason != NULL ? reason : "the licensor answered something else");
    if (is_refused && answer->refused->text_pt[0] != '\0') {
        writer_text(&call->json, "errorPt", answer->refused->text_pt);
    }
    writer_end(&call->json);
    call_reply(call, code);
}

bool api_ask_licensor(struct call *call, Engenho__ToLicensor *question, licensor_answered done)
{
    struct licensor_client *licensor = call_services(call)->licensor;
    if (licensor == NULL) {
        api_refuse_licensor(call, NULL, "this producer was started without --licensor");
        return false;
    }
    if (licensor_client_ask(licensor, question, done, call) != 0) {
        api_refuse_licensor(call, NULL, "too many questions wait for the licensor already");
        return false;
    }
    return true;
}

static void ask_list(struct call *call, const char *pool, licensor_answered done)
{
    Engenho__ToLicensor question = ENGENHO__TO_LICENSOR__INIT;
    Engenho__ListSeats list = ENGENHO__LIST_SEATS__INIT;
    question.body_case = ENGENHO__TO_LICENSOR__BODY_LIST_SEATS;
    question.list_seats = &list;
    list.pool = (char *)(uintptr_t)(pool != NULL ? pool : "");
    api_ask_licensor(call, &question, done);
}

/* The list waits, packed, for the licence. */
struct seats_packed {
    struct seats_page page;
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
        api_refuse_licensor(call, answer, reason);
    } else {
        api_write_seats(&call->json, NULL, seats, answer->licence, &packed->page);
        call_reply(call, 200);
    }
    if (seats != NULL) {
        engenho__seat_list__free_unpacked(seats, NULL);
    }
}

static void on_seats(void *context, const Engenho__FromLicensor *answer, const char *reason)
{
    struct call *call = context;
    const char *pool = call_query(call, "pool");
    int64_t offset = 0, limit = LIMIT_MAX;
    if (answer == NULL || answer->body_case != ENGENHO__FROM_LICENSOR__BODY_SEATS) {
        api_refuse_licensor(call, answer, reason);
        return;
    }
    if (pool != NULL && pool[0] != '\0' && answer->seats->n_pools == 0) {
        call_refuse(call, 404, "pool", "see the pools with `engenho seats`",
                    "there is no pool '%.60s'", pool);
        return;
    }
    if (!call_number(call, "offset", LIMIT_MAX, &offset) ||
        !call_number(call, "limit", LIMIT_MAX, &limit)) {
        return;
    }
    size_t bytes = engenho__seat_list__get_packed_size(answer->seats);
    struct seats_packed *packed = memory_new(1, sizeof *packed + bytes);
    packed->page = (struct seats_page){.offset = (size_t)offset, .limit = (size_t)limit};
    packed->bytes = engenho__seat_list__pack(answer->seats, packed->data);
    call->extra = packed;
    Engenho__ToLicensor question = ENGENHO__TO_LICENSOR__INIT;
    Engenho__ShowLicence show = ENGENHO__SHOW_LICENCE__INIT;
    question.body_case = ENGENHO__TO_LICENSOR__BODY_SHOW_LICENCE;
    question.show_licence = &show;
    api_ask_licensor(call, &question, on_licence);
}

void api_seats(struct call *call)
{
    ask_list(call, call_query(call, "pool"), on_seats);
}

static void on_explanation(void *context, const Engenho__FromLicensor *answer, const char *reason)
{
    struct call *call = context;
    if (answer == NULL || answer->body_case != ENGENHO__FROM_LICENSOR__BODY_EXPLANATION) {
        api_refuse_licensor(call, answer, reason);
        return;
    }
    writer_object(&call->json, NULL);
    writer_text(&call->json, "request", call->parts[1]);
    writer_text(&call->json, "text", answer->explanation->text);
    writer_end(&call->json);
    call_reply(call, 200);
}

void api_seat_explain(struct call *call)
{
    Engenho__ToLicensor question = ENGENHO__TO_LICENSOR__INIT;
    Engenho__Explain explain = ENGENHO__EXPLAIN__INIT;
    question.body_case = ENGENHO__TO_LICENSOR__BODY_EXPLAIN;
    question.explain = &explain;
    explain.request = call->parts[1];
    api_ask_licensor(call, &question, on_explanation);
}

static void on_released(void *context, const Engenho__FromLicensor *answer, const char *reason)
{
    struct call *call = context;
    bool is_done = answer != NULL && answer->body_case == ENGENHO__FROM_LICENSOR__BODY_RELEASED;
    /* The audit's line: who tried what, and what became of it. */
    log_info("release of a seat by an operator", LOG_TEXT("who", api_caller(call)),
             LOG_TEXT("token", call->parts[1]),
             LOG_TEXT("outcome", is_done          ? "released"
                                 : reason != NULL ? reason
                                                  : "the licensor answered something else"));
    if (!is_done) {
        api_refuse_licensor(call, answer, reason);
        return;
    }
    writer_object(&call->json, NULL);
    writer_text(&call->json, "by", api_caller(call));
    writer_bool(&call->json, "queued", answer->released->queued);
    writer_real(&call->json, "lifeLeftSeconds",
                (double)answer->released->life_left_us / (double)SECOND_US);
    writer_end(&call->json);
    call_reply(call, 200);
}

static bool is_token(unsigned long long number)
{
    return number > 0 && number <= TOKEN_MAX;
}

void api_seat_release(struct call *call)
{
    Engenho__ToLicensor question = ENGENHO__TO_LICENSOR__INIT;
    Engenho__ReleaseByOperator release = ENGENHO__RELEASE_BY_OPERATOR__INIT;
    const char *text = call->parts[1];
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 18 || text[digits] != '\0' || !is_token(strtoull(text, NULL, 10))) {
        call_refuse(call, 400, "token", "see the tokens with `engenho seats`",
                    "'%.60s' is not the token of a seat", text);
        return;
    }
    question.body_case = ENGENHO__TO_LICENSOR__BODY_RELEASE_BY_OPERATOR;
    question.release_by_operator = &release;
    release.token = strtoull(text, NULL, 10);
    release.who = (char *)(uintptr_t)api_caller(call);
    api_ask_licensor(call, &question, on_released);
}

static void on_audit(void *context, const Engenho__FromLicensor *answer, const char *reason)
{
    struct call *call = context;
    if (answer == NULL || answer->body_case != ENGENHO__FROM_LICENSOR__BODY_AUDIT) {
        api_refuse_licensor(call, answer, reason);
        return;
    }
    writer_object(&call->json, NULL);
    writer_array(&call->json, "entries");
    for (size_t i = 0; i < answer->audit->n_entries; i++) {
        const Engenho__AuditEntry *entry = answer->audit->entries[i];
        writer_object(&call->json, NULL);
        writer_instant(&call->json, "at", entry->at_us);
        writer_text(&call->json, "who", entry->who);
        writer_text(&call->json, "what", entry->what);
        writer_text(&call->json, "detail", entry->detail);
        writer_end(&call->json);
    }
    writer_end(&call->json);
    writer_end(&call->json);
    call_reply(call, 200);
}

void api_seats_audit(struct call *call)
{
    Engenho__ToLicensor question = ENGENHO__TO_LICENSOR__INIT;
    Engenho__ListAudit list = ENGENHO__LIST_AUDIT__INIT;
    int64_t limit = AUDIT_LIMIT;
    if (!call_number(call, "limit", AUDIT_LIMIT_MAX, &limit)) {
        return;
    }
    question.body_case = ENGENHO__TO_LICENSOR__BODY_LIST_AUDIT;
    question.list_audit = &list;
    list.max = (uint32_t)limit;
    api_ask_licensor(call, &question, on_audit);
}

static void on_workers(void *context, const Engenho__FromLicensor *answer, const char *reason)
{
    struct call *call = context;
    if (answer == NULL || answer->body_case != ENGENHO__FROM_LICENSOR__BODY_SEATS) {
        api_refuse_licensor(call, answer, reason);
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
    ask_list(call, NULL, on_workers);
}
