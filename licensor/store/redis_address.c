/*
 * redis://[user:password@]HOST:PORT[/DB], and with Sentinels a list of places and a master's name.
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

#define SENTINEL_PORT 26379

static int wrong(struct error *error)
{
    return error_set(
        error, -EINVAL,
        "the redis address is not redis://[user:password@]HOST:PORT[/DB] (rediss:// with TLS) or "
        "sentinel://[user:password@]HOST[:PORT],HOST[:PORT].../MASTER[/DB] (sentinels:// with TLS); it is not shown here, "
        "for it may hold a password");
}

/* The scheme; returns what follows it, or NULL. */
static const char *read_scheme(const char *url, struct redis_address *result, bool *ret_sentinel)
{
    static const struct {
        const char *text;
        bool tls, sentinel;
    } schemes[] = {
        {"redis://", false, false},
        {"rediss://", true, false},
        {"sentinel://", false, true},
        {"sentinels://", true, true},
    };
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t bytes = strlen(schemes[i].text);
        if (strncmp(url, schemes[i].text, bytes) == 0) {
            result->tls = schemes[i].tls;
            *ret_sentinel = schemes[i].sentinel;
            return url + bytes;
        }
    }
    return NULL;
}

/* user:password@; returns what follows it, or NULL. */
static const char *read_user(const char *rest, struct redis_address *result)
{
    const char *at = strrchr(rest, '@');
    if (at == NULL) {
        return rest;
    }
    const char *colon = memchr(rest, ':', (size_t)(at - rest));
    if (colon == NULL ||
        copy_part(rest, (size_t)(colon - rest), result->user, sizeof(result->user)) != 0 ||
        copy_part(colon + 1, (size_t)(at - colon - 1), result->password,
                  sizeof(result->password)) != 0) {
        return NULL;
    }
    return at + 1;
}

static int read_database(const char *text, int *ret_database)
{
    char *end;
    long database = strtol(text, &end, 10);
    if (text[0] == '\0' || *end != '\0' || database < 0 || database > 100000) {
        return -EINVAL;
    }
    *ret_database = (int)database;
    return 0;
}

/* HOST:PORT, or HOST where `port` says the usual one (0: there is none). */
static int read_place(const char *text, size_t bytes, uint16_t port, struct redis_place *ret_place)
{
    char place[300];
    struct address address;
    if (copy_part(text, bytes, place, sizeof(place) - 8) != 0) {
        return -EINVAL;
    }
    const char *behind = strchr(place, ']') != NULL ? strchr(place, ']') : place;
    if (port != 0 && strchr(behind, ':') == NULL) {
        snprintf(place + bytes, 8, ":%u", port);
    }
    if (address_parse(place, &address, NULL) != 0 || address.port == 0) {
        return -EINVAL;
    }
    snprintf(ret_place->host, sizeof(ret_place->host), "%s", address.host);
    ret_place->port = address.port;
    return 0;
}

/* HOST[:PORT],HOST[:PORT].../MASTER[/DB] */
static int read_sentinels(const char *rest, struct redis_address *result)
{
    const char *slash = strchr(rest, '/');
    if (slash == NULL) {
        return -EINVAL;
    }
    for (const char *at = rest; at < slash; at++) {
        size_t bytes = strcspn(at, ",/");
        if (result->sentinels_count == REDIS_SENTINELS_MAX ||
            read_place(at, bytes, SENTINEL_PORT, &result->sentinels[result->sentinels_count]) !=
                0) {
            return -EINVAL;
        }
        result->sentinels_count++;
        at += bytes;
    }
    const char *master = slash + 1, *database = strchr(master, '/');
    size_t bytes = database != NULL ? (size_t)(database - master) : strlen(master);
    if (bytes == 0 || result->sentinels_count == 0 ||
        copy_part(master, bytes, result->master, sizeof(result->master)) != 0) {
        return -EINVAL;
    }
    snprintf(result->host, sizeof(result->host), "%s", result->sentinels[0].host);
    result->port = result->sentinels[0].port;
    return database != NULL ? read_database(database + 1, &result->database) : 0;
}

static int read_server(const char *rest, struct redis_address *result)
{
    const char *slash = strchr(rest, '/');
    struct redis_place place;
    if (read_place(rest, slash != NULL ? (size_t)(slash - rest) : strlen(rest), 0, &place) != 0) {
        return -EINVAL;
    }
    snprintf(result->host, sizeof(result->host), "%s", place.host);
    result->port = place.port;
    return slash != NULL && slash[1] != '\0' ? read_database(slash + 1, &result->database) : 0;
}

int redis_address_parse(const char *url, struct redis_address *ret_address, struct error *error)
{
    struct redis_address result = {0};
    bool sentinel = false;
    const char *rest = read_scheme(url, &result, &sentinel);
    rest = rest != NULL ? read_user(rest, &result) : NULL;
    if (rest == NULL ||
        (sentinel ? read_sentinels(rest, &result) : read_server(rest, &result)) != 0) {
        return wrong(error);
    }
    *ret_address = result;
    return 0;
}
