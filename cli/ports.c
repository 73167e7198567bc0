/*
 * Choose ports. See the header.
 */
#include "cli/ports.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/data_directory.h"
#include "common/address.h"

#define PORT_MIN 20000
#define PORT_MAX 32000

static const char *const names[PORTS_USES] = {"kafka", "controller", "redis", "licensor", "api"};

static int try_listen(const struct sockaddr *where, socklen_t bytes)
{
    int on = 1;
    int fd = socket(where->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    /* As the servers do: a connection that still winds down is no obstacle. */
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    int failed = bind(fd, where, bytes) != 0 || listen(fd, 1) != 0 ? -errno : 0;
    close(fd);
    return failed;
}

static int try_port(uint16_t port)
{
    struct sockaddr_in where = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    return try_listen((struct sockaddr *)&where, sizeof(where));
}

/* The same directory starts at the same place, so that two that were copied apart rarely meet. */
static uint32_t place_of(const char *path)
{
    uint32_t hash = 2166136261U;
    for (; *path; path++) {
        hash = (hash ^ (uint8_t)*path) * 16777619U;
    }
    return hash % (PORT_MAX - PORT_MIN);
}

static bool taken(const struct ports *ports, uint16_t port)
{
    for (size_t i = 0; i < PORTS_USES; i++) {
        if (ports->port[i] == port) {
            return true;
        }
    }
    return false;
}

int ports_choose(struct ports *ret_ports, const char *path, unsigned *ret_moved,
                 struct error *error)
{
    struct ports ports = {.port = {0}};
    unsigned moved = 0;
    json_t *remembered = data_directory_read_json(path, "ports.json");
    for (size_t i = 0; i < PORTS_USES; i++) {
        json_int_t port = json_integer_value(json_object_get(remembered, names[i]));
        if (port > 0 && port <= UINT16_MAX && !taken(&ports, (uint16_t)port)) {
            if (try_port((uint16_t)port) == 0) {
                ports.port[i] = (uint16_t)port;
            } else {
                moved++;
            }
        }
    }
    json_decref(remembered);
    uint32_t at = place_of(path);
    for (size_t i = 0; i < PORTS_USES; i++) {
        for (int tries = 0; ports.port[i] == 0; tries++) {
            uint16_t port = (uint16_t)(PORT_MIN + at++ % (PORT_MAX - PORT_MIN));
            if (tries > PORT_MAX - PORT_MIN) {
                return error_set(error, -EADDRINUSE,
                                 "no free port of 127.0.0.1 between %d and %d: end what uses them",
                                 PORT_MIN, PORT_MAX);
            }
            if (!taken(&ports, port) && try_port(port) == 0) {
                ports.port[i] = port;
            }
        }
    }
    json_t *json = json_object();
    for (size_t i = 0; i < PORTS_USES; i++) {
        json_object_set_new(json, names[i], json_integer(ports.port[i]));
    }
    int failed = data_directory_write_json(path, "ports.json", json, error);
    json_decref(json);
    if (!failed) {
        *ret_ports = ports;
        *ret_moved = moved;
    }
    return failed;
}

int ports_check(const char *text, struct error *error)
{
    struct address address;
    char port[8];
    int failed = address_parse(text, &address, error);
    if (failed) {
        return failed;
    }
    (void)snprintf(port, sizeof(port), "%u", (unsigned)address.port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    int unknown = getaddrinfo(address.host, port, &hints, &found);
    if (unknown) {
        return error_set(error, -EADDRNOTAVAIL, "can't listen on %s: %s", text,
                         gai_strerror(unknown));
    }
    failed = try_listen(found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    if (failed == -EADDRINUSE) {
        return error_set(
            error, failed,
            "the port of %s is in use by another program: end it, or choose another port", text);
    }
    return failed ? error_set(error, failed, "can't listen on %s: %s", text, strerror(-failed)) : 0;
}
