/*
 * An answer of a store as text, every member of it: two stores agree when their texts are the same.
 */
#ifndef ENGENHO_TESTS_SIM_LICENSOR_ANSWER_TEXT_H
#define ENGENHO_TESTS_SIM_LICENSOR_ANSWER_TEXT_H

#include "common/buf.h"
#include "licensor/store.h"

void answer_text(const struct store_answer *answer, struct buf *out);

#endif
