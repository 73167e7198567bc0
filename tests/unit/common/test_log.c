#include "common/log.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <unistd.h>

#include "tests/unit/common/unit.h"

static int saved_stderr, reader;

/* stderr becomes a pipe for one test. */
static int catch_stderr(void **state)
{
    (void)state;
    int ends[2];
    if (pipe(ends)) {
        return -1;
    }
    saved_stderr = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    reader = ends[0];
    log_start("tests", LOG_LEVEL_INFO);
    return 0;
}

static int give_stderr_back(void **state)
{
    (void)state;
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    close(reader);
    return 0;
}

static char caught[40000];

/* What one read gives: a line leaves in one write. */
static const char *catch_line(void)
{
    ssize_t bytes = read(reader, caught, sizeof caught - 1);
    assert_true(bytes > 0);
    caught[bytes] = 0;
    return caught;
}

static void a_line_is_json_with_its_fields_in_order(void **state)
{
    (void)state;
    log_warn("lane taken", LOG_TEXT("topic", "events"), LOG_INT("partition", -3),
             LOG_REAL("ratio", 0.25), LOG_BOOL("clean", true), LOG_TEXT("owner", NULL),
             LOG_REAL("nothing", NAN));
    const char *line = catch_line();
    assert_int_equal(strncmp(line, "{\"time\":\"20", 11), 0);
    assert_contains(
        line,
        "Z\",\"level\":\"warn\",\"component\":\"tests\",\"message\":\"lane taken\",\"topic\":\"events\","
        "\"partition\":-3,\"ratio\":0.25,\"clean\":true,\"owner\":null,\"nothing\":null}\n");
    assert_int_equal(strlen("2026-01-31T12:00:00.123456Z"), strcspn(line + 9, "\""));
}

static void lines_below_the_level_are_left_out(void **state)
{
    (void)state;
    log_start("tests", LOG_LEVEL_ERROR);
    log_debug("a");
    log_info("b");
    log_warn("c");
    log_error("d");
    assert_contains(catch_line(), "\"message\":\"d\"}\n");
    assert_null(strchr(strchr(caught, '\n') + 1, '\n'));
}

static void quotes_control_characters_and_bad_bytes_are_made_safe(void **state)
{
    (void)state;
    log_info("a\"b\\c\nd\te\x01\x7f", LOG_TEXT("text", "\xff-\xc3\xa9-\xed\xa0\x80"));
    const char *line = catch_line();
    assert_contains(line, "\"a\\\"b\\\\c\\nd\\te\\u0001\\u007f\"");
    assert_contains(line, "\"\xef\xbf\xbd-\xc3\xa9-\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

static void a_long_line_is_cut_and_stays_json(void **state)
{
    (void)state;
    char text[30000];
    memset(text, '"', sizeof text);
    text[sizeof text - 1] = 0;
    log_info("long", LOG_TEXT("text", text), LOG_TEXT("after", text), LOG_INT("number", 5));
    const char *line = catch_line();
    size_t bytes = strlen(line);
    assert_in_range(bytes, 16000, 16384);
    assert_contains(line, "\\\"\xe2\x80\xa6\"}\n");
    assert_ptr_equal(strchr(line, '\n'), line + bytes - 1);
}

static void a_cut_never_leaves_half_a_character(void **state)
{
    (void)state;
    char text[30001];
    for (size_t shift = 0; shift < 3; shift++) {
        for (size_t i = 0; i + 1 < sizeof text; i++) {
            text[i] = "\xe2\x82\xac"[i % 3];
        }
        text[sizeof text - 1] = 0;
        log_info("xxx" + shift, LOG_TEXT("text", text));
        const char *line = catch_line();
        assert_contains(line, "\xe2\x82\xac\xe2\x80\xa6\"}\n");
    }
}

static void logging_leaves_errno_alone(void **state)
{
    (void)state;
    errno = ENOENT;
    close(STDERR_FILENO);
    log_info("nobody reads this");
    assert_int_equal(errno, ENOENT);
}

static void levels_are_read_by_their_words(void **state)
{
    (void)state;
    enum log_level level = LOG_LEVEL_INFO;
    assert_int_equal(log_level_parse("debug", &level), 0);
    assert_int_equal(level, LOG_LEVEL_DEBUG);
    assert_int_equal(log_level_parse("error", &level), 0);
    assert_int_equal(level, LOG_LEVEL_ERROR);
    assert_int_equal(log_level_parse("loud", &level), -EINVAL);
    assert_int_equal(level, LOG_LEVEL_ERROR);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, catch_stderr, give_stderr_back)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_line_is_json_with_its_fields_in_order),
        TEST(lines_below_the_level_are_left_out),
        TEST(quotes_control_characters_and_bad_bytes_are_made_safe),
        TEST(a_long_line_is_cut_and_stays_json),
        TEST(a_cut_never_leaves_half_a_character),
        TEST(logging_leaves_errno_alone),
        TEST(levels_are_read_by_their_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
