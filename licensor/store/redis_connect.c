/*
 * The way up of a connection to Redis: log in, is the server safe, is the function library there,
 * HELLO, subscribe.
 */
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
    } else {
        redis_saw_op(redis, answer.op);
        redis_subscribe(redis);
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

/* Whether a row of FUNCTION LIST, [library_name, name, ...], is a library that reads what is
 * packed.
 */
static bool reads_packed(const redisReply *library)
{
    for (size_t i = 0; library->type == REDIS_REPLY_ARRAY && i + 1 < library->elements; i += 2) {
        const redisReply *name = library->element[i], *value = library->element[i + 1];
        unsigned version = 0;
        if (name->type == REDIS_REPLY_STRING && value->type == REDIS_REPLY_STRING &&
            strcmp(name->str, "library_name") == 0 &&
            sscanf(value->str, "engenho%u", &version) == 1) {
            return version >= ENGENHO_LIBRARY_PACKED;
        }
    }
    return true;
}

/* One that does not is that of a licensor which may still run, in a rollout: until it is deleted
 * nothing is packed. */
static void on_libraries(redisAsyncContext *ac, void *data, void *privdata)
{
    struct redis *redis = privdata;
    const redisReply *reply = data;
    if (reply == NULL || !is_current(redis, ac)) {
        return;
    }
    bool may_pack = reply->type == REDIS_REPLY_ARRAY;
    for (size_t i = 0; may_pack && i < reply->elements; i++) {
        may_pack = reads_packed(reply->element[i]);
    }
    ahead_may_pack(redis->ahead, may_pack);
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

/* The server can't be trusted with licences as it is: the reason with its fix, once. */
static void refuse_unsafe(struct redis *redis, const char *what)
{
    char reason[800];
    snprintf(reason, sizeof(reason), "redis at %s:%u %s", redis->options.address.host,
             redis->options.address.port, what);
    redis->unsafe_seen = true;
    redis_drop(redis, true, reason);
}

/* What CONFIG GET says of one setting; NULL: it does not say, which is refused here. */
static const char *read_setting(struct redis *redis, const redisReply *reply, const char *name)
{
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements >= 2 &&
        reply->element[1]->type == REDIS_REPLY_STRING) {
        return reply->element[1]->str;
    }
    char what[300];
    snprintf(
        what, sizeof(what),
        "does not say its %s: allow this user CONFIG GET, or give --allow-unsafe-redis when the server is known to be "
        "safe",
        name);
    refuse_unsafe(redis, what);
    return NULL;
}

static void want(struct redis *redis, const redisReply *reply, const char *name, const char *wanted)
{
    const char *value = read_setting(redis, reply, name);
    if (value != NULL && strcmp(value, wanted) != 0) {
        char what[400];
        snprintf(
            what, sizeof(what),
            "is not safe for licences: %s is %s; set it to %s (redis-cli CONFIG SET %s %s, and in redis.conf), or give "
            "--allow-unsafe-redis",
            name, value, wanted, name, wanted);
        refuse_unsafe(redis, what);
    }
}

/* Whether an answer of the way up is to be looked at. */
static bool is_asked(const struct redis *redis, const redisAsyncContext *ac, const void *reply)
{
    return reply != NULL && is_current(redis, ac) && !redis->options.allow_unsafe &&
           !redis->unsafe_seen;
}

static void on_policy(redisAsyncContext *ac, void *data, void *privdata)
{
    if (is_asked(privdata, ac, data)) {
        want(privdata, data, "maxmemory-policy", "noeviction");
    }
}

static void on_appendonly(redisAsyncContext *ac, void *data, void *privdata)
{
    if (is_asked(privdata, ac, data)) {
        want(privdata, data, "appendonly", "yes");
    }
}

/* A master that goes on alone would grant what its replica grants too. */
static void on_min_replicas(redisAsyncContext *ac, void *data, void *privdata)
{
    struct redis *redis = privdata;
    if (!is_asked(redis, ac, data)) {
        return;
    }
    const char *value = read_setting(redis, data, "min-replicas-to-write");
    if (value != NULL && redis->replicas > 0 && strtol(value, NULL, 10) < 1) {
        refuse_unsafe(
            redis,
            "is not safe for licences: it has replicas, and min-replicas-to-write is 0; set it to 1 (redis-cli "
            "CONFIG SET min-replicas-to-write 1 min-replicas-max-lag 2, and in redis.conf), or give "
            "--allow-unsafe-redis");
    }
}

static void on_replication(redisAsyncContext *ac, void *data, void *privdata)
{
    struct redis *redis = privdata;
    const redisReply *reply = data;
    if (reply == NULL || !is_current(redis, ac)) {
        return;
    }
    if (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_VERB) {
        fail(redis, "INFO replication", reply);
        return;
    }
    const char *replicas = strstr(reply->str, "connected_slaves:");
    redis->replicas = replicas != NULL ? strtol(strchr(replicas, ':') + 1, NULL, 10) : 0;
    if (strstr(reply->str, "role:slave") != NULL) {
        char reason[500];
        snprintf(
            reason, sizeof(reason),
            "redis at %s:%u is a replica; give its master's address, or sentinel://HOST,HOST/MASTER to follow it",
            redis->options.address.host, redis->options.address.port);
        redis_drop(redis, false, reason);
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
    redisAsyncCommand(redis->commands, on_replication, redis, "INFO replication");
    redisAsyncCommand(redis->commands, on_policy, redis, "CONFIG GET maxmemory-policy");
    redisAsyncCommand(redis->commands, on_appendonly, redis, "CONFIG GET appendonly");
    redisAsyncCommand(redis->commands, on_min_replicas, redis, "CONFIG GET min-replicas-to-write");
    redisAsyncCommand(redis->commands, on_libraries, redis, "FUNCTION LIST LIBRARYNAME engenho*");
    redisAsyncCommand(redis->commands, on_listed, redis,
                      "FUNCTION LIST LIBRARYNAME " ENGENHO_LIBRARY " WITHCODE");
}

static void on_disconnected(const redisAsyncContext *ac, int status)
{
    struct redis *redis = ac->data;
    if (is_current(redis, ac)) {
        redis->commands = NULL;
        redis_closed(redis, redis->options.address.host, redis->options.address.port,
                     status == REDIS_OK ? "" : ac->errstr);
    }
}

void redis_begin(struct redis *redis, struct redisAsyncContext *ac)
{
    redis->commands = ac;
    redisAsyncSetConnectCallback(ac, on_connected);
    redisAsyncSetDisconnectCallback(ac, on_disconnected);
}
