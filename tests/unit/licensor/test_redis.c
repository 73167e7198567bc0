/*
 * What goes to Redis and what comes back, without a server.
 */
#include "tests/unit/licensor/unit.h"

#include <hiredis/hiredis.h>
#include <stdio.h>

#include "common/buf.h"
#include "licensor/store/batch.h"
#include "licensor/store/batch_reply.h"
#include "licensor/store/command.h"
#include "licensor/store/redis.h"
#include "licensor/store/reply.h"

static void a_goodbye_is_one_fcall(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 10000);
    struct store_request request = {.verb = STORE_GOODBYE, .session = "s1"};
    assert_int_equal(command_write(&request, "t", &out), 0);
    assert_string_equal(
        (char *)out.data,
        "*5\r\n$5\r\nFCALL\r\n$16\r\nengenho6_goodbye\r\n$1\r\n1\r\n$3\r\n{t}\r\n$2\r\ns1\r\n");
    buf_release(&out);
}

static struct store_request acquire_of(const char *request, const char *const *pools)
{
    struct store_request acquire = {.verb = STORE_ACQUIRE,
                                    .session = "s1",
                                    .request = request,
                                    .reuse_ms = 30000,
                                    .memo_ms = 60000};
    acquire.ask.use = SEAT_REQUEST;
    acquire.ask.production = "";
    acquire.ask.user = "u";
    acquire.ask.pools = pools;
    acquire.ask.pools_count = 1;
    acquire.ask.line_max = 7;
    return acquire;
}

static void acquires_and_releases_are_one_fcall(void **state)
{
    (void)state;
    static const char *const pools[] = {"a"};
    struct batch batch;
    struct buf out;
    batch_init(&batch);
    buf_init(&out, 10000);
    struct store_request acquire = acquire_of("s1:1", pools);
    struct store_request release = {
        .verb = STORE_RELEASE, .session = "s1", .request = "s1:0", .token = 300, .memo_ms = 60000};
    assert_int_equal(batch_add(&batch, &acquire), 0);
    assert_int_equal(batch_add(&batch, &release), 0);
    assert_int_equal(batch.count, 2);
    assert_int_equal(batch_write(&batch, "t", &out), 0);
    static const char expected[] =
        "*5\r\n$5\r\nFCALL\r\n$14\r\nengenho6_batch\r\n$1\r\n1\r\n$3\r\n{t}\r\n$62\r\n"
        "\xdd\0\0\0\x13\xcd\x75\x30\xcd\xea\x60\x07\x00\x01"
        "\xa7request\x00\x01\xa1"
        "a\x01\xa2s1\xa4s1:1\x01\xa0\xac\xa7request\xa0\xa0\xa1u\x00\xa2s1\xa4s1:0\xcd\x01\x2c\r\n";
    assert_int_equal(out.length, sizeof(expected) - 1);
    assert_memory_equal(out.data, expected, out.length);
    assert_int_equal(batch.count, 0);
    buf_release(&out);
    batch_release(&batch);
}

static void what_does_not_fit_a_batch_waits_for_the_next(void **state)
{
    (void)state;
    static const char *const pools[BATCH_ASKS_MAX + 1][1] = {
        {"a"}, {"b"}, {"c"}, {"d"}, {"e"}, {"f"}, {"g"}, {"h"}, {"i"},
        {"j"}, {"k"}, {"l"}, {"m"}, {"n"}, {"o"}, {"p"}, {"q"}};
    struct batch batch;
    batch_init(&batch);
    for (size_t i = 0; i < BATCH_ASKS_MAX; i++) {
        struct store_request acquire = acquire_of("s1:1", pools[i]);
        assert_int_equal(batch_add(&batch, &acquire), 0);
    }
    struct store_request other_pool = acquire_of("s1:1", pools[BATCH_ASKS_MAX]);
    assert_int_equal(batch_add(&batch, &other_pool), -EAGAIN);
    struct store_request other_life = acquire_of("s1:1", pools[0]);
    other_life.reuse_ms = 1;
    assert_int_equal(batch_add(&batch, &other_life), -EAGAIN);
    struct store_request same = acquire_of("s1:1", pools[0]);
    while (batch.count < BATCH_REQUESTS_MAX) {
        assert_int_equal(batch_add(&batch, &same), 0);
    }
    assert_int_equal(batch_add(&batch, &same), -EAGAIN);
    batch_release(&batch);
}

static void a_command_past_the_maximum_is_an_error(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 20);
    struct store_request request = {.verb = STORE_EXPLAIN, .request = "s1:1"};
    assert_int_equal(command_write(&request, "t", &out), -EMSGSIZE);
    buf_release(&out);
}

/* Read RESP as hiredis does, then as an answer. */
static int read_resp(const char *resp, struct store_answer *answer)
{
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    redisReaderFeed(reader, resp, strlen(resp));
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_non_null(reply);
    int rc = reply_read(reply, answer);
    freeReplyObject(reply);
    redisReaderFree(reader);
    return rc;
}

static void a_release_with_what_it_hands_over_is_read(void **state)
{
    (void)state;
    struct store_answer answer;
    assert_int_equal(
        read_resp("*8\r\n:6\r\n:1795269642369\r\n$8\r\nreleased\r\n*1\r\n*10\r\n$2\r\ns1\r\n"
                  "$4\r\ns1:1\r\n:6\r\n$1\r\na\r\n$1\r\nb\r\n:1\r\n:1\r\n:1\r\n:0\r\n:29999\r\n"
                  ":0\r\n:0\r\n$1\r\na\r\n:5\r\n",
                  &answer),
        0);
    assert_int_equal(answer.word, STORE_RELEASED);
    assert_int_equal(answer.op, 6);
    assert_int_equal(answer.held_ms, 5);
    assert_int_equal(answer.handed_count, 1);
    const struct store_grant *grant = &answer.handed[0];
    assert_string_equal(grant->request, "s1:1");
    assert_string_equal(grant->pool, "a");
    assert_string_equal(grant->requested, "b");
    assert_true(grant->reused && grant->escalated && !grant->waived);
    assert_int_equal(grant->life_left_ms, 29999);
    store_answer_release(&answer);
}

static const char *const wrong[] = {
    "-ERR Function not found\r\n",
    ":5\r\n",
    "$-1\r\n",
    "*0\r\n",
    "*2\r\n:1\r\n:1\r\n",
    "*4\r\n:1\r\n:1\r\n$4\r\nwhat\r\n*0\r\n",
    "*5\r\n:1\r\n:1\r\n$7\r\ngranted\r\n*0\r\n*0\r\n",
    "*5\r\n:1\r\n:1\r\n$7\r\nrefused\r\n*0\r\n$4\r\nwhat\r\n",
    "*4\r\n$1\r\nx\r\n:1\r\n$4\r\ndone\r\n*0\r\n",
    "*5\r\n:1\r\n:1\r\n$7\r\nwaiting\r\n:1\r\n:1\r\n",
};

static void anything_else_is_an_error(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct store_answer answer;
        assert_int_equal(read_resp(wrong[i], &answer), -EPROTO);
        store_answer_release(&answer);
    }
}

/* A text of a literal that may hold zeros. */
#define OPEN(literal, reply) batch_reply_open(literal, sizeof(literal) - 1, reply)

static void the_answers_of_a_batch_are_read_one_by_one(void **state)
{
    (void)state;
    static const struct batch_question question = {"s1", "s1:1", "a"};
    struct batch_reply batch;
    struct store_answer answer;
    assert_int_equal(OPEN("\xcf\x00\x00\x01\xa1\xff\x37\x1d\x21" /* now */
                          "\x03\x07\x01\xa2s2\xa4s2:9\x08\xa1"
                          "a\xa1"
                          "a\x03\x01\x00\x00\x32\x64\xa1"
                          "a\x05"
                          "\x04\x08\x00\xaapool_limit\x03\xa1"
                          "a\x02\x02"
                          "\x02\x08\x00\x06",
                          &batch),
                     0);
    assert_int_equal(batch_reply_next(&batch, &question, &answer), 0);
    assert_int_equal(answer.word, STORE_RELEASED);
    assert_int_equal(answer.op, 7);
    assert_int_equal(answer.now_ms, 0x1a1ff371d21);
    assert_int_equal(answer.life_left_ms, 100);
    assert_true(answer.queued);
    assert_int_equal(answer.handed_count, 1);
    assert_string_equal(answer.handed[0].request, "s2:9");
    assert_int_equal(answer.handed[0].token, 8);
    store_answer_release(&answer);
    assert_int_equal(batch_reply_next(&batch, &question, &answer), 0);
    assert_int_equal(answer.reason, STORE_POOL_LIMIT);
    assert_int_equal(answer.full_count, 1);
    assert_int_equal(answer.full[0].limit, 2);
    store_answer_release(&answer);
    assert_int_equal(batch_reply_next(&batch, &question, &answer), 0);
    assert_int_equal(answer.word, STORE_WAITING);
    assert_int_equal(answer.ahead, 6);
    store_answer_release(&answer);
    assert_int_equal(batch_reply_next(&batch, &question, &answer), -EPROTO);
    store_answer_release(&answer);
}

static void ordinary_answers_have_fixed_places(void **state)
{
    (void)state;
    static const struct batch_question question = {"s1", "s1:1", "requests"};
    struct batch_reply batch;
    struct store_answer answer;
    assert_int_equal(OPEN("\x01" /* now */
                          "\x06\0\0\0\0\x01\x02\0\0\0\0\0\x03\0\0\0\0\x75\x30"
                          "\x07\0\0\0\0\x01\x03\0\0\0\0\0\x00\0\0\0\0\0\x05\xa4"
                          "full",
                          &batch),
                     0);
    assert_int_equal(batch_reply_next(&batch, &question, &answer), 0);
    assert_int_equal(answer.word, STORE_GRANTED);
    assert_int_equal(answer.op, 258);
    assert_int_equal(answer.grant.token, 258);
    assert_int_equal(answer.grant.number, 3);
    assert_true(answer.grant.reused && !answer.grant.escalated && !answer.grant.waived);
    assert_int_equal(answer.grant.life_left_ms, 30000);
    assert_string_equal(answer.grant.pool, "requests");
    assert_string_equal(answer.grant.requested, "requests");
    assert_string_equal(answer.grant.session, "s1");
    assert_string_equal(answer.grant.request, "s1:1");
    store_answer_release(&answer);
    assert_int_equal(batch_reply_next(&batch, &question, &answer), 0);
    assert_int_equal(answer.word, STORE_RELEASED);
    assert_int_equal(answer.op, 259);
    assert_false(answer.queued);
    assert_int_equal(answer.held_ms, 5);
    assert_string_equal(answer.pool, "full");
    store_answer_release(&answer);
    assert_int_equal(batch_reply_next(&batch, &question, &answer), -EPROTO);
    store_answer_release(&answer);
}

#define WRONG(literal)                                                                             \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

static const struct {
    const char *text;
    size_t bytes;
} wrong_batches[] = {
    WRONG("\x01"),                                     /* no answer */
    WRONG("\x01\x09\x01\x00"),                         /* no such word */
    WRONG("\x01\x02\x01\x09"),                         /* nine grants that are not there */
    WRONG("\x01\x02\x01\xff"),                         /* minus one */
    WRONG("\x01\x04\x01\x00\xa4what\x00"),             /* no such reason */
    WRONG("\x01\x04\x01\x00\xa5stale\xcd\x01\x2c"),    /* 300 values */
    WRONG("\x01\x02\x01\x00\xc0"),                     /* nil */
    WRONG("\x01\x05\0\0\0\0\0\x01\0\0\0\0\0\x01\0\0"), /* a grant that is cut off */
};

static void a_batch_of_anything_else_is_an_error(void **state)
{
    (void)state;
    static const struct batch_question question = {"s1", "s1:1", "a"};
    struct batch_reply batch;
    for (size_t i = 0; i < ARRAY_SIZE(wrong_batches); i++) {
        struct store_answer answer;
        assert_int_equal(batch_reply_open(wrong_batches[i].text, wrong_batches[i].bytes, &batch),
                         0);
        assert_int_equal(batch_reply_next(&batch, &question, &answer), -EPROTO);
        store_answer_release(&answer);
    }
    assert_int_equal(OPEN("", &batch), -EPROTO);
    assert_int_equal(OPEN("\xa1x", &batch), -EPROTO);
}

static void addresses_are_read(void **state)
{
    (void)state;
    struct redis_address address;
    assert_int_equal(redis_address_parse("redis://127.0.0.1:6379", &address, NULL), 0);
    assert_string_equal(address.host, "127.0.0.1");
    assert_int_equal(address.port, 6379);
    assert_int_equal(redis_address_parse("redis://me:p@ss@host:7000/3", &address, NULL), 0);
    assert_string_equal(address.user, "me");
    assert_string_equal(address.password, "p@ss");
    assert_string_equal(address.host, "host");
    assert_int_equal(address.database, 3);
    assert_int_equal(redis_address_parse("redis://:secret@host:7000", &address, NULL), 0);
    assert_string_equal(address.user, "");
}

static void wrong_addresses_are_told_without_their_password(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "http://x:1",
                                      "redis://",
                                      "redis://host",
                                      "redis://host:0",
                                      "redis://host:99999",
                                      "redis://secret@host:1",
                                      "redis://u:secret@host:1/x",
                                      "redis://u:secret@host:1/-1"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct redis_address address;
        struct error error;
        assert_int_equal(redis_address_parse(bad[i], &address, &error), -EINVAL);
        assert_null(strstr(error.text, "secret"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_goodbye_is_one_fcall),
        cmocka_unit_test(acquires_and_releases_are_one_fcall),
        cmocka_unit_test(what_does_not_fit_a_batch_waits_for_the_next),
        cmocka_unit_test(the_answers_of_a_batch_are_read_one_by_one),
        cmocka_unit_test(ordinary_answers_have_fixed_places),
        cmocka_unit_test(a_batch_of_anything_else_is_an_error),
        cmocka_unit_test(a_command_past_the_maximum_is_an_error),
        cmocka_unit_test(a_release_with_what_it_hands_over_is_read),
        cmocka_unit_test(anything_else_is_an_error),
        cmocka_unit_test(addresses_are_read),
        cmocka_unit_test(wrong_addresses_are_told_without_their_password),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
