/*
 * Transitions as RESP. Core of the Redis store: no hiredis here, so that it is tested without a
 * server.
 */
#include "licensor/store/command.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COMMAND_BYTES_MAX (4 * 1024 * 1024)

static const char *const names[STORE_VERBS] = {
    [STORE_HELLO] = "hello",
    [STORE_LIMITS] = "limits",
    [STORE_REGISTER] = "register",
    [STORE_HEARTBEAT] = "heartbeat",
    [STORE_DISCONNECT] = "disconnect",
    [STORE_GOODBYE] = "goodbye",
    [STORE_ACQUIRE] = "acquire",
    [STORE_RELEASE] = "release",
    [STORE_OPERATOR_RELEASE] = "operator_release",
    [STORE_TICK] = "tick",
    [STORE_LIST] = "list",
    [STORE_EXPLAIN] = "explain",
    [STORE_MASTER] = "master",
    [STORE_USAGE] = "usage",
    [STORE_ACKNOWLEDGE] = "acknowledge",
    [STORE_AUDIT] = "audit",
    [STORE_LIST_AUDIT] = "list_audit",
};

/* Words of a command while it is written; the first error stays. */
struct words {
    struct buf body;
    size_t count;
    int error;
};

static void add(struct words *words, const char *text)
{
    size_t bytes = strlen(text);
    char header[32];
    int length = snprintf(header, sizeof(header), "$%zu\r\n", bytes);
    if (words->error == 0) {
        words->error = buf_append(&words->body, header, (size_t)length);
    }
    if (words->error == 0) {
        words->error = buf_append(&words->body, text, bytes);
    }
    if (words->error == 0) {
        words->error = buf_append(&words->body, "\r\n", 2);
    }
    words->count++;
}

static void add_int(struct words *words, int64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRId64, value);
    add(words, text);
}

static void add_register(struct words *words, const struct store_request *r)
{
    add(words, r->who.name);
    add(words, r->who.agent);
    add(words, r->who.host);
    add_int(words, r->who.pid);
    add(words, r->who.version);
    add(words, r->who.connection);
    add(words, r->session);
    add(words, r->who.old_session);
    add_int(words, (int64_t)r->highest_op);
    add_int(words, r->lease_ms);
    add_int(words, r->who.began_us);
    add_int(words, (int64_t)r->who.sequence);
    add_int(words, (int64_t)r->who.claims_count);
    for (size_t i = 0; i < r->who.claims_count; i++) {
        const struct store_claim *claim = &r->who.claims[i];
        add(words, claim->request);
        add_int(words, (int64_t)claim->token);
        add(words, claim->pool);
        add_int(words, (int64_t)claim->number);
        add(words, claim->production);
        add(words, seat_use_word(claim->use));
    }
    for (size_t i = 0; i < r->who.waiting_count; i++) {
        add(words, r->who.waiting[i]);
    }
}

static void add_heartbeat(struct words *words, const struct store_request *r)
{
    add(words, r->session);
    add(words, r->who.connection);
    add_int(words, (int64_t)r->highest_op);
    add_int(words, r->lease_ms);
    add_int(words, (int64_t)r->who.sequence);
    for (size_t i = 0; i < r->waived.count; i++) {
        add(words, r->waived.pools[i]);
        add_int(words, (int64_t)r->waived.counts[i]);
        add_int(words, (int64_t)(r->waived.overruns != NULL ? r->waived.overruns[i] : 0));
    }
}

static void add_tick(struct words *words, const struct store_request *r)
{
    add_int(words, r->step_ms);
    add_int(words, (int64_t)r->steps);
    add_int(words, r->lease_ms);
    add_int(words, r->reuse_ms);
    add_int(words, r->memo_ms);
    for (size_t i = 0; i < r->holders_count; i++) {
        add(words, r->holders[i].pool);
        add(words, r->holders[i].processor);
        add(words, r->holders[i].production);
        add_int(words, (int64_t)r->holders[i].granted);
    }
}

static void add_limits(struct words *words, const struct store_request *r)
{
    add_int(words, r->limits.keys);
    add_int(words, r->limits.productions);
    for (size_t i = 0; i < r->limits.pools_count; i++) {
        add(words, r->limits.pools[i].pool);
        add_int(words, r->limits.pools[i].cap);
        add(words, r->limits.pools[i].shared ? "1" : "0");
        add_int(words, (int64_t)r->limits.pools[i].reserved_count);
        for (size_t n = 0; n < r->limits.pools[i].reserved_count; n++) {
            add(words, r->limits.pools[i].reserved[n].agent);
            add_int(words, r->limits.pools[i].reserved[n].seats);
        }
    }
}

static void add_arguments(struct words *words, const struct store_request *r)
{
    switch (r->verb) {
    case STORE_HELLO:
        add_int(words, (int64_t)r->highest_op);
        add_int(words, r->lease_ms);
        return;
    case STORE_LIMITS:
        add_limits(words, r);
        return;
    case STORE_REGISTER:
        add_register(words, r);
        return;
    case STORE_HEARTBEAT:
        add_heartbeat(words, r);
        return;
    case STORE_DISCONNECT:
        add(words, r->session);
        add(words, r->who.connection);
        return;
    case STORE_GOODBYE:
        add(words, r->session);
        return;
    case STORE_ACQUIRE:
    case STORE_RELEASE:
        words->error = -EINVAL; /* they go in batches */
        return;
    case STORE_OPERATOR_RELEASE:
        add_int(words, (int64_t)r->token);
        add(words, r->audit.who);
        return;
    case STORE_TICK:
        add_tick(words, r);
        return;
    case STORE_LIST:
        add(words, r->pool);
        return;
    case STORE_EXPLAIN:
        add(words, r->request);
        return;
    case STORE_MASTER:
        add(words, r->demo ? "demo" : "licensed");
        add(words, r->audit.who);
        return;
    case STORE_AUDIT:
        add(words, r->audit.who);
        add(words, r->audit.what);
        add(words, r->audit.detail);
        return;
    case STORE_USAGE:
    case STORE_LIST_AUDIT:
        add_int(words, r->max);
        return;
    case STORE_ACKNOWLEDGE:
        add(words, r->through);
        return;
    }
}

int command_write(const struct store_request *request, const char *tenant, struct buf *out)
{
    struct words words = {0};
    buf_init(&words.body, COMMAND_BYTES_MAX);
    char text[128];
    add(&words, "FCALL");
    snprintf(text, sizeof(text), ENGENHO_LIBRARY "_%s", names[request->verb]);
    add(&words, text);
    add(&words, "1");
    snprintf(text, sizeof(text), "{%s}", tenant);
    add(&words, text);
    add_arguments(&words, request);
    int rc = words.error;
    if (rc == 0) {
        rc = buf_print(out, "*%zu\r\n", words.count);
    }
    if (rc == 0) {
        rc = buf_append(out, words.body.data, words.body.length);
    }
    buf_release(&words.body);
    return rc;
}

const char *command_name(enum store_verb verb)
{
    return names[verb];
}
