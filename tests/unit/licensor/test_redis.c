/*
 * What goes to Redis and what comes back, without a server.
 */
#include "tests/unit/licensor/unit.h"

#include <hiredis/hiredis.h>
#include <stdio.h>

#include "common/buf.h"
#include "licensor/store/batch.h"
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
        "*5\r\n$5\r\nFCALL\r\n$16\r\nengenho2_goodbye\r\n$1\r\n1\r\n$3\r\n{t}\r\n$2\r\ns1\r\n");
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
        "*5\r\n$5\r\nFCALL\r\n$14\r\nengenho2_batch\r\n$1\r\n1\r\n$3\r\n{t}\r\n$64\r\n"
        "\xdd\0\0\0\x12\xcd\x75\x30\xcd\xea\x60\x07\x01"
        "\xa7request\x00\x01\xa1"
        "a\x01\xa2s1\xa4s1:1\x01\xa0\xda\x00\x0d\xa7request\xa0\xa1"
        "a\xa1u\x00\xa2s1\xa4s1:0\xcd\x01\x2c\r\n";
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

static void a_grant_is_read(void **state)
{
    (void)state;
    struct store_answer answer;
    assert_int_equal(
        read_resp(
            "*5\r\n:6\r\n:1795269642369\r\n$7\r\ngranted\r\n*0\r\n*10\r\n$2\r\ns1\r\n$4\r\ns1:1\r\n:6\r\n$1\r\na\r\n"
            "$1\r\nb\r\n:1\r\n:1\r\n:1\r\n:0\r\n:29999\r\n",
            &answer),
        0);
    assert_int_equal(answer.word, STORE_GRANTED);
    assert_int_equal(answer.op, 6);
    assert_string_equal(answer.grant.pool, "a");
    assert_string_equal(answer.grant.requested, "b");
    assert_true(answer.grant.reused && answer.grant.escalated && !answer.grant.waived);
    assert_int_equal(answer.grant.life_left_ms, 29999);
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

static redisReply *resp_of(const char *resp)
{
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    redisReaderFeed(reader, resp, strlen(resp));
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_non_null(reply);
    redisReaderFree(reader);
    return reply;
}

static void the_answers_of_a_batch_are_read_one_by_one(void **state)
{
    (void)state;
    redisReply *reply =
        resp_of("*29\r\n:1795269642369\r\n"
                ":7\r\n:3\r\n:1\r\n$2\r\ns2\r\n$4\r\ns2:9\r\n:8\r\n$1\r\na\r\n$1\r\na\r\n:3\r\n"
                ":1\r\n:0\r\n:0\r\n:50\r\n:100\r\n$1\r\na\r\n:5\r\n"
                ":8\r\n:4\r\n:0\r\n$10\r\npool_limit\r\n:3\r\n$1\r\na\r\n:2\r\n:2\r\n"
                ":8\r\n:2\r\n:0\r\n:6\r\n");
    struct reply_batch batch;
    struct store_answer answer;
    assert_int_equal(reply_batch_open(reply, &batch), 0);
    assert_int_equal(reply_batch_next(&batch, "s1", "s1:1", &answer), 0);
    assert_int_equal(answer.word, STORE_RELEASED);
    assert_int_equal(answer.now_ms, 1795269642369);
    assert_int_equal(answer.life_left_ms, 100);
    assert_true(answer.queued);
    assert_int_equal(answer.handed_count, 1);
    assert_string_equal(answer.handed[0].request, "s2:9");
    assert_int_equal(answer.handed[0].token, 8);
    store_answer_release(&answer);
    assert_int_equal(reply_batch_next(&batch, "s1", "s1:2", &answer), 0);
    assert_int_equal(answer.reason, STORE_POOL_LIMIT);
    assert_int_equal(answer.full_count, 1);
    assert_int_equal(answer.full[0].limit, 2);
    store_answer_release(&answer);
    assert_int_equal(reply_batch_next(&batch, "s1", "s1:3", &answer), 0);
    assert_int_equal(answer.word, STORE_WAITING);
    assert_int_equal(answer.ahead, 6);
    store_answer_release(&answer);
    assert_int_equal(reply_batch_next(&batch, "s1", "s1:4", &answer), -EPROTO);
    store_answer_release(&answer);
    freeReplyObject(reply);
}

static const char *const wrong_batches[] = {
    "*1\r\n:1\r\n",
    "*4\r\n:1\r\n:1\r\n:9\r\n:0\r\n",
    "*4\r\n:1\r\n:1\r\n:2\r\n:9\r\n",
    "*4\r\n:1\r\n:1\r\n:2\r\n:-1\r\n",
    "*6\r\n:1\r\n:1\r\n:4\r\n:0\r\n$4\r\nwhat\r\n:0\r\n",
    "*6\r\n:1\r\n:1\r\n:4\r\n:0\r\n$5\r\nstale\r\n:300\r\n",
};

static void a_batch_of_anything_else_is_an_error(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wrong_batches); i++) {
        redisReply *reply = resp_of(wrong_batches[i]);
        struct reply_batch batch;
        struct store_answer answer;
        assert_int_equal(reply_batch_open(reply, &batch), 0);
        assert_int_equal(reply_batch_next(&batch, "s1", "s1:1", &answer), -EPROTO);
        store_answer_release(&answer);
        freeReplyObject(reply);
    }
    redisReply *reply = resp_of("-ERR Function not found\r\n");
    struct reply_batch batch;
    assert_int_equal(reply_batch_open(reply, &batch), -EPROTO);
    freeReplyObject(reply);
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
        cmocka_unit_test(a_batch_of_anything_else_is_an_error),
        cmocka_unit_test(a_command_past_the_maximum_is_an_error),
        cmocka_unit_test(a_grant_is_read),
        cmocka_unit_test(anything_else_is_an_error),
        cmocka_unit_test(addresses_are_read),
        cmocka_unit_test(wrong_addresses_are_told_without_their_password),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
