/*
 * Ordinary acquires and releases, worked out by the licensor on what it knows of Redis (mirror.h):
 * Redis compares that it still is so, and writes; when it is not, it works the same requests out
 * itself. So no answer rests on what the licensor believes.
 * docs/decisions/seats-worked-out-ahead.md
 *
 * What is ordinary: a request that is new, for a free seat, or the end of a seat that nobody else
 * is on; in pools without a line, reservations and shared seats. Core of the Redis store: no
 * hiredis here, and no clock.
 */
#ifndef ENGENHO_LICENSOR_STORE_AHEAD_H
#define ENGENHO_LICENSOR_STORE_AHEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/buf.h"
#include "licensor/store.h"

struct ahead;

/* What comes of a request if Redis is as the mirror has it. */
struct ahead_result {
    enum store_word word; /* granted or released */
    uint64_t op, number;
    bool reused;
    int64_t life_left_ms, held_ms;
    char pool[POOL_BYTES_MAX + 1];
};

/*
 * `pack_min`: batches of so many requests, or more, leave what they write packed (mirror_pack.h);
 * 0: none does. Returns owned.
 */
struct ahead *ahead_new(const char *tenant, size_t pack_min);
void ahead_free(struct ahead *ahead);

/* Whether batches may pack: not beside an older library, which does not read it. */
void ahead_may_pack(struct ahead *ahead, bool may);
/* The connection is another one: nothing is known, neither of seats nor of the clock. */
void ahead_forget(struct ahead *ahead);
/* Redis had this time at most so long ago as `mono_us`, ours. */
void ahead_saw_time(struct ahead *ahead, int64_t now_ms, int64_t mono_us);
/*
 * Other requests go to Redis, which works them out itself. Returns whether it is to tell what it
 * has then: not so when that was of no use the last times, for others write as much.
 */
bool ahead_gives_way(struct ahead *ahead);
/*
 * What Redis told, in the order of its answers. `is_last`: no other batch is on its way behind it.
 * Returns as mirror_learn.
 */
MUST_CHECK int ahead_learn(struct ahead *ahead, const void *text, size_t bytes, bool is_last);
/* A batch was as it was worked out. */
void ahead_was_right(struct ahead *ahead);
/*
 * It was not, and what was worked out after it is not either. Returns whether what Redis told with
 * the answers is of use.
 */
bool ahead_was_wrong(struct ahead *ahead);

/* Begin a batch. Returns false when too little is known. */
bool ahead_begin(struct ahead *ahead, int64_t mono_us);
/*
 * Work out the next request of the batch, which borrows its texts until it is written. Returns 0,
 * or -EAGAIN when it is no ordinary one or too little is known of it: then nothing has changed, and
 * what was taken before is written as it is.
 */
MUST_CHECK int ahead_take(struct ahead *ahead, const struct store_request *request,
                          struct ahead_result *ret_result);
/*
 * Append the batch's command to `out`; `requests`: the same requests, as batch_pack has them.
 * Returns 0, or why not, as buf_append does; then forget what is known. The batch is over.
 */
MUST_CHECK int ahead_write(struct ahead *ahead, const struct buf *requests, struct buf *out);

#endif
