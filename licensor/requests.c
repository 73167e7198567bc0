/*
 * Messages of clients: checked, made into transitions of the store, answered. Edge of the licensor.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/random.h"
#include "licensor/service_private.h"

#define WAIVED_MAX POOLS_MAX

struct owner {
    char session[SESSION_BYTES_MAX + 1];
    uint64_t connection;
    UT_hash_handle hh;
};

/* One message while the store works on it. */
struct call {
    struct service *service;
    uint64_t connection; /* 0: nobody waits for the answer */
    uint64_t id;
    int64_t since_mono_us;
    struct store_request request;     /* only verb, ask.use and ask.wait stay valid */
    char text[REQUEST_BYTES_MAX + 1]; /* the request's id */
    char pool[POOL_BYTES_MAX + 1];
    char who[NAME_BYTES_MAX + 1];
    bool resumed;
};

static void to_connection(void *context, const uint8_t *payload, size_t bytes)
{
    connection_send(context, payload, bytes);
}

struct answers requests_answers(struct service *service)
{
    return (struct answers){.limits = &service->limits,
                            .lease_us = service->config->lease_us,
                            .heartbeat_us = service->config->heartbeat_us,
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

static void connection_text(const struct service *service, uint64_t number, char text[48])
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

static void tell_store_disconnected(struct service *service, const char *session,
                                    uint64_t connection)
{
    char text[48];
    connection_text(service, connection, text);
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

static void count_grant(struct service *service, const struct store_grant *grant, bool notified)
{
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

static void count_answer(struct call *call, const struct store_answer *answer)
{
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
            count_grant(service, &answer->grant, call->request.ask.use == SEAT_NOTIFIED);
        } else if (answer->word == STORE_REFUSED) {
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
                       const struct store_grant *grant, int64_t waited_us)
{
    struct answers answers = answers_to(service, connection);
    answers_push_grant(&answers, grant);
    count_grant(service, grant, false);
    metric_observe(metrics_series(service->metrics, "engenho_license_wait_seconds",
                                  METRIC_VALUES(grant->pool)),
                   (double)waited_us / (double)SECOND_US);
}

void requests_granted(void *context, const struct store_grant *grant)
{
    struct service *service = context;
    struct owner *owner = find_owner(service, grant->session);
    struct connection *connection =
        owner != NULL ? server_find(service->server, owner->connection) : NULL;
    int64_t waited_us = 0;
    if (connection != NULL &&
        session_granted(connection_data(connection), grant, clock_mono_us(), &waited_us)) {
        send_grant(service, connection, grant, waited_us);
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
            send_grant(call->service, connection, &early, clock_mono_us() - call->since_mono_us);
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
        own(call->service, connection, answer->session);
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

static void on_answer(void *context, const struct store_answer *answer)
{
    struct call *call = context;
    struct service *service = call->service;
    struct connection *connection = server_find(service->server, call->connection);
    if (answer->error == 0) {
        call->resumed = call->resumed && strcmp(call->text, answer->session) == 0;
        count_answer(call, answer);
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
        struct answers answers = answers_to(service, connection);
        if (call->request.verb == STORE_REGISTER) {
            answer_register(call, connection, answer);
        } else if (call->request.verb == STORE_RELEASE) {
            session_forget(connection_data(connection), call->text);
        }
        answers_send(&answers, call->id, &call->request, answer);
    }
    if (connection != NULL && call->id != 0) {
        connection_answered(connection);
    }
    free(call);
}

/* Requests ------------------------------------------------------------------------------------- */

static void refuse(struct service *service, struct connection *connection, uint64_t id,
                   Engenho__RefusalReason reason, const char *en, const char *pt)
{
    struct refusal_text text;
    snprintf(text.en, sizeof(text.en), "%s", en);
    snprintf(text.pt, sizeof(text.pt), "%s", pt);
    struct answers answers = answers_to(service, connection);
    answers_refuse(&answers, id, reason, &text, 0);
    connection_answered(connection);
}

static void refuse_bad(struct service *service, struct connection *connection, uint64_t id,
                       const char *en)
{
    refuse(service, connection, id, ENGENHO__REFUSAL_REASON__REFUSAL_REASON_BAD_REQUEST, en,
           "Pedido inválido");
}

static struct call *call_new(struct service *service, struct connection *connection, uint64_t id,
                             enum store_verb verb)
{
    struct call *call = memory_new(1, sizeof(*call));
    call->service = service;
    call->connection = connection_number(connection);
    call->id = id;
    call->since_mono_us = clock_mono_us();
    call->request.verb = verb;
    return call;
}

/* Submit what `request` borrows; the call keeps what the answer needs. */
static void submit(struct call *call, const struct store_request *request)
{
    call->request = (struct store_request){.verb = request->verb, .request = call->text};
    call->request.ask.use = request->ask.use;
    call->request.ask.wait = request->ask.wait;
    store_submit(call->service->store, request, on_answer, call);
}

static bool is_name(const char *text, size_t bytes_max)
{
    return strlen(text) <= bytes_max && name_is_valid(text);
}

/* May be empty. */
static bool is_text(const char *text, size_t bytes_max)
{
    return text[0] == '\0' || is_name(text, bytes_max);
}

/* Pools are parts of keys in Redis, and words of lines. */
static bool is_pool(const char *text)
{
    return is_name(text, POOL_BYTES_MAX) && strpbrk(text, ": {}") == NULL;
}

static bool is_request(const char *text)
{
    return is_name(text, REQUEST_BYTES_MAX) && strchr(text, ' ') == NULL;
}

static int read_use(Engenho__SeatKind kind, enum seat_use *ret_use)
{
    switch (kind) {
    case ENGENHO__SEAT_KIND__SEAT_KIND_DEFAULT:
    case ENGENHO__SEAT_KIND__SEAT_KIND_HELD:
        *ret_use = SEAT_HELD;
        return 0;
    case ENGENHO__SEAT_KIND__SEAT_KIND_REQUEST:
        *ret_use = SEAT_REQUEST;
        return 0;
    case ENGENHO__SEAT_KIND__SEAT_KIND_NOTIFIED:
        *ret_use = SEAT_NOTIFIED;
        return 0;
    case _ENGENHO__SEAT_KIND_IS_INT_SIZE:
        break;
    }
    return -EINVAL;
}

static int read_claims(const Engenho__Register *message, struct store_claim *claims)
{
    for (size_t i = 0; i < message->n_held; i++) {
        const Engenho__HeldSeat *held = message->held[i];
        claims[i] = (struct store_claim){.token = held->token,
                                         .number = held->number,
                                         .pool = held->pool,
                                         .production = held->production,
                                         .request = held->request};
        if (read_use(held->kind, &claims[i].use) != 0 || !is_pool(held->pool) ||
            !is_request(held->request) || !is_text(held->production, NAME_BYTES_MAX) ||
            held->token > INT64_MAX / 2 || held->number > INT64_MAX / 2) {
            return -EINVAL;
        }
    }
    for (size_t i = 0; i < message->n_waiting; i++) {
        if (!is_request(message->waiting[i])) {
            return -EINVAL;
        }
    }
    return 0;
}

static void handle_register(struct service *service, struct connection *connection, uint64_t id,
                            const Engenho__Register *message)
{
    if (!is_name(message->name, NAME_BYTES_MAX) || !name_is_agent(message->agent) ||
        !is_text(message->host, HOST_BYTES_MAX) || !is_text(message->version, NAME_BYTES_MAX) ||
        !is_text(message->session, SESSION_BYTES_MAX)) {
        refuse_bad(service, connection, id,
                   "the registration's name, agent, host, version or session is not a valid name");
        return;
    }
    if (message->n_held > CLAIMS_MAX || message->n_waiting > CLAIMS_MAX ||
        message->highest_op > INT64_MAX / 2) {
        refuse_bad(
            service, connection, id,
            "the registration claims more than 4096 seats, or an impossible operation number");
        return;
    }
    struct store_claim *claims = memory_new(message->n_held + 1, sizeof(*claims));
    if (read_claims(message, claims) != 0) {
        free(claims);
        refuse_bad(
            service, connection, id,
            "a seat that the registration claims has no valid pool, request, production or kind");
        return;
    }
    char fresh[SESSION_BYTES_MAX + 1], connection_name[48];
    random_hex(fresh, 8);
    connection_text(service, connection_number(connection), connection_name);
    struct call *call = call_new(service, connection, id, STORE_REGISTER);
    snprintf(call->who, sizeof(call->who), "%.200s", message->name);
    snprintf(call->text, sizeof(call->text), "%s", message->session);
    call->resumed = message->session[0] != '\0';
    struct store_request request = {.verb = STORE_REGISTER,
                                    .session = fresh,
                                    .highest_op = message->highest_op,
                                    .lease_ms = service->config->lease_us / 1000};
    request.who.name = message->name;
    request.who.agent = message->agent;
    request.who.host = message->host;
    request.who.version = message->version;
    request.who.connection = connection_name;
    request.who.old_session = message->session;
    request.who.pid = message->pid;
    request.who.claims = claims;
    request.who.claims_count = message->n_held;
    request.who.waiting = (const char *const *)message->waiting;
    request.who.waiting_count = message->n_waiting;
    submit(call, &request);
    free(claims);
}

/* A connection speaks for the session that registered on it, and no other. */
static bool is_own_session(struct service *service, struct connection *connection, uint64_t id,
                           const char *session)
{
    const struct session *mine = connection_data(connection);
    if (session[0] != '\0' && strcmp(mine->id, session) == 0) {
        return true;
    }
    refuse(service, connection, id, ENGENHO__REFUSAL_REASON__REFUSAL_REASON_UNKNOWN_SESSION,
           "the session is not registered on this connection; register first",
           "A sessão não está registrada nesta conexão; registre primeiro");
    return false;
}

static void handle_heartbeat(struct service *service, struct connection *connection, uint64_t id,
                             const Engenho__Heartbeat *message)
{
    if (!is_own_session(service, connection, id, message->session)) {
        return;
    }
    if (message->n_waived > WAIVED_MAX || message->highest_op > INT64_MAX / 2) {
        refuse_bad(
            service, connection, id,
            "the heartbeat counts waived executions of more than 64 pools, or has an impossible "
            "operation number");
        return;
    }
    const char *pools[WAIVED_MAX];
    uint64_t counts[WAIVED_MAX];
    struct store_request request = {.verb = STORE_HEARTBEAT,
                                    .session = message->session,
                                    .highest_op = message->highest_op,
                                    .lease_ms = service->config->lease_us / 1000};
    for (size_t i = 0; i < message->n_waived; i++) {
        if (!is_pool(message->waived[i]->pool) || message->waived[i]->count > UINT32_MAX) {
            refuse_bad(service, connection, id,
                       "a count of waived executions has no valid pool or number");
            return;
        }
        pools[i] = message->waived[i]->pool;
        counts[i] = message->waived[i]->count;
        metric_add(metrics_series(service->metrics, "engenho_license_requests_total",
                                  METRIC_VALUES(pools[i], "waived")),
                   (double)counts[i]);
    }
    char connection_name[48];
    connection_text(service, connection_number(connection), connection_name);
    request.who.connection = connection_name;
    request.waived.pools = pools;
    request.waived.counts = counts;
    request.waived.count = message->n_waived;
    submit(call_new(service, connection, id, STORE_HEARTBEAT), &request);
}

/*
 * The chain of a request: its own, or what the licence says its kind's pool stands for. Returns how
 * many, or 0.
 */
static size_t read_chain(const struct service *service, const Engenho__Acquire *message,
                         enum seat_use use, const char *pools[CHAIN_POOLS_MAX])
{
    const char *first = use == SEAT_REQUEST ? "requests" : "productions";
    size_t count = message->n_pools;
    if (count > CHAIN_POOLS_MAX) {
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        pools[i] = message->pools[i];
        for (size_t before = 0; before < i; before++) {
            if (strcmp(pools[before], pools[i]) == 0) {
                return 0;
            }
        }
        if (!is_pool(pools[i])) {
            return 0;
        }
    }
    if (count > 1) {
        return count;
    }
    const struct licence_chain *chain =
        limits_chain(&service->limits, count == 1 ? pools[0] : first);
    if (chain != NULL) {
        for (size_t i = 0; i < chain->count; i++) {
            pools[i] = chain->pools[i];
        }
        return chain->count;
    }
    pools[0] = count == 1 ? pools[0] : first;
    return 1;
}

static void acquire(struct service *service, struct connection *connection, uint64_t id,
                    const Engenho__Acquire *message)
{
    const char *pools[CHAIN_POOLS_MAX];
    enum seat_use use = SEAT_HELD;
    size_t count = 0;
    if (read_use(message->kind, &use) == 0) {
        count = read_chain(service, message, use, pools);
    }
    if (count == 0 || !is_request(message->request) || !is_text(message->user, NAME_BYTES_MAX) ||
        !is_text(message->production, NAME_BYTES_MAX) ||
        (use == SEAT_HELD && message->production[0] == '\0')) {
        if (id != 0) {
            refuse_bad(
                service, connection, id,
                "the request for a seat needs an id without spaces, a production when it is held, a "
                "known kind, and at most 8 different pools");
        }
        return;
    }
    struct call *call = call_new(service, connection, id, STORE_ACQUIRE);
    snprintf(call->text, sizeof(call->text), "%s", message->request);
    snprintf(call->pool, sizeof(call->pool), "%s", pools[0]);
    struct store_request request = {.verb = STORE_ACQUIRE,
                                    .session = message->session,
                                    .request = message->request,
                                    .reuse_ms = service->config->reuse_life_us / 1000,
                                    .memo_ms = service->config->memory_us / 1000};
    request.ask.use = use;
    request.ask.production = message->production;
    request.ask.user = message->user;
    request.ask.pools = pools;
    request.ask.pools_count = count;
    request.ask.wait = message->wait;
    request.ask.line_max = (uint32_t)service->config->waiting_max;
    submit(call, &request);
}

static void handle_release(struct service *service, struct connection *connection, uint64_t id,
                           const Engenho__Release *message)
{
    if (!is_own_session(service, connection, id, message->session)) {
        return;
    }
    if (!is_request(message->request) || message->token > INT64_MAX / 2) {
        refuse_bad(service, connection, id,
                   "the release names no valid request, or an impossible token");
        return;
    }
    struct call *call = call_new(service, connection, id, STORE_RELEASE);
    snprintf(call->text, sizeof(call->text), "%s", message->request);
    struct store_request request = {.verb = STORE_RELEASE,
                                    .session = message->session,
                                    .request = message->request,
                                    .token = message->token,
                                    .memo_ms = service->config->memory_us / 1000};
    submit(call, &request);
}

static void handle_goodbye(struct service *service, struct connection *connection, uint64_t id,
                           const Engenho__Goodbye *message)
{
    if (is_own_session(service, connection, id, message->session)) {
        struct store_request request = {.verb = STORE_GOODBYE, .session = message->session};
        submit(call_new(service, connection, id, STORE_GOODBYE), &request);
    }
}

static void handle_list(struct service *service, struct connection *connection, uint64_t id,
                        const Engenho__ListSeats *message)
{
    if (message->pool[0] != '\0' && !is_pool(message->pool)) {
        refuse_bad(service, connection, id, "the pool's name is not valid");
        return;
    }
    struct store_request request = {.verb = STORE_LIST, .pool = message->pool};
    submit(call_new(service, connection, id, STORE_LIST), &request);
}

static void handle_explain(struct service *service, struct connection *connection, uint64_t id,
                           const Engenho__Explain *message)
{
    if (!is_request(message->request)) {
        refuse_bad(service, connection, id, "the request's id is not valid");
        return;
    }
    struct call *call = call_new(service, connection, id, STORE_EXPLAIN);
    snprintf(call->text, sizeof(call->text), "%s", message->request);
    struct store_request request = {.verb = STORE_EXPLAIN, .request = message->request};
    submit(call, &request);
}

static void handle_operator_release(struct service *service, struct connection *connection,
                                    uint64_t id, const Engenho__ReleaseByOperator *message)
{
    if (!is_name(message->who, NAME_BYTES_MAX) || message->token > INT64_MAX / 2) {
        refuse_bad(service, connection, id,
                   "a release by an operator names who releases, and a token");
        return;
    }
    log_info("seat released by an operator", LOG_TEXT("who", message->who),
             LOG_INT("token", (int64_t)message->token),
             LOG_TEXT("peer", connection_peer(connection)));
    struct store_request request = {.verb = STORE_OPERATOR_RELEASE, .token = message->token};
    submit(call_new(service, connection, id, STORE_OPERATOR_RELEASE), &request);
}

static void answer_licence(struct service *service, struct connection *connection, uint64_t id)
{
    struct answers answers = answers_to(service, connection);
    answers_licence(&answers, id, service->keys_used, service->licence_warning);
    connection_answered(connection);
}

static void handle_install(struct service *service, struct connection *connection, uint64_t id,
                           const Engenho__InstallLicence *message)
{
    struct error error;
    int64_t now_us = clock_unix_us();
    int rc = licences_install(service->config->licence_dir, service->config->customer, now_us,
                              message->file.data, message->file.len, &error);
    if (rc != 0) {
        refuse(service, connection, id,
               rc == -EXDEV ? ENGENHO__REFUSAL_REASON__REFUSAL_REASON_EDITION_MIX
                            : ENGENHO__REFUSAL_REASON__REFUSAL_REASON_LICENCE,
               error.text,
               rc == -EXDEV ? "É preciso um upgrade: todas as chaves têm a mesma edição"
                            : "Licença recusada");
        return;
    }
    log_info("licence installed", LOG_TEXT("peer", connection_peer(connection)));
    if (ticker_load_licences(service, &error) != 0) {
        refuse(service, connection, id, ENGENHO__REFUSAL_REASON__REFUSAL_REASON_LICENCE, error.text,
               "Licença recusada");
        return;
    }
    answer_licence(service, connection, id);
}

static void handle_acquire(struct service *service, struct connection *connection, uint64_t id,
                           const Engenho__Acquire *message, const uint8_t *frame, size_t bytes)
{
    if (!is_own_session(service, connection, id, message->session)) {
        return;
    }
    if (message->wait) {
        session_ask(connection_data(connection), message->request, frame, bytes, clock_mono_us());
    }
    acquire(service, connection, id, message);
}

void requests_message(void *context, struct connection *connection, const uint8_t *payload,
                      size_t bytes)
{
    struct service *service = context;
    if (connection_data(connection) == NULL) {
        connection_set_data(connection, memory_new(1, sizeof(struct session)));
    }
    Engenho__ToLicensor *message = engenho__to_licensor__unpack(NULL, bytes, payload);
    if (message == NULL || message->id == 0) {
        connection_answered(connection);
        connection_close(connection, message == NULL
                                         ? "a frame that is no message of the licensor's protocol"
                                         : "a message without an id");
        if (message != NULL) {
            engenho__to_licensor__free_unpacked(message, NULL);
        }
        return;
    }
    switch (message->body_case) {
    case ENGENHO__TO_LICENSOR__BODY_REGISTER:
        handle_register(service, connection, message->id, message->register_);
        break;
    case ENGENHO__TO_LICENSOR__BODY_HEARTBEAT:
        handle_heartbeat(service, connection, message->id, message->heartbeat);
        break;
    case ENGENHO__TO_LICENSOR__BODY_ACQUIRE:
        handle_acquire(service, connection, message->id, message->acquire, payload, bytes);
        break;
    case ENGENHO__TO_LICENSOR__BODY_RELEASE:
        handle_release(service, connection, message->id, message->release);
        break;
    case ENGENHO__TO_LICENSOR__BODY_GOODBYE:
        handle_goodbye(service, connection, message->id, message->goodbye);
        break;
    case ENGENHO__TO_LICENSOR__BODY_LIST_SEATS:
        handle_list(service, connection, message->id, message->list_seats);
        break;
    case ENGENHO__TO_LICENSOR__BODY_EXPLAIN:
        handle_explain(service, connection, message->id, message->explain);
        break;
    case ENGENHO__TO_LICENSOR__BODY_SHOW_LICENCE:
        answer_licence(service, connection, message->id);
        break;
    case ENGENHO__TO_LICENSOR__BODY_INSTALL_LICENCE:
        handle_install(service, connection, message->id, message->install_licence);
        break;
    case ENGENHO__TO_LICENSOR__BODY_RELEASE_BY_OPERATOR:
        handle_operator_release(service, connection, message->id, message->release_by_operator);
        break;
    case ENGENHO__TO_LICENSOR__BODY__NOT_SET:
    case _ENGENHO__TO_LICENSOR__BODY__CASE_IS_INT_SIZE:
        refuse_bad(service, connection, message->id,
                   "this licensor does not know the message; update it");
        break;
    }
    engenho__to_licensor__free_unpacked(message, NULL);
}

/* Asking again --------------------------------------------------------------------------------- */

struct again {
    struct service *service;
    struct connection *connection;
};

static void ask_again(void *context, const uint8_t *frame, size_t bytes)
{
    struct again *again = context;
    Engenho__ToLicensor *message = engenho__to_licensor__unpack(NULL, bytes, frame);
    if (message != NULL) {
        acquire(again->service, again->connection, 0, message->acquire);
        engenho__to_licensor__free_unpacked(message, NULL);
    }
}

static void ask_again_all(void *context, struct connection *connection)
{
    struct again again = {.service = context, .connection = connection};
    struct session *session = connection_data(connection);
    if (session != NULL) {
        session_each_waiting(session, ask_again, &again);
    }
}

void requests_ask_again(struct service *service)
{
    server_each(service->server, ask_again_all, service);
}
