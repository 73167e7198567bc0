/*
 * What goes to Redis and what comes back, without a server.
 */
#include "tests/unit/licensor/unit.h"

#include <hiredis/hiredis.h>
#include <stdio.h>

#include "common/buf.h"
#include "licensor/store/command.h"
#include "licensor/store/redis.h"
#include "licensor/store/reply.h"

static void a_release_is_one_fcall(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 10000);
    struct store_request request = {
        .verb = STORE_RELEASE, .session = "s1", .request = "s1:1", .token = 12, .memo_ms = 60000};
    assert_int_equal(command_write(&request, "t", &out), 0);
    assert_string_equal(
        (char *)out.data,
        "*8\r\n$5\r\nFCALL\r\n$16\r\nengenho1_release\r\n$1\r\n1\r\n$3\r\n{t}\r\n$2\r\ns1\r\n"
        "$4\r\ns1:1\r\n$2\r\n12\r\n$5\r\n60000\r\n");
    buf_release(&out);
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
        cmocka_unit_test(a_release_is_one_fcall),
        cmocka_unit_test(a_command_past_the_maximum_is_an_error),
        cmocka_unit_test(a_grant_is_read),
        cmocka_unit_test(anything_else_is_an_error),
        cmocka_unit_test(addresses_are_read),
        cmocka_unit_test(wrong_addresses_are_told_without_their_password),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
