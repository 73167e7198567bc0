/*
 * Option tables: parsing of the command line and the environment. What people read of a table is in
 * options_help.c. Every process.
 */
#include "common/options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/duration.h"
#include "common/memory.h"
#include "common/options_text.h"

/* Where a value came from, for the sentence when it is wrong. */
enum source { SOURCE_NONE, SOURCE_INITIAL, SOURCE_ENVIRONMENT, SOURCE_COMMAND_LINE };

struct given {
    enum source source;
    const char *text;
};

enum answer { ANSWER_NONE, ANSWER_HELP, ANSWER_VERSION, ANSWER_MARKDOWN };

static const struct option *find(const struct option_table *table, const char *name, size_t bytes)
{
    for (size_t i = 0; i < table->count; i++) {
        if (strlen(table->options[i].name) == bytes &&
            !memcmp(table->options[i].name, name, bytes)) {
            return &table->options[i];
        }
    }
    return NULL;
}

static enum answer answer_of(const char *argument)
{
    if (!strcmp(argument, "--help") || !strcmp(argument, "-h")) {
        return ANSWER_HELP;
    }
    if (!strcmp(argument, "--version")) {
        return ANSWER_VERSION;
    }
    return !strcmp(argument, "--help-markdown") ? ANSWER_MARKDOWN : ANSWER_NONE;
}

static enum options_result give_answer(const struct option_table *table, enum answer answer)
{
    switch (answer) {
    case ANSWER_HELP:
        options_print_help(table, stdout);
        break;
    case ANSWER_VERSION:
        printf("%s %s\n", table->program, ENGENHO_VERSION);
        break;
    case ANSWER_MARKDOWN:
        options_print_markdown(table, stdout);
        break;
    case ANSWER_NONE:
        break;
    }
    return OPTIONS_ANSWERED;
}

/* The arguments of a program while they are read. */
struct command_line {
    const struct option_table *table;
    int argc, index;
    char **argv;
    struct given *given; /* one for each option of the table */
    enum answer answer;
};

/* One argument that starts with "--", and the one after it where it takes a value. */
static int read_argument(struct command_line *line, struct error *error)
{
    const char *name = line->argv[line->index] + 2;
    size_t bytes = strcspn(name, "=");
    const struct option *option = find(line->table, name, bytes);
    if (!option) {
        return error_set(error, -EINVAL, "there is no option --%.*s: see %s --help", (int)bytes,
                         name, line->table->program);
    }
    struct given *place = &line->given[option - line->table->options];
    place->source = SOURCE_COMMAND_LINE;
    line->index++;
    if (name[bytes] == '=') {
        place->text = name + bytes + 1;
    } else if (option->type == OPTION_BOOL) {
        place->text = "true";
    } else if (line->index < line->argc) {
        place->text = line->argv[line->index++];
    } else {
        char form[OPTION_FORM_BYTES];
        option_form(option, form);
        return error_set(error, -EINVAL, "--%s has no value: it takes %s", option->name, form);
    }
    return 0;
}

/* Reads up to the first operand. Returns 0, 1 when a question was met, or -EINVAL. */
static int read_command_line(struct command_line *line, struct error *error)
{
    const char *program = line->table->program;
    while (line->index < line->argc) {
        const char *argument = line->argv[line->index];
        line->answer = answer_of(argument);
        if (line->answer != ANSWER_NONE) {
            return 1;
        }
        if (!strcmp(argument, "--")) {
            line->index++;
            break;
        }
        if (argument[0] != '-' || !argument[1]) {
            break;
        }
        if (argument[1] != '-') {
            return error_set(error, -EINVAL,
                             "there is no option %s: options start with two dashes, see %s --help",
                             argument, program);
        }
        int result = read_argument(line, error);
        if (result) {
            return result;
        }
    }
    if (line->index < line->argc && !line->table->operands) {
        return error_set(error, -EINVAL, "%s takes no '%s': only options, see %s --help", program,
                         line->argv[line->index], program);
    }
    return 0;
}

static int parse_integer(const char *text, const char **ret_end, int64_t *ret_value)
{
    char *end;
    if (!((text[0] >= '0' && text[0] <= '9') ||
          (text[0] == '-' && text[1] >= '0' && text[1] <= '9'))) {
        return -EINVAL;
    }
    errno = 0;
    intmax_t value = strtoimax(text, &end, 10);
    if (errno) {
        return -ERANGE;
    }
    *ret_end = end;
    *ret_value = value;
    return 0;
}

static int parse_bytes(const char *text, int64_t *ret_value)
{
    const char *end;
    int64_t value;
    int result = parse_integer(text, &end, &value);
    if (result) {
        return result;
    }
    for (size_t i = 0; i < OPTION_BYTE_UNITS; i++) {
        if (!strcmp(end, option_byte_units[i].name)) {
            return __builtin_mul_overflow(value, option_byte_units[i].bytes, ret_value) ? -ERANGE
                                                                                        : 0;
        }
    }
    return -EINVAL;
}

static int parse_choice(const struct option *option, const char *text, int64_t *ret_value)
{
    for (int64_t i = 0; option->choices[i]; i++) {
        if (!strcmp(option->choices[i], text)) {
            *ret_value = i;
            return 0;
        }
    }
    return -EINVAL;
}

static int parse_number(const struct option *option, const char *text, int64_t *ret_value)
{
    const char *end;
    int64_t value = 0;
    int result = -EINVAL;
    switch (option->type) {
    case OPTION_INT:
        result = parse_integer(text, &end, &value);
        if (!result && *end) {
            result = -EINVAL;
        }
        break;
    case OPTION_DURATION:
        result = duration_parse(text, &value);
        break;
    case OPTION_BYTES:
        result = parse_bytes(text, &value);
        break;
    case OPTION_CHOICE:
        result = parse_choice(option, text, ret_value);
        return result;
    case OPTION_TEXT:
    case OPTION_BOOL:
        break;
    }
    if (result) {
        return result;
    }
    bool limited = option->min || option->max;
    if (limited ? value < option->min || value > option->max : value < 0) {
        return -ERANGE;
    }
    *ret_value = value;
    return 0;
}

/* Write the member of `config` that `text` stands for. */
static int store(const struct option *option, const char *text, void *config)
{
    char *member = (char *)config + option->offset;
    if (option->type == OPTION_TEXT) {
        memcpy(member, &text, sizeof text);
        return 0;
    }
    if (option->type == OPTION_BOOL) {
        bool value = !strcmp(text, "true");
        if (!value && strcmp(text, "false")) {
            return -EINVAL;
        }
        memcpy(member, &value, sizeof value);
        return 0;
    }
    int64_t value;
    int result = parse_number(option, text, &value);
    if (!result) {
        memcpy(member, &value, sizeof value);
    }
    return result;
}

static int refuse_value(const struct option *option, const struct given *given, struct error *error)
{
    char where[OPTION_VARIABLE_BYTES + 2], form[OPTION_FORM_BYTES];
    if (given->source == SOURCE_ENVIRONMENT) {
        option_variable(option, where);
    } else {
        snprintf(where, sizeof where, "--%s", option->name);
    }
    option_form(option, form);
    if (option->secret) {
        return error_set(error, -EINVAL, "%s takes %s", where, form);
    }
    return error_set(error, -EINVAL, "%s takes %s, not '%s'", where, form, given->text);
}

static void clear(const struct option *option, void *config)
{
    size_t size = option->type == OPTION_TEXT   ? sizeof(const char *)
                  : option->type == OPTION_BOOL ? sizeof(bool)
                                                : sizeof(int64_t);
    memset((char *)config + option->offset, 0, size);
}

static int take_value(const struct option *option, struct given *given, void *config,
                      struct error *error)
{
    char variable[OPTION_VARIABLE_BYTES];
    option_variable(option, variable);
    if (given->source == SOURCE_NONE) {
        /* An empty variable is one that a template left empty: not set. */
        const char *text = getenv(variable);
        if (text && *text) {
            *given = (struct given){SOURCE_ENVIRONMENT, text};
        } else if (option->initial) {
            *given = (struct given){SOURCE_INITIAL, option->initial};
        }
    }
    if (given->source == SOURCE_NONE) {
        if (option->required) {
            return error_set(error, -EINVAL, "--%s is missing: give it or set %s (%s)",
                             option->name, variable, option->help);
        }
        clear(option, config);
        return 0;
    }
    return store(option, given->text, config) ? refuse_value(option, given, error) : 0;
}

enum options_result options_parse(const struct option_table *table, int argc, char **argv,
                                  void *config, int *ret_operand, struct error *error)
{
    struct command_line line = {.table = table, .argc = argc, .argv = argv};
    /* An empty argv has not even the program's name. */
    line.index = argc > 0 ? 1 : 0;
    line.given = memory_new(table->count, sizeof *line.given);
    int result = read_command_line(&line, error);
    for (size_t i = 0; !result && i < table->count; i++) {
        result = take_value(&table->options[i], &line.given[i], config, error);
    }
    free(line.given);
    if (result == 1) {
        return give_answer(table, line.answer);
    }
    if (result) {
        return OPTIONS_WRONG;
    }
    *ret_operand = line.index;
    return OPTIONS_RUN;
}
