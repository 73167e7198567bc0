#include "worker/licence_client.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "common/address.h"
#include "common/clock.h"
#include "common/frames.h"
#include "common/memory.h"

#define FRAME_BYTES_MAX (1024 * 1024)
#define RECONNECT_US_MIN (SECOND_US / 5)
#define RECONNECT_US_MAX (2 * SECOND_US)
#define REFUSED_US (2 * SECOND_US) /* until a refused registration is tried again */
#define SEAT_AGAIN_US                                                                              \
    (SECOND_US / 2) /* until a request is tried again that the store could not answer */
#define SEAT_NEVER_US (5 * SECOND_US) /* until one that is refused for good is */
#define ANSWER_US (4 * SECOND_US)     /* a licensor that does not answer within it is left */
#define LEASE_MARGIN_US (2 * SECOND_US)
#define GOODBYE_US (2 * SECOND_US)
#define POOLS_WAIVED_MAX 64
#define REQUEST_TEXT_BYTES 128

/* An Acquire without its answer yet: kept until it is granted or taken back. */
struct asked {
    uint64_t number;
    Engenho__SeatKind kind;
    char *production;
    char **pools;
    size_t pool_count;
    bool waiting;     /* the licensor has put it into the line */
    int64_t again_us; /* monotonic: when it is sent again; 0: it is on its way or waits */
    uint64_t sent_id; /* of the frame */
    TAILQ_ENTRY(asked) next;
};

struct waived {
    char pool[SEAT_POOL_BYTES_MAX];
    uint64_t count;
};

struct licence_client {
    struct event_base *base;
    struct licence_options options;
    struct licence_callbacks callbacks;
    void *context;
    struct address address;
    enum licence_state state;
    struct bufferevent *connection; /* NULL: none */
    bool connected;
    struct event *tick;
    char session[128]; /* empty: none */
    char host[256];
    char reason[ERROR_TEXT_BYTES_MAX];
    uint32_t interpreters, productions;
    uint64_t last_id, register_id, heartbeat_id, goodbye_id;
    uint64_t highest_op;
    int64_t lease_us, heartbeat_us;
    int64_t heartbeat_sent_us; /* monotonic: of the one on its way */
    int64_t heartbeat_due_us;
    int64_t leased_until_us; /* counted from before the heartbeat was sent */
    int64_t act_us;          /* monotonic: connect, or register, then */
    int64_t backoff_us;
    TAILQ_HEAD(asked_list, asked) asked;
    struct waived waived[POOLS_WAIVED_MAX];
    size_t waived_count;
    void (*gone)(void *context);
    void *gone_context;
    int64_t gone_us; /* monotonic: goodbye is waited for until then */
};

static void tick_soon(struct licence_client *client)
{
    event_active(client->tick, EV_TIMEOUT, 0);
}

static void free_asked(struct licence_client *client, struct asked *asked)
{
    TAILQ_REMOVE(&client->asked, asked, next);
    for (size_t i = 0; i < asked->pool_count; i++) {
        free(asked->pools[i]);
    }
    free(asked->pools);
    free(asked->production);
    free(asked);
}

static struct asked *find_asked(struct licence_client *client, uint64_t number)
{
    struct asked *asked;
    TAILQ_FOREACH (asked, &client->asked, next) {
        if (asked->number == number) {
            return asked;
        }
    }
    return NULL;
}

static uint64_t send_message(struct licence_client *client, Engenho__ToLicensor *message)
{
    message->id = ++client->last_id;
    size_t bytes = engenho__to_licensor__get_packed_size(message);
    uint8_t *frame = malloc(FRAME_HEADER_BYTES + bytes);
    if (frame != NULL && bytes <= FRAME_BYTES_MAX && client->connected) {
        frame_header(frame, (uint32_t)bytes);
        engenho__to_licensor__pack(message, frame + FRAME_HEADER_BYTES);
        bufferevent_write(client->connection, frame, FRAME_HEADER_BYTES + bytes);
    }
    free(frame);
    return message->id;
}

static void request_text(const struct licence_client *client, uint64_t number, char *text)
{
    snprintf(text, REQUEST_TEXT_BYTES, "%.100s:%" PRIu64, client->session, number);
}

/* The number behind the last colon of a request of this session; 0: not ours. */
static uint64_t request_number(const struct licence_client *client, const char *text)
{
    size_t length = strlen(client->session);
    if (length == 0 || strncmp(text, client->session, length) != 0 || text[length] != ':') {
        return 0;
    }
    return strtoull(text + length + 1, NULL, 10);
}

static void say_refused(struct licence_client *client, const char *reason)
{
    if (strcmp(client->reason, reason) != 0) {
        snprintf(client->reason, sizeof client->reason, "%s", reason);
        client->callbacks.refused(client->context, client->reason);
    }
}

static void disconnect(struct licence_client *client, const char *why)
{
    char reason[ERROR_TEXT_BYTES_MAX];
    if (client->connection != NULL) {
        bufferevent_free(client->connection);
        client->connection = NULL;
    }
    client->connected = false;
    client->state = LICENCE_AWAY;
    client->heartbeat_id = 0;
    client->act_us = clock_mono_us() + client->backoff_us;
    client->backoff_us =
        client->backoff_us * 2 < RECONNECT_US_MAX ? client->backoff_us * 2 : RECONNECT_US_MAX;
    snprintf(reason, sizeof reason, "the licensor at %.300s %.600s", client->options.address, why);
    say_refused(client, reason);
    tick_soon(client);
}

static Engenho__HeldSeat *held_seat(struct licence_client *client, const struct seat *seat,
                                    Engenho__HeldSeat *out, char *text)
{
    engenho__held_seat__init(out);
    request_text(client, seat->request, text);
    out->token = seat->token;
    out->pool = (char *)seat->pool;
    out->number = seat->number;
    out->production = (char *)(seat->production != NULL ? seat->production : "");
    out->kind = seat->kind;
    out->request = text;
    return out;
}

/* Register, with what we hold and wait for when there was a session. */
static void send_register(struct licence_client *client)
{
    Engenho__ToLicensor message = ENGENHO__TO_LICENSOR__INIT;
    Engenho__Register body = ENGENHO__REGISTER__INIT;
    size_t held_count = 0, waiting_count = 0, seats = 0, asks = 0;
    struct asked *asked;
    const struct seat *seat;
    bool resumes = client->session[0] != '\0';
    for (seat = client->options.seats->first; resumes && seat != NULL; seat = seat->next) {
        seats++;
    }
    TAILQ_FOREACH (asked, &client->asked, next) {
        asks++;
    }
    Engenho__HeldSeat *held = memory_new(seats + 1, sizeof *held),
                      **held_list = memory_new(seats + 1, sizeof *held_list);
    char(*texts)[REQUEST_TEXT_BYTES] = memory_new(seats + asks + 1, sizeof *texts);
    char **waiting = memory_new(asks + 1, sizeof *waiting);
    for (seat = client->options.seats->first; resumes && seat != NULL; seat = seat->next) {
        if ((seat->state == SEAT_HELD || seat->state == SEAT_LINGERING) && seat->token != 0) {
            held_list[held_count] = held_seat(client, seat, &held[held_count], texts[held_count]);
            held_count++;
        }
    }
    TAILQ_FOREACH (asked, &client->asked, next) {
        if (resumes) {
            request_text(client, asked->number, texts[seats + waiting_count]);
            waiting[waiting_count] = texts[seats + waiting_count];
            waiting_count++;
        }
    }
    body.name = (char *)client->options.name;
    body.agent = (char *)client->options.agent;
    body.host = client->host;
    body.pid = (int32_t)getpid();
    body.session = client->session;
    body.interpreters_wanted = client->options.interpreters;
    body.n_held = held_count;
    body.held = held_list;
    body.n_waiting = waiting_count;
    body.waiting = waiting;
    body.highest_op = client->highest_op;
    body.version = (char *)ENGENHO_VERSION;
    message.body_case = ENGENHO__TO_LICENSOR__BODY_REGISTER;
    message.register_ = &body;
    client->state = LICENCE_REGISTERING;
    client->heartbeat_sent_us = clock_mono_us();
    client->register_id = send_message(client, &message);
    free(held);
    free(held_list);
    free(texts);
    free(waiting);
}

static void send_acquire(struct licence_client *client, struct asked *asked)
{
    Engenho__ToLicensor message = ENGENHO__TO_LICENSOR__INIT;
    Engenho__Acquire body = ENGENHO__ACQUIRE__INIT;
    char request[REQUEST_TEXT_BYTES];
    asked->again_us = 0;
    asked->waiting = false;
    if (client->state != LICENCE_LICENSED) {
        return; /* it goes out when there is a session */
    }
    request_text(client, asked->number, request);
    body.session = client->session;
    body.request = request;
    body.kind = asked->kind;
    body.production = asked->production;
    body.n_pools = asked->pool_count;
    body.pools = asked->pools;
    body.wait = true;
    body.user = (char *)"";
    message.body_case = ENGENHO__TO_LICENSOR__BODY_ACQUIRE;
    message.acquire = &body;
    asked->sent_id = send_message(client, &message);
}

void licence_client_acquire(void *context, const struct seat *seat)
{
    struct licence_client *client = context;
    struct asked *asked = memory_new(1, sizeof *asked);
    asked->number = seat->request;
    asked->kind = seat->kind;
    asked->production = memory_copy_text(seat->production != NULL ? seat->production : "");
    asked->pool_count = seat->pool_count;
    asked->pools = memory_new(seat->pool_count + 1, sizeof *asked->pools);
    for (size_t i = 0; i < seat->pool_count; i++) {
        asked->pools[i] = memory_copy_text(seat->pools[i]);
    }
    TAILQ_INSERT_TAIL(&client->asked, asked, next);
    send_acquire(client, asked);
}

void licence_client_release(void *context, const struct seat *seat)
{
    struct licence_client *client = context;
    struct asked *asked = find_asked(client, seat->request);
    if (asked != NULL) {
        free_asked(client, asked);
    }
    /* Without a session nothing needs saying: what a registration does not claim is freed. */
    if (client->state != LICENCE_LICENSED || (seat->token == 0 && asked == NULL)) {
        return;
    }
    Engenho__ToLicensor message = ENGENHO__TO_LICENSOR__INIT;
    Engenho__Release body = ENGENHO__RELEASE__INIT;
    char request[REQUEST_TEXT_BYTES];
    request_text(client, seat->request, request);
    body.session = client->session;
    body.request = request;
    body.token = seat->token;
    message.body_case = ENGENHO__TO_LICENSOR__BODY_RELEASE;
    message.release = &body;
    send_message(client, &message);
}

void licence_client_waived(struct licence_client *client, const char *pool)
{
    size_t i = 0;
    while (i < client->waived_count && strcmp(client->waived[i].pool, pool) != 0) {
        i++;
    }
    if (i == client->waived_count) {
        if (i == POOLS_WAIVED_MAX) {
            return; /* statistics of a 65th pool within one heartbeat */
        }
        client->waived_count++;
        snprintf(client->waived[i].pool, sizeof client->waived[i].pool, "%s", pool);
        client->waived[i].count = 0;
    }
    client->waived[i].count++;
}

static void send_heartbeat(struct licence_client *client, int64_t now_us)
{
    Engenho__ToLicensor message = ENGENHO__TO_LICENSOR__INIT;
    Engenho__Heartbeat body = ENGENHO__HEARTBEAT__INIT;
    Engenho__WaivedCount counts[POOLS_WAIVED_MAX], *list[POOLS_WAIVED_MAX];
    for (size_t i = 0; i < client->waived_count; i++) {
        engenho__waived_count__init(&counts[i]);
        counts[i].pool = client->waived[i].pool;
        counts[i].count = client->waived[i].count;
        list[i] = &counts[i];
    }
    body.session = client->session;
    body.highest_op = client->highest_op;
    body.n_waived = client->waived_count;
    body.waived = list;
    message.body_case = ENGENHO__TO_LICENSOR__BODY_HEARTBEAT;
    message.heartbeat = &body;
    client->heartbeat_sent_us = now_us;
    client->heartbeat_due_us = now_us + client->heartbeat_us;
    client->heartbeat_id = send_message(client, &message);
    client->waived_count = 0;
}

static void take_registered(struct licence_client *client, const Engenho__Registered *registered)
{
    bool resumed = client->session[0] != '\0' && !strcmp(client->session, registered->session);
    snprintf(client->session, sizeof client->session, "%s", registered->session);
    client->lease_us = registered->lease_us;
    client->heartbeat_us = registered->heartbeat_us;
    client->leased_until_us = client->heartbeat_sent_us + client->lease_us;
    client->heartbeat_due_us = clock_mono_us() + client->heartbeat_us;
    client->interpreters = registered->interpreters;
    client->productions = registered->productions;
    client->state = LICENCE_LICENSED;
    client->backoff_us = RECONNECT_US_MIN;
    client->reason[0] = '\0';
    if (!resumed) {
        /* Requests of another session: the core asks anew for what it still wants. */
        while (!TAILQ_EMPTY(&client->asked)) {
            free_asked(client, TAILQ_FIRST(&client->asked));
        }
    }
    client->callbacks.registered(client->context, registered, resumed);
    struct asked *asked;
    TAILQ_FOREACH (asked, &client->asked, next) {
        if (resumed) {
            send_acquire(client, asked);
        }
    }
}

static void take_heartbeat(struct licence_client *client, const Engenho__HeartbeatAnswer *answer)
{
    client->leased_until_us = client->heartbeat_sent_us + client->lease_us;
    client->heartbeat_id = 0;
    if (answer->reclaim) {
        send_register(client);
        return;
    }
    if (answer->interpreters != 0 && (answer->interpreters != client->interpreters ||
                                      answer->productions != client->productions)) {
        client->interpreters = answer->interpreters;
        client->productions = answer->productions;
        client->callbacks.limits(client->context, client->interpreters, client->productions);
    }
    for (size_t i = 0; i < answer->n_waited_pools; i++) {
        client->callbacks.waited(client->context, answer->waited_pools[i]);
    }
}

static void take_granted(struct licence_client *client, const Engenho__Granted *granted)
{
    uint64_t number = request_number(client, granted->request);
    struct asked *asked = find_asked(client, number);
    if (number == 0) {
        return; /* of another session: freed with it */
    }
    if (asked != NULL) {
        free_asked(client, asked);
    }
    client->callbacks.granted(client->context, granted, number);
}

/* The session is gone (its lease ran out, or an operator ended it): a new one. */
static void start_over(struct licence_client *client)
{
    client->session[0] = '\0';
    client->leased_until_us = 0;
    send_register(client);
}

static void take_refused_registration(struct licence_client *client,
                                      const Engenho__Refused *refused)
{
    if (refused->reason == ENGENHO__REFUSAL_REASON__REFUSAL_REASON_UNKNOWN_SESSION &&
        client->session[0] != '\0') {
        start_over(client);
        return;
    }
    client->state = LICENCE_REFUSED;
    client->register_id = 0;
    client->act_us =
        clock_mono_us() + (refused->retry_after_us > 0 ? refused->retry_after_us : REFUSED_US);
    say_refused(client, refused->text);
}

static void take_refused_seat(struct licence_client *client, struct asked *asked,
                              const Engenho__Refused *refused)
{
    int64_t now_us = clock_mono_us();
    switch (refused->reason) {
    case ENGENHO__REFUSAL_REASON__REFUSAL_REASON_UNKNOWN_SESSION:
        start_over(client);
        break;
    case ENGENHO__REFUSAL_REASON__REFUSAL_REASON_UNKNOWN_POOL:
    case ENGENHO__REFUSAL_REASON__REFUSAL_REASON_BAD_REQUEST:
    case ENGENHO__REFUSAL_REASON__REFUSAL_REASON_LICENCE:
        asked->again_us = now_us + SEAT_NEVER_US;
        client->callbacks.seat_refused(client->context, asked->number, refused->text);
        break;
    default:
        asked->again_us =
            now_us + (refused->retry_after_us > 0 ? refused->retry_after_us : SEAT_AGAIN_US);
        break;
    }
}

static void take_refused(struct licence_client *client, uint64_t id,
                         const Engenho__Refused *refused)
{
    struct asked *asked;
    if (id != 0 && id == client->register_id) {
        take_refused_registration(client, refused);
        return;
    }
    if (id != 0 && id == client->heartbeat_id) {
        client->heartbeat_id = 0;
        if (refused->reason == ENGENHO__REFUSAL_REASON__REFUSAL_REASON_UNKNOWN_SESSION) {
            start_over(client);
        }
        return;
    }
    TAILQ_FOREACH (asked, &client->asked, next) {
        if (asked->sent_id == id) {
            take_refused_seat(client, asked, refused);
            return;
        }
    }
}

static void take_waiting(struct licence_client *client, const Engenho__Waiting *waiting)
{
    struct asked *asked = find_asked(client, request_number(client, waiting->request));
    if (asked != NULL) {
        asked->waiting = true;
    }
}

static void finish_goodbye(struct licence_client *client)
{
    void (*gone)(void *context) = client->gone;
    client->gone = NULL;
    client->gone_us = 0;
    client->goodbye_id = 0;
    client->session[0] = '\0';
    if (gone != NULL) {
        gone(client->gone_context);
    }
}

static void take(struct licence_client *client, const Engenho__FromLicensor *message)
{
    if (message->highest_op > client->highest_op) {
        client->highest_op = message->highest_op;
    }
    if (client->goodbye_id != 0 && message->id == client->goodbye_id) {
        finish_goodbye(client);
        return;
    }
    if (message->refused != NULL) {
        take_refused(client, message->id, message->refused);
        return;
    }
    switch (message->body_case) {
    case ENGENHO__FROM_LICENSOR__BODY_REGISTERED:
        take_registered(client, message->registered);
        break;
    case ENGENHO__FROM_LICENSOR__BODY_HEARTBEAT:
        take_heartbeat(client, message->heartbeat);
        break;
    case ENGENHO__FROM_LICENSOR__BODY_GRANTED:
        take_granted(client, message->granted);
        break;
    case ENGENHO__FROM_LICENSOR__BODY_WAITING:
        take_waiting(client, message->waiting);
        break;
    case ENGENHO__FROM_LICENSOR__BODY_NOTICE:
        for (size_t i = 0; i < message->notice->n_waited_pools; i++) {
            client->callbacks.waited(client->context, message->notice->waited_pools[i]);
        }
        break;
    default:
        break; /* an answer to nothing that we asked, or of a newer licensor */
    }
}

static void on_read(struct bufferevent *connection, void *context)
{
    struct licence_client *client = context;
    struct evbuffer *input = bufferevent_get_input(connection);
    while (client->connection == connection) {
        size_t bytes = evbuffer_get_length(input), payload_bytes, frame_bytes;
        const uint8_t *payload, *data = evbuffer_pullup(input, -1);
        int got = bytes == 0 ? 0
                             : frame_next(data, bytes, FRAME_BYTES_MAX, &payload, &payload_bytes,
                                          &frame_bytes);
        if (got == 0) {
            return;
        }
        Engenho__FromLicensor *message =
            got < 0 ? NULL : engenho__from_licensor__unpack(NULL, payload_bytes, payload);
        if (message == NULL) {
            disconnect(client, "sends what is not its protocol: is it the licensor's port?");
            return;
        }
        evbuffer_drain(input, frame_bytes);
        take(client, message);
        engenho__from_licensor__free_unpacked(message, NULL);
    }
}

static void on_event(struct bufferevent *connection, short events, void *context)
{
    struct licence_client *client = context;
    if (events & BEV_EVENT_CONNECTED) {
        int one = 1;
        setsockopt(bufferevent_getfd(connection), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        client->connected = true;
        send_register(client);
        tick_soon(client);
    } else if (events & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) {
        int code = EVUTIL_SOCKET_ERROR();
        disconnect(client, events & BEV_EVENT_EOF ? "closed the connection"
                                                  : evutil_socket_error_to_string(code));
    }
}

static void connect_now(struct licence_client *client)
{
    client->act_us = 0;
    client->connection = bufferevent_socket_new(client->base, -1, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(client->connection, on_read, NULL, on_event, client);
    bufferevent_enable(client->connection, EV_READ | EV_WRITE);
    client->heartbeat_sent_us = clock_mono_us();
    /* A failure that is known at once comes through on_event, too. */
    if (bufferevent_socket_connect_hostname(client->connection, NULL, AF_UNSPEC,
                                            client->address.host, client->address.port) != 0 &&
        client->connection != NULL) {
        disconnect(client, "can't be reached");
    }
}

static void act(struct licence_client *client, int64_t now_us)
{
    struct asked *asked;
    if (client->connection == NULL) {
        if (now_us >= client->act_us) {
            connect_now(client);
        }
        return;
    }
    bool waits =
        !client->connected || client->state == LICENCE_REGISTERING || client->heartbeat_id != 0;
    if (waits && now_us - client->heartbeat_sent_us > ANSWER_US) {
        disconnect(client, "does not answer");
        return;
    }
    if (client->state == LICENCE_REFUSED && now_us >= client->act_us) {
        send_register(client);
    }
    if (client->state != LICENCE_LICENSED) {
        return;
    }
    if (now_us >= client->heartbeat_due_us && client->heartbeat_id == 0) {
        send_heartbeat(client, now_us);
    }
    TAILQ_FOREACH (asked, &client->asked, next) {
        if (asked->again_us != 0 && now_us >= asked->again_us) {
            send_acquire(client, asked);
        }
    }
}

static void on_tick(evutil_socket_t fd, short events, void *context)
{
    struct licence_client *client = context;
    int64_t now_us = clock_mono_us();
    (void)fd;
    (void)events;
    act(client, now_us);
    event_add(client->tick, &(struct timeval){.tv_usec = 100000});
    if (client->gone_us != 0 && (now_us >= client->gone_us || client->connection == NULL)) {
        finish_goodbye(client); /* may free the client */
    }
}

struct licence_client *licence_client_new(struct event_base *base,
                                          const struct licence_options *options,
                                          const struct licence_callbacks *callbacks, void *context,
                                          struct error *error)
{
    struct address address;
    if (address_parse(options->address, &address, error) != 0) {
        return NULL;
    }
    struct licence_client *client = memory_new(1, sizeof *client);
    client->base = base;
    client->options = *options;
    client->callbacks = *callbacks;
    client->context = context;
    client->address = address;
    client->backoff_us = RECONNECT_US_MIN;
    TAILQ_INIT(&client->asked);
    if (gethostname(client->host, sizeof client->host - 1) != 0) {
        snprintf(client->host, sizeof client->host, "unknown");
    }
    snprintf(client->reason, sizeof client->reason, "the licensor at %s has not answered yet",
             options->address);
    client->tick = event_new(base, -1, 0, on_tick, client);
    tick_soon(client);
    return client;
}

void licence_client_free(struct licence_client *client)
{
    if (client == NULL) {
        return;
    }
    while (!TAILQ_EMPTY(&client->asked)) {
        free_asked(client, TAILQ_FIRST(&client->asked));
    }
    if (client->connection != NULL) {
        bufferevent_free(client->connection);
    }
    event_free(client->tick);
    free(client);
}

enum licence_state licence_client_state(const struct licence_client *client)
{
    return client->state;
}

const char *licence_client_reason(const struct licence_client *client)
{
    return client->reason;
}

bool licence_client_may_start(const struct licence_client *client)
{
    return client->session[0] != '\0' && client->goodbye_id == 0 &&
           clock_mono_us() < client->leased_until_us - LEASE_MARGIN_US;
}

const char *licence_client_session(const struct licence_client *client)
{
    return client->session;
}

void licence_client_renew(struct licence_client *client)
{
    if (client->connected) {
        start_over(client);
    } else {
        client->session[0] = '\0';
        client->leased_until_us = 0;
    }
}

void licence_client_goodbye(struct licence_client *client, void (*done)(void *context),
                            void *context)
{
    client->gone = done;
    client->gone_context = context;
    client->gone_us = clock_mono_us() + GOODBYE_US;
    if (client->session[0] == '\0' || !client->connected) {
        client->gone_us = 1; /* at the next tick: there is nobody to say it to */
        tick_soon(client);
        return;
    }
    Engenho__ToLicensor message = ENGENHO__TO_LICENSOR__INIT;
    Engenho__Goodbye body = ENGENHO__GOODBYE__INIT;
    body.session = client->session;
    message.body_case = ENGENHO__TO_LICENSOR__BODY_GOODBYE;
    message.goodbye = &body;
    client->goodbye_id = send_message(client, &message);
}
