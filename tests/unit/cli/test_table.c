/*
 * JSON as tables, CSV and YAML.
 */
#include "cli/table.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct table_column columns[] = {
    {"NAME", "name"}, {"POOL", "seat.pool"}, {"VALUE", "value"}};
static struct buf out;

static json_t *parse(const char *text)
{
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(json);
    return json;
}

static void expect_table(const char *rows, size_t cell_max, const char *expected)
{
    json_t *json = parse(rows);
    buf_clear(&out);
    assert_int_equal(table_print(&out, json, &(struct table_form){columns, 3, cell_max, true}), 0);
    assert_string_equal((const char *)out.data, expected);
    json_decref(json);
}

static void expect_yaml(const char *text, const char *expected)
{
    json_t *json = parse(text);
    buf_clear(&out);
    assert_int_equal(table_print_yaml(&out, json), 0);
    assert_string_equal((const char *)out.data, expected);
    json_decref(json);
}

static void columns_are_as_wide_as_their_longest_cell(void **state)
{
    (void)state;
    expect_table(
        "[{\"name\":\"a\",\"seat\":{\"pool\":\"productions\"},\"value\":1.5},{\"name\":\"long name\",\"value\":true}]",
        0,
        "NAME       POOL         VALUE\n"
        "a          productions  1.5\n"
        "long name               true\n");
}

static void characters_are_counted_not_bytes(void **state)
{
    (void)state;
    expect_table("[{\"name\":\"Vaz\xc3\xa3o\",\"seat\":{\"pool\":\"p\"},\"value\":1}]", 0,
                 "NAME   POOL  VALUE\nVaz\xc3\xa3o  p     1\n");
}

static void long_cells_are_cut_but_not_the_last_column(void **state)
{
    (void)state;
    expect_table(
        "[{\"name\":\"abcdefghijkl\",\"seat\":{\"pool\":\"p\"},\"value\":\"abcdefghijkl\"}]", 8,
        "NAME      POOL  VALUE\nabcde...  p     abcdefghijkl\n");
    expect_table("[{\"name\":\"\xc3\xa3\xc3\xa3\xc3\xa3\xc3\xa3\xc3\xa3\xc3\xa3\",\"value\":1}]", 5,
                 "NAME   POOL  VALUE\n\xc3\xa3\xc3\xa3...        1\n");
}

static void control_characters_never_reach_a_terminal(void **state)
{
    (void)state;
    expect_table("[{\"name\":\"a\\u001b[31m\\nb\",\"value\":1}]", 0,
                 "NAME      POOL  VALUE\na [31m b        1\n");
}

static void csv_quotes_what_needs_it(void **state)
{
    (void)state;
    json_t *json = parse(
        "[{\"name\":\"a,\\\"b\\\"\\nc\",\"value\":null},{\"name\":\"plain\",\"value\":[1,2]}]");
    buf_clear(&out);
    assert_int_equal(table_print_csv(&out, json, &(struct table_form){columns, 3, 0, true}), 0);
    assert_string_equal((const char *)out.data,
                        "NAME,POOL,VALUE\r\n\"a,\"\"b\"\"\nc\",,\r\nplain,,\"[1,2]\"\r\n");
    json_decref(json);
}

static void numbers_are_printed_as_short_as_they_are_exact(void **state)
{
    (void)state;
    expect_table("[{\"name\":\"x\",\"value\":0.1}]", 0, "NAME  POOL  VALUE\nx           0.1\n");
    expect_yaml("{\"a\":73.96732207,\"b\":1e300,\"c\":2.0}", "a: 73.96732207\nb: 1e+300\nc: 2.0\n");
}

static void json_is_indented_or_on_one_line(void **state)
{
    (void)state;
    json_t *json = parse("{\"a\":[1,0.1,{}],\"b\":{\"c\":null},\"d\":[]}");
    buf_clear(&out);
    assert_int_equal(table_print_json(&out, json, false), 0);
    assert_string_equal((const char *)out.data, "{\"a\":[1,0.1,{}],\"b\":{\"c\":null},\"d\":[]}");
    buf_clear(&out);
    assert_int_equal(table_print_json(&out, json, true), 0);
    assert_string_equal((const char *)out.data,
                        "{\n  \"a\": [\n    1,\n    0.1,\n    {}\n  ],\n  \"b\": {\n    \"c\": "
                        "null\n  },\n  \"d\": []\n}\n");
    json_decref(json);
}

static void yaml_nests_objects_and_lists(void **state)
{
    (void)state;
    expect_yaml(
        "{\"kind\":\"Production\",\"spec\":{\"trigger\":{\"data\":{\"object\":\"T*\"}},\"list\":[1,{\"a\":1,\"b\":[]}],"
        "\"empty\":{}}}",
        "kind: Production\n"
        "spec:\n"
        "  trigger:\n"
        "    data:\n"
        "      object: \"T*\"\n"
        "  list:\n"
        "  - 1\n"
        "  - a: 1\n"
        "    b: []\n"
        "  empty: {}\n");
}

static void yaml_quotes_texts_that_would_read_as_something_else(void **state)
{
    (void)state;
    expect_yaml(
        "[\"true\",\"12\",\"a: b\",\"\",\"null\",\"No\",\"plain text\",\"# x\",\"- y\"]",
        "- \"true\"\n- \"12\"\n- \"a: b\"\n- \"\"\n- \"null\"\n- \"No\"\n- plain text\n- \"# x\"\n- \"- y\"\n");
}

static void past_its_maximum_nothing_is_promised_but_the_error(void **state)
{
    (void)state;
    struct buf small;
    json_t *json = parse("[{\"name\":\"abcdefghijklmnop\"}]");
    buf_init(&small, 8);
    assert_int_equal(table_print(&small, json, &(struct table_form){columns, 3, 0, true}),
                     -EMSGSIZE);
    assert_int_equal(table_print_yaml(&small, json), -EMSGSIZE);
    buf_release(&small);
    json_decref(json);
}

static int set_up(void **state)
{
    (void)state;
    buf_init(&out, 1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_release(&out);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_as_wide_as_their_longest_cell),
        cmocka_unit_test(characters_are_counted_not_bytes),
        cmocka_unit_test(long_cells_are_cut_but_not_the_last_column),
        cmocka_unit_test(control_characters_never_reach_a_terminal),
        cmocka_unit_test(csv_quotes_what_needs_it),
        cmocka_unit_test(numbers_are_printed_as_short_as_they_are_exact),
        cmocka_unit_test(json_is_indented_or_on_one_line),
        cmocka_unit_test(yaml_nests_objects_and_lists),
        cmocka_unit_test(yaml_quotes_texts_that_would_read_as_something_else),
        cmocka_unit_test(past_its_maximum_nothing_is_promised_but_the_error),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
