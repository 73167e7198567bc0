/*
 * HOST:PORT. Every process.
 */
#include "common/address.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static int refuse(const char *text, const char *why, struct error *error)
{
    return error_set(
        error, -EINVAL,
        "'%s' is no address: %s; write HOST:PORT, such as 127.0.0.1:9464 or [::1]:9464", text, why);
}

static bool read_port(const char *text, uint16_t *ret_port)
{
    uint32_t port = 0;
    size_t digits = strspn(text, "0123456789");
    if (!digits || digits > 5 || text[digits]) {
        return false;
    }
    for (; *text; text++) {
        port = port * 10 + (uint32_t)(*text - '0');
    }
    if (port > UINT16_MAX) {
        return false;
    }
    *ret_port = (uint16_t)port;
    return true;
}

int address_parse(const char *text, struct address *ret_address, struct error *error)
{
    struct address address = {.port = 0};
    const char *host = text, *end, *port;
    if (text[0] == '[') {
        host = text + 1;
        end = strchr(host, ']');
        if (!end || end[1] != ':') {
            return refuse(text, "there is no ]: behind its [", error);
        }
        port = end + 2;
    } else {
        end = strchr(text, ':');
        if (!end) {
            return refuse(text, "it has no port", error);
        }
        port = end + 1;
        if (strchr(port, ':')) {
            return refuse(text, "an IPv6 address stands in brackets", error);
        }
    }
    size_t bytes = (size_t)(end - host);
    if (!bytes) {
        return refuse(text, "it has no host", error);
    }
    if (bytes >= sizeof address.host) {
        return refuse(text, "its host is longer than 255 bytes", error);
    }
    if (!read_port(port, &address.port)) {
        return refuse(text, "its port is not a number from 0 to 65535", error);
    }
    memcpy(address.host, host, bytes);
    *ret_address = address;
    return 0;
}
