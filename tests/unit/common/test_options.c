#include "common/options.h"

#include <unistd.h>

#include "tests/unit/common/unit.h"

struct config {
    const char *kafka;
    const char *password;
    int64_t inflight;
    int64_t offset;
    int64_t wait_us;
    int64_t memory_bytes;
    bool verbose;
    int64_t level;
    int64_t plain;
};

static const char *const levels[] = {"debug", "info", "warn", NULL};

static const struct option list[] = {
    {.name = "kafka",
     .type = OPTION_TEXT,
     .offset = offsetof(struct config, kafka),
     .required = true,
     .placeholder = "HOST:PORT",
     .help = "Kafka's bootstrap servers"},
    {.name = "password",
     .type = OPTION_TEXT,
     .offset = offsetof(struct config, password),
     .secret = true,
     .initial = "hunter2",
     .help = "what opens the door"},
    {.name = "max-inflight",
     .type = OPTION_INT,
     .offset = offsetof(struct config, inflight),
     .initial = "64",
     .min = 1,
     .max = 1000,
     .help = "executions at once"},
    {.name = "offset",
     .type = OPTION_INT,
     .offset = offsetof(struct config, offset),
     .min = -10,
     .max = 10,
     .help = "a number below or above zero"},
    {.name = "wait",
     .type = OPTION_DURATION,
     .offset = offsetof(struct config, wait_us),
     .initial = "60s",
     .min = 1000,
     .max = INT64_C(3600000000),
     .help = "how long to wait"},
    {.name = "memory",
     .type = OPTION_BYTES,
     .offset = offsetof(struct config, memory_bytes),
     .initial = "16MiB",
     .min = 8192,
     .max = INT64_C(1) << 40,
     .help = "a | b bytes"},
    {.name = "verbose",
     .type = OPTION_BOOL,
     .offset = offsetof(struct config, verbose),
     .help = "say more"},
    {.name = "log-level",
     .type = OPTION_CHOICE,
     .offset = offsetof(struct config, level),
     .initial = "info",
     .choices = levels,
     .help = "the least level that is logged"},
    {.name = "plain",
     .type = OPTION_INT,
     .offset = offsetof(struct config, plain),
     .help = "a number without limits"},
};

static const struct option_table table = {.program = "engenho-test",
                                          .summary = "Tests option tables",
                                          .options = list,
                                          .count = ARRAY_SIZE(list)};
static const struct option_table with_operands = {.program = "engenho-test",
                                                  .summary = "Tests option tables",
                                                  .operands = "FILE...",
                                                  .options = list,
                                                  .count = ARRAY_SIZE(list)};

static struct config config;
static struct error error;
static int operand;

/* The environment of this process is ours alone: what glibc's getenv reads is this array. */
extern char **environ;
static const char *variables[3];

static void set_variables(const char *first, const char *second)
{
    variables[0] = first;
    variables[1] = first ? second : NULL;
    environ = (char **)variables;
}

static int no_variables(void **state)
{
    (void)state;
    set_variables(NULL, NULL);
    return 0;
}

#define PARSE(...) parse(&table, (const char *[]){"engenho-test", __VA_ARGS__, NULL})
#define PARSE_OPERANDS(...)                                                                        \
    parse(&with_operands, (const char *[]){"engenho-test", __VA_ARGS__, NULL})

static enum options_result parse(const struct option_table *which, const char **argv)
{
    int argc = 0;
    while (argv[argc]) {
        argc++;
    }
    memset(&config, 0xee, sizeof config);
    error.text[0] = 0;
    operand = -1;
    return options_parse(which, argc, (char **)argv, &config, &operand, &error);
}

static void assert_refused(enum options_result result, const char *first, const char *second)
{
    assert_int_equal(result, OPTIONS_WRONG);
    assert_contains(error.text, first);
    assert_contains(error.text, second);
}

static void what_is_not_given_has_its_initial_value(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--kafka", "a:1"), OPTIONS_RUN);
    assert_string_equal(config.kafka, "a:1");
    assert_string_equal(config.password, "hunter2");
    assert_int_equal(config.inflight, 64);
    assert_int_equal(config.offset, 0);
    assert_int_equal(config.wait_us, 60000000);
    assert_int_equal(config.memory_bytes, 16 << 20);
    assert_false(config.verbose);
    assert_int_equal(config.level, 1);
    assert_int_equal(operand, 3);
}

static void values_follow_or_stand_behind_an_equals_sign(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--kafka=a:1", "--max-inflight", "7", "--offset=-10",
                           "--wait=000.00:00:02", "--memory", "64KiB", "--verbose",
                           "--log-level=warn", "--plain=0"),
                     OPTIONS_RUN);
    assert_string_equal(config.kafka, "a:1");
    assert_int_equal(config.inflight, 7);
    assert_int_equal(config.offset, -10);
    assert_int_equal(config.wait_us, 2000000);
    assert_int_equal(config.memory_bytes, 65536);
    assert_true(config.verbose);
    assert_int_equal(config.level, 2);
    assert_int_equal(PARSE("--kafka=", "--verbose=false", "--memory=1TiB"), OPTIONS_RUN);
    assert_string_equal(config.kafka, "");
    assert_false(config.verbose);
    assert_int_equal(config.memory_bytes, INT64_C(1) << 40);
    /* The last one counts, and a value may look like an option. */
    assert_int_equal(PARSE("--kafka", "a:1", "--kafka", "--b"), OPTIONS_RUN);
    assert_string_equal(config.kafka, "--b");
}

static void an_unknown_option_is_named(void **state)
{
    (void)state;
    assert_refused(PARSE("--kafka=a:1", "--max-infligth=3"),
                   "no option --max-infligth:", "engenho-test --help");
    assert_refused(PARSE("--kafka=a:1", "-v"), "no option -v:", "two dashes");
    assert_refused(PARSE("--kafk=a:1"), "--kafk:", "--help");
    assert_refused(PARSE("--=1"), "no option", "--help");
}

static void a_missing_value_is_said_with_what_it_takes(void **state)
{
    (void)state;
    assert_refused(PARSE("--kafka=a:1", "--max-inflight"), "--max-inflight has no value",
                   "from 1 to 1000");
    assert_refused(PARSE("--kafka"), "--kafka has no value", "HOST:PORT");
}

static void a_required_option_must_be_there(void **state)
{
    (void)state;
    assert_refused(PARSE("--verbose"), "--kafka is missing", "ENGENHO_KAFKA");
    assert_contains(error.text, "Kafka's bootstrap servers");
}

static void values_out_of_limits_are_refused(void **state)
{
    (void)state;
    assert_refused(PARSE("--kafka=a", "--max-inflight=0"),
                   "--max-inflight takes a whole number from 1 to 1000", "'0'");
    assert_refused(PARSE("--kafka=a", "--max-inflight=1001"), "from 1 to 1000", "'1001'");
    assert_int_equal(PARSE("--kafka=a", "--max-inflight=1000"), OPTIONS_RUN);
    assert_refused(PARSE("--kafka=a", "--offset=-11"), "from -10 to 10", "'-11'");
    assert_refused(PARSE("--kafka=a", "--plain=-1"), "--plain takes a whole number from 0", "'-1'");
    assert_refused(PARSE("--kafka=a", "--wait=500us"), "from 1ms to 1h", "'500us'");
    assert_refused(PARSE("--kafka=a", "--memory=1KiB"), "from 8KiB to 1TiB", "'1KiB'");
    assert_refused(PARSE("--kafka=a", "--plain=9223372036854775808"), "--plain",
                   "'9223372036854775808'");
    assert_refused(PARSE("--kafka=a", "--memory=9999999999TiB"), "--memory", "from 8KiB");
}

static void values_of_another_kind_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "--max-inflight=",   "--max-inflight=x",  "--max-inflight=1.5",  "--max-inflight= 1",
        "--max-inflight=1 ", "--max-inflight=+1", "--max-inflight=0x10", "--wait=60",
        "--wait=",           "--memory=1KB",      "--memory=1kib",       "--memory=",
        "--verbose=yes",     "--verbose=",        "--log-level=INFO",    "--log-level="};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        if (PARSE("--kafka=a", bad[i]) != OPTIONS_WRONG) {
            fail_msg("%s was not refused", bad[i]);
        }
        assert_contains(error.text, " takes ");
    }
    assert_refused(PARSE("--kafka=a", "--log-level=loud"),
                   "--log-level takes one of debug, info, warn", "'loud'");
}

static void the_environment_fills_in_and_the_command_line_wins(void **state)
{
    (void)state;
    set_variables("ENGENHO_MAX_INFLIGHT=9", "ENGENHO_KAFKA=b:2");
    assert_int_equal(PARSE("--verbose"), OPTIONS_RUN);
    assert_int_equal(config.inflight, 9);
    assert_string_equal(config.kafka, "b:2");
    assert_int_equal(PARSE("--max-inflight=10"), OPTIONS_RUN);
    assert_int_equal(config.inflight, 10);
}

static void a_wrong_variable_is_named_as_the_variable(void **state)
{
    (void)state;
    set_variables("ENGENHO_MAX_INFLIGHT=many", NULL);
    assert_refused(PARSE("--kafka=a"), "ENGENHO_MAX_INFLIGHT takes a whole number", "'many'");
    /* What the command line says hides it. */
    assert_int_equal(PARSE("--kafka=a", "--max-inflight=3"), OPTIONS_RUN);
}

static void an_empty_variable_is_not_set(void **state)
{
    (void)state;
    set_variables("ENGENHO_MAX_INFLIGHT=", "ENGENHO_KAFKA=");
    assert_refused(PARSE("--verbose"), "--kafka is missing", "ENGENHO_KAFKA");
    assert_int_equal(PARSE("--kafka=a"), OPTIONS_RUN);
    assert_int_equal(config.inflight, 64);
}

static void options_stop_at_the_first_operand(void **state)
{
    (void)state;
    assert_int_equal(PARSE_OPERANDS("--kafka=a", "file", "--verbose"), OPTIONS_RUN);
    assert_int_equal(operand, 2);
    assert_false(config.verbose);
    assert_int_equal(PARSE_OPERANDS("--kafka=a", "--", "--verbose"), OPTIONS_RUN);
    assert_int_equal(operand, 3);
    assert_int_equal(PARSE_OPERANDS("--kafka=a", "-"), OPTIONS_RUN);
    assert_int_equal(operand, 2);
    assert_int_equal(PARSE_OPERANDS("--kafka=a", "--"), OPTIONS_RUN);
    assert_int_equal(operand, 3);
}

static void operands_are_refused_where_none_may_follow(void **state)
{
    (void)state;
    assert_refused(PARSE("--kafka=a", "file"), "'file'", "engenho-test --help");
    assert_int_equal(PARSE("--kafka=a", "--"), OPTIONS_RUN);
}

/* What `print` writes of the table. */
static char *printed(void (*print)(const struct option_table *, FILE *))
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    assert_non_null(out);
    print(&with_operands, out);
    fclose(out);
    return text;
}

static void the_help_says_everything_but_secrets(void **state)
{
    (void)state;
    char *text = printed(options_print_help);
    assert_contains(text, "Usage: engenho-test [OPTIONS] FILE...");
    assert_contains(text, "--kafka HOST:PORT");
    assert_contains(text, "(required; ENGENHO_KAFKA)");
    assert_contains(text, "(from 1 to 1000; default 64; ENGENHO_MAX_INFLIGHT)");
    assert_contains(text, "(debug, info, warn; default info; ENGENHO_LOG_LEVEL)");
    assert_contains(text, "(from 8KiB to 1TiB; default 16MiB; ENGENHO_MEMORY)");
    assert_contains(text, "--version");
    assert_null(strstr(text, "hunter2"));
    free(text);
}

static void the_markdown_is_a_table_that_no_bar_breaks(void **state)
{
    (void)state;
    char *text = printed(options_print_markdown);
    assert_contains(text, "## engenho-test\n\nTests option tables.\n");
    assert_contains(
        text,
        "| `--kafka` | `ENGENHO_KAFKA` | HOST:PORT | required | Kafka's bootstrap servers |\n");
    assert_contains(text, "| a \\| b bytes |\n");
    assert_contains(text, "| `--wait` | `ENGENHO_WAIT` | duration from 1ms to 1h | `60s` |");
    assert_contains(text, "| debug, info, warn | `info` |");
    assert_null(strstr(text, "hunter2"));
    free(text);
}

static void a_wrong_secret_is_not_repeated(void **state)
{
    (void)state;
    struct option secret = list[2];
    secret.secret = true;
    struct option_table one = {.program = "engenho-test", .options = &secret, .count = 1};
    assert_refused(parse(&one, (const char *[]){"engenho-test", "--max-inflight=tiger", NULL}),
                   "--max-inflight takes", "from 1 to 1000");
    assert_null(strstr(error.text, "tiger"));
}

/* Parse with stdout sent away; a question is answered even where everything else is wrong. */
static enum options_result ask(const char *question)
{
    fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    FILE *nowhere = fopen("/dev/null", "w");
    assert_non_null(nowhere);
    dup2(fileno(nowhere), STDOUT_FILENO);
    enum options_result result = PARSE("--max-inflight=0", question, "--nonsense");
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    fclose(nowhere);
    return result;
}

static void questions_are_answered_before_values_are_checked(void **state)
{
    (void)state;
    set_variables("ENGENHO_WAIT=nonsense", NULL);
    assert_int_equal(ask("--help"), OPTIONS_ANSWERED);
    assert_int_equal(ask("--version"), OPTIONS_ANSWERED);
    assert_int_equal(ask("--help-markdown"), OPTIONS_ANSWERED);
}

#define TEST(name) cmocka_unit_test_setup(name, no_variables)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_not_given_has_its_initial_value),
        TEST(values_follow_or_stand_behind_an_equals_sign),
        TEST(an_unknown_option_is_named),
        TEST(a_missing_value_is_said_with_what_it_takes),
        TEST(a_required_option_must_be_there),
        TEST(values_out_of_limits_are_refused),
        TEST(values_of_another_kind_are_refused),
        TEST(the_environment_fills_in_and_the_command_line_wins),
        TEST(a_wrong_variable_is_named_as_the_variable),
        TEST(an_empty_variable_is_not_set),
        TEST(options_stop_at_the_first_operand),
        TEST(operands_are_refused_where_none_may_follow),
        TEST(the_help_says_everything_but_secrets),
        TEST(the_markdown_is_a_table_that_no_bar_breaks),
        TEST(a_wrong_secret_is_not_repeated),
        TEST(questions_are_answered_before_values_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
