/*
 * Refusals in words, English and Brazilian Portuguese: what was refused, which limit, whom to ask.
 * Core: pure.
 */
#ifndef ENGENHO_LICENSOR_REFUSAL_H
#define ENGENHO_LICENSOR_REFUSAL_H

#include <stddef.h>

#include "licensor/limits.h"
#include "licensor/store.h"

#define REFUSAL_BYTES 1024

struct refusal_text {
    char en[REFUSAL_BYTES];
    char pt[REFUSAL_BYTES];
};

/*
 * The sentences for an answer whose word is STORE_REFUSED. The licence's contact line follows where
 * it has one.
 */
void refusal_write(const struct store_answer *answer, const struct limits *limits,
                   struct refusal_text *ret_text);
/* The store does not answer, with why. */
void refusal_write_store_down(const char *reason, struct refusal_text *ret_text);

#endif
