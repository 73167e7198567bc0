/*
 * What licensors publish for each other: a seat handed to a waiting request, a pool that has a
 * waiting line.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "licensor/store/redis_private.h"

#define GRANT_FIELDS 10
#define CHANNELS 2

/*
 * The grant as Lua wrote it, a line each: session, request, token, pool, requested pool, number,
 * reused, escalated, waived, life.
 */
static void on_granted(struct redis *redis, char *text)
{
    char *fields[GRANT_FIELDS];
    size_t count = 0;
    for (char *line = text; line != NULL && count < GRANT_FIELDS; count++) {
        fields[count] = line;
        line = strchr(line, '\n');
        if (line != NULL) {
            *line++ = '\0';
        }
    }
    if (count != GRANT_FIELDS) {
        return;
    }
    struct store_grant grant = {
        .token = strtoull(fields[2], NULL, 10),
        .number = strtoull(fields[5], NULL, 10),
        .reused = fields[6][0] == '1',
        .escalated = fields[7][0] == '1',
        .waived = fields[8][0] == '1',
        .life_left_ms = strtoll(fields[9], NULL, 10),
    };
    snprintf(grant.session, sizeof(grant.session), "%s", fields[0]);
    snprintf(grant.request, sizeof(grant.request), "%s", fields[1]);
    snprintf(grant.pool, sizeof(grant.pool), "%s", fields[3]);
    snprintf(grant.requested, sizeof(grant.requested), "%s", fields[4]);
    redis->callbacks.granted(redis->context, &grant);
}

/* ["message", channel, text], or ["subscribe", channel, how many channels] */
static void on_message(redisAsyncContext *ac, void *data, void *privdata)
{
    struct redis *redis = privdata;
    redisReply *reply = data;
    if (reply == NULL || redis->pushes != ac || reply->type != REDIS_REPLY_ARRAY ||
        reply->elements != 3) {
        return;
    }
    if (reply->element[2]->type == REDIS_REPLY_INTEGER) {
        if (redis->state == REDIS_PREPARING && reply->element[2]->integer == CHANNELS) {
            redis_is_ready(redis); /* not before: what is published would be missed */
        }
        return;
    }
    if (reply->element[2]->type != REDIS_REPLY_STRING) {
        return;
    }
    const char *channel = reply->element[1]->str;
    const redisReply *text = reply->element[2];
    size_t length = strlen(channel);
    if (length >= 8 && strcmp(channel + length - 8, ":granted") == 0) {
        on_granted(redis, text->str);
    } else {
        redis->callbacks.waited(redis->context, text->str);
    }
}

static void on_disconnected(const redisAsyncContext *ac, int status)
{
    struct redis *redis = ac->data;
    if (redis->pushes == ac) {
        char reason[400]; /* a SUBSCRIBE that was refused ends here too: hiredis closes then */
        snprintf(reason, sizeof(reason), "redis closed the connection for what is published%s%s",
                 status == REDIS_OK ? "" : ": ", status == REDIS_OK ? "" : ac->errstr);
        redis->pushes = NULL;
        redis_drop(redis, false, reason);
    }
}

static void on_connected(const redisAsyncContext *ac, int status)
{
    struct redis *redis = ac->data;
    if (status != REDIS_OK && redis->pushes == ac) {
        redis->pushes = NULL;
        redis_drop(redis, false, "redis did not accept the connection for what is published");
    }
}

static void subscribe(struct redis *redis, struct redisAsyncContext *ac)
{
    redis->pushes = ac;
    redisAsyncSetConnectCallback(ac, on_connected);
    redisAsyncSetDisconnectCallback(ac, on_disconnected);
    redis_log_in(redis, ac);
    redisAsyncCommand(ac, on_message, redis, "SUBSCRIBE {%s}:granted {%s}:waited",
                      redis->options.tenant, redis->options.tenant);
}

void redis_subscribe(struct redis *redis)
{
    redis_place_connect(redis, redis->options.address.host, redis->options.address.port, subscribe);
}
