/*
 * Load for a licensor, over the wire: many clients, each with many requests on their way.
 *
 *     bench_licensor PORT CLIENTS DEPTH SECONDS RATE held|request [IDLE]
 *
 * Each client registers, then each of its DEPTH places takes a seat and gives it back, again and
 * again: as fast as it is answered, or, with a RATE, so many operations a second in all, each
 * measured from when it was due, after a quarter of a second. IDLE: take every place's seat, then
 * only send heartbeats every 5 s. It prints one line of JSON. A benchmark; no test.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/frames.h"
#include "common/memory.h"
#include "proto/licensor.pb-c.h"
#include "tests/bench/calm.h"

#define FRAME_BYTES_MAX (1024 * 1024)
#define READ_BYTES 65536
#define HEARTBEAT_US (5 * SECOND_US)
#define ANSWERS_MAX 2000000
#define READY_MAX 256
#define WARM_US 250000 /* with a rate: what clients cost that have just come is not measured */
#define DUE_EVERY_US                                                                               \
    100 /* how often it looks what is due; spinning would take the core of those it measures */

enum place_state { PLACE_FREE, PLACE_ASKED, PLACE_HELD, PLACE_GIVING };

/* One seat that is taken and given back. */
struct place {
    enum place_state state;
    uint64_t number; /* of the request */
    uint64_t token;
    int64_t due_us;
};

/* What one operation took. */
struct answer {
    int64_t due_us;
    uint32_t took_us;
};

struct client {
    int fd;
    char name[32];
    char session[64];
    uint64_t requests;
    struct place *places;
    struct buf in, out;
};

struct bench {
    uint16_t port;
    size_t clients_count, depth;
    int64_t run_us;
    double rate; /* operations a second; 0: as many as are answered */
    Engenho__SeatKind kind;
    bool idle;
    struct client *clients;
    int epoll_fd; /* of those that may be read; a turn costs what is ready, not all there are */
    size_t registered, next_client, next_place;
    size_t held; /* when idle */
    uint64_t operations, refused, sent;
    bool measuring;
    struct answer *answers;
    size_t answers_count;
    struct calm *calm;
};

static void fail(const char *what)
{
    fprintf(stderr, "bench_licensor: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void send_message(struct client *client, Engenho__ToLicensor *message)
{
    size_t bytes = engenho__to_licensor__get_packed_size(message);
    uint8_t header[FRAME_HEADER_BYTES];
    frame_header(header, (uint32_t)bytes);
    if (buf_append(&client->out, header, sizeof(header)) != 0) {
        fail("too much to send");
    }
    uint8_t *place = buf_reserve(&client->out, bytes);
    if (place == NULL) {
        fail("too much to send");
    }
    buf_commit(&client->out, engenho__to_licensor__pack(message, place));
}

static void send_register(struct client *client)
{
    Engenho__ToLicensor message = ENGENHO__TO_LICENSOR__INIT;
    Engenho__Register body = ENGENHO__REGISTER__INIT;
    message.id = UINT32_MAX;
    body.name = client->name;
    body.agent = (char *)(uintptr_t) "default";
    body.host = (char *)(uintptr_t) "bench";
    body.pid = getpid();
    message.body_case = ENGENHO__TO_LICENSOR__BODY_REGISTER;
    message.register_ = &body;
    send_message(client, &message);
}

static void send_heartbeat(struct client *client)
{
    Engenho__ToLicensor message = ENGENHO__TO_LICENSOR__INIT;
    Engenho__Heartbeat body = ENGENHO__HEARTBEAT__INIT;
    message.id = UINT32_MAX;
    body.session = client->session;
    message.body_case = ENGENHO__TO_LICENSOR__BODY_HEARTBEAT;
    message.heartbeat = &body;
    send_message(client, &message);
}

static void send_acquire(struct bench *bench, struct client *client, size_t index)
{
    struct place *place = &client->places[index];
    Engenho__ToLicensor message = ENGENHO__TO_LICENSOR__INIT;
    Engenho__Acquire body = ENGENHO__ACQUIRE__INIT;
    char request[96], production[32];
    place->number = ++client->requests;
    place->state = PLACE_ASKED;
    snprintf(request, sizeof(request), "%s:%" PRIu64, client->session, place->number);
    snprintf(production, sizeof(production), "production%zu", index);
    message.id = index + 1;
    body.session = client->session;
    body.request = request;
    body.kind = bench->kind;
    body.production =
        bench->kind == ENGENHO__SEAT_KIND__SEAT_KIND_HELD ? production : request + strlen(request);
    message.body_case = ENGENHO__TO_LICENSOR__BODY_ACQUIRE;
    message.acquire = &body;
    send_message(client, &message);
    bench->sent++;
}

static void send_release(struct bench *bench, struct client *client, size_t index)
{
    struct place *place = &client->places[index];
    Engenho__ToLicensor message = ENGENHO__TO_LICENSOR__INIT;
    Engenho__Release body = ENGENHO__RELEASE__INIT;
    char request[96];
    place->state = PLACE_GIVING;
    snprintf(request, sizeof(request), "%s:%" PRIu64, client->session, place->number);
    message.id = index + 1;
    body.session = client->session;
    body.request = request;
    body.token = place->token;
    message.body_case = ENGENHO__TO_LICENSOR__BODY_RELEASE;
    message.release = &body;
    send_message(client, &message);
    bench->sent++;
}

/* The place's next operation. */
static void go_on(struct bench *bench, struct client *client, size_t index, int64_t due_us)
{
    client->places[index].due_us = due_us;
    if (client->places[index].state == PLACE_FREE) {
        send_acquire(bench, client, index);
    } else if (client->places[index].state == PLACE_HELD) {
        send_release(bench, client, index);
    }
}

static void measure(struct bench *bench, const struct place *place)
{
    if (bench->measuring) {
        bench->operations++;
        if (bench->answers_count < ANSWERS_MAX) {
            bench->answers[bench->answers_count++] = (struct answer){
                .due_us = place->due_us, .took_us = (uint32_t)(clock_mono_us() - place->due_us)};
        }
    }
}

static void on_message(struct bench *bench, struct client *client,
                       const Engenho__FromLicensor *message)
{
    if (message->id == UINT32_MAX) {
        if (message->body_case == ENGENHO__FROM_LICENSOR__BODY_REGISTERED) {
            snprintf(client->session, sizeof(client->session), "%s", message->registered->session);
            bench->registered++;
        } else if (message->refused != NULL) {
            fprintf(stderr, "bench_licensor: %s\n", message->refused->text);
            exit(1);
        }
        return;
    }
    if (message->id == 0 || message->id > bench->depth) {
        return;
    }
    size_t index = (size_t)message->id - 1;
    struct place *place = &client->places[index];
    measure(bench, place);
    if (message->refused != NULL) {
        bench->refused++;
        place->state = PLACE_FREE;
    } else if (message->body_case == ENGENHO__FROM_LICENSOR__BODY_GRANTED) {
        place->token = message->granted->token;
        place->state = PLACE_HELD;
        if (bench->idle && ++bench->held == bench->clients_count * bench->depth) {
            printf("held\n");
            fflush(stdout);
        }
    } else {
        place->state = PLACE_FREE;
    }
    if (bench->rate <= 0 && !bench->idle) {
        go_on(bench, client, index, clock_mono_us());
    }
}

static void read_from(struct bench *bench, struct client *client)
{
    uint8_t *room = buf_reserve(&client->in, READ_BYTES);
    if (room == NULL) {
        fail("too much to read");
    }
    ssize_t bytes = recv(client->fd, room, READ_BYTES, MSG_DONTWAIT);
    if (bytes == 0 || (bytes < 0 && errno != EAGAIN)) {
        fail("the licensor closed a connection");
    }
    if (bytes < 0) {
        return;
    }
    buf_commit(&client->in, (size_t)bytes);
    const uint8_t *payload;
    size_t payload_bytes, frame_bytes, done = 0;
    while (frame_next(client->in.data + done, client->in.length - done, FRAME_BYTES_MAX, &payload,
                      &payload_bytes, &frame_bytes) == 1) {
        Engenho__FromLicensor *message =
            engenho__from_licensor__unpack(NULL, payload_bytes, payload);
        if (message == NULL) {
            fail("an answer that is no message");
        }
        on_message(bench, client, message);
        engenho__from_licensor__free_unpacked(message, NULL);
        done += frame_bytes;
    }
    buf_consume(&client->in, done);
}

static void write_to(struct client *client)
{
    if (client->out.length > 0) {
        ssize_t bytes = send(client->fd, client->out.data, client->out.length, MSG_NOSIGNAL);
        if (bytes < 0 && errno != EAGAIN) {
            fail("send");
        }
        if (bytes > 0) {
            buf_consume(&client->out, (size_t)bytes);
        }
    }
}

static void turn(struct bench *bench, long timeout_us)
{
    for (size_t i = 0; i < bench->clients_count; i++) {
        write_to(&bench->clients[i]);
    }
    struct epoll_event ready[READY_MAX];
    struct timespec timeout = {.tv_nsec = timeout_us * 1000};
    int count = epoll_pwait2(bench->epoll_fd, ready, READY_MAX, &timeout, NULL);
    if (count < 0) {
        fail("epoll");
    }
    for (int i = 0; i < count; i++) {
        read_from(bench, &bench->clients[ready[i].data.u64]);
    }
}

static void open_client(struct bench *bench, size_t number)
{
    struct client *client = &bench->clients[number];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(bench->port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    client->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (client->fd < 0 || connect(client->fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        fail("connect");
    }
    int on = 1;
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    snprintf(client->name, sizeof(client->name), "bench-%zu", number);
    client->places = memory_new(bench->depth, sizeof(struct place));
    buf_init(&client->in, 16 * FRAME_BYTES_MAX);
    buf_init(&client->out, 16 * FRAME_BYTES_MAX);
    struct epoll_event readable = {.events = EPOLLIN, .data.u64 = number};
    if (epoll_ctl(bench->epoll_fd, EPOLL_CTL_ADD, client->fd, &readable) != 0) {
        fail("epoll");
    }
    send_register(client);
}

/* Send what is due by now, in turns over clients and places; a place that waits is passed over. */
static void send_due(struct bench *bench, int64_t since_us)
{
    double due = (double)(clock_mono_us() - since_us) / (double)SECOND_US * bench->rate;
    size_t busy = 0, places = bench->clients_count * bench->depth;
    while ((double)bench->sent < due && busy < places) {
        struct client *client = &bench->clients[bench->next_client];
        struct place *place = &client->places[bench->next_place];
        size_t index = bench->next_place;
        bench->next_client = (bench->next_client + 1) % bench->clients_count;
        if (bench->next_client == 0) {
            bench->next_place = (bench->next_place + 1) % bench->depth;
        }
        if (place->state == PLACE_ASKED || place->state == PLACE_GIVING) {
            busy++;
            continue;
        }
        int64_t due_us =
            since_us + (int64_t)((double)bench->sent / bench->rate * (double)SECOND_US);
        go_on(bench, client, index, due_us);
    }
}

static void start_all(struct bench *bench)
{
    for (size_t i = 0; i < bench->clients_count; i++) {
        for (size_t p = 0; p < bench->depth; p++) {
            go_on(bench, &bench->clients[i], p, clock_mono_us());
        }
    }
}

static void run(struct bench *bench)
{
    int64_t since_us = clock_mono_us(), beat_us = since_us;
    if (bench->rate <= 0) {
        start_all(bench);
    }
    bench->measuring = bench->rate <= 0;
    for (int64_t now_us = since_us; now_us - since_us < bench->run_us; now_us = clock_mono_us()) {
        if (bench->rate > 0) {
            bench->measuring = now_us - since_us >= WARM_US;
            calm_look(bench->calm, now_us);
            send_due(bench, since_us);
        }
        if (now_us - beat_us >= HEARTBEAT_US) {
            beat_us = now_us;
            for (size_t i = 0; i < bench->clients_count; i++) {
                send_heartbeat(&bench->clients[i]);
            }
        }
        turn(bench, bench->rate > 0 ? DUE_EVERY_US : 50000);
    }
    bench->measuring = false;
}

static int by_time(const void *a, const void *b)
{
    uint32_t left = ((const struct answer *)a)->took_us;
    uint32_t right = ((const struct answer *)b)->took_us;
    return left < right ? -1 : left > right;
}

/* Of the first `count` answers, which are sorted. */
static uint32_t quantile(const struct bench *bench, size_t count, double share)
{
    return count == 0 ? 0 : bench->answers[(size_t)((double)count * share)].took_us;
}

/* Those that were asked for and given while the machine ran at its own speed come first. */
static size_t calm_answers(struct bench *bench)
{
    size_t calm = 0;
    for (size_t i = 0; i < bench->answers_count; i++) {
        struct answer answer = bench->answers[i];
        if (calm_was(bench->calm, answer.due_us, answer.due_us + answer.took_us)) {
            bench->answers[i] = bench->answers[calm];
            bench->answers[calm++] = answer;
        }
    }
    return calm;
}

static void print_result(struct bench *bench)
{
    calm_end(bench->calm);
    size_t all = bench->answers_count, calm = calm_answers(bench);
    qsort(bench->answers, calm, sizeof(*bench->answers), by_time);
    uint32_t calm_p50_us = quantile(bench, calm, 0.5), calm_p99_us = quantile(bench, calm, 0.99);
    qsort(bench->answers, all, sizeof(*bench->answers), by_time);
    printf("{\"operations\": %" PRIu64 ", \"refused\": %" PRIu64
           ", \"p50_us\": %u, \"p99_us\": %u, \"calm\": %.4f, \"calm_p50_us\": %u, "
           "\"calm_p99_us\": %u}\n",
           bench->operations, bench->refused, quantile(bench, all, 0.5), quantile(bench, all, 0.99),
           all > 0 ? (double)calm / (double)all : 1, calm_p50_us, calm_p99_us);
}

int main(int argc, char **argv)
{
    if (argc < 7) {
        fprintf(stderr,
                "usage: bench_licensor PORT CLIENTS DEPTH SECONDS RATE held|request [IDLE]\n");
        return 2;
    }
    struct bench bench = {.port = (uint16_t)strtoul(argv[1], NULL, 10),
                          .clients_count = strtoul(argv[2], NULL, 10),
                          .depth = strtoul(argv[3], NULL, 10),
                          .run_us = (int64_t)(strtod(argv[4], NULL) * (double)SECOND_US),
                          .rate = strtod(argv[5], NULL),
                          .kind = strcmp(argv[6], "held") == 0
                                      ? ENGENHO__SEAT_KIND__SEAT_KIND_HELD
                                      : ENGENHO__SEAT_KIND__SEAT_KIND_REQUEST,
                          .idle = argc > 7};
    bench.clients = memory_new(bench.clients_count, sizeof(struct client));
    bench.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (bench.epoll_fd < 0) {
        fail("epoll");
    }
    bench.answers = memory_new(ANSWERS_MAX, sizeof(*bench.answers));
    bench.calm = calm_new();
    for (size_t i = 0; i < bench.clients_count; i++) {
        open_client(&bench, i);
    }
    while (bench.registered < bench.clients_count) {
        turn(&bench, 100000);
    }
    printf("registered\n");
    fflush(stdout);
    if (getchar() == EOF) { /* the one who measures says when */
        return 1;
    }
    run(&bench);
    print_result(&bench);
    calm_free(bench.calm);
    return 0;
}
