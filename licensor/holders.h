/*
 * Who was granted seats since the last tick, and who held some when others found none, for the
 * usage records. Core: pure.
 */
#ifndef ENGENHO_LICENSOR_HOLDERS_H
#define ENGENHO_LICENSOR_HOLDERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "licensor/store.h"

#define HOLDERS_MAX 1000 /* by name between two ticks; what is granted to more has no name */

struct holders;

struct holders *holders_new(void);
void holders_free(struct holders *holders);

/* A seat of the pool was granted. `processor` and `production` may be empty. */
void holders_add(struct holders *holders, const char *pool, const char *processor,
                 const char *production);
/* Somebody holds a seat of the pool that he may have been granted in another minute. */
void holders_note(struct holders *holders, const char *pool, const char *processor,
                  const char *production);
/*
 * Whether it is worth asking who holds seats of the pool: once in a minute. `minute` is any number
 * that is another one in the next.
 */
bool holders_ask(struct holders *holders, const char *pool, int64_t minute);
/*
 * All since the last holders_clear. The rows and their texts are borrowed until the next change.
 */
const struct store_holder *holders_rows(struct holders *holders, size_t *ret_count);
void holders_clear(struct holders *holders);

#endif
