/*
 * Where the server is: names are resolved without blocking the loop, and Sentinels are asked for
 * the master, one after the other, at each attempt to connect.
 */
#include <errno.h>
#include <event2/dns.h>
#include <event2/util.h>
#include <hiredis/adapters/libevent.h>
#include <hiredis/async.h>
#include <hiredis/hiredis_ssl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "licensor/store/redis_private.h"

#define HOSTS_FILE "/etc/hosts"

/* One name that is being resolved; it outlives a connection that was given up. */
struct redis_question {
    struct redis *redis; /* NULL: nobody wants the answer any more */
    struct evdns_getaddrinfo_request *request;
    char host[256];
    uint16_t port;
    redis_connected connected;
};

static struct evdns_base *names_of(struct redis *redis)
{
    if (redis->names == NULL) {
        redis->names = evdns_base_new(redis->base, EVDNS_BASE_INITIALIZE_NAMESERVERS |
                                                       EVDNS_BASE_DISABLE_WHEN_INACTIVE);
        if (redis->names == NULL) { /* no nameserver: the names of this machine still hold */
            redis->names = evdns_base_new(redis->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
            evdns_base_load_hosts(redis->names, HOSTS_FILE);
        }
    }
    return redis->names;
}

static void unreachable(struct redis *redis, const char *host, uint16_t port, const char *why)
{
    char reason[600];
    snprintf(reason, sizeof(reason),
             "can't reach redis at %s:%u: %s; is it running, and is --redis right", host, port,
             why);
    redis_drop(redis, false, reason);
}

void redis_closed(struct redis *redis, const char *host, uint16_t port, const char *why)
{
    char reason[600];
    const char *refusal = redis_tls_refusal(redis->options.tls);
    if (refusal != NULL) {
        snprintf(
            reason, sizeof(reason),
            "the certificate of redis at %s:%u is refused: %s; is --redis-ca-file right, and the name in --redis the "
            "certificate's",
            host, port, refusal);
    } else {
        snprintf(reason, sizeof(reason), "redis at %s:%u closed the connection%s%s", host, port,
                 why[0] != '\0' ? ": " : "", why);
    }
    redis_drop(redis, false, reason);
}

/* Returns 0, or -EIO when TLS can't be started. */
static int start_tls(struct redis *redis, redisAsyncContext *ac, const char *host)
{
    if (redis->options.tls == NULL) {
        return 0;
    }
    struct ssl_st *session = redis_tls_open(redis->options.tls, host);
    if (session == NULL || redisInitiateSSL(&ac->c, session) != REDIS_OK) {
        if (ac->c.privctx == NULL) { /* else it is hiredis's */
            redis_tls_close(session);
        }
        return -EIO;
    }
    return 0;
}

/* Begin to connect to an address in numbers. */
static void connect_to(struct redis *redis, const struct redis_question *question,
                       const char *numbers)
{
    redisAsyncContext *ac = redisAsyncConnect(numbers, question->port);
    if (ac != NULL && ac->err == 0 && start_tls(redis, ac, question->host) != 0) {
        redisAsyncFree(ac);
        redis_closed(redis, question->host, question->port, "TLS can't be started");
        return;
    }
    if (ac == NULL || ac->err != 0) {
        char why[200];
        snprintf(why, sizeof(why), "%s", ac == NULL ? "out of memory" : ac->errstr);
        if (ac != NULL) {
            redisAsyncFree(ac);
        }
        unreachable(redis, question->host, question->port, why);
        return;
    }
    ac->data = redis;
    redisLibeventAttach(ac, redis->base);
    question->connected(redis, ac);
}

static void on_name(int result, struct evutil_addrinfo *found, void *context)
{
    struct redis_question *question = context;
    struct redis *redis = question->redis;
    if (redis != NULL) {
        redis->question = NULL;
        char numbers[NI_MAXHOST];
        if (result != 0 || getnameinfo(found->ai_addr, found->ai_addrlen, numbers, sizeof(numbers),
                                       NULL, 0, NI_NUMERICHOST) != 0) {
            unreachable(redis, question->host, question->port,
                        result != 0 ? evutil_gai_strerror(result) : "its address can't be read");
        } else {
            connect_to(redis, question, numbers);
        }
    }
    if (found != NULL) {
        evutil_freeaddrinfo(found);
    }
    free(question);
}

void redis_place_connect(struct redis *redis, const char *host, uint16_t port,
                         redis_connected connected)
{
    struct redis_question *question = memory_new(1, sizeof(*question));
    *question = (struct redis_question){.redis = redis, .port = port, .connected = connected};
    snprintf(question->host, sizeof(question->host), "%s", host);
    redis->question = question;
    struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct evdns_getaddrinfo_request *request =
        evdns_getaddrinfo(names_of(redis), host, NULL, &hints, on_name, question);
    if (redis->question == question) { /* else it was answered at once */
        question->request = request;
    }
}

/* Sentinel ------------------------------------------------------------------------------------- */

static const struct redis_place *place_of_sentinel(const struct redis *redis)
{
    return &redis->options.address.sentinels[redis->turn];
}

/* What the Sentinel answered instead of an address. */
static void refused_by_sentinel(struct redis *redis, const redisReply *reply)
{
    const struct redis_place *sentinel = place_of_sentinel(redis);
    char reason[600];
    if (reply->type == REDIS_REPLY_NIL) {
        snprintf(reason, sizeof(reason),
                 "the Sentinel at %s:%u knows no master '%s'; is the name in --redis right",
                 sentinel->host, sentinel->port, redis->options.address.master);
    } else if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOAUTH", 6) == 0) {
        snprintf(
            reason, sizeof(reason),
            "the Sentinel at %s:%u wants a password; give it with --redis-sentinel-password-file",
            sentinel->host, sentinel->port);
    } else {
        snprintf(reason, sizeof(reason), "the Sentinel at %s:%u refused to name the master: %s",
                 sentinel->host, sentinel->port,
                 reply->type == REDIS_REPLY_ERROR ? reply->str : "unexpected answer");
    }
    redis_drop(redis, false, reason);
}

/* It closed the connection, or TLS did. */
static void silent_sentinel(struct redis *redis, const char *why)
{
    const struct redis_place *sentinel = place_of_sentinel(redis);
    if (redis_tls_refusal(redis->options.tls) != NULL) {
        redis_closed(redis, sentinel->host, sentinel->port, why);
        return;
    }
    char reason[600];
    snprintf(reason, sizeof(reason), "the Sentinel at %s:%u did not answer: %s", sentinel->host,
             sentinel->port, why[0] != '\0' ? why : "it closed the connection");
    redis_drop(redis, false, reason);
}

static void on_master(redisAsyncContext *ac, void *data, void *privdata)
{
    struct redis *redis = privdata;
    redisReply *reply = data;
    if (redis->sentinel != ac) {
        return; /* given up */
    }
    if (reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
        reply->element[0]->type == REDIS_REPLY_STRING && reply->element[0]->len < 256 &&
        reply->element[1]->type == REDIS_REPLY_STRING) {
        snprintf(redis->options.address.host, sizeof(redis->options.address.host), "%s",
                 reply->element[0]->str);
        redis->options.address.port = (uint16_t)strtoul(reply->element[1]->str, NULL, 10);
        redis->sentinel = NULL;
        redisAsyncDisconnect(ac);
        redis_place_connect(redis, redis->options.address.host, redis->options.address.port,
                            redis_begin);
        return;
    }
    if (reply == NULL) {
        redis->sentinel = NULL; /* hiredis frees it after this call */
        silent_sentinel(redis, ac->errstr);
    } else {
        refused_by_sentinel(redis, reply);
    }
}

static void on_sentinel_logged_in(redisAsyncContext *ac, void *data, void *privdata)
{
    struct redis *redis = privdata;
    const redisReply *reply = data;
    if (reply != NULL && redis->sentinel == ac && reply->type == REDIS_REPLY_ERROR) {
        const struct redis_place *sentinel = place_of_sentinel(redis);
        char reason[600];
        snprintf(reason, sizeof(reason),
                 "the Sentinel at %s:%u refused the log-in: %s; are --redis-sentinel-user and the "
                 "password in --redis-sentinel-password-file right",
                 sentinel->host, sentinel->port, reply->str);
        redis_drop(redis, false, reason);
    }
}

static void on_sentinel_connected(const redisAsyncContext *ac, int status)
{
    struct redis *redis = ac->data;
    if (status != REDIS_OK && redis->sentinel == ac) {
        const struct redis_place *sentinel = place_of_sentinel(redis);
        redis->sentinel = NULL; /* hiredis frees it after this call */
        unreachable(redis, sentinel->host, sentinel->port, ac->errstr);
    }
}

static void ask_sentinel(struct redis *redis, struct redisAsyncContext *ac)
{
    redis->sentinel = ac;
    const struct redis_address *address = &redis->options.address;
    redisAsyncSetConnectCallback(ac, on_sentinel_connected);
    if (address->sentinel_user[0] != '\0') {
        redisAsyncCommand(ac, on_sentinel_logged_in, redis, "AUTH %s %s", address->sentinel_user,
                          address->sentinel_password);
    } else if (address->sentinel_password[0] != '\0') {
        redisAsyncCommand(ac, on_sentinel_logged_in, redis, "AUTH %s", address->sentinel_password);
    }
    redisAsyncCommand(ac, on_master, redis, "SENTINEL GET-MASTER-ADDR-BY-NAME %s", address->master);
}

void redis_connect(struct redis *redis)
{
    const struct redis_address *address = &redis->options.address;
    redis->state = REDIS_CONNECTING;
    if (address->sentinels_count == 0) {
        redis_place_connect(redis, address->host, address->port, redis_begin);
        return;
    }
    redis->turn = (redis->turn + 1) % address->sentinels_count;
    const struct redis_place *sentinel = &address->sentinels[redis->turn];
    redis_place_connect(redis, sentinel->host, sentinel->port, ask_sentinel);
}

void redis_place_stop(struct redis *redis)
{
    if (redis->question != NULL) {
        struct redis_question *question = redis->question;
        redis->question = NULL;
        question->redis = NULL;
        if (question->request != NULL) {
            evdns_getaddrinfo_cancel(question->request);
        }
    }
    redisAsyncContext *sentinel = redis->sentinel;
    redis->sentinel = NULL;
    if (sentinel != NULL) {
        redisAsyncFree(sentinel);
    }
}

void redis_place_free(struct redis *redis)
{
    redis_place_stop(redis);
    if (redis->names != NULL) {
        evdns_base_free(redis->names, 1);
    }
    redis_tls_free(redis->options.tls);
}
