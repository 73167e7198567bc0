/*
 * A session's seats, and a pool's queue, each as one text: what large batches write instead of a
 * value for each seat. "is packed" and <pool>:packed in functions/10-begin.lua say what stands
 * where. Pure.
 */
#ifndef ENGENHO_LICENSOR_STORE_MIRROR_PACK_H
#define ENGENHO_LICENSOR_STORE_MIRROR_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/buf.h"
#include "licensor/store/mirror.h"

/* Longer ones are not packed: each batch would write all of it for a seat or two. */
#define PACKED_SEATS_BYTES_MAX 4096
#define PACKED_QUEUE_MAX 1024

/* Whether the session has nothing but what may be packed, and little of it. */
bool mirror_pack_fits_session(const struct mirror_session *session);
bool mirror_pack_fits_queue(const struct mirror_pool *pool);
/* Whether all that is to be remembered is found in a log: by the numbers of its requests. */
bool mirror_pack_fits_memos(const struct mirror_session *session);

/* Append what is packed. Each returns as buf_append does. */
MUST_CHECK int mirror_pack_session(const struct mirror_session *session, struct buf *out);
MUST_CHECK int mirror_pack_queue(const struct mirror_pool *pool, struct buf *out);

/*
 * Append what is remembered of a request to a session's log of answers: T:memo:<n>:<session>:<log>
 * in functions/10-begin.lua. Returns as buf_append does.
 */
MUST_CHECK int mirror_pack_memo(const struct mirror_session *session,
                                const struct mirror_memo *memo, struct buf *out);

/* One seat of a packed session while it is read; the record is borrowed of the text. */
struct mirror_packed_seat {
    char request[REQUEST_BYTES_MAX + 1];
    const uint8_t *record;
    size_t record_bytes;
};

/*
 * Take the session's numbers from a packed text and call `seat` for each seat in it, until that
 * returns another number than 0. Returns that number; 0; or -EPROTO when the text is none.
 */
MUST_CHECK int mirror_unpack_session(struct mirror_session *session, const void *text, size_t bytes,
                                     int (*seat)(struct mirror_session *session,
                                                 const struct mirror_packed_seat *seat));
/* Push what a packed text has. Returns 0, or -EPROTO when the text is none. */
MUST_CHECK int mirror_unpack_queue(struct mirror_pool *pool, const void *text, size_t bytes);

#endif
