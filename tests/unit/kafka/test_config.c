/*
 * kafka/config: what people give reaches librdkafka, and what it refuses is one sentence without
 * secrets.
 */
#include "kafka/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[64];

static const char *file_with(const char *text)
{
    snprintf(path, sizeof path, "/tmp/engenho-test-config-%d", (int)getpid());
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fputs(text, file) >= 0, 1);
    assert_int_equal(fclose(file), 0);
    return path;
}

static int remove_file(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

static void assert_setting(rd_kafka_conf_t *conf, const char *name, const char *expected)
{
    char value[256];
    size_t size = sizeof value;
    assert_int_equal(rd_kafka_conf_get(conf, name, value, &size), RD_KAFKA_CONF_OK);
    assert_string_equal(value, expected);
}

static void settings_of_every_client_win_over_those_of_the_role(void **state)
{
    (void)state;
    struct kafka_options options = {.servers = "127.0.0.1:9092",
                                    .config = "linger.ms=9;client.rack=a"};
    struct error error;
    rd_kafka_conf_t *conf = kafka_conf_new(&options, KAFKA_ROLE_PRODUCER, &error);
    assert_non_null(conf);
    assert_setting(conf, "linger.ms", "9");
    assert_setting(conf, "client.rack", "a");
    assert_setting(conf, "acks", "-1");
    rd_kafka_conf_destroy(conf);
}

static void user_and_password_come_from_the_first_lines_of_files(void **state)
{
    (void)state;
    struct kafka_options options = {.servers = "127.0.0.1:9092",
                                    .user_file = file_with("plant;=x\nmore")};
    struct error error;
    rd_kafka_conf_t *conf = kafka_conf_new(&options, KAFKA_ROLE_GROUP, &error);
    assert_non_null(conf);
    assert_setting(conf, "sasl.username", "plant;=x");
    rd_kafka_conf_destroy(conf);

    options = (struct kafka_options){.servers = "127.0.0.1:9092",
                                     .password_file = file_with("s3cret\r\n")};
    conf = kafka_conf_new(&options, KAFKA_ROLE_GROUP, &error);
    assert_non_null(conf);
    assert_setting(conf, "sasl.password", "s3cret");
    rd_kafka_conf_destroy(conf);
}

static void a_file_that_cannot_be_read_is_named(void **state)
{
    (void)state;
    struct kafka_options options = {.servers = "127.0.0.1:9092",
                                    .password_file = "/nonexistent/password"};
    struct error error;
    assert_null(kafka_conf_new(&options, KAFKA_ROLE_GROUP, &error));
    assert_string_equal(
        error.text,
        "kafka-password-file: cannot read /nonexistent/password: No such file or directory");
}

static void an_empty_or_too_long_secret_is_refused(void **state)
{
    (void)state;
    struct kafka_options options = {.servers = "127.0.0.1:9092",
                                    .password_file = file_with("\nsecret")};
    struct error error;
    assert_null(kafka_conf_new(&options, KAFKA_ROLE_GROUP, &error));
    assert_non_null(strstr(error.text, "must have 1 to 1024 bytes"));
    assert_null(strstr(error.text, "secret"));

    char text[1026];
    memset(text, 'a', sizeof text - 1);
    text[1025] = '\0';
    file_with(text);
    assert_null(kafka_conf_new(&options, KAFKA_ROLE_GROUP, &error));
    text[1024] = '\0';
    file_with(text);
    rd_kafka_conf_t *conf = kafka_conf_new(&options, KAFKA_ROLE_GROUP, &error);
    assert_non_null(conf);
    rd_kafka_conf_destroy(conf);
}

static void a_setting_that_librdkafka_does_not_know_is_named(void **state)
{
    (void)state;
    struct kafka_options options = {.servers = "127.0.0.1:9092", .config = "no.such=1"};
    struct error error;
    assert_null(kafka_conf_new(&options, KAFKA_ROLE_GROUP, &error));
    assert_non_null(strstr(error.text, "librdkafka refuses no.such"));
    options.config = "linger.ms";
    assert_null(kafka_conf_new(&options, KAFKA_ROLE_GROUP, &error));
    assert_string_equal(error.text, "kafka-config: 'linger.ms' is not KEY=VALUE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_of_every_client_win_over_those_of_the_role),
        cmocka_unit_test_teardown(user_and_password_come_from_the_first_lines_of_files,
                                  remove_file),
        cmocka_unit_test(a_file_that_cannot_be_read_is_named),
        cmocka_unit_test_teardown(an_empty_or_too_long_secret_is_refused, remove_file),
        cmocka_unit_test(a_setting_that_librdkafka_does_not_know_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
