#include "common/execution_id.h"

#include <errno.h>

#include "tests/unit/common/unit.h"

static void an_id_comes_back_with_slashes_in_its_production(void **state)
{
    (void)state;
    char text[EXECUTION_ID_BYTES_MAX];
    struct execution_id id;
    size_t length = execution_id_print("default", "events", 3, INT64_C(9007199254740993),
                                       "area 1/pump/overheat", text);
    assert_string_equal(text, "default/events/3/9007199254740993/area 1/pump/overheat");
    assert_int_equal(length, strlen(text));
    assert_int_equal(execution_id_parse(text, &id), 0);
    assert_string_equal(id.agent, "default");
    assert_string_equal(id.topic, "events");
    assert_int_equal(id.partition, 3);
    assert_int_equal(id.offset, INT64_C(9007199254740993));
    assert_string_equal(id.production, "area 1/pump/overheat");
}

static void on_demand_the_production_is_empty(void **state)
{
    (void)state;
    char text[EXECUTION_ID_BYTES_MAX];
    struct execution_id id;
    execution_id_print("default", "triggers.default", 0, 0, "", text);
    assert_string_equal(text, "default/triggers.default/0/0/");
    assert_int_equal(execution_id_parse(text, &id), 0);
    assert_string_equal(id.production, "");
    execution_id_print("default", "triggers.default", 0, 0, NULL, text);
    assert_string_equal(text, "default/triggers.default/0/0/");
    assert_int_equal(execution_id_parse("a/t/0/0//", &id), 0);
    assert_string_equal(id.production, "/");
}

static void the_longest_of_everything_fits(void **state)
{
    (void)state;
    char agent[AGENT_NAME_BYTES_MAX + 1], topic[250], production[NAME_BYTES_MAX + 1],
        text[EXECUTION_ID_BYTES_MAX];
    memset(agent, 'a', sizeof agent);
    memset(topic, 't', sizeof topic);
    memset(production, 'p', sizeof production);
    agent[sizeof agent - 1] = topic[sizeof topic - 1] = production[sizeof production - 1] = 0;
    size_t length = execution_id_print(agent, topic, INT32_MAX, INT64_MAX, production, text);
    struct execution_id id;
    assert_int_equal(execution_id_parse(text, &id), 0);
    assert_int_equal(id.partition, INT32_MAX);
    assert_int_equal(id.offset, INT64_MAX);
    assert_true(length < EXECUTION_ID_BYTES_MAX);
    /* One byte more in the production is too long. */
    char longer[EXECUTION_ID_BYTES_MAX + 1];
    snprintf(longer, sizeof longer, "%sp", text);
    assert_int_equal(execution_id_parse(longer, &id), -EINVAL);
}

static void what_is_no_id_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "default",
                                      "default/events",
                                      "default/events/1",
                                      "default/events/1/2",
                                      "/events/1/2/p",
                                      "default//1/2/p",
                                      "Default/events/1/2/p",
                                      "default/events/x/2/p",
                                      "default/events/-1/2/p",
                                      "default/events/+1/2/p",
                                      "default/events/ 1/2/p",
                                      "default/events/01/2/p",
                                      "default/events/1/02/p",
                                      "default/events//2/p",
                                      "default/events/1//p",
                                      "default/events/2147483648/2/p",
                                      "default/events/1/9223372036854775808/p",
                                      "default/events/1/99999999999999999999999/p",
                                      "default/events/1/2/a\nb",
                                      "default/events/1/2/\xff"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct execution_id id;
        if (execution_id_parse(bad[i], &id) != -EINVAL) {
            fail_msg("'%s' was not refused", bad[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_comes_back_with_slashes_in_its_production),
        cmocka_unit_test(on_demand_the_production_is_empty),
        cmocka_unit_test(the_longest_of_everything_fits),
        cmocka_unit_test(what_is_no_id_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
