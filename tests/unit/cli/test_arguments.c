/*
 * Words of a command line, ordered for option tables.
 */
#include "cli/arguments.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/memory.h"

static const struct option options[] = {
    {.name = "output", .type = OPTION_TEXT},
    {.name = "file", .type = OPTION_TEXT},
    {.name = "wait", .type = OPTION_BOOL},
    {.name = "set", .type = OPTION_TEXT},
};

/* Order `line`, whose words are separated by spaces, and compare with `expected`. */
static void check(const char *line, const char *expected)
{
    char *copy = memory_copy_text(line), *words[32];
    int count = 0;
    struct error error;
    struct arguments arguments;
    struct buf text;
    buf_init(&text, 512);
    for (char *word = copy; word;) {
        char *space = strchr(word, ' ');
        words[count++] = word;
        if (space) {
            *space++ = 0;
        }
        word = space;
    }
    assert_int_equal(arguments_init(&arguments, options, ARRAY_SIZE(options), count, words, &error),
                     0);
    for (int i = 0; i < arguments.argc; i++) {
        assert_int_equal(buf_print(&text, "%s%s", i ? " " : "", arguments.argv[i]), 0);
    }
    assert_string_equal((const char *)text.data, expected);
    assert_null(arguments.argv[arguments.argc]);
    arguments_release(&arguments);
    buf_release(&text);
    free(copy);
}

static void options_come_first_wherever_they_stand(void **state)
{
    (void)state;
    check("get productions -o json name", "get --output json -- productions name");
    check("run app --wait now", "run --wait -- app now");
    check("get", "get");
}

static void short_names_become_long_ones(void **state)
{
    (void)state;
    check("apply -f plant.yaml", "apply --file plant.yaml");
    check("apply -f -", "apply --file -");
}

static void numbers_and_a_lone_dash_are_operands(void **state)
{
    (void)state;
    check("send plant T -5.5 - -.5", "send -- plant T -5.5 - -.5");
}

static void what_follows_two_dashes_is_left_alone(void **state)
{
    (void)state;
    check("send -- --wait -o", "send -- --wait -o");
}

static void an_option_with_equals_takes_no_word(void **state)
{
    (void)state;
    check("get --output=json x", "get --output=json -- x");
}

static void an_unknown_option_is_kept_for_its_refusal(void **state)
{
    (void)state;
    check("get --nope x", "get --nope -- x");
}

static void values_of_set_are_collected_in_order(void **state)
{
    (void)state;
    char *words[] = {(char *)"run", (char *)"--set", (char *)"a=1", (char *)"app",
                     (char *)"--set=b=2"};
    struct error error;
    struct arguments arguments;
    assert_int_equal(arguments_init(&arguments, options, ARRAY_SIZE(options), 5, words, &error), 0);
    assert_int_equal(arguments.set_count, 2);
    assert_string_equal(arguments.sets[0], "a=1");
    assert_string_equal(arguments.sets[1], "b=2");
    arguments_release(&arguments);
}

static void a_set_without_value_is_refused(void **state)
{
    (void)state;
    char *words[] = {(char *)"run", (char *)"--set"};
    struct error error;
    struct arguments arguments;
    assert_int_equal(arguments_init(&arguments, options, ARRAY_SIZE(options), 2, words, &error),
                     -EINVAL);
    assert_string_equal(error.text, "--set has no value: it takes NAME=VALUE");
    arguments_release(&arguments);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_come_first_wherever_they_stand),
        cmocka_unit_test(short_names_become_long_ones),
        cmocka_unit_test(numbers_and_a_lone_dash_are_operands),
        cmocka_unit_test(what_follows_two_dashes_is_left_alone),
        cmocka_unit_test(an_option_with_equals_takes_no_word),
        cmocka_unit_test(an_unknown_option_is_kept_for_its_refusal),
        cmocka_unit_test(values_of_set_are_collected_in_order),
        cmocka_unit_test(a_set_without_value_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
