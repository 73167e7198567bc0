#include "common/when.h"

#include <math.h>

#include "tests/unit/common/unit.h"

#define NUMBER(n) ((struct when_value){.type = WHEN_NUMBER, .number = (n)})
#define INTEGER(n) ((struct when_value){.type = WHEN_INTEGER, .integer = (n)})
#define BOOLEAN(b) ((struct when_value){.type = WHEN_BOOLEAN, .integer = (b)})
#define TEXT(t) ((struct when_value){.type = WHEN_TEXT, .text = (t), .text_bytes = sizeof(t) - 1})

struct event {
    struct when_value value, previous, quality, timestamp;
};

static struct event event;

static struct when_value look_up(void *context, enum when_name name, const char *member)
{
    const struct event *e = context;
    switch (name) {
    case WHEN_NAME_VALUE:
        return e->value;
    case WHEN_NAME_PREVIOUS:
        return e->previous;
    case WHEN_NAME_QUALITY:
        return e->quality;
    case WHEN_NAME_TIMESTAMP:
        return e->timestamp;
    case WHEN_NAME_PAYLOAD:
        return !strcmp(member, "level")  ? INTEGER(3)
               : !strcmp(member, "open") ? BOOLEAN(1)
                                         : (struct when_value){0};
    case WHEN_NAME_FIELDS:
        return !strcmp(member, "Responsável") ? TEXT("Ana")
               : !strcmp(member, "a.b-c")     ? INTEGER(1)
                                              : (struct when_value){0};
    }
    return (struct when_value){0};
}

static int standard_event(void **state)
{
    (void)state;
    event = (struct event){.value = NUMBER(101.5),
                           .previous = NUMBER(99),
                           .quality = INTEGER(0),
                           .timestamp = INTEGER(INT64_C(1769860800000000))};
    return 0;
}

static bool holds(const char *text)
{
    struct error error;
    struct when *when = when_new(text, &error);
    if (!when) {
        fail_msg("'%s' was refused: %s", text, error.text);
    }
    bool result = when_holds(when, look_up, &event);
    when_free(when);
    return result;
}

static void comparisons_hold_as_written(void **state)
{
    (void)state;
    assert_true(holds("value > 100 and previous <= 100"));
    assert_true(holds("value>100 and previous<=100"));
    assert_false(holds("value < 100"));
    assert_true(holds("value = 101.5"));
    assert_true(holds("value == 101.5"));
    assert_false(holds("value != 101.5"));
    assert_false(holds("value <> 101.5"));
    assert_true(holds("value >= 101.5"));
    assert_true(holds("100 < value"));
    assert_true(holds("value > previous"));
    assert_true(holds("value > -5"));
    assert_true(holds("value > 1e2"));
    assert_true(holds("value > .5"));
    assert_true(holds("1 < 2"));
    assert_true(holds("quality = 0"));
    assert_true(holds("payload.level = 3"));
    assert_true(holds("fields.a.b-c = 1"));
    assert_true(holds("fields.Responsável = 'Ana'"));
}

static void not_binds_closer_than_and_and_and_closer_than_or(void **state)
{
    (void)state;
    assert_true(holds("1 = 1 or 1 = 1 and 1 = 2"));
    assert_false(holds("(1 = 1 or 1 = 1) and 1 = 2"));
    assert_false(holds("not 1 = 1 and 1 = 1"));
    assert_true(holds("not 1 = 1 or 1 = 1"));
    assert_false(holds("not (1 = 1 or 1 = 1)"));
    assert_true(holds("not not 1 = 1"));
    assert_true(holds("NOT 1 = 2 AND True OR false"));
    assert_true(holds("not value < previous"));
}

static void a_comparison_with_null_is_false_either_way(void **state)
{
    (void)state;
    event.previous = (struct when_value){0};
    assert_false(holds("previous = null"));
    assert_false(holds("previous != null"));
    assert_false(holds("previous <= 100"));
    assert_false(holds("previous > 100"));
    assert_false(holds("null = null"));
    assert_false(holds("value != null"));
    assert_false(holds("payload.none = 1"));
    assert_false(holds("payload.none != 1"));
    assert_true(holds("not previous <= 100"));
    assert_false(holds("previous"));
    assert_false(holds("null"));
}

static void a_comparison_with_nan_is_false_either_way(void **state)
{
    (void)state;
    event.value = NUMBER(NAN);
    assert_false(holds("value = value"));
    assert_false(holds("value != value"));
    assert_false(holds("value != 1"));
    assert_false(holds("1 != value"));
    assert_false(holds("value < 1"));
    assert_false(holds("value >= 1"));
    assert_false(holds("value != 'text'"));
    assert_false(holds("value != true"));
    event.value = NUMBER(INFINITY);
    assert_true(holds("value > 1e308"));
    assert_true(holds("value > 9223372036854775807"));
}

static void values_of_different_types_are_different_and_have_no_order(void **state)
{
    (void)state;
    assert_true(holds("value != 'text'"));
    assert_false(holds("value = 'text'"));
    assert_false(holds("value < 'text'"));
    assert_false(holds("value > 'text'"));
    assert_false(holds("1 = true"));
    assert_true(holds("1 != true"));
    assert_true(holds("'1' != 1"));
}

static void integers_compare_with_numbers_exactly(void **state)
{
    (void)state;
    /* 2^53 + 1 has no double. */
    event.value = INTEGER(INT64_C(9007199254740993));
    event.previous = NUMBER(9007199254740992.0);
    assert_true(holds("value > previous"));
    assert_true(holds("previous < value"));
    assert_false(holds("value = previous"));
    assert_true(holds("value = 9007199254740993"));
    assert_false(holds("value = 9007199254740992"));
    event.value = INTEGER(INT64_MAX);
    event.previous = NUMBER(9223372036854775808.0);
    assert_true(holds("value < previous"));
    event.value = INTEGER(INT64_MIN);
    event.previous = NUMBER(-9223372036854775808.0);
    assert_true(holds("value = previous"));
    event.value = INTEGER(-1);
    event.previous = NUMBER(-0.5);
    assert_true(holds("value < previous"));
    assert_true(holds("3 = 3.0"));
    event.value = INTEGER(0);
    assert_true(holds("value = -0.0"));
}

static void texts_compare_by_their_bytes(void **state)
{
    (void)state;
    event.value = TEXT("running");
    assert_true(holds("value = 'running'"));
    assert_true(holds("value = \"running\""));
    assert_true(holds("value < 'runningx'"));
    assert_true(holds("value > 'run'"));
    assert_false(holds("value = 'Running'"));
    event.value = TEXT("it's");
    assert_true(holds("value = \"it's\""));
    event.value = TEXT("a\0b");
    assert_true(holds("value > 'a'"));
    event.value = TEXT("");
    assert_true(holds("value = ''"));
}

static void booleans_hold_by_themselves_and_have_no_order(void **state)
{
    (void)state;
    assert_true(holds("payload.open"));
    assert_true(holds("not false"));
    assert_true(holds("payload.open = true"));
    assert_true(holds("payload.open != false"));
    assert_false(holds("true > false"));
    assert_false(holds("true >= true"));
    assert_false(holds("value"));
}

static void the_timestamp_compares_with_texts_that_are_instants(void **state)
{
    (void)state;
    assert_true(holds("timestamp = '2026-01-31T12:00:00Z'"));
    assert_true(holds("timestamp = '2026-01-31T09:00:00-03:00'"));
    assert_true(holds("timestamp > '2026-01-31'"));
    assert_true(holds("'2026-01-31' < timestamp"));
    assert_true(holds("timestamp = 1769860800000000"));
}

static void assert_refused(const char *text, const char *column, const char *found)
{
    struct error error = {.text = ""};
    struct when *when = when_new(text, &error);
    if (when) {
        when_free(when);
        fail_msg("'%s' was taken", text);
    }
    assert_contains(error.text, column);
    assert_contains(error.text, found);
    assert_contains(error.text, "expected");
    assert_null(when_new(text, NULL));
}

static void what_is_no_condition_is_refused_with_its_column(void **state)
{
    (void)state;
    assert_refused("", "column 1", "it ends here");
    assert_refused("   ", "column 4", "it ends here");
    assert_refused("value >", "column 8", "it ends here");
    assert_refused("value > > 3", "column 9", "found '>'");
    assert_refused("value 3", "column 7", "found '3'");
    assert_refused("valeu > 3", "column 1", "found 'valeu'");
    assert_refused("value > 3 and", "column 14", "it ends here");
    assert_refused("value > 3 && 1 = 1", "column 11", "found '&'");
    assert_refused("(value > 3", "column 11", "it ends here");
    assert_refused("value > 3)", "column 10", "found ')'");
    assert_refused("value > 'abc", "column 9", "does not end");
    assert_refused("value + 1 > 3", "column 7", "'+'");
    assert_refused("value > 1.2.3", "column 9", "found '1.2.3'");
    assert_refused("value > 0x10", "column 9", "found '0x10'");
    assert_refused("value > 1e999", "column 9", "found '1e999'");
    assert_refused("value > 12abc", "column 9", "found '12abc'");
    assert_refused("payload. > 1", "column 1", "found 'payload.'");
    assert_refused("payload > 1", "column 1", "found 'payload'");
    assert_refused("1 < 2 < 3", "column 7", "found '<'");
    assert_refused("not", "column 4", "it ends here");
    assert_refused("value > \x01", "column 9", "0x01");
    assert_refused("timestamp > 'yesterday'", "column 1", "instant");
    assert_refused("value > -", "column 9", "'-'");
}

/* `count` times `open`, then `middle`, then `count` times `close`. */
static char *nested(const char *open, const char *middle, const char *close, size_t count)
{
    size_t bytes = count * (strlen(open) + strlen(close)) + strlen(middle) + 1;
    char *text = calloc(1, bytes), *at = text;
    for (size_t i = 0; i < count; i++) {
        at += snprintf(at, bytes - (size_t)(at - text), "%s", open);
    }
    at += snprintf(at, bytes - (size_t)(at - text), "%s", middle);
    for (size_t i = 0; i < count; i++) {
        at += snprintf(at, bytes - (size_t)(at - text), "%s", close);
    }
    return text;
}

static void nesting_has_a_limit(void **state)
{
    (void)state;
    char *text = nested("(", "value > 3", ")", WHEN_DEPTH_MAX - 1);
    assert_true(holds(text));
    free(text);
    text = nested("(", "value > 3", ")", WHEN_DEPTH_MAX);
    assert_refused(text, "column", "nested too deeply");
    free(text);
    text = nested("not ", "1 = 1", "", WHEN_DEPTH_MAX + 1);
    assert_refused(text, "column", "nested too deeply");
    free(text);
}

static void parts_and_bytes_have_a_limit(void **state)
{
    (void)state;
    /* n comparisons and n - 1 `and`s. */
    char *text = nested("1=1 and ", "1=1", "", WHEN_NODES_MAX / 2 - 1);
    assert_true(holds(text));
    free(text);
    text = nested("1=1 and ", "1=1", "", WHEN_NODES_MAX / 2);
    assert_refused(text, "column", "too many parts");
    free(text);
    text = nested(" ", "1=1", "", WHEN_BYTES_MAX);
    struct error error;
    assert_null(when_new(text, &error));
    assert_contains(error.text, "4096");
    free(text);
    when_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup(name, standard_event)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(comparisons_hold_as_written),
        TEST(not_binds_closer_than_and_and_and_closer_than_or),
        TEST(a_comparison_with_null_is_false_either_way),
        TEST(a_comparison_with_nan_is_false_either_way),
        TEST(values_of_different_types_are_different_and_have_no_order),
        TEST(integers_compare_with_numbers_exactly),
        TEST(texts_compare_by_their_bytes),
        TEST(booleans_hold_by_themselves_and_have_no_order),
        TEST(the_timestamp_compares_with_texts_that_are_instants),
        TEST(what_is_no_condition_is_refused_with_its_column),
        TEST(nesting_has_a_limit),
        TEST(parts_and_bytes_have_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
