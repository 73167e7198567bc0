/*
 * What must always hold of keys and seats, whatever keeps them: checked from requests, answers and
 * what a store lists, with no look into a store and none of its code.
 */
#ifndef ENGENHO_TESTS_SIM_LICENSOR_CHECKER_H
#define ENGENHO_TESTS_SIM_LICENSOR_CHECKER_H

#include "common/error.h"
#include "licensor/store.h"

#define CHECKER_POOLS_MAX 8
#define CHECKER_SEATS_MAX 256

struct checker_seat {
    char pool[16], session[SESSION_BYTES_MAX + 1], production[32];
    char state; /* b busy, w waived, q queued, l in line */
    uint64_t number, token;
    enum seat_use use;
};

struct checker {
    struct pool_limit pools[CHECKER_POOLS_MAX]; /* of the licence */
    size_t pools_count;
    uint32_t productions; /* of a processor */
    bool recovering;
    /* how far use may be above a limit: the licence was lowered, or workers claimed what they hold
     */
    uint32_t over[CHECKER_POOLS_MAX];
    /* the state after the transition before this one */
    struct checker_seat seats[CHECKER_SEATS_MAX];
    size_t seats_count;
    /* the transition that was answered last */
    enum store_verb verb;
    enum store_word word;
    enum store_reason reason;
    enum seat_use use;
    char session[SESSION_BYTES_MAX + 1];
    char chain[CHAIN_POOLS_MAX][16];
    size_t chain_count;
    struct store_grant grants[CHECKER_SEATS_MAX];
    size_t grants_count, handed_count; /* the handed ones are the first */
    bool is_new;                       /* its number is above all before it */
    uint64_t op;
};

/* A transition and its answer. */
void checker_answer(struct checker *checker, const struct store_request *request,
                    const struct store_answer *answer);
/* The state after it. Returns 0, or -EBADMSG with which rule is broken (SEATS section 4). */
MUST_CHECK int checker_state(struct checker *checker, const struct store_answer *list,
                             struct error *error);

#endif
