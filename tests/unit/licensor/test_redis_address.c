/*
 * Where the server is, as people write it.
 */
#include "tests/unit/licensor/unit.h"

#include <string.h>

#include "licensor/store/redis.h"

static void a_server_may_speak_tls(void **state)
{
    (void)state;
    struct redis_address address;
    assert_int_equal(redis_address_parse("rediss://me:word@[::1]:6380/2", &address, NULL), 0);
    assert_true(address.tls);
    assert_string_equal(address.host, "::1");
    assert_int_equal(address.port, 6380);
    assert_int_equal(address.database, 2);
    assert_int_equal(address.sentinels_count, 0);
}

static void sentinels_are_a_list_and_a_name(void **state)
{
    (void)state;
    struct redis_address address;
    assert_int_equal(
        redis_address_parse("sentinel://me:word@one,two:7000,[::1]/plant/3", &address, NULL), 0);
    assert_false(address.tls);
    assert_int_equal(address.sentinels_count, 3);
    assert_string_equal(address.sentinels[0].host, "one");
    assert_int_equal(address.sentinels[0].port, 26379);
    assert_string_equal(address.sentinels[1].host, "two");
    assert_int_equal(address.sentinels[1].port, 7000);
    assert_string_equal(address.sentinels[2].host, "::1");
    assert_string_equal(address.master, "plant");
    assert_string_equal(address.user, "me");
    assert_int_equal(address.database, 3);
    assert_int_equal(redis_address_parse("sentinels://one/plant", &address, NULL), 0);
    assert_true(address.tls);
}

static void wrong_addresses_are_refused_without_their_password(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "sentinel://",          "sentinel://one",         "sentinel://one/",
        "sentinel:///plant",    "sentinel://one,,/plant", "sentinel://one/plant/x",
        "sentinel://one:0/p",   "sentinel://a:secret@/p", "sentinel://1,2,3,4,5,6,7,8,9/plant",
        "rediss://a:secret@:1", "redis://host:1/-1",      "tls://host:1",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct redis_address address;
        struct error error = {.text = ""};
        assert_int_equal(redis_address_parse(bad[i], &address, &error), -EINVAL);
        assert_true(error.text[0] != '\0');
        assert_null(strstr(error.text, "secret"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_may_speak_tls),
        cmocka_unit_test(sentinels_are_a_list_and_a_name),
        cmocka_unit_test(wrong_addresses_are_refused_without_their_password),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
