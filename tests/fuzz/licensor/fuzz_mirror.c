/*
 * What Redis tells the licensor to work ahead on. It is refused, and then nothing is known; or it
 * is a mirror, and what is packed of it says the same again.
 */
#include "common/buf.h"
#include "licensor/store/mirror.h"
#include "licensor/store/mirror_pack.h"
#include "tests/fuzz/fuzz.h"

#define PACKED_BYTES_MAX (1 << 20)

static unsigned seats_read;

static int count_seat(struct mirror_session *session, const struct mirror_packed_seat *seat)
{
    const struct mirror_seat *its = mirror_seat(session, seat->request);
    REQUIRE(its != NULL && its->record_bytes == seat->record_bytes);
    REQUIRE(memcmp(its->record, seat->record, seat->record_bytes) == 0);
    seats_read++;
    return 0;
}

static void pack_session_again(struct mirror_session *session)
{
    struct buf packed;
    buf_init(&packed, PACKED_BYTES_MAX);
    /* Numbers of requests and counts of productions have their places: what passes them is cut. */
    session->top &= ((uint64_t)1 << 48) - 1;
    uint64_t top = session->top;
    uint32_t productions = session->productions;
    REQUIRE(mirror_pack_session(session, &packed) == 0);
    seats_read = 0;
    REQUIRE(mirror_unpack_session(session, packed.data, packed.length, count_seat) == 0);
    REQUIRE(session->top == top && session->productions == productions);
    REQUIRE(seats_read == HASH_COUNT(session->seats));
    buf_release(&packed);
}

static void pack_queue_again(const struct mirror_pool *pool)
{
    struct buf packed;
    buf_init(&packed, PACKED_BYTES_MAX);
    struct mirror_pool again = {0};
    REQUIRE(mirror_pack_queue(pool, &packed) == 0);
    REQUIRE(mirror_unpack_queue(&again, packed.data, packed.length) == 0);
    REQUIRE(again.queue_count == pool->queue_count);
    free(again.queue);
    buf_release(&packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    char *text = fuzz_text(data, bytes);
    struct mirror mirror = {0};
    int rc = mirror_learn(&mirror, text, bytes);
    free(text);
    if (rc != 0 || !mirror.is_known) {
        REQUIRE(mirror.pools == NULL && mirror.sessions == NULL);
        return 0;
    }
    struct mirror_session *session, *next_session;
    HASH_ITER (hh, mirror.sessions, session, next_session) {
        if (mirror_pack_fits_session(session)) {
            pack_session_again(session);
        }
    }
    struct mirror_pool *pool, *next_pool;
    HASH_ITER (hh, mirror.pools, pool, next_pool) {
        if (pool->queue_count > 0 && mirror_pack_fits_queue(pool)) {
            pack_queue_again(pool);
        }
    }
    mirror_clear(&mirror);
    return 0;
}
