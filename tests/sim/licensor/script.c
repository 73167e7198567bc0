/*
 * The random life of six workers and their seats.
 */
#include "tests/sim/licensor/script.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const pool_names[] = {"productions", "requests", "full", "small"};
static const char *const chains[][3] = {
    {"productions"}, {"requests"}, {"requests", "full"}, {"productions", "small", "full"},
    {"small"},       {"nowhere"},
};
static const char *const productions[] = {"P1", "P2", "P3", "Period/P_2m"};

static bool chance(struct script *script, unsigned percent)
{
    return random_below(&script->random, 100) < percent;
}

static size_t pick(struct script *script, size_t count)
{
    return (size_t)random_below(&script->random, count);
}

void script_init(struct script *script, uint64_t seed)
{
    memset(script, 0, sizeof(*script));
    random_init(&script->random, seed);
    script->is_calm = seed % 2 == 0;
    script->now_ms = INT64_C(1767225600000) + (int64_t)pick(script, 1000000);
    for (size_t i = 0; i < SCRIPT_WORKERS; i++) {
        snprintf(script->workers[i].name, sizeof(script->workers[i].name), "worker%zu", i);
        script->workers[i].began_us = 1000000;
        snprintf(script->workers[i].agent, sizeof(script->workers[i].agent),
                 i < 4 ? "default" : "other");
    }
}

/* Licensors may be started with different options. */
static int64_t lease_ms(struct script *script)
{
    return chance(script, 80) ? SCRIPT_LEASE_MS : 3000 + (int64_t)pick(script, 10) * 1000;
}

/* The clock moves by little, by nothing, to an edge of the 30 seconds, or far. */
static void move_clock(struct script *script)
{
    if (script->is_calm && chance(script, 99)) {
        script->now_ms += (int64_t)pick(script, 40);
        return;
    }
    switch (pick(script, 40)) {
    case 0:
        script->now_ms += 29999 + (int64_t)pick(script, 3);
        return;
    case 1:
        script->now_ms += 10000;
        return;
    case 2:
    case 3:
    case 4:
        script->now_ms += (int64_t)pick(script, 5000);
        return;
    default:
        script->now_ms += (int64_t)pick(script, 3) * (int64_t)pick(script, 400);
        return;
    }
}

/* Seats for all, and no rule that is out of the ordinary. */
static void calm_limits(struct script *script)
{
    script->request.limits.keys = SCRIPT_WORKERS;
    script->request.limits.productions = SCRIPT_GRANTS;
    for (size_t i = 0; i < script->request.limits.pools_count; i++) {
        script->pools[i].cap = SCRIPT_GRANTS - (uint32_t)pick(script, 12);
        script->pools[i].shared = false;
        script->pools[i].reserved_count = 0;
    }
}

static void choose_limits(struct script *script)
{
    struct store_request *r = &script->request;
    r->verb = STORE_LIMITS;
    r->limits.keys = 1 + (uint32_t)pick(script, 5);
    r->limits.productions = 1 + (uint32_t)pick(script, 3);
    r->limits.pools_count = chance(script, 90) ? 4 : 3;
    for (size_t i = 0; i < r->limits.pools_count; i++) {
        snprintf(script->pools[i].pool, sizeof(script->pools[i].pool), "%s", pool_names[i]);
        script->pools[i].cap = (uint32_t)pick(script, 5);
        script->pools[i].shared = chance(script, 15);
        script->pools[i].reserved_count = chance(script, 25) ? 1 + pick(script, 2) : 0;
        for (size_t n = 0; n < script->pools[i].reserved_count; n++) {
            snprintf(script->pools[i].reserved[n].agent, sizeof(script->pools[i].reserved[n].agent),
                     "%s", n == 0 ? "other" : "default");
            script->pools[i].reserved[n].seats = (uint32_t)pick(script, 3);
        }
    }
    r->limits.pools = script->pools;
    if (script->is_calm) {
        calm_limits(script);
    }
}

static void connection_of(struct script *script, const struct script_worker *worker)
{
    snprintf(script->connection, sizeof(script->connection), "%s.%u", worker->name,
             worker->connection);
    script->request.who.connection = script->connection;
}

static void collect_claims(struct script *script, const struct script_worker *worker)
{
    struct store_request *r = &script->request;
    for (size_t i = 0; i < SCRIPT_GRANTS; i++) {
        const struct script_request *request = &script->requests[i];
        if (strcmp(request->session, worker->session) != 0 || chance(script, 10)) {
            continue;
        }
        if (request->state == REQUEST_HELD) {
            script->claims[r->who.claims_count++] =
                (struct store_claim){.token = request->token,
                                     .number = request->number,
                                     .pool = request->pool,
                                     .production = request->production,
                                     .request = request->id,
                                     .use = request->use};
        } else if (request->state == REQUEST_WAITS) {
            script->waiting[r->who.waiting_count++] = request->id;
        }
    }
    r->who.claims = script->claims;
    r->who.waiting = script->waiting;
}

/* What a session no longer claims is over for it. */
static void drop_unclaimed(struct script *script, const char *session, bool waived_too)
{
    for (size_t i = 0; i < SCRIPT_GRANTS; i++) {
        struct script_request *request = &script->requests[i];
        if (strcmp(request->session, session) != 0) {
            continue;
        }
        bool kept = false;
        for (size_t c = 0; c < script->request.who.claims_count; c++) {
            kept = kept || strcmp(script->claims[c].request, request->id) == 0;
        }
        for (size_t w = 0; w < script->request.who.waiting_count; w++) {
            kept = kept || strcmp(script->waiting[w], request->id) == 0;
        }
        if (!kept && (waived_too || !request->waived)) {
            request->state = REQUEST_FREE;
        }
    }
}

/* A registration of this process or the next one, one that was sent long ago, or one that does not
 * say. */
static void order_registration(struct script *script, struct script_worker *worker)
{
    struct store_request *r = &script->request;
    if (chance(script, 15)) {
        /* started again, seldom with a clock that is behind */
        worker->began_us += (int64_t)pick(script, 1000) - (chance(script, 20) ? 1000 : 0);
        worker->sequence = 0;
    }
    r->who.began_us = worker->began_us;
    r->who.sequence = ++worker->sequence;
    if (chance(script, 15)) {
        r->who.began_us = worker->known_began_us - (int64_t)pick(script, 2);
        r->who.sequence = 1 + pick(script, worker->known_sequence + 1);
    } else if (chance(script, 5)) {
        r->who.began_us = 0;
        r->who.sequence = 0;
    }
    script->is_late =
        r->who.sequence > 0 && worker->is_live &&
        (r->who.began_us < worker->known_began_us ||
         (r->who.began_us == worker->known_began_us && r->who.sequence <= worker->known_sequence));
}

static void choose_register(struct script *script)
{
    struct store_request *r = &script->request;
    struct script_worker *worker = script->worker = &script->workers[pick(script, SCRIPT_WORKERS)];
    r->verb = STORE_REGISTER;
    snprintf(script->session, sizeof(script->session), "s%" PRIu64, ++script->sessions);
    r->session = script->session;
    r->lease_ms = lease_ms(script);
    r->who.name = worker->name;
    r->who.agent = worker->agent;
    r->who.host = "host";
    r->who.version = "1";
    r->who.pid = 100;
    worker->connection++;
    connection_of(script, worker);
    order_registration(script, worker);
    r->who.old_session = chance(script, 70) ? worker->session : "";
    r->highest_op = script->highest_op;
    if (r->who.old_session[0] != '\0') {
        collect_claims(script, worker);
    }
}

static void choose_heartbeat(struct script *script)
{
    struct store_request *r = &script->request;
    r->verb = STORE_HEARTBEAT;
    r->session = script->worker->session;
    r->lease_ms = lease_ms(script);
    r->highest_op = script->highest_op;
    connection_of(script, script->worker);
    r->who.sequence = chance(script, 85) ? script->worker->known_sequence
                                         : pick(script, script->worker->known_sequence + 2);
    if (chance(script, 20)) {
        script->waived_pools[0] = chance(script, 80) ? "productions" : "nowhere";
        script->waived_counts[0] = 1 + pick(script, 100);
        r->waived.pools = script->waived_pools;
        r->waived.counts = script->waived_counts;
        script->overruns[0] = pick(script, 3);
        r->waived.overruns = script->overruns;
        r->waived.count = 1;
    }
}

static struct script_request *find_state(struct script *script, int state)
{
    size_t from = pick(script, SCRIPT_GRANTS);
    for (size_t i = 0; i < SCRIPT_GRANTS; i++) {
        struct script_request *request = &script->requests[(from + i) % SCRIPT_GRANTS];
        if ((int)request->state == state) {
            return request;
        }
    }
    return NULL;
}

static void ask(struct script *script, const struct script_request *asked, bool wait)
{
    struct store_request *r = &script->request;
    r->verb = STORE_ACQUIRE;
    r->session = asked->session;
    r->request = asked->id;
    r->reuse_ms = SCRIPT_REUSE_MS;
    r->memo_ms = 60000;
    r->ask.use = asked->use;
    r->ask.production = asked->production;
    r->ask.user = "";
    r->ask.pools = asked->pools;
    r->ask.pools_count = asked->pools_count;
    r->ask.wait = wait;
    r->ask.line_max = 4;
}

static void choose_acquire(struct script *script)
{
    struct script_worker *worker = script->worker;
    struct script_request *asked = chance(script, 90) ? find_state(script, REQUEST_FREE) : NULL;
    if (asked == NULL) {
        asked = find_state(script, chance(script, 50) ? REQUEST_OVER : REQUEST_FREE);
    }
    asked = asked == NULL ? &script->requests[pick(script, SCRIPT_GRANTS)] : asked;
    script->asked = asked;
    if (chance(script, script->is_calm ? 1 : 8) && asked->id[0] != '\0') {
        ask(script, asked, chance(script, 50)); /* the same once more, whatever became of it */
        return;
    }
    if (asked->state == REQUEST_WAITS || asked->state == REQUEST_HELD) {
        ask(script, asked, true);
        return;
    }
    memset(asked, 0, sizeof(*asked));
    snprintf(asked->session, sizeof(asked->session), "%s", worker->session);
    snprintf(asked->id, sizeof(asked->id), "%s:%" PRIu64,
             worker->session[0] != '\0' ? worker->session : "none", ++worker->requests);
    asked->agent = worker->agent;
    asked->use = chance(script, 55) ? SEAT_HELD : chance(script, 90) ? SEAT_REQUEST : SEAT_NOTIFIED;
    if (script->is_calm && chance(script, 90)) {
        snprintf(asked->production, sizeof(asked->production), "C%zu", pick(script, 100));
    } else {
        snprintf(asked->production, sizeof(asked->production), "%s",
                 productions[pick(script, ARRAY_SIZE(productions))]);
    }
    size_t chain =
        chance(script, 97) ? pick(script, ARRAY_SIZE(chains) - 1) : ARRAY_SIZE(chains) - 1;
    for (size_t i = 0; i < 3 && chains[chain][i] != NULL; i++) {
        asked->pools[asked->pools_count++] = chains[chain][i];
    }
    ask(script, asked, !script->is_calm && chance(script, 50));
}

static void choose_release(struct script *script)
{
    struct store_request *r = &script->request;
    struct script_request *held =
        find_state(script, chance(script, 92) ? REQUEST_HELD : REQUEST_WAITS);
    if (held == NULL || chance(script, 4)) {
        held = &script->requests[pick(script, SCRIPT_GRANTS)];
    }
    script->asked = held;
    r->verb = STORE_RELEASE;
    r->session = held->session;
    r->request = held->id[0] != '\0' ? held->id : "none:0";
    r->token = chance(script, 96) ? held->token : pick(script, 1000);
    r->memo_ms = 60000;
}

static void choose_rare(struct script *script)
{
    struct store_request *r = &script->request;
    switch (pick(script, 18)) {
    case 16:
        r->verb = STORE_AUDIT;
        r->audit.who = "";
        r->audit.what = "install licence";
        r->audit.detail = chance(script, 50) ? "installed" : "refused: altered";
        return;
    case 17:
        r->verb = STORE_LIST_AUDIT;
        r->max = 1 + (uint32_t)pick(script, AUDIT_ENTRIES_MAX);
        return;
    case 12:
        r->verb = STORE_MASTER;
        r->demo = chance(script, 50);
        r->audit.who = "producer";
        return;
    case 13:
    case 14:
        r->verb = STORE_USAGE;
        r->max = 1 + (uint32_t)pick(script, 5);
        return;
    case 15:
        r->verb = STORE_ACKNOWLEDGE;
        snprintf(script->through, sizeof(script->through), "%" PRId64 ":%s",
                 script->now_ms / 60000 - (int64_t)pick(script, 20),
                 pool_names[pick(script, ARRAY_SIZE(pool_names))]);
        r->through = chance(script, 95) ? script->through : "nonsense";
        return;
    case 0:
        choose_limits(script);
        return;
    case 1:
        r->verb = STORE_GOODBYE;
        r->session = script->worker->session;
        return;
    case 2:
        r->verb = STORE_OPERATOR_RELEASE;
        script->asked = find_state(script, REQUEST_HELD);
        r->token = script->asked != NULL ? script->asked->token : 5;
        r->audit.who = "operator";
        return;
    case 3:
        r->verb = STORE_HELLO;
        r->lease_ms = lease_ms(script);
        r->highest_op = script->highest_op;
        if (chance(script, script->is_calm ? 1 : 15)) {
            /* somebody saw transitions that this store lost */
            r->highest_op += 1 + pick(script, 50);
        }
        return;
    case 4:
    case 5:
        r->verb = STORE_LIST;
        r->pool = chance(script, 50) ? "" : pool_names[pick(script, ARRAY_SIZE(pool_names))];
        return;
    case 6:
    case 7:
        r->verb = STORE_EXPLAIN;
        script->asked = &script->requests[pick(script, SCRIPT_GRANTS)];
        r->request = script->asked->id[0] != '\0' ? script->asked->id : "none:0";
        return;
    default:
        r->verb = STORE_DISCONNECT;
        r->session = script->worker->session;
        connection_of(script, script->worker);
        return;
    }
}

static void choose_tick(struct script *script)
{
    struct store_request *r = &script->request;
    r->verb = STORE_TICK;
    r->lease_ms = lease_ms(script);
    r->reuse_ms = SCRIPT_REUSE_MS;
    r->memo_ms = 60000;
    r->steps = script->steps;
    r->holders = script->holders;
    r->holders_count = pick(script, 3);
    for (size_t i = 0; i < r->holders_count; i++) {
        script->holders[i] =
            (struct store_holder){.pool = pool_names[pick(script, ARRAY_SIZE(pool_names))],
                                  .processor = script->workers[pick(script, SCRIPT_WORKERS)].name,
                                  .production = productions[pick(script, ARRAY_SIZE(productions))],
                                  .granted = 1 + pick(script, 9)};
    }
    if (chance(script, 4)) {
        int64_t step = (int64_t)pick(script, 7200000) - 3600000;
        script->now_ms += step;
        if (chance(script, 60)) {
            r->step_ms = step; /* the licensor saw it; else the store itself must cope */
        }
        if (chance(script, 10)) {
            r->steps = script->steps + 1; /* another licensor was first */
        }
    }
}

/* What comes how often of a hundred, added up; and when it is calm, so that most is worked out
 * ahead (licensor/store/ahead.h). */
static const struct {
    size_t until, calm_until;
    void (*choose)(struct script *script);
} verbs[] = {{6, 0, choose_register},  {22, 7, choose_heartbeat}, {55, 53, choose_acquire},
             {83, 98, choose_release}, {93, 99, choose_tick},     {100, 100, choose_rare}};

static void choose_verb(struct script *script)
{
    if (script->is_calm && !script->worker->is_live) {
        choose_register(script);
        return;
    }
    size_t what = pick(script, 100), i = 0;
    while (what >= (script->is_calm ? verbs[i].calm_until : verbs[i].until)) {
        i++;
    }
    verbs[i].choose(script);
}

const struct store_request *script_next(struct script *script)
{
    if (!script->is_clock_held) {
        move_clock(script);
    }
    script->request = (struct store_request){0};
    script->is_late = false;
    script->asked = NULL;
    script->worker = &script->workers[pick(script, SCRIPT_WORKERS)];
    if (script->highest_op == 0) {
        choose_limits(script);
    } else {
        choose_verb(script);
    }
    return &script->request;
}

/* Answers -------------------------------------------------------------------------------------- */

bool script_serves(const struct script *script)
{
    enum store_verb verb = script->request.verb;
    return verb == STORE_TICK || verb == STORE_LIMITS;
}

static int pool_index(const char *pool)
{
    for (size_t i = 0; i < ARRAY_SIZE(pool_names); i++) {
        if (strcmp(pool, pool_names[i]) == 0) {
            return (int)i;
        }
    }
    return 7;
}

static struct script_request *request_of(struct script *script, const char *id)
{
    for (size_t i = 0; i < SCRIPT_GRANTS; i++) {
        if (strcmp(script->requests[i].id, id) == 0) {
            return &script->requests[i];
        }
    }
    return NULL;
}

static void take_grant(struct script *script, const struct store_grant *grant)
{
    struct script_request *request = request_of(script, grant->request);
    if (request == NULL || grant->token == 0 || request->state == REQUEST_OVER) {
        return;
    }
    request->state = REQUEST_HELD;
    request->token = grant->token;
    request->number = grant->number;
    request->waived = grant->waived;
    snprintf(request->pool, sizeof(request->pool), "%s", grant->pool);
}

static int check_grant(struct script *script, const struct store_grant *grant, bool is_new,
                       struct error *error)
{
    if (grant->token == 0 || grant->waived || !is_new) {
        return 0;
    }
    uint64_t *seq = &script->seq_of[pool_index(grant->pool)];
    if (!grant->reused && grant->number <= *seq) {
        return error_set(error, -EBADMSG, "pool %s: fresh L%" PRIu64 " after L%" PRIu64,
                         grant->pool, grant->number, *seq);
    }
    if (grant->reused && (grant->number > *seq || grant->life_left_ms <= 0)) {
        return error_set(error, -EBADMSG, "pool %s: re-used L%" PRIu64 " with %" PRId64 " ms left",
                         grant->pool, grant->number, grant->life_left_ms);
    }
    if (grant->number > *seq) {
        *seq = grant->number;
    }
    if (grant->token <= script->highest_op) {
        return error_set(error, -EBADMSG, "token %" PRIu64 " is not new", grant->token);
    }
    return 0;
}

static bool wants(const struct script_request *request, const char *pool)
{
    for (size_t i = 0; i < request->pools_count; i++) {
        if (strcmp(request->pools[i], pool) == 0) {
            return true;
        }
    }
    return false;
}

/* Whether a reservation may have blocked the one, but not the other. */
static bool is_reserved(const struct script *script, const char *pool, const char *agent,
                        const char *other)
{
    const struct pool_limit *limit = &script->pools[pool_index(pool)];
    return limit->reserved_count > 0 && strcmp(agent, other) != 0;
}

/*
 * A request seat is never blocked by an edition, so nobody who came later may get a seat of its
 * pool before it, but for whom a seat is reserved.
 */
static int check_order(const struct script *script, const struct script_request *served,
                       struct error *error)
{
    for (size_t i = 0; i < SCRIPT_GRANTS; i++) {
        const struct script_request *other = &script->requests[i];
        if (other->in_line && other->use == SEAT_REQUEST && other->since_op < served->since_op &&
            wants(other, served->pool) &&
            !is_reserved(script, served->pool, served->agent, other->agent)) {
            return error_set(error, -EBADMSG, "request %s overtook %s in the line of pool %s",
                             served->id, other->id, served->pool);
        }
    }
    return 0;
}

int script_see(struct script *script, const struct store_answer *list, struct error *error)
{
    /* an answer tells of its own transition, and not of who was waived by it */
    script->highest_op = list->op > script->highest_op ? list->op : script->highest_op;
    for (size_t i = 0; i < SCRIPT_GRANTS; i++) {
        script->requests[i].in_line = false;
        for (size_t row = 0; row < list->seats_count; row++) {
            if (strcmp(list->seats[row].state, "waiting") == 0 &&
                strcmp(list->seats[row].request, script->requests[i].id) == 0) {
                script->requests[i].in_line = true;
            }
        }
    }
    for (size_t i = 0; i < SCRIPT_WORKERS; i++) {
        script->workers[i].is_live = false;
        for (size_t row = 0; row < list->processors_count; row++) {
            if (strcmp(list->processors[row].session, script->workers[i].session) == 0) {
                script->workers[i].is_live = true;
            }
        }
    }
    int rc = 0;
    for (size_t i = 0; i < SCRIPT_GRANTS && rc == 0; i++) {
        if (script->requests[i].served) {
            rc = check_order(script, &script->requests[i], error);
        }
        script->requests[i].served = false;
    }
    return rc;
}

static void end_session(struct script *script, const char *session)
{
    for (size_t i = 0; i < SCRIPT_GRANTS; i++) {
        if (strcmp(script->requests[i].session, session) == 0) {
            script->requests[i].state = REQUEST_FREE;
        }
    }
}

static void take_registered(struct script *script, const struct store_answer *answer)
{
    struct script_worker *worker = script->worker;
    worker->known_began_us = script->request.who.began_us;
    worker->known_sequence = script->request.who.sequence;
    if (strcmp(worker->session, answer->session) == 0) {
        drop_unclaimed(script, worker->session, true);
        for (size_t i = 0; i < answer->lost_count; i++) {
            for (size_t q = 0; q < SCRIPT_GRANTS; q++) {
                if (script->requests[q].token == answer->lost[i]) {
                    script->requests[q].state = REQUEST_FREE;
                }
            }
        }
        return;
    }
    end_session(script, worker->session);
    snprintf(worker->session, sizeof(worker->session), "%s", answer->session);
    worker->requests = 0;
}

static void take_word(struct script *script, const struct store_answer *answer)
{
    struct script_request *asked = script->asked;
    switch (answer->word) {
    case STORE_REGISTERED:
        take_registered(script, answer);
        return;
    case STORE_WAITING:
        if (!asked->in_line) {
            asked->since_op = answer->op;
        }
        asked->state = REQUEST_WAITS;
        return;
    case STORE_GRANTED:
        take_grant(script, &answer->grant);
        script->reused += answer->grant.reused;
        return;
    case STORE_RELEASED:
        if (asked != NULL && script->request.verb == STORE_RELEASE) {
            asked->state = REQUEST_OVER;
        }
        return;
    case STORE_TICKED:
        script->steps = answer->steps;
        return;
    case STORE_REFUSED:
        script->refused_for_limit += answer->reason == STORE_POOL_LIMIT;
        if (asked != NULL && script->request.verb == STORE_RELEASE &&
            answer->reason == STORE_STALE) {
            asked->state = REQUEST_FREE;
        }
        return;
    default:
        return;
    }
}

int script_answer(struct script *script, const struct store_answer *answer, struct error *error)
{
    script->counts[script->request.verb][answer->word]++;
    if (answer->now_ms != script->now_ms) {
        return error_set(error, -EBADMSG, "the store's clock says %" PRId64 ", not %" PRId64,
                         answer->now_ms, script->now_ms);
    }
    if (answer->op < script->highest_op) {
        return error_set(error, -EBADMSG, "op %" PRIu64 " after %" PRIu64, answer->op,
                         script->highest_op);
    }
    if (script->is_late && answer->word == STORE_REGISTERED) {
        return error_set(error, -EBADMSG, "a late registration of %s was taken",
                         script->worker->name);
    }
    /* also one that was over and is asked again when its answer is forgotten */
    bool is_new =
        script->asked != NULL && answer->op > script->highest_op &&
        (script->asked->state == REQUEST_FREE || answer->grant.token > script->highest_op);
    int rc = 0;
    /* before the request's own seat */
    for (size_t i = 0; i < answer->handed_count && rc == 0; i++) {
        rc = check_grant(script, &answer->handed[i], true, error);
        take_grant(script, &answer->handed[i]);
        struct script_request *served = request_of(script, answer->handed[i].request);
        if (served != NULL && !answer->handed[i].waived) {
            served->served = true;
        }
        script->handed++;
        script->reused += answer->handed[i].reused;
    }
    if (rc == 0 && answer->word == STORE_GRANTED) {
        rc = check_grant(script, &answer->grant, is_new, error);
    }
    take_word(script, answer);
    script->highest_op = answer->op;
    for (size_t i = 0; i < answer->handed_count; i++) {
        if (answer->handed[i].token > script->highest_op) {
            script->highest_op = answer->handed[i].token;
        }
    }
    return rc;
}
