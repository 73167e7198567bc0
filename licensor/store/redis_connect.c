/*
 * The way up of a connection to Redis: log in, is the server safe, is the function library there,
 * HELLO, subscribe.
 */
#include <errno.h>
#include <hiredis/adapters/libevent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "licensor/store/command.h"
#include "licensor/store/library.h"
#include "licensor/store/redis_private.h"
#include "licensor/store/reply.h"

/* Whether the callback belongs to the attempt that is going on; a connection that was dropped still
 * gets its callbacks. */
static bool is_current(const struct redis *redis, const redisAsyncContext *ac)
{
    return redis->commands == ac || redis->pushes == ac;
}

static void fail(struct redis *redis, const char *what, const redisReply *reply)
{
    char reason[400];
    snprintf(reason, sizeof(reason), "redis at %s:%u refused %s: %s", redis->options.address.host,
             redis->options.address.port, what,
             reply->type == REDIS_REPLY_ERROR ? reply->str : "unexpected answer");
    redis_drop(redis, false, reason);
}

static void on_hello(redisAsyncContext *ac, void *data, void *privdata)
{
    struct redis *redis = privdata;
    redisReply *reply = data;
    if (reply == NULL || !is_current(redis, ac)) {
        return;
    }
    struct store_answer answer;
    if (reply_read(reply, &answer) != 0) {
        fail(redis, "HELLO", reply);
    } else if (redis_subscribe(redis) != 0) {
        redis_drop(redis, false, "the second connection to redis failed");
    } else {
        redis_saw_op(redis, answer.op);
        redis_is_ready(redis);
    }
    store_answer_release(&answer);
}

static void say_hello(struct redis *redis)
{
    struct buf command;
    buf_init(&command, 4096);
    struct store_request request = {
        .verb = STORE_HELLO, .highest_op = redis->highest_op, .lease_ms = redis->options.lease_ms};
    if (command_write(&request, redis->options.tenant, &command) == 0) {
        redisAsyncFormattedCommand(redis->commands, on_hello, redis, (const char *)command.data,
                                   command.length);
    }
    buf_release(&command);
}

static void on_loaded(redisAsyncContext *ac, void *data, void *privdata)
{
    struct redis *redis = privdata;
    redisReply *reply = data;
    if (reply == NULL || !is_current(redis, ac)) {
        return;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        fail(redis, "FUNCTION LOAD (redis 7 or newer is needed)", reply);
        return;
    }
    say_hello(redis);
}

/* FUNCTION LIST WITHCODE: [[library_name, ..., library_code, code]], empty when the library is not
 * there. */
static bool has_library(const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 1 ||
        reply->element[0]->type != REDIS_REPLY_ARRAY) {
        return false;
    }
    const redisReply *library = reply->element[0];
    for (size_t i = 0; i + 1 < library->elements; i += 2) {
        if (library->element[i]->type == REDIS_REPLY_STRING &&
            strcmp(library->element[i]->str, "library_code") == 0) {
            const redisReply *code = library->element[i + 1];
            return code->type == REDIS_REPLY_STRING && code->len == engenho_lua_bytes &&
                   memcmp(code->str, engenho_lua, code->len) == 0;
        }
    }
    return false;
}

static void on_listed(redisAsyncContext *ac, void *data, void *privdata)
{
    struct redis *redis = privdata;
    redisReply *reply = data;
    if (reply == NULL || !is_current(redis, ac)) {
        return;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        fail(redis, "FUNCTION LIST (redis 7 or newer is needed)", reply);
    } else if (has_library(reply)) {
        say_hello(redis);
    } else {
        redisAsyncCommand(redis->commands, on_loaded, redis, "FUNCTION LOAD REPLACE %b",
                          engenho_lua, engenho_lua_bytes);
    }
}

/* A setting that a licence server can't live with: the reason and the fix, once. */
static void on_setting(struct redis *redis, redisReply *reply, const char *wanted)
{
    if (redis->options.allow_unsafe || redis->unsafe_seen) {
        return;
    }
    char reason[400];
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 2) {
        snprintf(
            reason, sizeof(reason),
            "redis at %s:%u does not say its %s: allow this user CONFIG GET, or give --allow-unsafe-redis when the server "
            "is known to be safe",
            redis->options.address.host, redis->options.address.port,
            strcmp(wanted, "yes") == 0 ? "appendonly" : "maxmemory-policy");
    } else if (strcmp(reply->element[1]->str, wanted) != 0) {
        snprintf(
            reason, sizeof(reason),
            "redis at %s:%u is not safe for licences: %s is %s; set it to %s (redis-cli CONFIG SET %s %s, and in "
            "redis.conf), or give --allow-unsafe-redis",
            redis->options.address.host, redis->options.address.port, reply->element[0]->str,
            reply->element[1]->str, wanted, reply->element[0]->str, wanted);
    } else {
        return;
    }
    redis->unsafe_seen = true;
    redis_drop(redis, true, reason);
}

static void on_policy(redisAsyncContext *ac, void *data, void *privdata)
{
    if (data != NULL && is_current(privdata, ac)) {
        on_setting(privdata, data, "noeviction");
    }
}

static void on_appendonly(redisAsyncContext *ac, void *data, void *privdata)
{
    if (data != NULL && is_current(privdata, ac)) {
        on_setting(privdata, data, "yes");
    }
}

static void on_logged_in(redisAsyncContext *ac, void *data, void *privdata)
{
    struct redis *redis = privdata;
    redisReply *reply = data;
    if (reply != NULL && is_current(redis, ac) && reply->type == REDIS_REPLY_ERROR) {
        fail(redis, "the log-in or database of --redis", reply);
    }
}

void redis_log_in(struct redis *redis, redisAsyncContext *ac)
{
    const struct redis_address *address = &redis->options.address;
    if (address->user[0] != '\0') {
        redisAsyncCommand(ac, on_logged_in, redis, "AUTH %s %s", address->user, address->password);
    } else if (address->password[0] != '\0') {
        redisAsyncCommand(ac, on_logged_in, redis, "AUTH %s", address->password);
    }
    if (address->database != 0) {
        redisAsyncCommand(ac, on_logged_in, redis, "SELECT %d", address->database);
    }
}

static void on_connected(const redisAsyncContext *ac, int status)
{
    struct redis *redis = ac->data;
    if (!is_current(redis, ac)) {
        return;
    }
    if (status != REDIS_OK) {
        char reason[400];
        snprintf(reason, sizeof(reason),
                 "can't reach redis at %s:%u: %s; is it running, and is --redis right",
                 redis->options.address.host, redis->options.address.port, ac->errstr);
        redis->commands = NULL; /* hiredis frees it after this call */
        redis_drop(redis, false, reason);
        return;
    }
    redis->state = REDIS_PREPARING;
    redis->unsafe_seen = false;
    redis_log_in(redis, redis->commands);
    redisAsyncCommand(redis->commands, on_policy, redis, "CONFIG GET maxmemory-policy");
    redisAsyncCommand(redis->commands, on_appendonly, redis, "CONFIG GET appendonly");
    redisAsyncCommand(redis->commands, on_listed, redis,
                      "FUNCTION LIST LIBRARYNAME engenho2 WITHCODE");
}

static void on_disconnected(const redisAsyncContext *ac, int status)
{
    struct redis *redis = ac->data;
    if (!is_current(redis, ac)) {
        return;
    }
    char reason[400];
    snprintf(reason, sizeof(reason), "redis at %s:%u closed the connection%s%s",
             redis->options.address.host, redis->options.address.port,
             status == REDIS_OK ? "" : ": ", status == REDIS_OK ? "" : ac->errstr);
    redis->commands = NULL;
    redis_drop(redis, false, reason);
}

void redis_connect(struct redis *redis)
{
    const struct redis_address *address = &redis->options.address;
    redisAsyncContext *ac = redisAsyncConnect(address->host, address->port);
    if (ac == NULL || ac->err != 0) {
        char reason[400];
        snprintf(reason, sizeof(reason),
                 "can't reach redis at %s:%u: %s; is it running, and is --redis right",
                 address->host, address->port, ac == NULL ? "out of memory" : ac->errstr);
        if (ac != NULL) {
            redisAsyncFree(ac);
        }
        redis_drop(redis, false, reason);
        return;
    }
    redis->state = REDIS_CONNECTING;
    redis->commands = ac;
    ac->data = redis;
    redisLibeventAttach(ac, redis->base);
    redisAsyncSetConnectCallback(ac, on_connected);
    redisAsyncSetDisconnectCallback(ac, on_disconnected);
}
