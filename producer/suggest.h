/*
 * "Did you mean": the word of a list that is nearest to a mistyped one. Pure. Producer.
 */
#ifndef ENGENHO_PRODUCER_SUGGEST_H
#define ENGENHO_PRODUCER_SUGGEST_H

#include <stddef.h>

/*
 * The nearest of `count` words by edits (case counts for nothing), or NULL when none is near.
 * Borrowed from `words`.
 */
const char *suggest(const char *typed, const char *const *words, size_t count);

#endif
