/*
 * Probes over plain sockets: see the header. Not a client of Kafka, Redis or HTTP: it reads just
 * enough to know.
 */
#include "cli/probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/address.h"
#include "common/clock.h"

/* Size, ApiVersions (18) version 0, correlation id 1, no client id. */
static const char kafka_question[] = {0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, (char)0xff, (char)0xff};
static const char kafka_answer[] = {0, 0, 0, 1, 0, 0};

static int wait_for(int fd, short events, int64_t until_us)
{
    int64_t left_ms = (until_us - clock_mono_us()) / 1000;
    struct pollfd wait = {.fd = fd, .events = events};
    return left_ms > 0 && poll(&wait, 1, (int)left_ms) == 1 ? 0 : -ETIMEDOUT;
}

int probe_connect(const char *text, int64_t until_us)
{
    struct address address;
    char port[8];
    if (address_parse(text, &address, NULL) != 0) {
        return -EINVAL;
    }
    (void)snprintf(port, sizeof(port), "%u", (unsigned)address.port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (getaddrinfo(address.host, port, &hints, &found) != 0) {
        return -EHOSTUNREACH;
    }
    int failed = -ECONNREFUSED;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0) {
        failed = connect(fd, found->ai_addr, found->ai_addrlen) == 0 ? 0 : -errno;
        if (failed == -EINPROGRESS) {
            socklen_t bytes = sizeof(int);
            int state = 0;
            failed = wait_for(fd, POLLOUT, until_us);
            if (!failed && getsockopt(fd, SOL_SOCKET, SO_ERROR, &state, &bytes) == 0) {
                failed = -state;
            }
        }
        if (failed) {
            close(fd);
        }
    }
    freeaddrinfo(found);
    return failed ? failed : fd;
}

/* A question, and what came back. */
struct exchange {
    const char *question;
    size_t question_bytes;
    size_t enough; /* bytes of the answer that say it all */
    char answer[2048];
    size_t length;
};

/* Ask and read until the answer is whole enough, the other side closes, or time is up. */
static void ask(int fd, struct exchange *exchange, int64_t until_us)
{
    size_t bytes = exchange->question_bytes, room = sizeof(exchange->answer) - 1;
    if (send(fd, exchange->question, bytes, MSG_NOSIGNAL) != (ssize_t)bytes) {
        return;
    }
    while (exchange->length < room && exchange->length < exchange->enough &&
           wait_for(fd, POLLIN, until_us) == 0) {
        ssize_t got = recv(fd, exchange->answer + exchange->length, room - exchange->length, 0);
        if (got <= 0) {
            break;
        }
        exchange->length += (size_t)got;
    }
    exchange->answer[exchange->length] = 0;
}

static bool understand(enum probe_type type, const char *answer, size_t length,
                       const char **ret_said)
{
    *ret_said = answer;
    switch (type) {
    case PROBE_KAFKA:
        *ret_said = "it does not answer as Kafka does";
        return length >= 10 && memcmp(answer + 4, kafka_answer, sizeof(kafka_answer)) == 0;
    case PROBE_REDIS:
        return strncmp(answer, "+PONG", 5) == 0 || strncmp(answer, "-NOAUTH", 7) == 0;
    case PROBE_READYZ:
        *ret_said = strstr(answer, "\r\n\r\n") ? strstr(answer, "\r\n\r\n") + 4 : "";
        return strncmp(answer, "HTTP/1.", 7) == 0 && strncmp(answer + 8, " 200", 4) == 0;
    }
    return false;
}

bool probe_answers(enum probe_type type, const char *address, char *reason, size_t reason_bytes)
{
    char http[512];
    int64_t until_us = clock_mono_us() + PROBE_MS_MAX * 1000;
    struct exchange exchange = {
        .question = kafka_question, .question_bytes = sizeof(kafka_question), .enough = 10};
    if (type == PROBE_REDIS) {
        exchange.question = "PING\r\n";
        exchange.question_bytes = 6;
        exchange.enough = 5;
    } else if (type == PROBE_READYZ) {
        exchange.question_bytes = (size_t)snprintf(
            http, sizeof(http), "GET /readyz HTTP/1.0\r\nHost: %.256s\r\n\r\n", address);
        exchange.question = http;
        exchange.enough = sizeof(exchange.answer);
    }
    int fd = probe_connect(address, until_us);
    if (fd < 0) {
        (void)snprintf(reason, reason_bytes, "%s does not accept connections: %s", address,
                       strerror(-fd));
        return false;
    }
    ask(fd, &exchange, until_us);
    close(fd);
    if (exchange.length == 0) {
        (void)snprintf(reason, reason_bytes, "%s does not answer", address);
        return false;
    }
    const char *said;
    bool good = understand(type, exchange.answer, exchange.length, &said);
    (void)snprintf(reason, reason_bytes, "%.*s", (int)strcspn(said, "\r\n"), said);
    return good;
}
