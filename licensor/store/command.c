/*
 * Transitions as RESP. Core of the Redis store: no hiredis here, so that it is tested without a
 * server.
 */
#include "licensor/store/command.h"

#include <errno.h>
#include <string.h>

#include "licensor/store/words.h"

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

static void add_register(struct words *words, const struct store_request *r)
{
    words_add(words, r->who.name);
    words_add(words, r->who.agent);
    words_add(words, r->who.host);
    words_add_int(words, r->who.pid);
    words_add(words, r->who.version);
    words_add(words, r->who.connection);
    words_add(words, r->session);
    words_add(words, r->who.old_session);
    words_add_int(words, (int64_t)r->highest_op);
    words_add_int(words, r->lease_ms);
    words_add_int(words, r->who.began_us);
    words_add_int(words, (int64_t)r->who.sequence);
    words_add_int(words, (int64_t)r->who.claims_count);
    for (size_t i = 0; i < r->who.claims_count; i++) {
        const struct store_claim *claim = &r->who.claims[i];
        words_add(words, claim->request);
        words_add_int(words, (int64_t)claim->token);
        words_add(words, claim->pool);
        words_add_int(words, (int64_t)claim->number);
        words_add(words, claim->production);
        words_add(words, seat_use_word(claim->use));
    }
    for (size_t i = 0; i < r->who.waiting_count; i++) {
        words_add(words, r->who.waiting[i]);
    }
}

static void add_heartbeat(struct words *words, const struct store_request *r)
{
    words_add(words, r->session);
    words_add(words, r->who.connection);
    words_add_int(words, (int64_t)r->highest_op);
    words_add_int(words, r->lease_ms);
    words_add_int(words, (int64_t)r->who.sequence);
    for (size_t i = 0; i < r->waived.count; i++) {
        words_add(words, r->waived.pools[i]);
        words_add_int(words, (int64_t)r->waived.counts[i]);
        words_add_int(words, (int64_t)(r->waived.overruns != NULL ? r->waived.overruns[i] : 0));
    }
}

static void add_tick(struct words *words, const struct store_request *r)
{
    words_add_int(words, r->step_ms);
    words_add_int(words, (int64_t)r->steps);
    words_add_int(words, r->lease_ms);
    words_add_int(words, r->reuse_ms);
    words_add_int(words, r->memo_ms);
    for (size_t i = 0; i < r->holders_count; i++) {
        words_add(words, r->holders[i].pool);
        words_add(words, r->holders[i].processor);
        words_add(words, r->holders[i].production);
        words_add_int(words, (int64_t)r->holders[i].granted);
    }
}

static void add_limits(struct words *words, const struct store_request *r)
{
    words_add_int(words, r->limits.keys);
    words_add_int(words, r->limits.productions);
    for (size_t i = 0; i < r->limits.pools_count; i++) {
        words_add(words, r->limits.pools[i].pool);
        words_add_int(words, r->limits.pools[i].cap);
        words_add(words, r->limits.pools[i].shared ? "1" : "0");
        words_add_int(words, (int64_t)r->limits.pools[i].reserved_count);
        for (size_t n = 0; n < r->limits.pools[i].reserved_count; n++) {
            words_add(words, r->limits.pools[i].reserved[n].agent);
            words_add_int(words, r->limits.pools[i].reserved[n].seats);
        }
    }
}

static void add_arguments(struct words *words, const struct store_request *r)
{
    switch (r->verb) {
    case STORE_HELLO:
        words_add_int(words, (int64_t)r->highest_op);
        words_add_int(words, r->lease_ms);
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
        words_add(words, r->session);
        words_add(words, r->who.connection);
        return;
    case STORE_GOODBYE:
        words_add(words, r->session);
        return;
    case STORE_ACQUIRE:
    case STORE_RELEASE:
        words->error = -EINVAL; /* they go in batches */
        return;
    case STORE_OPERATOR_RELEASE:
        words_add_int(words, (int64_t)r->token);
        words_add(words, r->audit.who);
        return;
    case STORE_TICK:
        add_tick(words, r);
        return;
    case STORE_LIST:
        words_add(words, r->pool);
        return;
    case STORE_EXPLAIN:
        words_add(words, r->request);
        return;
    case STORE_MASTER:
        words_add(words, r->demo ? "demo" : "licensed");
        words_add(words, r->audit.who);
        return;
    case STORE_AUDIT:
        words_add(words, r->audit.who);
        words_add(words, r->audit.what);
        words_add(words, r->audit.detail);
        return;
    case STORE_USAGE:
    case STORE_LIST_AUDIT:
        words_add_int(words, r->max);
        return;
    case STORE_ACKNOWLEDGE:
        words_add(words, r->through);
        return;
    }
}

int command_write(const struct store_request *request, const char *tenant, struct buf *out)
{
    struct words words;
    words_init(&words);
    words_call(&words, names[request->verb], tenant);
    add_arguments(&words, request);
    int rc = words_write(&words, out);
    words_release(&words);
    return rc;
}

const char *command_name(enum store_verb verb)
{
    return names[verb];
}
