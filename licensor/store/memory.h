/*
 * The store of keys and seats in memory: the rules of SEATS as a pure state machine. Core of the
 * licensor: no clock (it is given `now`), no randomness, no I/O. What Redis runs, in functions/,
 * must answer the same, operation by operation (tests/sim/licensor); unit tests and the simulation
 * run on this one.
 *
 *            fresh: used < cap                       re-use: life left
 *   FREE --------------------------> BUSY <------------------------------- QUEUED
 *    ^  ^                             | | ^                                   | life over
 *    |  +-- released, life over ------+ | +-- handed to the head of the line  |
 *    |                                  |       released, life left --------->|
 *    +-- holder's session over ---------+-------------------------------------+
 */
#ifndef ENGENHO_LICENSOR_STORE_MEMORY_H
#define ENGENHO_LICENSOR_STORE_MEMORY_H

#include <stdbool.h>

#include "common/attributes.h"
#include "common/error.h"
#include "licensor/store.h"

struct memory;

/* Returns owned. */
struct memory *memory_store_new(void);
void memory_store_free(struct memory *memory);
/* The store's wall clock, for the transitions that follow. */
void memory_store_set_now(struct memory *memory, int64_t now_ms);
/* Transitions are answered before store_submit returns. */
struct store *memory_store(struct memory *memory);
/*
 * Lose what happened after an older number: as a fail-over to a replica that was behind would
 * (tests only compare numbers).
 */
void memory_store_set_op(struct memory *memory, uint64_t op);

/*
 * What must always hold (SEATS section 4): used = busy + queued and used <= cap, a seat in one
 * place, productions within the edition, one counted seat for a holder; and after a transition that
 * serves the lines (`served`: a tick, a licence) nobody waits who could be served. Returns 0, or
 * -EBADMSG with which does not.
 */
MUST_CHECK int memory_store_check(struct memory *memory, bool served, struct error *error);

#endif
