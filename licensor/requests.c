/*
 * Messages of clients: checked, and made into transitions of the store. What comes of them is
 * call.c. Edge of the licensor.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/random.h"
#include "licensor/call.h"

#define WAIVED_MAX POOLS_MAX
/*
 * Of transitions, tokens and seats: at 100,000 a second it comes in 22 years. The functions of
 * Redis count in doubles and write 6 bytes; a larger number that is believed would stop their
 * counter.
 */
#define NUMBER_MAX (UINT64_C(1) << 46)
#define INSTALL "install licence"
#define BEGAN_US_MAX (INT64_C(1) << 52) /* the year 2112; a double is exact until then */

static void refuse_bad(const struct asker *asker, const char *en)
{
    call_refuse(asker, ENGENHO__REFUSAL_REASON__REFUSAL_REASON_BAD_REQUEST, en, "Pedido inválido");
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

/* Not said: held for a production, a request without one. */
static int read_use(Engenho__SeatKind kind, const char *production, enum seat_use *ret_use)
{
    switch (kind) {
    case ENGENHO__SEAT_KIND__SEAT_KIND_DEFAULT:
        *ret_use = production[0] == '\0' ? SEAT_REQUEST : SEAT_HELD;
        return 0;
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
        if (read_use(held->kind, held->production, &claims[i].use) != 0 || !is_pool(held->pool) ||
            !is_request(held->request) || !is_text(held->production, NAME_BYTES_MAX) ||
            held->token > NUMBER_MAX || held->number > NUMBER_MAX) {
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

static void handle_register(const struct asker *asker, const Engenho__Register *message)
{
    if (!is_name(message->name, NAME_BYTES_MAX) || !name_is_agent(message->agent) ||
        !is_text(message->host, HOST_BYTES_MAX) || !is_text(message->version, NAME_BYTES_MAX) ||
        !is_text(message->session, SESSION_BYTES_MAX)) {
        refuse_bad(asker,
                   "the registration's name, agent, host, version or session is not a valid name");
        return;
    }
    if (message->n_held > CLAIMS_MAX || message->n_waiting > CLAIMS_MAX ||
        message->highest_op > NUMBER_MAX || message->sequence > NUMBER_MAX ||
        message->began_us < 0 || message->began_us > BEGAN_US_MAX) {
        refuse_bad(asker, "the registration claims more than 4096 seats, or has an impossible "
                          "operation number, sequence or time");
        return;
    }
    struct store_claim *claims = memory_new(message->n_held + 1, sizeof(*claims));
    if (read_claims(message, claims) != 0) {
        free(claims);
        refuse_bad(
            asker,
            "a seat that the registration claims has no valid pool, request, production or kind");
        return;
    }
    char fresh[SESSION_BYTES_MAX + 1], connection_name[48];
    random_hex(fresh, 8);
    call_connection_text(asker->service, connection_number(asker->connection), connection_name);
    struct session *session = connection_data(asker->connection);
    session->sequence = message->sequence; /* and of the heartbeats that follow it */
    struct call *call = call_new(asker, STORE_REGISTER);
    snprintf(call->who, sizeof(call->who), "%.200s", message->name);
    snprintf(call->text, sizeof(call->text), "%s", message->session);
    call->resumed = message->session[0] != '\0';
    struct store_request request = {.verb = STORE_REGISTER,
                                    .session = fresh,
                                    .highest_op = message->highest_op,
                                    .lease_ms = asker->service->config->lease_us / 1000};
    request.who.name = message->name;
    request.who.agent = message->agent;
    request.who.host = message->host;
    request.who.version = message->version;
    request.who.connection = connection_name;
    request.who.old_session = message->session;
    request.who.pid = message->pid;
    request.who.began_us = message->began_us;
    request.who.sequence = message->sequence;
    request.who.claims = claims;
    request.who.claims_count = message->n_held;
    request.who.waiting = (const char *const *)message->waiting;
    request.who.waiting_count = message->n_waiting;
    call_submit(call, &request);
    free(claims);
}

/* A connection speaks for the session that registered on it, and no other. */
static bool is_own_session(const struct asker *asker, const char *session)
{
    const struct session *mine = connection_data(asker->connection);
    if (session[0] != '\0' && strcmp(mine->id, session) == 0) {
        return true;
    }
    call_refuse(asker, ENGENHO__REFUSAL_REASON__REFUSAL_REASON_UNKNOWN_SESSION,
                "the session is not registered on this connection; register first",
                "A sessão não está registrada nesta conexão; registre primeiro");
    return false;
}

static void handle_heartbeat(const struct asker *asker, const Engenho__Heartbeat *message)
{
    if (!is_own_session(asker, message->session)) {
        return;
    }
    if (message->n_waived > WAIVED_MAX || message->highest_op > NUMBER_MAX) {
        refuse_bad(
            asker,
            "the heartbeat counts waived executions of more than 64 pools, or has an impossible "
            "operation number");
        return;
    }
    const char *pools[WAIVED_MAX];
    uint64_t counts[WAIVED_MAX], overruns[WAIVED_MAX];
    struct store_request request = {.verb = STORE_HEARTBEAT,
                                    .session = message->session,
                                    .highest_op = message->highest_op,
                                    .lease_ms = asker->service->config->lease_us / 1000};
    for (size_t i = 0; i < message->n_waived; i++) {
        if (!is_pool(message->waived[i]->pool) || message->waived[i]->count > UINT32_MAX ||
            message->waived[i]->overrun > UINT32_MAX) {
            refuse_bad(asker, "a count of waived executions has no valid pool or number");
            return;
        }
        pools[i] = message->waived[i]->pool;
        counts[i] = message->waived[i]->count;
        overruns[i] = message->waived[i]->overrun;
        metric_add(metrics_series(asker->service->metrics, "engenho_license_requests_total",
                                  METRIC_VALUES(pools[i], "waived")),
                   (double)counts[i]);
    }
    char connection_name[48];
    call_connection_text(asker->service, connection_number(asker->connection), connection_name);
    request.who.connection = connection_name;
    request.who.sequence = ((const struct session *)connection_data(asker->connection))->sequence;
    request.waived.pools = pools;
    request.waived.counts = counts;
    request.waived.overruns = overruns;
    request.waived.count = message->n_waived;
    call_submit(call_new(asker, STORE_HEARTBEAT), &request);
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

static void acquire(const struct asker *asker, const Engenho__Acquire *message)
{
    const char *pools[CHAIN_POOLS_MAX];
    enum seat_use use = SEAT_HELD;
    size_t count = 0;
    if (read_use(message->kind, message->production, &use) == 0) {
        count = read_chain(asker->service, message, use, pools);
    }
    if (count == 0 || !is_request(message->request) || !is_text(message->user, NAME_BYTES_MAX) ||
        !is_text(message->production, NAME_BYTES_MAX) ||
        (use == SEAT_HELD && message->production[0] == '\0')) {
        if (asker->id != 0) {
            refuse_bad(
                asker,
                "the request for a seat needs an id without spaces, a production when it is held, a "
                "known kind, and at most 8 different pools");
        }
        return;
    }
    struct call *call = call_new(asker, STORE_ACQUIRE);
    snprintf(call->text, sizeof(call->text), "%s", message->request);
    snprintf(call->pool, sizeof(call->pool), "%s", pools[0]);
    snprintf(call->who, sizeof(call->who), "%s", message->production);
    struct store_request request = {.verb = STORE_ACQUIRE,
                                    .session = message->session,
                                    .request = message->request,
                                    .reuse_ms = asker->service->config->reuse_life_us / 1000,
                                    .memo_ms = asker->service->config->memory_us / 1000};
    request.ask.use = use;
    request.ask.production = message->production;
    request.ask.user = message->user;
    request.ask.pools = pools;
    request.ask.pools_count = count;
    request.ask.wait = message->wait;
    request.ask.line_max = (uint32_t)asker->service->config->waiting_max;
    call_submit(call, &request);
}

static void handle_release(const struct asker *asker, const Engenho__Release *message)
{
    if (!is_own_session(asker, message->session)) {
        return;
    }
    if (!is_request(message->request) || message->token > NUMBER_MAX) {
        refuse_bad(asker, "the release names no valid request, or an impossible token");
        return;
    }
    struct call *call = call_new(asker, STORE_RELEASE);
    snprintf(call->text, sizeof(call->text), "%s", message->request);
    struct store_request request = {.verb = STORE_RELEASE,
                                    .session = message->session,
                                    .request = message->request,
                                    .token = message->token,
                                    .memo_ms = asker->service->config->memory_us / 1000};
    call_submit(call, &request);
}

static void handle_goodbye(const struct asker *asker, const Engenho__Goodbye *message)
{
    if (is_own_session(asker, message->session)) {
        struct store_request request = {.verb = STORE_GOODBYE, .session = message->session};
        call_submit(call_new(asker, STORE_GOODBYE), &request);
    }
}

static void handle_list(const struct asker *asker, const Engenho__ListSeats *message)
{
    if (message->pool[0] != '\0' && !is_pool(message->pool)) {
        refuse_bad(asker, "the pool's name is not valid");
        return;
    }
    struct store_request request = {.verb = STORE_LIST, .pool = message->pool};
    call_submit(call_new(asker, STORE_LIST), &request);
}

static void handle_explain(const struct asker *asker, const Engenho__Explain *message)
{
    if (!is_request(message->request)) {
        refuse_bad(asker, "the request's id is not valid");
        return;
    }
    struct call *call = call_new(asker, STORE_EXPLAIN);
    snprintf(call->text, sizeof(call->text), "%s", message->request);
    struct store_request request = {.verb = STORE_EXPLAIN, .request = message->request};
    call_submit(call, &request);
}

static void audit_refused(const struct asker *asker, const char *who, const char *what,
                          const char *why)
{
    char detail[ERROR_TEXT_BYTES_MAX + 16];
    snprintf(detail, sizeof(detail), "refused: %s", why);
    call_audit(asker, is_text(who, NAME_BYTES_MAX) ? who : "", what, detail);
}

static void handle_operator_release(const struct asker *asker,
                                    const Engenho__ReleaseByOperator *message)
{
    if (!is_name(message->who, NAME_BYTES_MAX) || message->token > NUMBER_MAX) {
        static const char why[] = "a release by an operator names who releases, and a token";
        audit_refused(asker, message->who, "release", why);
        refuse_bad(asker, why);
        return;
    }
    log_info("seat released by an operator", LOG_TEXT("who", message->who),
             LOG_INT("token", (int64_t)message->token),
             LOG_TEXT("peer", connection_peer(asker->connection)));
    struct store_request request = {.verb = STORE_OPERATOR_RELEASE, .token = message->token};
    request.audit.who = message->who;
    call_submit(call_new(asker, STORE_OPERATOR_RELEASE), &request);
}

static void refuse_install(const struct asker *asker, const Engenho__InstallLicence *message,
                           int rc, const char *why)
{
    audit_refused(asker, message->who, INSTALL, why);
    if (rc == -EXDEV) {
        call_refuse(asker, ENGENHO__REFUSAL_REASON__REFUSAL_REASON_EDITION_MIX, why,
                    "É preciso um upgrade: todas as chaves têm a mesma edição");
    } else if (rc == -EIO) {
        call_refuse(
            asker, ENGENHO__REFUSAL_REASON__REFUSAL_REASON_NOT_WRITTEN, why,
            "A licença não foi gravada: o licensor não pode usar o seu diretório de licenças");
    } else {
        call_refuse(asker, ENGENHO__REFUSAL_REASON__REFUSAL_REASON_LICENCE, why,
                    "Licença recusada");
    }
}

static void handle_install(const struct asker *asker, const Engenho__InstallLicence *message)
{
    struct error error;
    const struct licences_source source = {.directory = asker->service->config->licence_dir,
                                           .customer = asker->service->config->customer,
                                           .time = ticker_licence_time(asker->service)};
    int rc = licences_install(&source, message->file.data, message->file.len, &error);
    if (rc != 0) {
        refuse_install(asker, message, rc, error.text);
        return;
    }
    log_info("licence installed", LOG_TEXT("peer", connection_peer(asker->connection)));
    rc = ticker_load_licences(asker->service, &error);
    if (rc != 0) {
        refuse_install(asker, message, rc, error.text);
        return;
    }
    const struct limits *limits = &asker->service->limits;
    char detail[AUDIT_DETAIL_BYTES_MAX + 1];
    snprintf(detail, sizeof(detail), "installed; now edition %s, %u keys, for %s",
             edition_word(limits->edition), limits->keys, limits->customer);
    call_audit(asker, is_text(message->who, NAME_BYTES_MAX) ? message->who : "", INSTALL, detail);
    call_answer_licence(asker);
}

static void handle_list_audit(const struct asker *asker, const Engenho__ListAudit *message)
{
    bool is_all = message->max == 0 || message->max > AUDIT_ENTRIES_MAX;
    struct store_request request = {.verb = STORE_LIST_AUDIT,
                                    .max = is_all ? AUDIT_ENTRIES_MAX : message->max};
    call_submit(call_new(asker, STORE_LIST_AUDIT), &request);
}

/* Usage and the Master ------------------------------------------------------------------------- */

static void handle_fetch_usage(const struct asker *asker, const Engenho__FetchUsage *message)
{
    struct store_request request = {.verb = STORE_USAGE,
                                    .max = message->max < USAGE_RECORDS_MAX ? message->max
                                                                            : USAGE_RECORDS_MAX};
    call_submit(call_new(asker, STORE_USAGE), &request);
}

static void handle_acknowledge_usage(const struct asker *asker,
                                     const Engenho__AcknowledgeUsage *message)
{
    if (!is_name(message->through, USAGE_ID_BYTES_MAX)) {
        refuse_bad(asker, "an acknowledgement names the last usage record that is stored");
        return;
    }
    struct store_request request = {.verb = STORE_ACKNOWLEDGE, .through = message->through};
    call_submit(call_new(asker, STORE_ACKNOWLEDGE), &request);
}

static void handle_set_master(const struct asker *asker, const Engenho__SetMaster *message)
{
    struct store_request request = {.verb = STORE_MASTER, .demo = message->demo};
    request.audit.who = is_text(message->who, NAME_BYTES_MAX) ? message->who : "";
    call_submit(call_new(asker, STORE_MASTER), &request);
}

static void handle_acquire(const struct asker *asker, const Engenho__Acquire *message,
                           const uint8_t *frame, size_t bytes)
{
    if (!is_own_session(asker, message->session)) {
        return;
    }
    if (message->wait) {
        session_ask(connection_data(asker->connection), message->request, frame, bytes,
                    clock_mono_us());
    }
    acquire(asker, message);
}

/*
 * What a client that has gone asked for is not done: after a stop of ours it may long have gone to
 * another licensor, and what it were given now nobody would give back. What gives back is done.
 */
static bool takes(const Engenho__ToLicensor *message)
{
    return message->body_case == ENGENHO__TO_LICENSOR__BODY_REGISTER ||
           message->body_case == ENGENHO__TO_LICENSOR__BODY_HEARTBEAT ||
           message->body_case == ENGENHO__TO_LICENSOR__BODY_ACQUIRE;
}

static void handle(const struct asker *asker, const Engenho__ToLicensor *message,
                   const uint8_t *payload, size_t bytes)
{
    switch (message->body_case) {
    case ENGENHO__TO_LICENSOR__BODY_REGISTER:
        handle_register(asker, message->register_);
        break;
    case ENGENHO__TO_LICENSOR__BODY_HEARTBEAT:
        handle_heartbeat(asker, message->heartbeat);
        break;
    case ENGENHO__TO_LICENSOR__BODY_ACQUIRE:
        handle_acquire(asker, message->acquire, payload, bytes);
        break;
    case ENGENHO__TO_LICENSOR__BODY_RELEASE:
        handle_release(asker, message->release);
        break;
    case ENGENHO__TO_LICENSOR__BODY_GOODBYE:
        handle_goodbye(asker, message->goodbye);
        break;
    case ENGENHO__TO_LICENSOR__BODY_LIST_SEATS:
        handle_list(asker, message->list_seats);
        break;
    case ENGENHO__TO_LICENSOR__BODY_EXPLAIN:
        handle_explain(asker, message->explain);
        break;
    case ENGENHO__TO_LICENSOR__BODY_SHOW_LICENCE:
        call_answer_licence(asker);
        break;
    case ENGENHO__TO_LICENSOR__BODY_INSTALL_LICENCE:
        handle_install(asker, message->install_licence);
        break;
    case ENGENHO__TO_LICENSOR__BODY_RELEASE_BY_OPERATOR:
        handle_operator_release(asker, message->release_by_operator);
        break;
    case ENGENHO__TO_LICENSOR__BODY_FETCH_USAGE:
        handle_fetch_usage(asker, message->fetch_usage);
        break;
    case ENGENHO__TO_LICENSOR__BODY_ACKNOWLEDGE_USAGE:
        handle_acknowledge_usage(asker, message->acknowledge_usage);
        break;
    case ENGENHO__TO_LICENSOR__BODY_SET_MASTER:
        handle_set_master(asker, message->set_master);
        break;
    case ENGENHO__TO_LICENSOR__BODY_LIST_AUDIT:
        handle_list_audit(asker, message->list_audit);
        break;
    case ENGENHO__TO_LICENSOR__BODY__NOT_SET:
    case _ENGENHO__TO_LICENSOR__BODY__CASE_IS_INT_SIZE:
        refuse_bad(asker, "this licensor does not know the message; update it");
        break;
    }
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
    const struct asker asker = {.service = service, .connection = connection, .id = message->id};
    if (connection_is_gone(connection) && takes(message)) {
        connection_answered(connection);
    } else {
        handle(&asker, message, payload, bytes);
    }
    engenho__to_licensor__free_unpacked(message, NULL);
}

/* Asking again --------------------------------------------------------------------------------- */

static void ask_again(void *context, const uint8_t *frame, size_t bytes)
{
    Engenho__ToLicensor *message = engenho__to_licensor__unpack(NULL, bytes, frame);
    if (message != NULL) {
        acquire(context, message->acquire);
        engenho__to_licensor__free_unpacked(message, NULL);
    }
}

static void ask_again_all(void *context, struct connection *connection)
{
    struct asker asker = {.service = context, .connection = connection};
    struct session *session = connection_data(connection);
    if (session != NULL) {
        session_each_waiting(session, ask_again, &asker);
    }
}

void requests_ask_again(struct service *service)
{
    server_each(service->server, ask_again_all, service);
}
