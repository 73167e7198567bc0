#include "worker/licence_client.h"

#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/dns.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/frames.h"
#include "common/memory.h"

#define FRAME_BYTES_MAX (1024 * 1024)
#define OUT_BYTES_MAX (16 * 1024 * 1024)
#define BACKOFF_FIRST_US 100000
#define BACKOFF_MAX_US 2000000
#define REFUSED_AGAIN_US 1000000
#define MARGIN_US 2000000 /* before the lease ends nothing new starts any more */
#define ANSWER_US 5000000 /* a licensor that does not answer is left */
#define POOLS_MAX 16
#define HELD_MAX 10000

enum id_kind { ID_REGISTER = 1, ID_HEARTBEAT, ID_ACQUIRE, ID_RELEASE, ID_GOODBYE };

struct waived {
    char pool[SEAT_POOL_BYTES_MAX];
    uint64_t count, overrun;
};

struct licence_client {
    struct event_base *base;
    struct licence_client_options options;
    struct licence_client_callbacks callbacks;
    void *context;
    struct bufferevent *connection;
    struct event *retry_timer, *beat_timer;
    int64_t backoff_us;
    char *session;              /* NULL: none */
    bool connected, registered; /* of this connection */
    bool resuming;
    uint64_t highest_op;
    int64_t began_us; /* unix: of this process, and how often it registered: which is the newest */
    uint64_t sequence;
    int64_t lease_us, heartbeat_us;
    /* monotonic: when the newest heartbeat that was answered had been sent */
    int64_t alive_us;
    int64_t sent_us; /* of the one under way; 0: none */
    struct waived waived[POOLS_MAX];
    size_t waived_count;
};

static void connect_now(struct licence_client *client);

/* The id of a message says what it asked: kind in the low bits. */
static uint64_t id_of(enum id_kind kind, uint64_t number)
{
    return number << 3 | kind;
}

static void send_message(struct licence_client *client, Engenho__ToLicensor *message)
{
    uint8_t header[FRAME_HEADER_BYTES];
    if (client->connection == NULL || !client->connected) {
        return;
    }
    struct evbuffer *out = bufferevent_get_output(client->connection);
    size_t bytes = engenho__to_licensor__get_packed_size(message);
    if (evbuffer_get_length(out) + bytes > OUT_BYTES_MAX) {
        return; /* it does not read: the missing answer ends the connection */
    }
    uint8_t *packed = memory_new(1, bytes + 1);
    engenho__to_licensor__pack(message, packed);
    frame_header(header, (uint32_t)bytes);
    evbuffer_add(out, header, sizeof header);
    evbuffer_add(out, packed, bytes);
    free(packed);
}

static void drop_connection(struct licence_client *client, const char *reason, int64_t again_us)
{
    if (client->connection == NULL) {
        return;
    }
    bool was = client->connected;
    bufferevent_free(client->connection);
    client->connection = NULL;
    client->connected = client->registered = false;
    client->sent_us = 0;
    struct timeval wait = {.tv_sec = again_us / SECOND_US, .tv_usec = again_us % SECOND_US};
    event_add(client->retry_timer, &wait);
    if (was || client->backoff_us == BACKOFF_FIRST_US) {
        client->callbacks.connected(client->context, false, reason);
    }
    client->backoff_us =
        client->backoff_us * 2 > BACKOFF_MAX_US ? BACKOFF_MAX_US : client->backoff_us * 2;
}

/* long: it fills the arrays of one message */
static size_t list_held(const struct licence_client *client, Engenho__HeldSeat *held,
                        Engenho__HeldSeat **places, char **waiting, size_t *ret_waiting,
                        char (*requests)[128])
{
    size_t count = 0, n = 0;
    *ret_waiting = 0;
    for (const struct seat *seat = client->options.seats->first; seat != NULL && n < HELD_MAX;
         seat = seat->next, n++) {
        snprintf(requests[n], sizeof requests[n], "%s:%llu", client->session ? client->session : "",
                 (unsigned long long)seat->request);
        if (seat->state == SEAT_ASKED) {
            waiting[(*ret_waiting)++] = requests[n];
            continue;
        }
        engenho__held_seat__init(&held[count]);
        held[count].token = seat->token;
        held[count].pool = (char *)seat->pool;
        held[count].number = seat->number;
        held[count].production = (char *)seat->production;
        held[count].kind = seat->kind;
        held[count].request = requests[n];
        places[count] = &held[count];
        count++;
    }
    return count;
}

static void register_now(struct licence_client *client)
{
    Engenho__ToLicensor message = ENGENHO__TO_LICENSOR__INIT;
    Engenho__Register body = ENGENHO__REGISTER__INIT;
    char host[256] = "";
    size_t seats = (size_t)client->options.seats->held + client->options.seats->asked + 1;
    Engenho__HeldSeat *held = memory_new(seats, sizeof *held),
                      **places = memory_new(seats, sizeof *places);
    char **waiting = memory_new(seats, sizeof *waiting),
         (*requests)[128] = memory_new(seats, sizeof *requests);
    gethostname(host, sizeof host - 1);
    body.name = (char *)client->options.name;
    body.agent = (char *)client->options.agent;
    body.host = host;
    body.pid = getpid();
    body.session = client->session ? client->session : (char *)"";
    body.interpreters_wanted = client->options.interpreters;
    body.highest_op = client->highest_op;
    body.version = (char *)ENGENHO_VERSION;
    body.began_us = client->began_us;
    body.sequence = ++client->sequence;
    if (client->session != NULL) {
        body.n_held = list_held(client, held, places, waiting, &body.n_waiting, requests);
        body.held = places;
        body.waiting = waiting;
    }
    message.id = id_of(ID_REGISTER, 0);
    message.body_case = ENGENHO__TO_LICENSOR__BODY_REGISTER;
    message.register_ = &body;
    client->resuming = client->session != NULL;
    client->sent_us = clock_mono_us();
    send_message(client, &message);
    free(requests);
    free(waiting);
    free(places);
    free(held);
}

static void forget_session(struct licence_client *client)
{
    if (client->session != NULL) {
        free(client->session);
        client->session = NULL;
        client->registered = false;
        client->callbacks.session_lost(client->context);
    }
}

static void on_registered(struct licence_client *client, const Engenho__Registered *registered)
{
    bool resumed = client->session != NULL && !strcmp(client->session, registered->session);
    if (!resumed) {
        forget_session(client);
        client->session = memory_copy_text(registered->session);
    }
    client->registered = true;
    client->lease_us = registered->lease_us;
    client->heartbeat_us = registered->heartbeat_us > 0 ? registered->heartbeat_us : SECOND_US;
    client->alive_us = client->sent_us;
    client->sent_us = 0;
    client->backoff_us = BACKOFF_FIRST_US;
    struct timeval wait = {.tv_sec = client->heartbeat_us / SECOND_US,
                           .tv_usec = client->heartbeat_us % SECOND_US};
    event_add(client->beat_timer, &wait);
    client->callbacks.registered(client->context, registered, resumed);
    for (size_t i = 0; resumed && i < registered->n_lost_tokens; i++) {
        client->callbacks.seat_lost(client->context, registered->lost_tokens[i]);
    }
}

static void on_heartbeat(struct licence_client *client, const Engenho__HeartbeatAnswer *answer)
{
    client->alive_us = client->sent_us;
    client->sent_us = 0;
    for (size_t i = 0; i < answer->n_waited_pools; i++) {
        client->callbacks.waited(client->context, answer->waited_pools[i]);
    }
    if (answer->interpreters > 0) {
        client->callbacks.limits(client->context, answer->interpreters);
    }
    if (answer->reclaim) {
        register_now(client);
    }
}

static void on_refused(struct licence_client *client, enum id_kind kind, uint64_t number,
                       const Engenho__Refused *refused)
{
    if (refused->reason == ENGENHO__REFUSAL_REASON__REFUSAL_REASON_STORE_DOWN &&
        (kind == ID_REGISTER || kind == ID_HEARTBEAT)) {
        /* No session ends before the store is back, and then each has a full lease. */
        client->alive_us = client->sent_us;
    }
    if (refused->reason == ENGENHO__REFUSAL_REASON__REFUSAL_REASON_UNKNOWN_SESSION &&
        kind != ID_REGISTER) {
        forget_session(client);
        register_now(client);
        return;
    }
    switch (kind) {
    case ID_REGISTER:
        if (refused->reason == ENGENHO__REFUSAL_REASON__REFUSAL_REASON_UNKNOWN_SESSION &&
            client->session != NULL) {
            forget_session(client);
            register_now(client);
            return;
        }
        client->callbacks.refused(client->context, refused);
        drop_connection(client, refused->text,
                        refused->retry_after_us > 0 &&
                                refused->retry_after_us < 10 * REFUSED_AGAIN_US
                            ? refused->retry_after_us
                            : REFUSED_AGAIN_US);
        break;
    case ID_HEARTBEAT:
        client->sent_us = 0;
        break;
    case ID_ACQUIRE:
        client->callbacks.seat_refused(client->context, number, refused);
        break;
    default:
        break;
    }
}

/* The number in `<session>:<n>`, or 0 for another session's. */
static uint64_t request_number(const struct licence_client *client, const char *request)
{
    const char *colon = strrchr(request, ':');
    if (client->session == NULL || colon == NULL ||
        strlen(client->session) != (size_t)(colon - request) ||
        strncmp(client->session, request, (size_t)(colon - request)) != 0) {
        return 0;
    }
    return strtoull(colon + 1, NULL, 10);
}

static void on_message(struct licence_client *client, const Engenho__FromLicensor *message)
{
    enum id_kind kind = (enum id_kind)(message->id & 7);
    if (message->highest_op > client->highest_op) {
        client->highest_op = message->highest_op;
    }
    if (message->refused != NULL) {
        on_refused(client, kind, message->id >> 3, message->refused);
        return;
    }
    switch (message->body_case) {
    case ENGENHO__FROM_LICENSOR__BODY_REGISTERED:
        on_registered(client, message->registered);
        break;
    case ENGENHO__FROM_LICENSOR__BODY_HEARTBEAT:
        on_heartbeat(client, message->heartbeat);
        break;
    case ENGENHO__FROM_LICENSOR__BODY_GRANTED: {
        uint64_t number = request_number(client, message->granted->request);
        if (number != 0) {
            client->callbacks.granted(client->context, message->granted, number);
        }
        break;
    }
    case ENGENHO__FROM_LICENSOR__BODY_NOTICE:
        for (size_t i = 0; i < message->notice->n_waited_pools; i++) {
            client->callbacks.waited(client->context, message->notice->waited_pools[i]);
        }
        break;
    default:
        break;
    }
}

static void on_read(struct bufferevent *connection, void *context)
{
    struct licence_client *client = context;
    struct evbuffer *in = bufferevent_get_input(connection);
    size_t length;
    while (client->connection == connection && (length = evbuffer_get_length(in)) > 0) {
        const uint8_t *payload;
        size_t payload_bytes, frame_bytes;
        const uint8_t *data = evbuffer_pullup(in, -1);
        int whole =
            frame_next(data, length, FRAME_BYTES_MAX, &payload, &payload_bytes, &frame_bytes);
        if (whole == 0) {
            return;
        }
        Engenho__FromLicensor *message =
            whole < 0 ? NULL : engenho__from_licensor__unpack(NULL, payload_bytes, payload);
        if (message == NULL) {
            drop_connection(client, "the licensor sent what is not its protocol",
                            client->backoff_us);
            return;
        }
        evbuffer_drain(in, frame_bytes);
        on_message(client, message);
        engenho__from_licensor__free_unpacked(message, NULL);
    }
}

static void on_event(struct bufferevent *connection, short what, void *context)
{
    struct licence_client *client = context;
    if (what & BEV_EVENT_CONNECTED) {
        int one = 1;
        setsockopt(bufferevent_getfd(connection), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        client->connected = true;
        client->callbacks.connected(client->context, true, "");
        register_now(client);
        return;
    }
    const char *reason = what & BEV_EVENT_EOF
                             ? "the licensor closed the connection"
                             : evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR());
    drop_connection(client, reason, client->backoff_us);
}

static void on_retry(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    connect_now(context);
}

static void connect_now(struct licence_client *client)
{
    char text[300];
    struct sockaddr_storage address;
    int address_bytes = sizeof address;
    client->connection = bufferevent_socket_new(client->base, -1, BEV_OPT_CLOSE_ON_FREE);
    assert(client->connection != NULL);
    bufferevent_setcb(client->connection, on_read, NULL, on_event, client);
    bufferevent_enable(client->connection, EV_READ | EV_WRITE);
    snprintf(text, sizeof text, strchr(client->options.address.host, ':') ? "[%s]:%u" : "%s:%u",
             client->options.address.host, client->options.address.port);
    int result;
    if (evutil_parse_sockaddr_port(text, (struct sockaddr *)&address, &address_bytes) == 0) {
        result = bufferevent_socket_connect(client->connection, (struct sockaddr *)&address,
                                            address_bytes);
    } else {
        result = bufferevent_socket_connect_hostname(client->connection, NULL, AF_UNSPEC,
                                                     client->options.address.host,
                                                     client->options.address.port);
    }
    if (result != 0 && client->connection != NULL) {
        drop_connection(client, "no connection to the licensor", client->backoff_us);
    }
}

static void on_beat(evutil_socket_t fd, short what, void *context)
{
    struct licence_client *client = context;
    int64_t now_us = clock_mono_us();
    Engenho__ToLicensor message = ENGENHO__TO_LICENSOR__INIT;
    Engenho__Heartbeat body = ENGENHO__HEARTBEAT__INIT;
    Engenho__WaivedCount counts[POOLS_MAX], *places[POOLS_MAX];
    struct timeval wait = {.tv_sec = client->heartbeat_us / SECOND_US,
                           .tv_usec = client->heartbeat_us % SECOND_US};
    (void)fd;
    (void)what;
    event_add(client->beat_timer, &wait);
    if (client->connection == NULL || !client->connected) {
        return;
    }
    if (client->sent_us != 0) {
        if (now_us - client->sent_us > ANSWER_US) {
            drop_connection(client, "the licensor did not answer a registration or heartbeat",
                            client->backoff_us);
        }
        return;
    }
    if (!client->registered) {
        return;
    }
    for (size_t i = 0; i < client->waived_count; i++) {
        engenho__waived_count__init(&counts[i]);
        counts[i].pool = client->waived[i].pool;
        counts[i].count = client->waived[i].count;
        counts[i].overrun = client->waived[i].overrun;
        places[i] = &counts[i];
    }
    body.session = client->session;
    body.highest_op = client->highest_op;
    body.n_waived = client->waived_count;
    body.waived = places;
    message.id = id_of(ID_HEARTBEAT, 0);
    message.body_case = ENGENHO__TO_LICENSOR__BODY_HEARTBEAT;
    message.heartbeat = &body;
    client->sent_us = now_us;
    send_message(client, &message);
    client->waived_count = 0;
}

struct licence_client *licence_client_new(struct event_base *base,
                                          const struct licence_client_options *options,
                                          const struct licence_client_callbacks *callbacks,
                                          void *context)
{
    struct licence_client *client = memory_new(1, sizeof *client);
    client->base = base;
    client->options = *options;
    client->callbacks = *callbacks;
    client->context = context;
    client->backoff_us = BACKOFF_FIRST_US;
    client->began_us = clock_unix_us();
    client->heartbeat_us = SECOND_US;
    client->retry_timer = evtimer_new(base, on_retry, client);
    client->beat_timer = evtimer_new(base, on_beat, client);
    struct timeval wait = {.tv_sec = client->heartbeat_us / SECOND_US};
    event_add(client->beat_timer, &wait); /* the first registration may stay unanswered, too */
    connect_now(client);
    return client;
}

static void say_goodbye(struct licence_client *client)
{
    Engenho__ToLicensor message = ENGENHO__TO_LICENSOR__INIT;
    Engenho__Goodbye body = ENGENHO__GOODBYE__INIT;
    body.session = client->session;
    message.id = id_of(ID_GOODBYE, 0);
    message.body_case = ENGENHO__TO_LICENSOR__BODY_GOODBYE;
    message.goodbye = &body;
    send_message(client, &message);
    evbuffer_write(bufferevent_get_output(client->connection),
                   bufferevent_getfd(client->connection));
}

void licence_client_free(struct licence_client *client)
{
    if (client == NULL) {
        return;
    }
    if (client->connected && client->session != NULL) {
        say_goodbye(client);
    }
    if (client->connection != NULL) {
        bufferevent_free(client->connection);
    }
    event_free(client->retry_timer);
    event_free(client->beat_timer);
    free(client->session);
    free(client);
}

void licence_client_acquire(struct licence_client *client, const struct seat *seat)
{
    char request[128];
    Engenho__ToLicensor message = ENGENHO__TO_LICENSOR__INIT;
    Engenho__Acquire body = ENGENHO__ACQUIRE__INIT;
    if (!client->registered) {
        /* asked for again when the session goes on: it stands in the list of waiting ones */
        return;
    }
    snprintf(request, sizeof request, "%s:%llu", client->session,
             (unsigned long long)seat->request);
    body.session = client->session;
    body.request = request;
    body.kind = seat->kind;
    body.production = (char *)seat->production;
    body.n_pools = seat->pool_count;
    body.pools = (char **)seat->pools;
    body.wait = seat->kind != ENGENHO__SEAT_KIND__SEAT_KIND_NOTIFIED;
    message.id = id_of(ID_ACQUIRE, seat->request);
    message.body_case = ENGENHO__TO_LICENSOR__BODY_ACQUIRE;
    message.acquire = &body;
    send_message(client, &message);
}

void licence_client_release(struct licence_client *client, const struct seat *seat)
{
    char request[128];
    Engenho__ToLicensor message = ENGENHO__TO_LICENSOR__INIT;
    Engenho__Release body = ENGENHO__RELEASE__INIT;
    if (!client->registered) {
        return; /* what is not held when the session is resumed is freed then */
    }
    snprintf(request, sizeof request, "%s:%llu", client->session,
             (unsigned long long)seat->request);
    body.session = client->session;
    body.request = request;
    body.token = seat->token;
    message.id = id_of(ID_RELEASE, seat->request);
    message.body_case = ENGENHO__TO_LICENSOR__BODY_RELEASE;
    message.release = &body;
    send_message(client, &message);
}

/* What is counted for a pool, or NULL: more pools than a heartbeat tells of. */
static struct waived *count_of(struct licence_client *client, const char *pool)
{
    size_t i = 0;
    while (i < client->waived_count && strcmp(client->waived[i].pool, pool) != 0) {
        i++;
    }
    if (i == POOLS_MAX) {
        return NULL;
    }
    if (i == client->waived_count) {
        client->waived[client->waived_count++] = (struct waived){.count = 0};
        snprintf(client->waived[i].pool, sizeof client->waived[i].pool, "%s", pool);
    }
    return &client->waived[i];
}

void licence_client_waived(struct licence_client *client, const char *pool)
{
    struct waived *waived = count_of(client, pool);
    if (waived != NULL) {
        waived->count++;
    }
}

void licence_client_overrun(struct licence_client *client, const char *pool)
{
    struct waived *waived = count_of(client, pool);
    if (waived != NULL) {
        waived->overrun++;
    }
}

bool licence_client_registered(const struct licence_client *client)
{
    return client->registered;
}

void licence_client_confirm(struct licence_client *client)
{
    client->registered = false;
    if (client->connected) {
        register_now(client);
    }
}

int64_t licence_client_lease_end(const struct licence_client *client)
{
    return client->session != NULL ? client->alive_us + client->lease_us : INT64_MAX;
}

bool licence_client_may_start(const struct licence_client *client, int64_t now_us)
{
    return client->session != NULL && now_us < licence_client_lease_end(client) - MARGIN_US;
}

const char *licence_client_session(const struct licence_client *client)
{
    return client->session ? client->session : "";
}
