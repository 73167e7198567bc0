/*
 * What Redis answered to a batch: one text, as said at `say` in functions/60-batch.lua. Pure.
 */
#ifndef ENGENHO_LICENSOR_STORE_BATCH_REPLY_H
#define ENGENHO_LICENSOR_STORE_BATCH_REPLY_H

#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "licensor/store.h"
#include "licensor/store/packed.h"

/* What an answer does not repeat of its request; `pool`: the first that an acquire asked for. */
struct batch_question {
    const char *session, *request, *pool;
};

/* A batch's answers while they are read. */
struct batch_reply {
    struct unpacker values;
    int64_t now_ms;
};

/* The text is borrowed. Returns 0, or -EPROTO when it is not what its functions answer. */
MUST_CHECK int batch_reply_open(const void *text, size_t bytes, struct batch_reply *ret_reply);
/*
 * Read the answer of the batch's next request. Release *ret_answer with store_answer_release, also
 * after an error. Returns as batch_reply_open.
 */
MUST_CHECK int batch_reply_next(struct batch_reply *reply, const struct batch_question *question,
                                struct store_answer *ret_answer);

#endif
