/*
 * What Redis told, read into a mirror; and batches that were worked out on it.
 */
#include "licensor/store/mirror.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/duration.h"
#include "common/random.h"
#include "licensor/store/ahead.h"
#include "licensor/store/mirror_pack.h"
#include "licensor/store/packed.h"
#include "licensor/store/seat_record.h"
#include "tests/unit/licensor/unit.h"

#define NOW_MS INT64_C(1767225600000)
#define LIFE_MS 30000

static const char *const pools[] = {"requests"};

static struct store_request acquire_of(const char *request)
{
    struct store_request acquire = {.verb = STORE_ACQUIRE,
                                    .session = "s1",
                                    .request = request,
                                    .reuse_ms = LIFE_MS,
                                    .memo_ms = 60000};
    acquire.ask.use = SEAT_REQUEST;
    acquire.ask.production = acquire.ask.user = "";
    acquire.ask.pools = pools;
    acquire.ask.pools_count = 1;
    return acquire;
}

static void tell(struct buf *out, int rc)
{
    assert_int_equal(rc, 0);
    assert_true(out->length > 0);
}

/* One pool with two seats, of which one is queued; one session that has the other. */
static void tell_state(struct buf *out, uint64_t cap)
{
    tell(out, pack_number(out, 6)); /* op before and after, clock, productions, generation */
    tell(out, pack_text(out, "7"));
    tell(out, pack_text(out, "0  1767225599000"));
    tell(out, pack_number(out, 3));
    tell(out, pack_number(out, 1));
    tell(out, pack_number(out, 0)); /* not recovering */
    tell(out, pack_number(out, 1));
    tell(out, pack_text(out, "requests"));
    tell(out, pack_number(out, cap)); /* cap, used, sequence, no counters */
    tell(out, pack_text(out, "2"));
    tell(out, pack_number(out, 2));
    tell(out, pack_text(out, ""));
    tell(out, pack_text(out, "")); /* nothing packed */
    tell(out, pack_number(out, 1));
    tell(out, pack_text(out, "10000000001:1767225599500"));
    tell(out, pack_text(out, "1767225620000"));
    tell(out, pack_number(out, 1));
    tell(out, pack_text(out, "s1"));
    tell(out, pack_number(out, 6));
    tell(out, pack_text(out, "is top"));
    tell(out, pack_text(out, "4"));
    tell(out, pack_text(out, "is waits"));
    tell(out, pack_text(out, "0"));
    struct buf record;
    buf_init(&record, 1000);
    struct store_request acquire = acquire_of("s1:4");
    struct seat_numbers numbers = {
        .since_ms = NOW_MS - 100, .life_end_ms = NOW_MS + 29900, .number = 2, .token = 7};
    assert_int_equal(seat_record_write(&acquire, &numbers, &record), 0);
    tell(out, pack_text(out, "s1:4"));
    tell(out, pack_text_header(out, record.length));
    tell(out, buf_append(out, record.data, record.length));
    buf_release(&record);
}

static struct ahead *ahead_that_knows(uint64_t cap, size_t pack_min)
{
    struct buf text;
    buf_init(&text, 10000);
    tell_state(&text, cap);
    struct ahead *ahead = ahead_new("t", pack_min);
    ahead_saw_time(ahead, NOW_MS, 0);
    assert_int_equal(ahead_learn(ahead, text.data, text.length, true), 0);
    buf_release(&text);
    return ahead;
}

/* Another pool and another session, both packed: as tell_state, which has told the rest. */
static void tell_packed(struct buf *out)
{
    struct mirror mirror = {0};
    struct mirror_pool pool = {0};
    struct mirror_session *session = mirror_session_new(&mirror, "s2");
    struct buf text;
    buf_init(&text, 10000);
    for (uint64_t number = 9; number >= 8; number--) {
        struct mirror_queued queued = {
            .life_end_ms = NOW_MS + (int64_t)number, .freed_ms = NOW_MS, .number = number};
        mirror_push(&pool, &queued);
    }
    tell(out, pack_number(out, 6));
    tell(out, pack_text(out, "7"));
    tell(out, pack_text(out, "0  1767225599000"));
    tell(out, pack_number(out, 3));
    tell(out, pack_number(out, 1));
    tell(out, pack_number(out, 0));
    tell(out, pack_number(out, 1));
    tell(out, pack_text(out, "requests"));
    tell(out, pack_number(out, 5));
    tell(out, pack_text(out, "3"));
    tell(out, pack_number(out, 9));
    tell(out, pack_text(out, ""));
    tell(out, mirror_pack_queue(&pool, &text));
    tell(out, pack_text_header(out, text.length));
    tell(out, buf_append(out, text.data, text.length));
    tell(out, pack_number(out, 0));
    tell(out, pack_number(out, 1));
    tell(out, pack_text(out, "s2"));
    tell(out, pack_number(out, 4));
    buf_clear(&text);
    struct store_request acquire = acquire_of("s2:70");
    acquire.ask.use = SEAT_HELD;
    acquire.ask.production = "p";
    struct seat_numbers numbers = {
        .since_ms = NOW_MS, .life_end_ms = NOW_MS + LIFE_MS, .number = 7, .token = 6};
    struct mirror_seat *seat = mirror_seat_new(session, "s2:70", "p");
    struct buf record;
    buf_init(&record, 1000);
    assert_int_equal(seat_record_write(&acquire, &numbers, &record), 0);
    seat->record = record.data;
    seat->record_bytes = record.length;
    seat->is_plain = true;
    session->top = 70;
    session->productions = 1;
    assert_true(mirror_pack_fits_session(session));
    assert_int_equal(mirror_pack_session(session, &text), 0);
    tell(out, pack_text(out, "is packed"));
    tell(out, pack_text_header(out, text.length));
    tell(out, buf_append(out, text.data, text.length));
    tell(out, pack_text(out, "is top"));
    tell(out, pack_text(out, "12")); /* from before it was packed */
    mirror_clear(&mirror);
    free(pool.queue);
    buf_release(&text);
}

static void what_is_packed_is_read(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, 10000);
    tell_packed(&text);
    struct mirror mirror = {0};
    assert_int_equal(mirror_learn(&mirror, text.data, text.length), 0);
    const struct mirror_pool *pool = mirror_pool(&mirror, "requests");
    assert_true(pool->is_packed);
    assert_int_equal(pool->queue_count, 2);
    assert_int_equal(pool->queue[0].number, 8);
    struct mirror_session *session = mirror_session(&mirror, "s2");
    assert_true(session->is_packed);
    assert_int_equal(session->top, 70);
    assert_int_equal(session->productions, 1);
    assert_int_equal(mirror_seat(session, "s2:70")->token, 6);
    assert_true(mirror_hold(session, "p")->is_held);
    assert_false(mirror_seat(session, "s2:70")->in_redis);
    mirror_clear(&mirror);
    for (size_t bytes = 0; bytes < text.length; bytes++) {
        uint8_t *cut = malloc(bytes > 0 ? bytes : 1); /* so that reading past it is seen */
        memcpy(cut, text.data, bytes);
        assert_int_equal(mirror_learn(&mirror, cut, bytes), -EPROTO);
        assert_null(mirror.sessions);
        free(cut);
    }
    buf_release(&text);
}

/* One batch of a release or an acquire of s1. Returns what it sends. */
static struct buf batch_of(struct ahead *ahead, const struct store_request *requests, size_t count)
{
    assert_true(ahead_begin(ahead, 0));
    struct ahead_result result;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(ahead_take(ahead, &requests[i], &result), 0);
    }
    struct buf out, packed;
    buf_init(&out, 100000);
    buf_init(&packed, 10);
    assert_int_equal(ahead_write(ahead, &packed, &out), 0);
    buf_release(&packed);
    return out;
}

static bool has(const struct buf *out, const char *text)
{
    return memmem(out->data, out->length, text, strlen(text)) != NULL;
}

static void a_large_batch_packs_and_many_small_ones_undo_it(void **state)
{
    (void)state;
    struct ahead *ahead = ahead_that_knows(50, 2);
    const struct store_request two[] = {acquire_of("s1:5"), acquire_of("s1:6")};
    struct buf out = batch_of(ahead, two, 2);
    assert_true(has(&out, "\xa4HSET\xa8{t}:w:s1\xa9is packed"));
    assert_true(has(&out, "\xa4HDEL\xa8{t}:w:s1\xa4s1:4")); /* which was a field */
    assert_true(has(&out, "\xa3"
                          "DEL\xae{t}:requests:q"));
    buf_release(&out);
    for (unsigned small = 1; small < 16; small++) {
        char request[16];
        snprintf(request, sizeof(request), "s1:%u", 6 + small);
        const struct store_request one[] = {acquire_of(request)};
        out = batch_of(ahead, one, 1);
        assert_true(has(&out, "is packed"));
        assert_false(has(&out, "HDEL"));
        buf_release(&out);
    }
    const struct store_request last[] = {acquire_of("s1:40")};
    out = batch_of(ahead, last, 1);
    assert_true(has(&out, "\xa4HDEL\xa8{t}:w:s1\xa9is packed"));
    assert_true(has(&out, "\xa5s1:40\xda")); /* and the record behind it */
    assert_true(has(&out, "\xa4s1:4\xda"));
    buf_release(&out);
    ahead_free(ahead);
}

static void nothing_is_packed_beside_who_does_not_read_it(void **state)
{
    (void)state;
    struct ahead *ahead = ahead_that_knows(50, 1);
    ahead_may_pack(ahead, false);
    const struct store_request one[] = {acquire_of("s1:5")};
    struct buf out = batch_of(ahead, one, 1);
    assert_false(has(&out, "packed"));
    buf_release(&out);
    ahead_free(ahead);
}

static void a_state_is_read(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, 10000);
    tell_state(&text, 3);
    struct mirror mirror = {0};
    assert_int_equal(mirror_learn(&mirror, text.data, text.length), 0);
    assert_true(mirror.is_known);
    assert_int_equal(mirror.op, 7);
    const struct mirror_pool *pool = mirror_pool(&mirror, "requests");
    assert_int_equal(pool->queue_count, 1);
    assert_int_equal(pool->queue[0].number, 1);
    assert_int_equal(pool->queue[0].life_end_ms, NOW_MS + 20000);
    struct mirror_session *session = mirror_session(&mirror, "s1");
    assert_int_equal(session->top, 4);
    assert_int_equal(mirror_seat(session, "s1:4")->token, 7);
    mirror_clear(&mirror);
    buf_release(&text);
}

static void what_is_cut_off_is_an_error_and_nothing_is_known(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, 10000);
    tell_state(&text, 3);
    for (size_t bytes = 0; bytes < text.length; bytes++) {
        uint8_t *cut = malloc(bytes > 0 ? bytes : 1); /* so that reading past it is seen */
        memcpy(cut, text.data, bytes);
        struct mirror mirror = {0};
        assert_int_equal(mirror_learn(&mirror, cut, bytes), -EPROTO);
        assert_false(mirror.is_known);
        assert_null(mirror.sessions);
        free(cut);
    }
    buf_release(&text);
}

static void the_queue_gives_what_dies_first(void **state)
{
    (void)state;
    struct mirror_pool pool = {0};
    struct random random;
    random_init(&random, 5);
    for (uint64_t i = 0; i < 1000; i++) {
        struct mirror_queued queued = {.life_end_ms = (int64_t)random_below(&random, 50),
                                       .number = i};
        mirror_push(&pool, &queued);
    }
    struct mirror_queued before = {.life_end_ms = -1};
    for (size_t i = 0; i < 1000; i++) {
        struct mirror_queued head = mirror_pop(&pool);
        assert_true(head.life_end_ms > before.life_end_ms ||
                    (head.life_end_ms == before.life_end_ms && head.number > before.number));
        before = head;
    }
    assert_int_equal(pool.queue_count, 0);
    free(pool.queue);
}

static void a_seat_is_given_back_and_the_one_that_dies_first_is_taken(void **state)
{
    (void)state;
    struct ahead *ahead = ahead_that_knows(3, 0);
    assert_true(ahead_begin(ahead, 0));
    struct store_request release = {
        .verb = STORE_RELEASE, .session = "s1", .request = "s1:4", .token = 7, .memo_ms = 60000};
    struct store_request acquire = acquire_of("s1:5");
    struct ahead_result released, granted;
    assert_int_equal(ahead_take(ahead, &release, &released), 0);
    assert_int_equal(released.op, 8);
    assert_int_equal(released.held_ms, 100);
    assert_int_equal(released.life_left_ms, 29900);
    assert_int_equal(ahead_take(ahead, &acquire, &granted), 0);
    assert_int_equal(granted.number, 1);
    assert_true(granted.reused);
    assert_int_equal(granted.life_left_ms, 20000);
    struct buf out, packed;
    buf_init(&out, 10000);
    buf_init(&packed, 10);
    assert_int_equal(ahead_write(ahead, &packed, &out), 0);
    static const char *const words[] = {"engenho6_ahead",
                                        "{t}:requests:life:1",
                                        "\xa4ZREM\xae{t}:requests:q\xb9"
                                        "10000000001:",
                                        "\xa4ZADD\xae{t}:requests:q\xad"
                                        "1767225629900",
                                        "\xa4HDEL\xa8{t}:w:s1\xa4s1:4",
                                        "\xa4HSET\xaa{t}:memo:1\xa4s1:4"};
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        assert_non_null(memmem(out.data, out.length, words[i], strlen(words[i])));
    }
    buf_release(&out);
    buf_release(&packed);
    ahead_free(ahead);
}

static void what_is_out_of_the_ordinary_is_left_to_redis(void **state)
{
    (void)state;
    struct ahead *ahead = ahead_that_knows(3, 0);
    assert_true(ahead_begin(ahead, 0));
    struct ahead_result result;
    struct store_request again = acquire_of("s1:4"), named = acquire_of("mine");
    assert_int_equal(ahead_take(ahead, &again, &result), -EAGAIN);
    assert_int_equal(ahead_take(ahead, &named, &result), -EAGAIN);
    struct store_request notified = acquire_of("s1:5"), elsewhere = acquire_of("s1:5");
    notified.ask.use = SEAT_NOTIFIED;
    assert_int_equal(ahead_take(ahead, &notified, &result), -EAGAIN);
    static const char *const others[] = {"requests", "full"};
    elsewhere.ask.pools = others;
    elsewhere.ask.pools_count = 2;
    assert_int_equal(ahead_take(ahead, &elsewhere, &result), -EAGAIN);
    struct store_request stale = {
        .verb = STORE_RELEASE, .session = "s1", .request = "s1:4", .token = 6};
    assert_int_equal(ahead_take(ahead, &stale, &result), -EAGAIN);
    static const char *const requests[] = {"s1:5", "s1:6", "s1:7"};
    for (size_t i = 0; i < ARRAY_SIZE(requests); i++) { /* of three seats one is taken */
        struct store_request acquire = acquire_of(requests[i]);
        assert_int_equal(ahead_take(ahead, &acquire, &result), i < 2 ? 0 : -EAGAIN);
    }
    ahead_free(ahead);
}

static void a_batch_of_which_nothing_was_taken_leaves_the_dead_to_the_next(void **state)
{
    (void)state;
    struct ahead *ahead = ahead_that_knows(1, 0);
    struct store_request acquire = acquire_of("s1:5");
    struct store_request release = {
        .verb = STORE_RELEASE, .session = "s1", .request = "s1:4", .token = 7, .memo_ms = 60000};
    struct ahead_result result;
    assert_true(ahead_begin(ahead, 0));
    assert_int_equal(ahead_take(ahead, &acquire, &result), -EAGAIN); /* its one seat is taken */
    assert_true(ahead_begin(ahead, 21 * SECOND_US));
    assert_int_equal(ahead_take(ahead, &release, &result), 0);
    assert_int_equal(ahead_take(ahead, &acquire, &result), 0);
    assert_int_equal(result.number, 2);
    struct buf out, packed;
    buf_init(&out, 10000);
    buf_init(&packed, 10);
    assert_int_equal(ahead_write(ahead, &packed, &out), 0);
    static const char dead[] = "\xb0ZREMRANGEBYSCORE\xae{t}:requests:q\xa4-inf";
    assert_non_null(memmem(out.data, out.length, dead, strlen(dead)));
    buf_release(&out);
    buf_release(&packed);
    ahead_free(ahead);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_state_is_read),
        cmocka_unit_test(what_is_packed_is_read),
        cmocka_unit_test(a_large_batch_packs_and_many_small_ones_undo_it),
        cmocka_unit_test(nothing_is_packed_beside_who_does_not_read_it),
        cmocka_unit_test(what_is_cut_off_is_an_error_and_nothing_is_known),
        cmocka_unit_test(the_queue_gives_what_dies_first),
        cmocka_unit_test(a_seat_is_given_back_and_the_one_that_dies_first_is_taken),
        cmocka_unit_test(a_batch_of_which_nothing_was_taken_leaves_the_dead_to_the_next),
        cmocka_unit_test(what_is_out_of_the_ordinary_is_left_to_redis),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
