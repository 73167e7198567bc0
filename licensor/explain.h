/*
 * Why a request got what it got, in words (SEATS section 7). Core: pure.
 */
#ifndef ENGENHO_LICENSOR_EXPLAIN_H
#define ENGENHO_LICENSOR_EXPLAIN_H

#include "licensor/limits.h"
#include "licensor/store.h"

#define EXPLANATION_BYTES 2048

/* Write the sentences into `text` of EXPLANATION_BYTES. */
void explain_write(const char *request, const struct store_story *story,
                   const struct limits *limits, char *text);
/* Whether the request has no seat for want of one in a pool: who holds them is worth saying. */
bool explain_wants_holders(const struct store_story *story);
/* Add who holds the seats of the list to `text` of EXPLANATION_BYTES. */
/* The name of the processor that has a session, of a list. */
const char *explain_name(const struct store_answer *list, const char *session);
void explain_holders(const struct store_answer *list, char *text);

#endif
