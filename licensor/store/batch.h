/*
 * Acquires and releases, many to one command: FCALL engenho6_batch 1 {tenant} <packed>, in RESP.
 * Pure. What is packed (MessagePack) is said at `batch` in functions/60-batch.lua.
 */
#ifndef ENGENHO_LICENSOR_STORE_BATCH_H
#define ENGENHO_LICENSOR_STORE_BATCH_H

#include <stdbool.h>

#include "common/attributes.h"
#include "common/buf.h"
#include "licensor/store.h"

#define BATCH_REQUESTS_MAX 512
#define BATCH_ASKS_MAX 16

/* What acquires have in common but for who asks: each is packed once in a batch. */
struct batch_ask {
    enum seat_use use;
    bool wait;
    size_t pools_count;
    char pools[CHAIN_POOLS_MAX][POOL_BYTES_MAX + 1];
};

struct batch {
    struct batch_ask asks[BATCH_ASKS_MAX];
    size_t asks_count;
    struct buf requests; /* packed */
    size_t count;        /* requests in it */
    uint32_t values;     /* packed values of them */
    bool tells;          /* the answer is to say what Redis has then, for a mirror */
    bool acquires;       /* there are any: then reuse_ms and line_max are set */
    int64_t reuse_ms, memo_ms;
    uint32_t line_max;
};

void batch_init(struct batch *batch);
void batch_release(struct batch *batch);
/* Whether an acquire or release may be added; else write first what is there. */
bool batch_fits(const struct batch *batch, const struct store_request *request);
/*
 * Add an acquire or a release. Returns 0; -EAGAIN when it does not fit to what is there: write that
 * first; or -EMSGSIZE or -ENOMEM as buf_append does.
 */
MUST_CHECK int batch_add(struct batch *batch, const struct store_request *request);
/*
 * The number n of a request <session>:<n>; 0: it is called otherwise. The session's highest one is
 * kept, so that a new request need not be looked for among those that were answered.
 */
uint64_t batch_number_of(const char *session, const char *request);
/* Append what is packed to `out` and empty the batch; otherwise as batch_write. */
MUST_CHECK int batch_pack(struct batch *batch, struct buf *out);
/*
 * Append the command to `out` and empty the batch. Returns 0, or -EMSGSIZE or -ENOMEM as buf_append
 * does; then `out` holds a part of it.
 */
MUST_CHECK int batch_write(struct batch *batch, const char *tenant, struct buf *out);

#endif
