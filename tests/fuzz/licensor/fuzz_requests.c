/*
 * Messages of clients, many on some connections, from the bytes of a frame to its answer: the
 * licensor's own checks (requests.c), its way of answers (call.c), its tick and the memory store.
 * Sockets, Redis, licence files, the clock and randomness are this file, in the place of server.c,
 * redis.c, licences.c, clock.c and random.c: the input is all that happens.
 *
 * Each message is answered once, by one that can be read, or its connection is closed; a refusal
 * says why; what must always hold of the store holds after each transition; nothing is left of
 * connections that are gone.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/random.h"
#include "licensor/metrics_table.h"
#include "licensor/service_private.h"
#include "licensor/store/memory.h"
#include "proto/licensor.pb-c.h"
#include "tests/fuzz/fuzz.h"

#define CONNECTIONS 3
#define START_MS INT64_C(1767225600000)

struct connection {
    uint64_t number; /* 0: closed */
    void *data;
    bool doomed;
    bool gone; /* its client, before the message was read */
    unsigned unanswered;
    /* of the latest grant and session that it was told of, so that inputs may mean them */
    char request[REQUEST_BYTES_MAX + 1];
    char session[SESSION_BYTES_MAX + 1];
    uint64_t token;
};

static struct plant {
    struct service service;
    struct config config;
    struct store store; /* memory, or away */
    struct memory *memory;
    struct connection connections[CONNECTIONS];
    uint64_t numbers, sessions;
    int64_t unix_ms, mono_ms;
    bool away;
    uint64_t
        highest_op; /* that was seen, as HELLO says it: past the store's own, writes were lost */
    const struct connection *asking; /* whose message is being handled, and its id */
    uint64_t id;
    unsigned replies;
} plant;

/* The clock and randomness --------------------------------------------------------------------- */

int64_t clock_mono_us(void)
{
    return plant.mono_ms * 1000;
}

int64_t clock_unix_us(void)
{
    return plant.unix_ms * 1000;
}

void random_hex(char *text, size_t bytes)
{
    snprintf(text, 2 * bytes + 1, "%016" PRIx64, ++plant.sessions);
}

/* Licence files -------------------------------------------------------------------------------- */

int licences_load(const struct licences_source *source, struct limits *ret_limits,
                  struct error *error)
{
    static const struct licence licence = {
        .customer = "plant",
        .edition = EDITION_ENTERPRISE,
        .keys = 2,
        .productions = 3,
        .pools = {{.pool = "productions", .cap = 2},
                  {.pool = "requests", .cap = 2},
                  {.pool = "full", .cap = 1},
                  {.pool = "a",
                   .cap = 2,
                   .shared = true,
                   .reserved = {{.agent = "x", .seats = 1}},
                   .reserved_count = 1}},
        .pools_count = 4,
        .chains = {{.name = "a", .pools = {"a", "full"}, .count = 2}},
        .chains_count = 1,
        .valid_until_us = INT64_C(4102444800000000),
    };
    limits_init(ret_limits);
    int rc = limits_add(ret_limits, &licence, NULL, &source->time, error);
    limits_close(ret_limits);
    if (source->demo) {
        limits_set_demo(ret_limits);
    }
    return rc;
}

int licences_install(const struct licences_source *source, const void *file, size_t bytes,
                     struct error *error)
{
    (void)source;
    (void)file;
    return bytes == 0 ? 0 : error_set(error, bytes % 2 != 0 ? -EXDEV : -EINVAL, "refused");
}

/* Redis ---------------------------------------------------------------------------------------- */

bool redis_is_up(const struct redis *redis)
{
    (void)redis;
    return !plant.away;
}

const char *redis_reason(const struct redis *redis)
{
    (void)redis;
    return plant.away ? "redis is away" : "";
}

uint64_t redis_highest_op(const struct redis *redis)
{
    (void)redis;
    return plant.highest_op;
}

void redis_time(struct redis *redis, void (*done)(void *context, int64_t now_ms), void *context)
{
    (void)redis;
    done(context, plant.unix_ms);
}

static void submit(struct store *store, const struct store_request *request, store_done done,
                   void *context)
{
    (void)store;
    if (plant.away) {
        struct store_answer answer = {.error = -EIO};
        done(context, &answer);
        return;
    }
    enum store_verb verb = request->verb;
    memory_store_set_now(plant.memory, plant.unix_ms);
    store_submit(memory_store(plant.memory), request, done, context);
    struct error error;
    REQUIRE(memory_store_check(plant.memory, verb == STORE_TICK || verb == STORE_LIMITS, &error) ==
            0);
}

/* Connections ---------------------------------------------------------------------------------- */

struct connection *server_find(struct server *server, uint64_t number)
{
    (void)server;
    for (size_t i = 0; i < CONNECTIONS; i++) {
        struct connection *connection = &plant.connections[i];
        if (number != 0 && connection->number == number && !connection->doomed) {
            return connection;
        }
    }
    return NULL;
}

void server_each(struct server *server, void (*visit)(void *context, struct connection *connection),
                 void *context)
{
    (void)server;
    for (size_t i = 0; i < CONNECTIONS; i++) {
        if (plant.connections[i].number != 0) {
            visit(context, &plant.connections[i]);
        }
    }
}

uint64_t connection_number(const struct connection *connection)
{
    return connection->number;
}

const char *connection_peer(const struct connection *connection)
{
    (void)connection;
    return "127.0.0.1:1";
}

bool connection_is_gone(const struct connection *connection)
{
    return connection->gone;
}

void *connection_data(const struct connection *connection)
{
    return connection->data;
}

void connection_set_data(struct connection *connection, void *data)
{
    connection->data = data;
}

void connection_answered(struct connection *connection)
{
    REQUIRE(connection->unanswered > 0);
    connection->unanswered--;
}

void connection_close(struct connection *connection, const char *why)
{
    REQUIRE(why[0] != '\0');
    connection->doomed = true;
}

void connection_send(struct connection *connection, const uint8_t *payload, size_t bytes)
{
    Engenho__FromLicensor *message = engenho__from_licensor__unpack(NULL, bytes, payload);
    REQUIRE(message != NULL && !connection->doomed);
    if (message->id != 0) {
        REQUIRE(connection == plant.asking && message->id == plant.id);
        plant.replies++;
    }
    if (message->refused != NULL) {
        REQUIRE(message->id != 0);
        REQUIRE(message->refused->text[0] != '\0' && message->refused->text_pt[0] != '\0');
    } else if (message->body_case == ENGENHO__FROM_LICENSOR__BODY_GRANTED) {
        REQUIRE(message->granted->pool[0] != '\0' && message->granted->life_left_us >= 0);
        snprintf(connection->request, sizeof(connection->request), "%s", message->granted->request);
        connection->token = message->granted->token;
    } else if (message->body_case == ENGENHO__FROM_LICENSOR__BODY_REGISTERED) {
        snprintf(connection->session, sizeof(connection->session), "%s",
                 message->registered->session);
    }
    engenho__from_licensor__free_unpacked(message, NULL);
}

/* What happens --------------------------------------------------------------------------------- */

struct input {
    const uint8_t *data;
    size_t bytes;
};

static unsigned next_byte(struct input *input)
{
    if (input->bytes == 0) {
        return 0;
    }
    input->bytes--;
    return *input->data++;
}

static void put_text(char **member, const char *text)
{
    if ((*member)[0] == '\0') {
        if (*member != (char *)protobuf_c_empty_string) {
            free(*member);
        }
        *member = strdup(text);
        REQUIRE(*member != NULL);
    }
}

/* No input finds the id of a session by itself: texts that are empty become the client's own. */
static void make_own(const struct connection *connection, Engenho__ToLicensor *message)
{
    switch (message->body_case) {
    case ENGENHO__TO_LICENSOR__BODY_REGISTER:
        put_text(&message->register_->session, connection->session);
        break;
    case ENGENHO__TO_LICENSOR__BODY_HEARTBEAT:
        put_text(&message->heartbeat->session, connection->session);
        break;
    case ENGENHO__TO_LICENSOR__BODY_ACQUIRE:
        put_text(&message->acquire->session, connection->session);
        put_text(&message->acquire->request, connection->request);
        break;
    case ENGENHO__TO_LICENSOR__BODY_RELEASE:
        put_text(&message->release->session, connection->session);
        put_text(&message->release->request, connection->request);
        message->release->token += connection->token;
        break;
    case ENGENHO__TO_LICENSOR__BODY_GOODBYE:
        put_text(&message->goodbye->session, connection->session);
        break;
    case ENGENHO__TO_LICENSOR__BODY_EXPLAIN:
        put_text(&message->explain->request, connection->request);
        break;
    case ENGENHO__TO_LICENSOR__BODY_RELEASE_BY_OPERATOR:
        message->release_by_operator->token += connection->token;
        break;
    default:
        break;
    }
}

/* A repeated field, while it is longer than it came. */
struct list {
    uint8_t *count, *items; /* where the message keeps them: a size_t and a pointer */
    size_t n;
    void **kept, **longer;
};

/* Have the first list of the message's body `times` times; no input makes long ones by itself. */
static struct list make_longer(Engenho__ToLicensor *message, size_t times)
{
    struct list list = {0};
    if (message->body_case == ENGENHO__TO_LICENSOR__BODY__NOT_SET || times < 2) {
        return list;
    }
    ProtobufCMessage *body = &message->register_->base; /* all bodies begin alike */
    for (unsigned i = 0; i < body->descriptor->n_fields && list.longer == NULL; i++) {
        const ProtobufCFieldDescriptor *field = &body->descriptor->fields[i];
        list.count = (uint8_t *)body + field->quantifier_offset;
        list.items = (uint8_t *)body + field->offset;
        memcpy(&list.n, list.count, field->label == PROTOBUF_C_LABEL_REPEATED ? sizeof(list.n) : 0);
        if (field->label == PROTOBUF_C_LABEL_REPEATED && list.n > 0) {
            size_t total = list.n * times;
            memcpy(&list.kept, list.items, sizeof(list.kept));
            list.longer = malloc(total * sizeof(*list.longer));
            REQUIRE(list.longer != NULL);
            for (size_t item = 0; item < total; item++) {
                list.longer[item] = list.kept[item % list.n];
            }
            memcpy(list.count, &total, sizeof(total));
            memcpy(list.items, &list.longer, sizeof(list.longer));
        }
    }
    return list;
}

static void make_short_again(struct list *list)
{
    if (list->longer != NULL) {
        memcpy(list->count, &list->n, sizeof(list->n));
        memcpy(list->items, &list->kept, sizeof(list->kept));
        free(list->longer);
    }
}

static uint8_t *pack(const Engenho__ToLicensor *message, size_t *ret_bytes)
{
    *ret_bytes = engenho__to_licensor__get_packed_size(message);
    uint8_t *frame = malloc(*ret_bytes + 1);
    REQUIRE(frame != NULL);
    engenho__to_licensor__pack(message, frame);
    return frame;
}

/* The frame as it goes in: a copy of just its size, or made the client's own. Returns owned. */
static uint8_t *make_frame(const struct connection *connection, size_t times, const uint8_t *data,
                           size_t *bytes)
{
    Engenho__ToLicensor *message =
        times > 0 ? engenho__to_licensor__unpack(NULL, *bytes, data) : NULL;
    if (message != NULL) {
        make_own(connection, message);
        struct list list = make_longer(message, times);
        uint8_t *frame = pack(message, bytes);
        make_short_again(&list);
        engenho__to_licensor__free_unpacked(message, NULL);
        return frame;
    }
    uint8_t *frame = malloc(*bytes + (*bytes == 0));
    REQUIRE(frame != NULL);
    if (*bytes > 0) {
        memcpy(frame, data, *bytes);
    }
    return frame;
}

static uint64_t id_of(const uint8_t *frame, size_t bytes)
{
    Engenho__ToLicensor *message = engenho__to_licensor__unpack(NULL, bytes, frame);
    uint64_t id = message != NULL ? message->id : 0;
    if (message != NULL) {
        engenho__to_licensor__free_unpacked(message, NULL);
    }
    return id;
}

static void end_connection(struct connection *connection)
{
    if (connection->number != 0) {
        requests_closed(&plant.service, connection);
        connection->number = 0;
        connection->data = NULL;
    }
}

/* One message comes in and is answered; takes the frame. */
static void handle(struct connection *connection, uint8_t *frame, size_t bytes)
{
    if (connection->number == 0) {
        connection->number = ++plant.numbers;
        connection->doomed = false;
    }
    plant.asking = connection;
    plant.id = id_of(frame, bytes);
    plant.replies = 0;
    connection->unanswered = 1;
    requests_message(&plant.service, connection, frame, bytes);
    REQUIRE(connection->unanswered == 0);
    REQUIRE(connection->doomed ? plant.id == 0
                               : plant.replies == 1 || (connection->gone && plant.replies == 0));
    plant.asking = NULL;
    free(frame);
    if (connection->doomed) {
        end_connection(connection);
    }
}

/* `times` as make_frame takes it; 0: the bytes as they are. */
static void send_message(struct connection *connection, size_t times, struct input *input)
{
    size_t bytes = next_byte(input) << 8;
    bytes |= next_byte(input);
    if (bytes > input->bytes) {
        bytes = input->bytes;
    }
    const uint8_t *data = input->data;
    input->data += bytes;
    input->bytes -= bytes;
    uint8_t *frame = make_frame(connection, times, data, &bytes);
    handle(connection, frame, bytes);
}

/* Most of what happens, happens to who has registered. */
static void enrol(struct connection *connection, char *name, char *agent)
{
    Engenho__ToLicensor message = ENGENHO__TO_LICENSOR__INIT;
    Engenho__Register body = ENGENHO__REGISTER__INIT;
    body.name = name;
    body.agent = agent;
    message.id = 1;
    message.body_case = ENGENHO__TO_LICENSOR__BODY_REGISTER;
    message.register_ = &body;
    size_t bytes;
    uint8_t *frame = pack(&message, &bytes);
    handle(connection, frame, bytes);
    REQUIRE(connection->session[0] != '\0');
}

static void ignore(void *context, const struct store_answer *answer)
{
    (void)context;
    (void)answer;
}

static void go_away(bool away)
{
    if (plant.away != away) {
        plant.away = away;
        plant.service.clock.known = false;
        if (!away) {
            const struct store_request hello = {
                .verb = STORE_HELLO, .highest_op = plant.highest_op, .lease_ms = 30000};
            store_submit(&plant.store, &hello, ignore, NULL);
            ticker_send_limits(&plant.service);
            ticker_run(&plant.service);
        }
        requests_notice_store_down(&plant.service, away);
        if (!away) {
            requests_ask_again(&plant.service);
        }
    }
}

/*
 * A step: of its first byte two bits say which connection and three what happens; then what that
 * needs.
 */
static void step(struct input *input)
{
    unsigned word = next_byte(input);
    struct connection *connection = &plant.connections[(word & 3) % CONNECTIONS];
    connection->gone = (word & 64) != 0;
    int64_t ms;
    switch (word >> 2 & 7) {
    case 0:
        end_connection(connection);
        break;
    case 1: /* time goes by */
        ms = (int64_t)next_byte(input) * 200;
        plant.unix_ms += ms;
        plant.mono_ms += ms;
        ticker_run(&plant.service);
        break;
    case 2: /* the store's clock steps */
        plant.unix_ms += ((int64_t)next_byte(input) - 128) * 1000;
        ticker_run(&plant.service);
        break;
    case 3: /* the store goes away, or comes back with or without what was written last */
        plant.highest_op += (word & 32) != 0 ? 1000000 : 0;
        go_away(!plant.away);
        break;
    case 4:
        send_message(connection, 0, input);
        break;
    case 5: /* its list so many times as long */
        send_message(connection, 1 + (size_t)next_byte(input) * 5, input);
        break;
    default:
        send_message(connection, 1, input);
        break;
    }
}

static void open_plant(void)
{
    memset(&plant, 0, sizeof(plant));
    plant.unix_ms = START_MS;
    plant.mono_ms = 1000000;
    plant.config = (struct config){.lease_us = 30 * SECOND_US,
                                   .heartbeat_us = 5 * SECOND_US,
                                   .reuse_life_us = 30 * SECOND_US,
                                   .memory_us = 60 * SECOND_US,
                                   .redis_backoff_us_max = 2 * SECOND_US,
                                   .waiting_max = 3};
    plant.memory = memory_store_new();
    plant.store.submit = submit;
    struct service *service = &plant.service;
    service->config = &plant.config;
    service->store = &plant.store;
    service->holders = holders_new();
    service->metrics = metrics_new("licensor", licensor_metrics, licensor_metrics_count);
    snprintf(service->instance, sizeof(service->instance), "fuzz");
    ticker_run(service);
    static char w1[] = "w1", w2[] = "w2", ordinary[] = "default", reserved[] = "x";
    enrol(&plant.connections[0], w1, ordinary);
    enrol(&plant.connections[1], w2, reserved);
}

static void close_plant(void)
{
    for (size_t i = 0; i < CONNECTIONS; i++) {
        end_connection(&plant.connections[i]);
    }
    REQUIRE(plant.service.owners == NULL);
    metrics_free(plant.service.metrics);
    holders_free(plant.service.holders);
    memory_store_free(plant.memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    log_start("fuzz", LOG_LEVEL_ERROR);
    struct input input = {.data = data, .bytes = bytes};
    open_plant();
    while (input.bytes > 0) {
        step(&input);
    }
    close_plant();
    return 0;
}
