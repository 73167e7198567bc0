/*
 * What every unit test of the licensor includes, and one way to ask a store that answers at once.
 */
#ifndef ENGENHO_TESTS_UNIT_LICENSOR_UNIT_H
#define ENGENHO_TESTS_UNIT_LICENSOR_UNIT_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "licensor/store.h"
#include "licensor/store/memory.h"

/* An answer, kept: the lists of a store_answer are not. */
static inline void keep_answer(void *context, const struct store_answer *answer)
{
    struct store_answer *kept = context;
    *kept = *answer;
    kept->handed = NULL;
    kept->lost = NULL;
    kept->waited = NULL;
    kept->orphans = NULL;
    kept->pools = NULL;
    kept->seats = NULL;
    kept->processors = NULL;
    kept->records = NULL;
    kept->audit = NULL;
}

static inline struct store_answer ask_store(struct memory *memory, int64_t now_ms,
                                            const struct store_request *request)
{
    struct store_answer answer;
    memory_store_set_now(memory, now_ms);
    store_submit(memory_store(memory), request, keep_answer, &answer);
    return answer;
}

#endif
