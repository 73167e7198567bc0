#include "common/address.h"

#include <errno.h>

#include "tests/unit/common/unit.h"

static void assert_address(const char *text, const char *host, uint16_t port)
{
    struct address address;
    struct error error;
    assert_int_equal(address_parse(text, &address, &error), 0);
    assert_string_equal(address.host, host);
    assert_int_equal(address.port, port);
}

static void addresses_are_read(void **state)
{
    (void)state;
    assert_address("127.0.0.1:9464", "127.0.0.1", 9464);
    assert_address("localhost:0", "localhost", 0);
    assert_address("[::1]:65535", "::1", 65535);
    assert_address("worker-0.workers.plant.svc:80", "worker-0.workers.plant.svc", 80);
}

static void assert_refused(const char *text, const char *why)
{
    struct address address = {.host = "before", .port = 7};
    struct error error;
    assert_int_equal(address_parse(text, &address, &error), -EINVAL);
    assert_contains(error.text, why);
    assert_contains(error.text, "HOST:PORT");
    assert_string_equal(address.host, "before");
    assert_int_equal(address.port, 7);
}

static void what_is_no_address_is_refused_with_the_reason(void **state)
{
    (void)state;
    assert_refused("", "it has no port");
    assert_refused("localhost", "it has no port");
    assert_refused(":80", "it has no host");
    assert_refused("[]:80", "it has no host");
    assert_refused("a:", "its port is not a number");
    assert_refused("a:x", "its port is not a number");
    assert_refused("a:-1", "its port is not a number");
    assert_refused("a:65536", "its port is not a number");
    assert_refused("a:999999999999", "its port is not a number");
    assert_refused("a:80 ", "its port is not a number");
    assert_refused("::1:80", "stands in brackets");
    assert_refused("[::1]", "]:");
    assert_refused("[::1:80", "]:");
    char text[400];
    memset(text, 'h', sizeof text);
    snprintf(text + 256, sizeof text - 256, ":80");
    assert_refused(text, "longer than 255");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read),
        cmocka_unit_test(what_is_no_address_is_refused_with_the_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
