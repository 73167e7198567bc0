#include "common/names.h"

#include "common/utf8.h"
#include "tests/unit/common/unit.h"

static void agents_are_short_and_plain(void **state)
{
    (void)state;
    assert_true(name_is_agent("a"));
    assert_true(name_is_agent("default-2"));
    assert_true(name_is_agent("0123456789012345678901234567890123456789"));
    assert_false(name_is_agent("01234567890123456789012345678901234567890"));
    assert_false(name_is_agent(""));
    assert_false(name_is_agent("Default"));
    assert_false(name_is_agent("a b"));
    assert_false(name_is_agent("a_b"));
    assert_false(name_is_agent("a/b"));
    assert_false(name_is_agent("\xc3\xa9"));
}

static void other_names_are_utf8_without_control_characters(void **state)
{
    (void)state;
    assert_true(name_is_valid("Temperatura média / forno 3"));
    assert_true(name_is_valid("Period/P_2m"));
    assert_true(name_is_valid("\xf0\x9f\x8f\xad"));
    assert_false(name_is_valid(""));
    assert_false(name_is_valid("a\nb"));
    assert_false(name_is_valid("a\tb"));
    assert_false(name_is_valid("a\x7f"));
    assert_false(name_is_valid("a\xc2\x85"));
    assert_true(name_is_valid("a\xc2\xa0"));
    assert_false(name_is_valid("\xff"));
    char text[NAME_BYTES_MAX + 2];
    memset(text, 'x', sizeof text);
    text[NAME_BYTES_MAX] = 0;
    assert_true(name_is_valid(text));
    text[NAME_BYTES_MAX] = 'x';
    text[NAME_BYTES_MAX + 1] = 0;
    assert_false(name_is_valid(text));
}

static void utf8_that_is_not_well_formed_is_refused(void **state)
{
    (void)state;
    assert_true(utf8_is_valid("", 0));
    assert_true(utf8_is_valid("a\0b", 3));
    assert_true(utf8_is_valid("\xf4\x8f\xbf\xbf", 4));
    assert_true(utf8_is_valid("\xed\x9f\xbf\xee\x80\x80", 6));
    assert_false(utf8_is_valid("\xc0\x80", 2));         /* overlong NUL */
    assert_false(utf8_is_valid("\xc1\xbf", 2));         /* overlong */
    assert_false(utf8_is_valid("\xe0\x9f\xbf", 3));     /* overlong */
    assert_false(utf8_is_valid("\xf0\x8f\xbf\xbf", 4)); /* overlong */
    assert_false(utf8_is_valid("\xed\xa0\x80", 3));     /* a surrogate */
    assert_false(utf8_is_valid("\xf4\x90\x80\x80", 4)); /* above U+10FFFF */
    assert_false(utf8_is_valid("\xf5\x80\x80\x80", 4));
    assert_false(utf8_is_valid("\x80", 1));
    assert_false(utf8_is_valid("\xc3", 1));
    assert_false(utf8_is_valid("\xe2\x82", 2));
    assert_false(utf8_is_valid("\xf0\x9f\x8f", 3));
    assert_false(utf8_is_valid("\xc3(", 2));
    assert_int_equal(utf8_character("\xe2\x82\xac", 3), 3);
}

static void patterns_match_runs_and_characters(void **state)
{
    (void)state;
    assert_true(name_matches("", ""));
    assert_true(name_matches("*", ""));
    assert_true(name_matches("*", "anything"));
    assert_true(name_matches("Pump*.Temp", "Pump14.Temp"));
    assert_true(name_matches("Pump*.Temp", "Pump.Temp.Temp"));
    assert_false(name_matches("Pump*.Temp", "Pump14.Temps"));
    assert_true(name_matches("Pump??", "Pump14"));
    assert_false(name_matches("Pump??", "Pump1"));
    assert_true(name_matches("a**b", "ab"));
    assert_true(name_matches("*a*b*c*", "xxaxxbxxcxx"));
    assert_false(name_matches("*a*b*c*", "xxaxxcxxbxx"));
    assert_true(name_matches("caf?", "caf\xc3\xa9"));
    assert_false(name_matches("caf??", "caf\xc3\xa9"));
    assert_true(name_matches("[a]\\", "[a]\\"));
    assert_false(name_matches("[a]", "a"));
    assert_false(name_matches("?", ""));
    assert_false(name_matches("", "a"));
    assert_false(name_matches("a", "A"));
}

static void a_hostile_pattern_takes_no_long_time(void **state)
{
    (void)state;
    char pattern[400], name[4000];
    for (size_t i = 0; i < sizeof pattern - 1; i++) {
        pattern[i] = i % 2 ? 'a' : '*';
    }
    pattern[sizeof pattern - 2] = 'b';
    pattern[sizeof pattern - 1] = 0;
    memset(name, 'a', sizeof name);
    name[sizeof name - 1] = 0;
    assert_false(name_matches(pattern, name));
}

static void a_pattern_is_told_from_a_name(void **state)
{
    (void)state;
    assert_true(name_is_pattern("a*"));
    assert_true(name_is_pattern("?"));
    assert_false(name_is_pattern("a.b"));
    assert_false(name_is_pattern(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agents_are_short_and_plain),
        cmocka_unit_test(other_names_are_utf8_without_control_characters),
        cmocka_unit_test(utf8_that_is_not_well_formed_is_refused),
        cmocka_unit_test(patterns_match_runs_and_characters),
        cmocka_unit_test(a_hostile_pattern_takes_no_long_time),
        cmocka_unit_test(a_pattern_is_told_from_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
