/*
 * Seats and queues as texts. See mirror_pack.h.
 */
#include "licensor/store/mirror_pack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "licensor/store/batch.h"
#include "licensor/store/packed.h"

#define PLACE_BYTES 6       /* times, L-numbers, numbers of requests */
#define PRODUCTIONS_BYTES 4 /* how many run */
#define FIRST_BYTES (PLACE_BYTES + PRODUCTIONS_BYTES)
#define LENGTH_BYTES 2
#define HEADERS_BYTES 6 /* of a seat's two texts, at most */

/* What the request is called behind "<session>:"; NULL: it is called otherwise. */
static const char *name_of(const struct mirror_session *session, const struct mirror_seat *seat)
{
    size_t bytes = strlen(session->id);
    bool is_own = strncmp(seat->request, session->id, bytes) == 0 && seat->request[bytes] == ':';
    return is_own ? seat->request + bytes + 1 : NULL;
}

bool mirror_pack_fits_session(const struct mirror_session *session)
{
    size_t bytes = FIRST_BYTES;
    if (session->has_others || session->waits > 0) {
        return false;
    }
    for (const struct mirror_seat *seat = session->seats; seat != NULL; seat = seat->hh.next) {
        const char *name = name_of(session, seat);
        bytes += HEADERS_BYTES + seat->record_bytes + (name != NULL ? strlen(name) : 0);
        if (name == NULL || !seat->is_plain || bytes > PACKED_SEATS_BYTES_MAX) {
            return false;
        }
    }
    return true;
}

bool mirror_pack_fits_memos(const struct mirror_session *session)
{
    const struct mirror_memo *memo;
    STAILQ_FOREACH (memo, &session->memos, next) {
        if (batch_number_of(session->id, memo->request) == 0) {
            return false;
        }
    }
    return true;
}

bool mirror_pack_fits_queue(const struct mirror_pool *pool)
{
    return pool->queue_count <= PACKED_QUEUE_MAX;
}

int mirror_pack_session(const struct mirror_session *session, struct buf *out)
{
    int rc = pack_fixed(out, session->top, PLACE_BYTES);
    rc = rc != 0 ? rc : pack_fixed(out, session->productions, PRODUCTIONS_BYTES);
    for (const struct mirror_seat *seat = session->seats; rc == 0 && seat != NULL;
         seat = seat->hh.next) {
        rc = pack_text(out, name_of(session, seat));
        rc = rc != 0 ? rc : pack_text_header(out, seat->record_bytes);
        rc = rc != 0 ? rc : buf_append(out, seat->record, seat->record_bytes);
    }
    return rc;
}

int mirror_pack_memo(const struct mirror_session *session, const struct mirror_memo *memo,
                     struct buf *out)
{
    uint64_t number = batch_number_of(session->id, memo->request);
    int rc = pack_fixed(out, (uint64_t)memo->dies_ms, PLACE_BYTES);
    rc = rc != 0 ? rc : pack_fixed(out, (uint64_t)memo->life_left_ms, PLACE_BYTES);
    rc = rc != 0 ? rc : pack_fixed(out, (uint64_t)memo->held_ms, PLACE_BYTES);
    rc = rc != 0 ? rc : buf_append(out, memo->record, memo->record_bytes);
    rc = rc != 0 ? rc : pack_fixed(out, number, PLACE_BYTES);
    return rc != 0 ? rc : pack_fixed(out, memo->record_bytes, LENGTH_BYTES);
}

static int by_death(const void *a, const void *b)
{
    const struct mirror_queued *left = a, *right = b;
    if (left->life_end_ms != right->life_end_ms) {
        return left->life_end_ms < right->life_end_ms ? -1 : 1;
    }
    return left->number < right->number ? -1 : left->number > right->number;
}

int mirror_pack_queue(const struct mirror_pool *pool, struct buf *out)
{
    size_t bytes = pool->queue_count * sizeof(*pool->queue);
    struct mirror_queued *sorted = memory_copy(pool->queue, bytes);
    qsort(sorted, pool->queue_count, sizeof(*sorted), by_death);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < pool->queue_count; i++) {
        rc = pack_fixed(out, (uint64_t)sorted[i].life_end_ms, PLACE_BYTES);
        rc = rc != 0 ? rc : pack_fixed(out, sorted[i].number, PLACE_BYTES);
        rc = rc != 0 ? rc : pack_fixed(out, (uint64_t)sorted[i].freed_ms, PLACE_BYTES);
    }
    free(sorted);
    return rc;
}

int mirror_unpack_session(struct mirror_session *session, const void *text, size_t bytes,
                          int (*seat)(struct mirror_session *session,
                                      const struct mirror_packed_seat *seat))
{
    struct unpacker values = {.data = text, .bytes = bytes};
    uint64_t top = unpack_fixed(&values, PLACE_BYTES);
    uint32_t productions = (uint32_t)unpack_fixed(&values, PRODUCTIONS_BYTES);
    while (values.error == 0 && values.at < bytes) {
        struct mirror_packed_seat read = {0};
        char name[REQUEST_BYTES_MAX + 1] = "";
        unpack_text(&values, name, sizeof(name));
        read.record = unpack_bytes(&values, &read.record_bytes);
        int length = snprintf(read.request, sizeof(read.request), "%s:%s", session->id, name);
        if (values.error == 0 && (size_t)length < sizeof(read.request)) {
            values.error = seat(session, &read);
        } else {
            values.error = -EPROTO;
        }
    }
    session->top = top;
    session->productions = productions;
    return values.error;
}

int mirror_unpack_queue(struct mirror_pool *pool, const void *text, size_t bytes)
{
    struct unpacker values = {.data = text, .bytes = bytes};
    while (values.error == 0 && values.at < bytes) {
        struct mirror_queued queued = {0};
        queued.life_end_ms = (int64_t)unpack_fixed(&values, PLACE_BYTES);
        queued.number = unpack_fixed(&values, PLACE_BYTES);
        queued.freed_ms = (int64_t)unpack_fixed(&values, PLACE_BYTES);
        if (values.error == 0) {
            mirror_push(pool, &queued);
        }
    }
    return values.error;
}
