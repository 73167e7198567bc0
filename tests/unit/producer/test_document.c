/*
 * YAML and JSON into trees, and trees back into text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "producer/document.h"

static char *as_json(const struct node *node)
{
    static char text[4000];
    struct buf out;
    buf_init(&out, sizeof text - 1);
    assert_int_equal(node_write_json(node, &out), 0);
    memcpy(text, out.data, out.length);
    text[out.length] = '\0';
    buf_release(&out);
    return text;
}

static void yaml_is(const char *yaml, const char *json)
{
    struct node *documents;
    struct error error = {""};
    assert_int_equal(document_parse_yaml(yaml, strlen(yaml), &documents, &error), 0);
    assert_string_equal(as_json(documents), json);
    node_free(documents);
}

static void yaml_is_refused(const char *yaml, const char *part)
{
    struct node *documents;
    struct error error = {""};
    assert_int_equal(document_parse_yaml(yaml, strlen(yaml), &documents, &error), -EINVAL);
    if (strstr(error.text, part) == NULL) {
        fail_msg("'%s' does not say '%s'", error.text, part);
    }
}

static void scalars_are_typed_as_the_core_schema_has_it(void **state)
{
    (void)state;
    yaml_is(
        "[1, -2, 1.5, 1e3, .5, true, False, null, ~, yes, '1', \"true\", 2026-01-31, 0x10, 1_000, 99999999999999999999]",
        "[[1,-2,1.5,1000.0,0.5,true,false,null,null,\"yes\",\"1\",\"true\",\"2026-01-31\",\"0x10\",\"1_000\",1e+20]]");
}

static void several_documents_are_a_list_and_empty_ones_are_left_out(void **state)
{
    (void)state;
    yaml_is("a: 1\n---\nb: 2\n---\n", "[{\"a\":1},{\"b\":2}]");
    yaml_is("", "[]");
    yaml_is("{\"json\": [\"is\", {\"yaml\": true}]}", "[{\"json\":[\"is\",{\"yaml\":true}]}]");
}

static void what_is_not_taken_is_refused_with_its_line(void **state)
{
    (void)state;
    yaml_is_refused("a: 1\nb: ]\n", "line 2");
    yaml_is_refused("a: 1\na: 2\n", "key 'a' is there twice, line 2");
    yaml_is_refused("a: &x 1\nb: *x\n", "anchors, aliases and tags are not taken, line 1");
    yaml_is_refused("a: !!int 1\n", "tags are not taken");
    yaml_is_refused("[1]: 2\n", "a key must be text");
    yaml_is_refused("\xff\xfe", "not YAML");
    char deep[300];
    memset(deep, '[', sizeof deep);
    deep[sizeof deep - 1] = '\0';
    yaml_is_refused(deep, "nested too deep");
}

static void json_is_read_and_bad_json_is_refused_with_its_line(void **state)
{
    (void)state;
    struct node *node;
    struct error error;
    static const char good[] = "{\"a\": [1, 2.5, \"\\u00e7\", null, false]}",
                      bad[] = "{\"a\":\n 1,}";
    assert_int_equal(document_parse_json(good, strlen(good), &node, &error), 0);
    assert_string_equal(as_json(node), "{\"a\":[1,2.5,\"\xc3\xa7\",null,false]}");
    node_free(node);
    assert_int_equal(document_parse_json(bad, strlen(bad), &node, &error), -EINVAL);
    assert_non_null(strstr(error.text, "line 2"));
    char deep[3000];
    memset(deep, '[', sizeof deep);
    memset(deep + 1500, ']', 1500);
    assert_int_equal(document_parse_json(deep, sizeof deep, &node, &error), -EINVAL);
}

static void what_is_written_as_yaml_reads_back_the_same(void **state)
{
    (void)state;
    static const char *const documents[] = {
        "a: {b: [1, {c: 'x: y', d: \"- #\"}, []], e: {}, f: null, 'g h': true, i: 'true', j: '1.5', k: \"line\\nbreak\", l: ' lead', m: ''}",
        "- [a, [b, [c]]]\n- 2.0\n- -3\n",
        "plain text",
        "'null'",
    };
    for (size_t i = 0; i < sizeof documents / sizeof documents[0]; i++) {
        struct node *first, *second;
        struct error error;
        struct buf out;
        char before[4000];
        buf_init(&out, 4000);
        assert_int_equal(document_parse_yaml(documents[i], strlen(documents[i]), &first, &error),
                         0);
        snprintf(before, sizeof before, "%s", as_json(first));
        assert_int_equal(node_write_yaml(first->first, &out), 0);
        assert_int_equal(document_parse_yaml((char *)out.data, out.length, &second, &error), 0);
        assert_string_equal(as_json(second), before);
        node_free(first);
        node_free(second);
        buf_release(&out);
    }
}

static void a_text_that_is_not_utf8_is_written_with_replacements(void **state)
{
    (void)state;
    struct node *node = node_new_text("a\xff\x01\"\\\xe2\x82", 0);
    assert_string_equal(as_json(node), "\"a\xef\xbf\xbd\\u0001\\\"\\\\\xef\xbf\xbd\xef\xbf\xbd\"");
    node_free(node);
}

static void setting_a_key_replaces_it_in_its_place(void **state)
{
    (void)state;
    struct node *map = node_new(NODE_MAP, 0);
    node_set(map, "a", node_new_text("1", 0));
    node_set(map, "b", node_new_text("2", 0));
    node_set(map, "a", node_new_text("3", 0));
    node_set(map, "b", node_new_text("4", 0));
    node_set(map, "c", node_new_text("5", 0));
    assert_string_equal(as_json(map), "{\"a\":\"3\",\"b\":\"4\",\"c\":\"5\"}");
    node_free(map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_are_typed_as_the_core_schema_has_it),
        cmocka_unit_test(several_documents_are_a_list_and_empty_ones_are_left_out),
        cmocka_unit_test(what_is_not_taken_is_refused_with_its_line),
        cmocka_unit_test(json_is_read_and_bad_json_is_refused_with_its_line),
        cmocka_unit_test(what_is_written_as_yaml_reads_back_the_same),
        cmocka_unit_test(a_text_that_is_not_utf8_is_written_with_replacements),
        cmocka_unit_test(setting_a_key_replaces_it_in_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
