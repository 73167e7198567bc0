/*
 * CSV records.
 */
#include "cli/csv.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct csv csv;

static void open_text(const char *text)
{
    csv_release(&csv);
    csv_init(&csv, text, strlen(text));
}

static void expect(const char *a, const char *b)
{
    assert_int_equal(csv_next(&csv), 1);
    assert_int_equal(csv.field_count, 2);
    assert_string_equal(csv_field(&csv, 0), a);
    assert_string_equal(csv_field(&csv, 1), b);
}

static void lines_end_with_lf_or_crlf_or_nothing(void **state)
{
    (void)state;
    open_text("a,b\r\nc,d\ne,f");
    expect("a", "b");
    expect("c", "d");
    expect("e", "f");
    assert_int_equal(csv_next(&csv), 0);
}

static void empty_lines_and_a_byte_order_mark_are_left_out(void **state)
{
    (void)state;
    open_text("\xef\xbb\xbf"
              "a,b\n\n\r\nc,d\n\n");
    expect("a", "b");
    expect("c", "d");
    assert_int_equal(csv.line, 4);
    assert_int_equal(csv_next(&csv), 0);
}

static void quoted_fields_keep_commas_quotes_and_lines(void **state)
{
    (void)state;
    open_text("\"a,\"\"x\"\"\",\"two\nlines\"\nc,d\n");
    expect("a,\"x\"", "two\nlines");
    expect("c", "d");
    assert_int_equal(csv.line, 3);
}

static void empty_fields_are_fields(void **state)
{
    (void)state;
    open_text(",\n\"\",b\n");
    expect("", "");
    expect("", "b");
    assert_string_equal(csv_field(&csv, 99), "");
}

static void a_broken_quote_is_refused_with_its_line(void **state)
{
    (void)state;
    open_text("a,b\nc,\"d\ne,f\n");
    expect("a", "b");
    assert_int_equal(csv_next(&csv), -EILSEQ);
    assert_int_equal(csv.line, 2);
    open_text("\"a\"b,c\n");
    assert_int_equal(csv_next(&csv), -EILSEQ);
    csv_release(&csv);
    csv_init(&csv, "a\0b,c\n", 6);
    assert_int_equal(csv_next(&csv), -EILSEQ);
}

static void too_many_fields_are_refused(void **state)
{
    (void)state;
    char text[CSV_FIELDS_MAX + 2];
    memset(text, ',', sizeof(text) - 1);
    text[sizeof(text) - 1] = 0;
    open_text(text);
    assert_int_equal(csv_next(&csv), -E2BIG);
}

static void a_record_past_its_maximum_is_refused(void **state)
{
    (void)state;
    char *text = malloc(CSV_RECORD_BYTES_MAX + 2);
    memset(text, 'x', CSV_RECORD_BYTES_MAX + 1);
    csv_release(&csv);
    csv_init(&csv, text, CSV_RECORD_BYTES_MAX + 1);
    assert_int_equal(csv_next(&csv), -EMSGSIZE);
    free(text);
}

static void numbers_are_those_of_json(void **state)
{
    (void)state;
    static const char *const numbers[] = {"0", "-0", "12", "73.96732207", "1e5", "-1.5E-10", "0.5"};
    static const char *const others[] = {"",    "-",   "01", "1.", ".5",  "+1", "1e",
                                         "0x1", "nan", "1 ", " 1", "1,5", "--1"};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
        assert_true(csv_is_json_number(numbers[i]));
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
        assert_false(csv_is_json_number(others[i]));
    }
}

static int tear_down(void **state)
{
    (void)state;
    csv_release(&csv);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_end_with_lf_or_crlf_or_nothing),
        cmocka_unit_test(empty_lines_and_a_byte_order_mark_are_left_out),
        cmocka_unit_test(quoted_fields_keep_commas_quotes_and_lines),
        cmocka_unit_test(empty_fields_are_fields),
        cmocka_unit_test(a_broken_quote_is_refused_with_its_line),
        cmocka_unit_test(too_many_fields_are_refused),
        cmocka_unit_test(a_record_past_its_maximum_is_refused),
        cmocka_unit_test(numbers_are_those_of_json),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
