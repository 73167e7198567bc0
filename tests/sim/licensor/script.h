/*
 * A seeded stream of transitions for a store of keys and seats: registrations, deaths, requests,
 * waits, repeated and late messages, clock steps, lost writes, licences that change. It follows the
 * answers, so that it can name tokens that exist.
 */
#ifndef ENGENHO_TESTS_SIM_LICENSOR_SCRIPT_H
#define ENGENHO_TESTS_SIM_LICENSOR_SCRIPT_H

#include <stdint.h>

#include "common/error.h"
#include "common/random.h"
#include "licensor/store.h"

#define SCRIPT_WORKERS 6
#define SCRIPT_GRANTS 64
#define SCRIPT_REUSE_MS 30000
#define SCRIPT_LEASE_MS 30000

/* A request that was asked. */
struct script_request {
    char id[REQUEST_BYTES_MAX + 1];
    char session[SESSION_BYTES_MAX + 1];
    char pool[POOL_BYTES_MAX + 1];
    char production[NAME_BYTES_MAX + 1];
    const char *agent;
    enum seat_use use;
    uint64_t token, number;
    enum { REQUEST_FREE, REQUEST_WAITS, REQUEST_HELD, REQUEST_OVER } state;
    bool waived;
    uint64_t since_op; /* waiting: when it came into the line */
    bool in_line;      /* the store has it in a line */
    bool served;       /* handed a seat of `pool` by the last transition */
    const char *pools[3];
    size_t pools_count;
};

struct script_worker {
    char name[16], agent[16];
    char session[SESSION_BYTES_MAX + 1]; /* "": none */
    unsigned connection;
    uint64_t requests;
    int64_t began_us; /* of its process, and the number of its newest registration */
    uint64_t sequence;
    int64_t known_began_us; /* of the registration that the store took last; 0: it said none */
    uint64_t known_sequence;
    bool is_live; /* the store has its session */
};

struct script {
    struct random random;
    int64_t now_ms;
    bool is_clock_held; /* the next transition comes in the same millisecond */
    bool is_calm;       /* of every second seed: mostly ordinary requests, and seats for all */
    uint64_t highest_op, sessions;
    struct script_worker workers[SCRIPT_WORKERS];
    struct script_request requests[SCRIPT_GRANTS];
    uint64_t steps;
    uint64_t seq_of[8]; /* highest L-number by pool, to see that they only grow */
    /* The transition that is on its way, and what it borrows. */
    struct store_request request;
    struct script_worker *worker;
    struct script_request *asked;
    bool is_late; /* a registration that is older than one that was taken */
    struct store_claim claims[SCRIPT_GRANTS];
    const char *waiting[SCRIPT_GRANTS];
    struct pool_limit pools[8]; /* of the newest licence, by the index of their names */
    char session[SESSION_BYTES_MAX + 1], connection[32];
    const char *waived_pools[1];
    uint64_t waived_counts[1], overruns[1];
    struct store_holder holders[3];
    char through[32];
    uint64_t counts[STORE_VERBS][STORE_REFUSED + 1];
    uint64_t reused, handed, refused_for_limit;
};

void script_init(struct script *script, uint64_t seed);
/*
 * Move the clock and choose the next transition; borrowed until the next call. The store's clock is
 * script->now_ms.
 */
const struct store_request *script_next(struct script *script);
/*
 * Take what a list of the store says between two transitions: who stands in line. Returns 0, or
 * -EBADMSG when the last transition served somebody before one who came earlier and still waits.
 */
MUST_CHECK int script_see(struct script *script, const struct store_answer *list,
                          struct error *error);
/* Whether the last transition serves every line. */
bool script_serves(const struct script *script);
/* Take its answer. Returns 0, or -EBADMSG with what no answer may say. */
MUST_CHECK int script_answer(struct script *script, const struct store_answer *answer,
                             struct error *error);

#endif
