/*
 * Messages while the store works on them, and the way of answers back to connections: which
 * connection has which session, grants of the waiting line, notices. Edge of the licensor.
 */
#include "licensor/call.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/utf8.h"
#include "licensor/explain.h"

#define SEATS_LISTED_MAX 1000
#define MINUTE_MS 60000

struct owner {
    char session[SESSION_BYTES_MAX + 1];
    uint64_t connection;
    UT_hash_handle hh;
};

static void to_connection(void *context, const uint8_t *payload, size_t bytes)
{
    connection_send(context, payload, bytes);
}

/* Of one lease, some heartbeats may be missed. */
static int64_t heartbeat_of(const struct config *config)
{
    int64_t most_us = config->lease_us / 4;
    return config->heartbeat_us < most_us ? config->heartbeat_us : most_us;
}

struct answers requests_answers(struct service *service)
{
    return (struct answers){.limits = &service->limits,
                            .lease_us = service->config->lease_us,
                            .heartbeat_us = heartbeat_of(service->config),
                            .reuse_us = service->config->reuse_life_us,
                            .licence_generation = service->licence_generation,
                            .highest_op = redis_highest_op(service->redis)};
}

static struct answers answers_to(struct service *service, struct connection *connection)
{
    struct answers answers = requests_answers(service);
    answers.sink = to_connection;
    answers.context = connection;
    return answers;
}

void call_connection_text(const struct service *service, uint64_t number, char text[48])
{
    snprintf(text, 48, "%s.%" PRIu64, service->instance, number);
}

/* Sessions and connections --------------------------------------------------------------------- */

static struct owner *find_owner(struct service *service, const char *session)
{
    struct owner *owner;
    HASH_FIND_STR(service->owners, session, owner);
    return owner;
}

static void disown(struct service *service, const char *session)
{
    struct owner *owner = find_owner(service, session);
    if (owner != NULL) {
        HASH_DEL(service->owners, owner);
        free(owner);
    }
}

static void own(struct service *service, struct connection *connection, const char *id)
{
    struct session *session = connection_data(connection);
    if (session->id[0] != '\0' && strcmp(session->id, id) != 0) {
        disown(service, session->id);
        session_release(session);
    }
    snprintf(session->id, sizeof(session->id), "%s", id);
    struct owner *owner = find_owner(service, id);
    if (owner == NULL) {
        owner = memory_new(1, sizeof(*owner));
        snprintf(owner->session, sizeof(owner->session), "%s", id);
        HASH_ADD_STR(service->owners, session, owner);
    } else if (owner->connection != connection_number(connection)) {
        struct connection *before = server_find(service->server, owner->connection);
        if (before != NULL) {
            session_release(connection_data(before));
        }
    }
    owner->connection = connection_number(connection);
}

static void ignore(void *context, const struct store_answer *answer)
{
    (void)context;
    (void)answer;
}

static void on_audited(void *context, const struct store_answer *answer)
{
    (void)context;
    if (answer->error != 0) {
        log_warn("the audit has no entry of what was done or refused: the store does not answer");
    }
}

void call_audit(const struct asker *asker, const char *who, const char *what, const char *detail)
{
    char text[AUDIT_DETAIL_BYTES_MAX + 1];
    size_t whole = 0, bytes = strlen(detail), next;
    while (whole < bytes && (next = utf8_character(detail + whole, bytes - whole)) > 0 &&
           whole + next < sizeof(text)) {
        whole += next;
    }
    memcpy(text, detail, whole);
    text[whole] = '\0';
    struct store_request request = {.verb = STORE_AUDIT};
    request.audit.who = who;
    request.audit.what = what;
    request.audit.detail = text;
    store_submit(asker->service->store, &request, on_audited, NULL);
}

static void tell_store_disconnected(struct service *service, const char *session,
                                    uint64_t connection)
{
    char text[48];
    call_connection_text(service, connection, text);
    struct store_request request = {.verb = STORE_DISCONNECT, .session = session};
    request.who.connection = text;
    store_submit(service->store, &request, ignore, NULL);
}

void requests_closed(void *context, struct connection *connection)
{
    struct service *service = context;
    struct session *session = connection_data(connection);
    if (session == NULL) {
        return;
    }
    struct owner *owner = find_owner(service, session->id);
    if (owner != NULL && owner->connection == connection_number(connection)) {
        if (!service->stopping) {
            tell_store_disconnected(service, session->id, owner->connection);
        }
        disown(service, session->id);
    }
    session_release(session);
    free(session);
}

/* Metrics -------------------------------------------------------------------------------------- */

static void count_outcome(struct service *service, const char *pool, const char *outcome)
{
    metric_add(metrics_series(service->metrics, "engenho_license_requests_total",
                              METRIC_VALUES(pool, outcome)),
               1);
}

static void count_grant(struct service *service, const struct session *session,
                        const struct store_grant *grant, const char *production, bool notified)
{
    if (!notified && !grant->waived) {
        holders_add(service->holders, grant->pool, session->name, production);
    }
    count_outcome(service, grant->pool,
                  notified        ? "notified"
                  : grant->waived ? "waived"
                  : grant->reused ? "reused"
                                  : "granted");
    if (grant->escalated) {
        count_outcome(service, grant->pool, "escalated");
        metric_add(metrics_series(service->metrics, "engenho_license_escalations_total",
                                  METRIC_VALUES(grant->requested, grant->pool)),
                   1);
    }
}

static void on_holders(void *context, const struct store_answer *answer)
{
    struct service *service = context;
    for (size_t i = 0; i < answer->seats_count; i++) {
        const struct store_seat_row *seat = &answer->seats[i];
        if (strcmp(seat->state, "busy") == 0) {
            holders_note(service->holders, seat->pool, explain_name(answer, seat->session),
                         seat->production);
        }
    }
}

/*
 * A seat was not there: whoever has one is named in the usage of this minute, too, unless there are
 * so many that the store would be busy with it.
 */
static void note_holders(struct service *service, const char *pool)
{
    if (service->seats_listed > SEATS_LISTED_MAX ||
        !holders_ask(service->holders, pool, service->clock.redis_ms / MINUTE_MS)) {
        return;
    }
    struct store_request request = {.verb = STORE_LIST, .pool = pool};
    store_submit(service->store, &request, on_holders, service);
}

static void count_answer(struct call *call, struct connection *connection,
                         const struct store_answer *answer)
{
    static const struct session gone; /* the connection is closed: nobody by name */
    struct service *service = call->service;
    double seconds = (double)(clock_mono_us() - call->since_mono_us) / (double)SECOND_US;
    if (call->request.verb == STORE_REGISTER) {
        const char *outcome = answer->word == STORE_REFUSED ? store_reason_word(answer->reason)
                              : call->resumed               ? "resumed"
                                                            : "registered";
        metric_add(metrics_series(service->metrics, "engenho_license_registrations_total",
                                  METRIC_VALUES(outcome)),
                   1);
    } else if (call->request.verb == STORE_ACQUIRE) {
        metric_observe(metrics_series(service->metrics, "engenho_license_request_duration_seconds",
                                      METRIC_VALUES(call->pool)),
                       seconds);
        if (answer->word == STORE_GRANTED) {
            count_grant(service, connection != NULL ? connection_data(connection) : &gone,
                        &answer->grant, call->who, call->request.ask.use == SEAT_NOTIFIED);
        } else if (answer->word == STORE_WAITING) {
            note_holders(service, call->pool);
        } else if (answer->word == STORE_REFUSED) {
            if (answer->reason == STORE_POOL_LIMIT) {
                note_holders(service, call->pool);
            }
            count_outcome(service, answer->reason == STORE_UNKNOWN_POOL ? "" : call->pool,
                          "refused");
        }
    } else if (call->request.verb == STORE_RELEASE && answer->word == STORE_RELEASED &&
               answer->pool[0] != '\0') {
        metric_observe(metrics_series(service->metrics, "engenho_license_hold_seconds",
                                      METRIC_VALUES(answer->pool)),
                       (double)answer->held_ms / 1000.0);
    }
}

/* Grants of the waiting line ------------------------------------------------------------------- */

static void send_grant(struct service *service, struct connection *connection,
                       const struct store_grant *grant, const char *production, int64_t waited_us)
{
    struct answers answers = answers_to(service, connection);
    answers_push_grant(&answers, grant);
    count_grant(service, connection_data(connection), grant, production, false);
    metric_observe(metrics_series(service->metrics, "engenho_license_wait_seconds",
                                  METRIC_VALUES(grant->pool)),
                   (double)waited_us / (double)SECOND_US);
}

/* What the request that waits is for. */
static void read_production(const struct session *session, const char *request,
                            char production[NAME_BYTES_MAX + 1])
{
    size_t bytes;
    const uint8_t *frame = session_frame(session, request, &bytes);
    Engenho__ToLicensor *message =
        frame != NULL ? engenho__to_licensor__unpack(NULL, bytes, frame) : NULL;
    bool is_known = message != NULL && message->body_case == ENGENHO__TO_LICENSOR__BODY_ACQUIRE;
    snprintf(production, NAME_BYTES_MAX + 1, "%s", is_known ? message->acquire->production : "");
    if (message != NULL) {
        engenho__to_licensor__free_unpacked(message, NULL);
    }
}

void requests_granted(void *context, const struct store_grant *grant)
{
    struct service *service = context;
    struct owner *owner = find_owner(service, grant->session);
    struct connection *connection =
        owner != NULL ? server_find(service->server, owner->connection) : NULL;
    int64_t waited_us = 0;
    char production[NAME_BYTES_MAX + 1];
    if (connection == NULL) {
        return;
    }
    read_production(connection_data(connection), grant->request, production);
    if (session_granted(connection_data(connection), grant, clock_mono_us(), &waited_us)) {
        send_grant(service, connection, grant, production, waited_us);
    }
}

struct notice {
    struct service *service;
    const char *pool;
    bool store_down;
};

static void send_notice(void *context, struct connection *connection)
{
    struct notice *notice = context;
    struct session *session = connection_data(connection);
    if (session != NULL && session->id[0] != '\0') {
        struct answers answers = answers_to(notice->service, connection);
        answers_push_notice(&answers, notice->pool, notice->store_down);
    }
}

void requests_waited(void *context, const char *pool)
{
    struct notice notice = {.service = context, .pool = pool};
    server_each(notice.service->server, send_notice, &notice);
}

void requests_notice_store_down(struct service *service, bool down)
{
    struct notice notice = {.service = service, .store_down = down};
    server_each(service->server, send_notice, &notice);
}

/* Answers -------------------------------------------------------------------------------------- */

static void answer_store_down(struct call *call, struct connection *connection)
{
    struct answers answers = answers_to(call->service, connection);
    if (call->request.verb == STORE_HEARTBEAT) {
        answers_store_down(&answers, call->id);
        return;
    }
    struct refusal_text text;
    const char *reason = redis_reason(call->service->redis);
    refusal_write_store_down(reason[0] != '\0'
                                 ? reason
                                 : "redis did not answer in time, or too many requests wait for it",
                             &text);
    answers_refuse(&answers, call->id, ENGENHO__REFUSAL_REASON__REFUSAL_REASON_STORE_DOWN, &text,
                   call->service->config->redis_backoff_us_max);
    if (call->request.verb == STORE_ACQUIRE) {
        count_outcome(call->service, call->pool, "error");
    }
}

static void answer_acquire(struct call *call, struct connection *connection,
                           const struct store_answer *answer)
{
    struct session *session = connection_data(connection);
    struct answers answers = answers_to(call->service, connection);
    struct store_grant early;
    if (answer->word == STORE_WAITING) {
        bool is_granted = session_waits(session, call->text, &early);
        if (call->id != 0) {
            answers_send(&answers, call->id, &call->request, answer);
        }
        if (is_granted) {
            send_grant(call->service, connection, &early, call->who,
                       clock_mono_us() - call->since_mono_us);
        }
        return;
    }
    session_forget(session, call->text);
    if (answer->word == STORE_REFUSED && call->id == 0) {
        return; /* asked again by ourselves, and its session is over: its next heartbeat says so */
    }
    answers_send(&answers, call->id, &call->request, answer);
}

static void answer_register(struct call *call, struct connection *connection,
                            const struct store_answer *answer)
{
    if (answer->word == STORE_REGISTERED) {
        struct session *session = connection_data(connection);
        own(call->service, connection, answer->session);
        snprintf(session->name, sizeof(session->name), "%s", call->who);
        log_info(call->resumed ? "session resumed" : "processor registered",
                 LOG_TEXT("processor", call->who), LOG_TEXT("session", answer->session),
                 LOG_INT("slot", answer->slot), LOG_TEXT("peer", connection_peer(connection)));
    } else {
        struct refusal_text text;
        refusal_write(answer, &call->service->limits, &text);
        log_warn("registration refused", LOG_TEXT("processor", call->who),
                 LOG_TEXT("reason", text.en), LOG_TEXT("peer", connection_peer(connection)));
    }
}

static void on_answer(void *context, const struct store_answer *answer);

/* Who holds the seats that the request has not got. Returns whether that is being asked. */
static bool ask_holders(struct call *call, const struct store_answer *answer)
{
    if (call->story != NULL || answer->error != 0 || answer->word != STORE_EXPLAINED ||
        !explain_wants_holders(&answer->story)) {
        return false;
    }
    call->story = memory_copy(&answer->story, sizeof(answer->story));
    struct store_request request = {.verb = STORE_LIST, .pool = call->story->pool};
    store_submit(call->service->store, &request, on_answer, call);
    return true;
}

static void answer_plainly(struct call *call, struct connection *connection,
                           const struct store_answer *answer)
{
    struct answers answers = answers_to(call->service, connection);
    if (call->request.verb == STORE_REGISTER) {
        answer_register(call, connection, answer);
    } else if (call->request.verb == STORE_RELEASE) {
        session_forget(connection_data(connection), call->text);
    }
    if (call->story != NULL) {
        answers_explain(&answers, call->id, call->text, call->story, answer);
    } else {
        answers_send(&answers, call->id, &call->request, answer);
    }
}

static void on_answer(void *context, const struct store_answer *answer)
{
    struct call *call = context;
    if (ask_holders(call, answer)) {
        return;
    }
    struct service *service = call->service;
    struct connection *connection = server_find(service->server, call->connection);
    if (answer->error == 0) {
        call->resumed = call->resumed && strcmp(call->text, answer->session) == 0;
        count_answer(call, connection, answer);
        for (size_t i = 0; i < answer->handed_count; i++) {
            requests_granted(service, &answer->handed[i]);
        }
    }
    if (connection == NULL) {
        if (answer->error == 0 && answer->word == STORE_REGISTERED) {
            tell_store_disconnected(service, answer->session, call->connection);
        }
    } else if (answer->error != 0) {
        if (call->id != 0) {
            session_forget(connection_data(connection), call->text);
            answer_store_down(call, connection);
        }
    } else if (call->request.verb == STORE_ACQUIRE) {
        answer_acquire(call, connection, answer);
    } else {
        answer_plainly(call, connection, answer);
    }
    if (connection != NULL && call->id != 0) {
        connection_answered(connection);
    }
    free(call->story);
    free(call);
}

struct call *call_new(const struct asker *asker, enum store_verb verb)
{
    struct call *call = memory_new(1, sizeof(*call));
    call->service = asker->service;
    call->connection = connection_number(asker->connection);
    call->id = asker->id;
    call->since_mono_us = clock_mono_us();
    call->request.verb = verb;
    return call;
}

void call_submit(struct call *call, const struct store_request *request)
{
    call->request = (struct store_request){.verb = request->verb, .request = call->text};
    call->request.ask.use = request->ask.use;
    call->request.ask.wait = request->ask.wait;
    store_submit(call->service->store, request, on_answer, call);
}

void call_refuse(const struct asker *asker, Engenho__RefusalReason reason, const char *en,
                 const char *pt)
{
    struct refusal_text text;
    snprintf(text.en, sizeof(text.en), "%s", en);
    snprintf(text.pt, sizeof(text.pt), "%s", pt);
    struct answers answers = answers_to(asker->service, asker->connection);
    answers_refuse(&answers, asker->id, reason, &text, 0);
    connection_answered(asker->connection);
}

void call_answer_licence(const struct asker *asker)
{
    struct answers answers = answers_to(asker->service, asker->connection);
    answers_licence(&answers, asker->id, asker->service->keys_used,
                    asker->service->licence_warning);
    connection_answered(asker->connection);
}
