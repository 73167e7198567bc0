/*
 * redis://[user:password@]HOST:PORT[/DB].
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/address.h"
#include "licensor/store/redis.h"

static int copy_part(const char *from, size_t bytes, char *to, size_t to_bytes)
{
    if (bytes >= to_bytes) {
        return -EINVAL;
    }
    memcpy(to, from, bytes);
    to[bytes] = '\0';
    return 0;
}

static int wrong(struct error *error)
{
    return error_set(
        error, -EINVAL,
        "the redis address is not redis://[user:password@]HOST:PORT[/DB] (it is not shown here, "
        "for it may hold a password)");
}

int redis_address_parse(const char *url, struct redis_address *ret_address, struct error *error)
{
    struct redis_address result = {0};
    const char *scheme = "redis://";
    if (strncmp(url, scheme, strlen(scheme)) != 0) {
        return wrong(error);
    }
    const char *rest = url + strlen(scheme);
    const char *at = strrchr(rest, '@');
    if (at != NULL) {
        const char *colon = memchr(rest, ':', (size_t)(at - rest));
        if (colon == NULL ||
            copy_part(rest, (size_t)(colon - rest), result.user, sizeof(result.user)) != 0 ||
            copy_part(colon + 1, (size_t)(at - colon - 1), result.password,
                      sizeof(result.password)) != 0) {
            return wrong(error);
        }
        rest = at + 1;
    }
    const char *slash = strchr(rest, '/');
    char host[300];
    if (copy_part(rest, slash != NULL ? (size_t)(slash - rest) : strlen(rest), host,
                  sizeof(host)) != 0) {
        return wrong(error);
    }
    if (slash != NULL && slash[1] != '\0') {
        char *end;
        long database = strtol(slash + 1, &end, 10);
        if (*end != '\0' || database < 0 || database > 100000) {
            return wrong(error);
        }
        result.database = (int)database;
    }
    struct address address;
    if (address_parse(host, &address, NULL) != 0 || address.port == 0) {
        return wrong(error);
    }
    snprintf(result.host, sizeof(result.host), "%s", address.host);
    result.port = address.port;
    *ret_address = result;
    return 0;
}
