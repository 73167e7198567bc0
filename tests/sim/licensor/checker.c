/*
 * The rules of seats, from outside.
 */
#include "tests/sim/licensor/checker.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void keep_grant(struct checker *checker, const struct store_grant *grant)
{
    if (checker->grants_count < CHECKER_SEATS_MAX) {
        checker->grants[checker->grants_count++] = *grant;
    }
}

static void keep_limits(struct checker *checker, const struct store_request *request)
{
    checker->productions = request->limits.productions;
    checker->pools_count = request->limits.pools_count;
    for (size_t i = 0; i < checker->pools_count; i++) {
        checker->pools[i] = request->limits.pools[i];
        checker->over[i] = UINT32_MAX; /* nothing is taken away */
    }
}

void checker_answer(struct checker *checker, const struct store_request *request,
                    const struct store_answer *answer)
{
    checker->verb = request->verb;
    checker->word = answer->word;
    checker->reason = answer->reason;
    checker->grants_count = 0;
    checker->is_new = answer->op > checker->op;
    checker->op = answer->op > checker->op ? answer->op : checker->op;
    if (request->verb == STORE_LIMITS) {
        keep_limits(checker, request);
    }
    if (request->verb == STORE_REGISTER || request->verb == STORE_HELLO) {
        for (size_t i = 0; i < CHECKER_POOLS_MAX; i++) {
            checker->over[i] = UINT32_MAX; /* claims are believed, whatever the limit is */
        }
    }
    if (request->verb == STORE_ACQUIRE) {
        checker->use = request->ask.use;
        snprintf(checker->session, sizeof(checker->session), "%s", request->session);
        checker->chain_count = request->ask.pools_count;
        for (size_t i = 0; i < checker->chain_count; i++) {
            snprintf(checker->chain[i], sizeof(checker->chain[i]), "%s", request->ask.pools[i]);
        }
    }
    for (size_t i = 0; i < answer->handed_count; i++) {
        keep_grant(checker, &answer->handed[i]);
        checker->op = answer->handed[i].token > checker->op ? answer->handed[i].token : checker->op;
    }
    checker->handed_count = checker->grants_count;
    if (answer->word == STORE_GRANTED && answer->grant.token != 0 && checker->is_new) {
        keep_grant(checker, &answer->grant);
    }
}

static const struct store_pool_row *row_of(const struct store_answer *list, const char *pool)
{
    for (size_t i = 0; i < list->pools_count; i++) {
        if (strcmp(list->pools[i].pool, pool) == 0) {
            return &list->pools[i];
        }
    }
    return NULL;
}

static const char *agent_of(const struct store_answer *list, const char *session)
{
    for (size_t i = 0; i < list->processors_count; i++) {
        if (strcmp(list->processors[i].session, session) == 0) {
            return list->processors[i].agent;
        }
    }
    return "";
}

/* Busy seats of a pool; of one agent when it is not NULL. */
static uint32_t busy_of(const struct store_answer *list, const char *pool, const char *agent)
{
    uint32_t busy = 0;
    for (size_t i = 0; i < list->seats_count; i++) {
        const struct store_seat_row *seat = &list->seats[i];
        busy += strcmp(seat->state, "busy") == 0 && strcmp(seat->pool, pool) == 0 &&
                (agent == NULL || strcmp(agent_of(list, seat->session), agent) == 0);
    }
    return busy;
}

static uint32_t queued_of(const struct store_answer *list, const char *pool)
{
    uint32_t queued = 0;
    for (size_t i = 0; i < list->seats_count; i++) {
        queued +=
            strcmp(list->seats[i].state, "queued") == 0 && strcmp(list->seats[i].pool, pool) == 0;
    }
    return queued;
}

/* 1. Consumed is busy and queued, and not above the cap but where it was so before. */
static int check_pools(struct checker *checker, const struct store_answer *list,
                       struct error *error)
{
    for (size_t i = 0; i < list->pools_count; i++) {
        const struct store_pool_row *row = &list->pools[i];
        if (row->in_use != busy_of(list, row->pool, NULL) ||
            row->queued != queued_of(list, row->pool)) {
            return error_set(error, -EBADMSG, "rule 1: pool %s says %u busy and %u queued",
                             row->pool, row->in_use, row->queued);
        }
    }
    for (size_t i = 0; i < checker->pools_count; i++) {
        const struct store_pool_row *row = row_of(list, checker->pools[i].pool);
        uint32_t used = row != NULL ? row->in_use + row->queued : 0;
        uint32_t cap = checker->pools[i].cap;
        if (used > cap && used > checker->over[i]) {
            return error_set(error, -EBADMSG, "rule 1: pool %s has %u consumed of %u",
                             checker->pools[i].pool, used, cap);
        }
        checker->over[i] = used > cap ? used : 0;
    }
    return 0;
}

/* Its own request runs: nobody else is on it, who could have kept it. */
static bool is_running(const struct store_answer *list, const struct store_seat_row *seat)
{
    for (size_t i = 0; i < list->seats_count; i++) {
        if (strcmp(list->seats[i].state, "waived") == 0 && list->seats[i].token == seat->token) {
            return false;
        }
    }
    return strcmp(seat->state, "busy") == 0 && seat->use == SEAT_HELD;
}

static bool is_same_holder(const struct store_answer *list, const struct store_seat_row *a,
                           const struct store_seat_row *b)
{
    return is_running(list, a) && is_running(list, b) && strcmp(a->session, b->session) == 0 &&
           strcmp(a->production, b->production) == 0;
}

/* 3. A seat is in one place. 6. A holder has one counted seat, and others are shown on it. */
static int check_seats(const struct store_answer *list, struct error *error)
{
    for (size_t i = 0; i < list->seats_count; i++) {
        const struct store_seat_row *a = &list->seats[i];
        bool is_shown = strcmp(a->state, "waived") == 0, has_base = false;
        for (size_t n = 0; n < list->seats_count; n++) {
            const struct store_seat_row *b = &list->seats[n];
            bool is_counted = strcmp(b->state, "busy") == 0 || strcmp(b->state, "queued") == 0;
            bool same_seat = a->number == b->number && strcmp(a->pool, b->pool) == 0;
            has_base = has_base || (strcmp(b->state, "busy") == 0 && a->token == b->token &&
                                    strcmp(a->session, b->session) == 0);
            if (i == n || is_shown || a->number == 0 || !is_counted) {
                continue;
            }
            if (same_seat) {
                return error_set(error, -EBADMSG, "rule 3: L%" PRIu64 " of pool %s is twice",
                                 a->number, a->pool);
            }
            if (is_same_holder(list, a, b)) {
                return error_set(error, -EBADMSG, "rule 6: %s of %s has two seats", a->production,
                                 a->session);
            }
        }
        if (is_shown && !has_base) {
            return error_set(error, -EBADMSG, "rule 6: request %s is on no seat", a->request);
        }
    }
    return 0;
}

static const struct store_seat_row *row_of_request(const struct store_answer *list,
                                                   const char *request)
{
    for (size_t i = 0; i < list->seats_count; i++) {
        if (strcmp(list->seats[i].request, request) == 0) {
            return &list->seats[i];
        }
    }
    return NULL;
}

/* 6. Who waited beside a request that was handed its holder's seat waits no more. */
static int check_beside(const struct checker *checker, const struct store_answer *list,
                        struct error *error)
{
    for (size_t i = 0; i < checker->handed_count; i++) {
        const struct store_seat_row *served = row_of_request(list, checker->grants[i].request);
        for (size_t n = 0; served != NULL && n < list->seats_count; n++) {
            const struct store_seat_row *other = &list->seats[n];
            if (served->use == SEAT_HELD && other->use == SEAT_HELD &&
                strcmp(other->state, "waiting") == 0 &&
                strcmp(other->session, served->session) == 0 &&
                strcmp(other->production, served->production) == 0) {
                return error_set(error, -EBADMSG,
                                 "rule 6: %s waits, and its holder has a seat by %s",
                                 other->request, served->request);
            }
        }
    }
    return 0;
}

/* 2. A grant leaves its processor within the edition. */
static int check_editions(const struct checker *checker, const struct store_answer *list,
                          struct error *error)
{
    for (size_t i = 0; i < checker->grants_count; i++) {
        const struct store_grant *grant = &checker->grants[i];
        for (size_t n = 0; n < list->processors_count; n++) {
            const struct store_processor_row *processor = &list->processors[n];
            for (size_t s = 0; s < list->seats_count; s++) {
                const struct store_seat_row *seat = &list->seats[s];
                if (seat->use == SEAT_HELD && !grant->waived && seat->token == grant->token &&
                    strcmp(seat->session, processor->session) == 0 &&
                    processor->productions > checker->productions) {
                    return error_set(error, -EBADMSG, "rule 2: %s runs %u productions of %u",
                                     processor->name, processor->productions, checker->productions);
                }
            }
        }
    }
    return 0;
}

static bool was(const struct checker *checker, const struct store_grant *grant, char state)
{
    for (size_t i = 0; i < checker->seats_count; i++) {
        const struct checker_seat *seat = &checker->seats[i];
        if (seat->state == state && seat->number == grant->number &&
            strcmp(seat->pool, grant->pool) == 0) {
            return true;
        }
    }
    return false;
}

static bool has_room(const struct checker *checker, const struct store_answer *list,
                     const char *pool, const char *agent)
{
    for (size_t i = 0; i < checker->pools_count; i++) {
        const struct pool_limit *limit = &checker->pools[i];
        if (strcmp(limit->pool, pool) != 0) {
            continue;
        }
        uint32_t busy = busy_of(list, pool, NULL);
        uint64_t kept = 0;
        for (size_t n = 0; n < limit->reserved_count; n++) {
            const struct reservation *reserved = &limit->reserved[n];
            uint32_t theirs = busy_of(list, pool, reserved->agent);
            if (strcmp(reserved->agent, agent) != 0 && reserved->seats > theirs) {
                kept += reserved->seats - theirs;
            }
        }
        return limit->cap > busy && limit->cap - busy > kept;
    }
    return false;
}

/* 5. A re-used seat has life left and was not busy; nobody is refused what may be had. */
static int check_reuse(const struct checker *checker, const struct store_answer *list,
                       struct error *error)
{
    for (size_t i = 0; i < checker->grants_count; i++) {
        const struct store_grant *grant = &checker->grants[i];
        if (!grant->waived && grant->reused &&
            (grant->life_left_ms <= 0 ||
             (was(checker, grant, 'b') && checker->verb == STORE_ACQUIRE &&
              checker->grants_count == 1))) {
            return error_set(error, -EBADMSG, "rule 5: L%" PRIu64 " of pool %s is re-used wrongly",
                             grant->number, grant->pool);
        }
    }
    if (checker->verb != STORE_ACQUIRE || checker->word != STORE_REFUSED ||
        checker->reason != STORE_POOL_LIMIT || !checker->is_new) {
        return 0;
    }
    for (size_t i = 0; i < checker->chain_count; i++) {
        if (has_room(checker, list, checker->chain[i], agent_of(list, checker->session))) {
            return error_set(error, -EBADMSG, "rule 5: refused although pool %s has a seat",
                             checker->chain[i]);
        }
    }
    return 0;
}

/* 4. Tokens are of one seat each, and none is of the future. */
static int check_tokens(const struct checker *checker, const struct store_answer *list,
                        struct error *error)
{
    for (size_t i = 0; i < list->seats_count; i++) {
        const struct store_seat_row *a = &list->seats[i];
        if (a->token > checker->op) {
            return error_set(error, -EBADMSG, "rule 4: token %" PRIu64 " is of the future",
                             a->token);
        }
        for (size_t n = 0; n < i; n++) {
            const struct store_seat_row *b = &list->seats[n];
            if (a->token != 0 && a->token == b->token && strcmp(a->state, "busy") == 0 &&
                strcmp(b->state, "busy") == 0) {
                return error_set(error, -EBADMSG, "rule 4: token %" PRIu64 " is of two seats",
                                 a->token);
            }
        }
    }
    return 0;
}

static void keep_state(struct checker *checker, const struct store_answer *list)
{
    /* an answer tells of its own transition, and not of who was waived by it */
    checker->op = list->op > checker->op ? list->op : checker->op;
    checker->seats_count = 0;
    for (size_t i = 0; i < list->seats_count && i < CHECKER_SEATS_MAX; i++) {
        const struct store_seat_row *row = &list->seats[i];
        struct checker_seat *seat = &checker->seats[checker->seats_count++];
        snprintf(seat->pool, sizeof(seat->pool), "%.15s", row->pool);
        snprintf(seat->session, sizeof(seat->session), "%s", row->session);
        snprintf(seat->production, sizeof(seat->production), "%.31s", row->production);
        seat->state = strcmp(row->state, "waiting") == 0 ? 'l' : row->state[0];
        seat->number = row->number;
        seat->token = row->token;
        seat->use = row->use;
    }
}

int checker_state(struct checker *checker, const struct store_answer *list, struct error *error)
{
    int rc = check_pools(checker, list, error);
    rc = rc != 0 ? rc : check_editions(checker, list, error);
    rc = rc != 0 ? rc : check_seats(list, error);
    rc = rc != 0 ? rc : check_beside(checker, list, error);
    rc = rc != 0 ? rc : check_tokens(checker, list, error);
    rc = rc != 0 ? rc : check_reuse(checker, list, error);
    keep_state(checker, list);
    return rc;
}
