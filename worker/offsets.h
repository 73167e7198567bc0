/*
 * Which records of one partition are done: a window of marks above the committed offset, and its
 * encoding as run lengths (DESIGN section 4, docs/PROTOCOL.md). For the input of a lane and for its
 * partition of `later`. Worker, core.
 *
 * Offsets are not dense: what reading passes over (markers, compaction, aborted records) counts as
 * done.
 *
 *     base                 cursor                end
 *      | gone gone open filled |  absent gone ...  |       base <= cursor <= end; end > cursor only after a restore or rewind
 */
#ifndef ENGENHO_WORKER_OFFSETS_H
#define ENGENHO_WORKER_OFFSETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/buf.h"

#define OFFSETS_WINDOW_MAX (1 << 20) /* marks held at most */

enum offsets_mark {
    OFFSETS_ABSENT, /* not done, and not in memory: still to be read */
    OFFSETS_OPEN,   /* in memory, not done */
    OFFSETS_FILLED, /* its outcome is in a transaction that is not decided */
    OFFSETS_GONE    /* done for good, or never was */
};

struct offsets {
    int64_t base;   /* everything below is done for good */
    int64_t cursor; /* the next offset that reading will give is not below it */
    int64_t end;    /* one past the last mark */
    uint8_t *marks; /* ring of `capacity`, a power of two; index offset & (capacity - 1) */
    size_t capacity;
    size_t open; /* marks that are OFFSETS_OPEN */
    size_t runs; /* maximal runs of filled or gone marks in [base, end) */
};

/* An empty window whose first record is at `base`. */
void offsets_init(struct offsets *offsets, int64_t base);
void offsets_release(struct offsets *offsets);

/*
 * The window that offsets_encode described, relative to `base`. State: just initialised with that
 * base. Returns 0, or -EINVAL for bytes that are no encoding: then nothing has changed.
 */
MUST_CHECK int offsets_restore(struct offsets *offsets, const uint8_t *done, size_t bytes);

enum offsets_seen { OFFSETS_SEEN_NEW, OFFSETS_SEEN_BEFORE };
/*
 * Reading gave the record at `offset`: everything between the cursor and it, if absent, never was.
 * Returns 0 and whether the record is to be worked on (then it is open) or is open or done already;
 * -ENOBUFS past OFFSETS_WINDOW_MAX.
 */
MUST_CHECK int offsets_see(struct offsets *offsets, int64_t offset, enum offsets_seen *ret_seen);
/*
 * Reading reached the end of the partition at `offset` (the next record's). Returns 0 or -ENOBUFS.
 */
MUST_CHECK int offsets_see_end(struct offsets *offsets, int64_t offset);
/* Reading will start over at the base: what is not in memory is given again. */
void offsets_rewind(struct offsets *offsets);

/* The outcome of an open record went into a transaction. */
void offsets_fill(struct offsets *offsets, int64_t offset);
/* That transaction did not happen. */
void offsets_unfill(struct offsets *offsets, int64_t offset);
/* That transaction happened. */
void offsets_settle(struct offsets *offsets, int64_t offset);
/* An open record leaves memory without an outcome: it will be read again after offsets_rewind. */
void offsets_unload(struct offsets *offsets, int64_t offset);

/* The offset to commit: the first that is neither filled nor gone. */
int64_t offsets_position(const struct offsets *offsets);
/* Whether `offset` is done, as far as transactions that are decided or under way say. */
bool offsets_is_done(const struct offsets *offsets, int64_t offset);
/*
 * Append the completions beyond offsets_position as run lengths: not done, done, not done, ...
 * Returns 0 or as buf_append.
 */
MUST_CHECK int offsets_encode(const struct offsets *offsets, struct buf *out);
/* Bytes of the encoding, never too few; exact once a cheap estimate is above `limit`. */
size_t offsets_encoded_bytes(const struct offsets *offsets, size_t limit);

#endif
