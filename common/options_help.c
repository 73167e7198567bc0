/*
 * Option tables as people read them: --help, docs/CONFIGURATION.md, and the words of the sentences.
 * Every process.
 */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "common/duration.h"
#include "common/options.h"
#include "common/options_text.h"

#define NAME_COLUMNS 36

const struct option_byte_unit option_byte_units[OPTION_BYTE_UNITS] = {
    {"", 1},
    {"KiB", INT64_C(1) << 10},
    {"MiB", INT64_C(1) << 20},
    {"GiB", INT64_C(1) << 30},
    {"TiB", INT64_C(1) << 40},
};

void option_variable(const struct option *option, char *variable)
{
    snprintf(variable, OPTION_VARIABLE_BYTES, "ENGENHO_%s", option->name);
    for (char *c = variable; *c; c++) {
        if (*c >= 'a' && *c <= 'z') {
            *c = (char)(*c - 'a' + 'A');
        } else if (*c == '-') {
            *c = '_';
        }
    }
}

/* A limit as it would be typed. */
static void print_number(const struct option *option, int64_t value, char *text, size_t bytes)
{
    if (option->type == OPTION_DURATION) {
        char duration[DURATION_TEXT_BYTES];
        duration_print(value, duration);
        snprintf(text, bytes, "%s", duration);
        return;
    }
    size_t unit = 0;
    if (option->type == OPTION_BYTES) {
        while (value && unit + 1 < OPTION_BYTE_UNITS &&
               value % option_byte_units[unit + 1].bytes == 0) {
            unit++;
        }
    }
    snprintf(text, bytes, "%" PRId64 "%s", value / option_byte_units[unit].bytes,
             option_byte_units[unit].name);
}

/* "one of a, b, c" */
static void print_choices(const struct option *option, const char *before, char *text, size_t bytes)
{
    size_t length = (size_t)snprintf(text, bytes, "%s", before);
    for (size_t i = 0; option->choices[i] && length < bytes; i++) {
        length += (size_t)snprintf(text + length, bytes - length, "%s%s", i ? ", " : "",
                                   option->choices[i]);
    }
}

/* " from 1 to 10", or nothing without limits. */
static void print_limits(const struct option *option, char *text, size_t bytes)
{
    char min[48], max[48];
    text[0] = 0;
    if (!option->min && !option->max) {
        return;
    }
    print_number(option, option->min, min, sizeof min);
    print_number(option, option->max, max, sizeof max);
    snprintf(text, bytes, " from %s to %s", min, max);
}

void option_form(const struct option *option, char *form)
{
    char limits[128];
    print_limits(option, limits, sizeof limits);
    switch (option->type) {
    case OPTION_TEXT:
        snprintf(form, OPTION_FORM_BYTES, "%s",
                 option->placeholder ? option->placeholder : "a text");
        break;
    case OPTION_INT:
        snprintf(form, OPTION_FORM_BYTES, "a whole number%s", limits[0] ? limits : " from 0");
        break;
    case OPTION_DURATION:
        snprintf(form, OPTION_FORM_BYTES,
                 "a duration%s such as 200ms, 60s, 30m, 12h, 7d or 000.00:01:00", limits);
        break;
    case OPTION_BYTES:
        snprintf(form, OPTION_FORM_BYTES, "a size%s such as 8192, 64KiB, 16MiB or 1GiB", limits);
        break;
    case OPTION_BOOL:
        snprintf(form, OPTION_FORM_BYTES, "true or false");
        break;
    case OPTION_CHOICE:
        print_choices(option, "one of ", form, OPTION_FORM_BYTES);
        break;
    }
}

static const char *placeholder(const struct option *option)
{
    static const char *const by_type[] = {
        [OPTION_TEXT] = "TEXT",   [OPTION_INT] = "N", [OPTION_DURATION] = "DURATION",
        [OPTION_BYTES] = "BYTES", [OPTION_BOOL] = "", [OPTION_CHOICE] = "CHOICE",
    };
    return option->placeholder ? option->placeholder : by_type[option->type];
}

/* What follows the help sentence in parentheses. */
static void print_notes(const struct option *option, FILE *out)
{
    char text[OPTION_FORM_BYTES], variable[OPTION_VARIABLE_BYTES];
    fputs(" (", out);
    if (option->required) {
        fputs("required; ", out);
    }
    if (option->type == OPTION_CHOICE) {
        print_choices(option, "", text, sizeof text);
        fprintf(out, "%s; ", text);
    }
    print_limits(option, text, sizeof text);
    if (text[0]) {
        fprintf(out, "%s; ", text + 1);
    }
    if (option->initial && !option->secret) {
        fprintf(out, "default %s; ", option->initial[0] ? option->initial : "empty");
    }
    option_variable(option, variable);
    fprintf(out, "%s)\n", variable);
}

void options_print_help(const struct option_table *table, FILE *out)
{
    fprintf(out, "%s: %s\n\nUsage: %s [OPTIONS]%s%s\n\nOptions:\n", table->program, table->summary,
            table->program, table->operands ? " " : "", table->operands ? table->operands : "");
    for (size_t i = 0; i < table->count; i++) {
        const struct option *option = &table->options[i];
        const char *value = placeholder(option);
        int columns = fprintf(out, "  --%s%s%s", option->name, value[0] ? " " : "", value);
        if (columns >= NAME_COLUMNS) {
            fputc('\n', out);
            columns = 0;
        }
        fprintf(out, "%*s%s", NAME_COLUMNS - columns, "", option->help);
        print_notes(option, out);
    }
    fprintf(out, "  %-*s%s\n  %-*s%s\n  %-*s%s\n", NAME_COLUMNS - 2, "--help", "say this",
            NAME_COLUMNS - 2, "--version", "say the version", NAME_COLUMNS - 2, "--help-markdown",
            "say this as a section of docs/CONFIGURATION.md");
    fputs("\nThe command line wins over the environment, and both win over the default.\n", out);
}

/* A cell of a table: a bar would end it. */
static void print_cell(const char *text, FILE *out)
{
    for (; *text; text++) {
        if (*text == '|') {
            fputc('\\', out);
        }
        fputc(*text, out);
    }
}

/* What an option takes, in few words: the page says once how durations and sizes are written. */
static void print_takes(const struct option *option, FILE *out)
{
    static const char *const words[] = {
        [OPTION_TEXT] = "text",   [OPTION_INT] = "number",         [OPTION_DURATION] = "duration",
        [OPTION_BYTES] = "bytes", [OPTION_BOOL] = "true or false", [OPTION_CHOICE] = "",
    };
    char text[OPTION_FORM_BYTES];
    if (option->type == OPTION_CHOICE) {
        print_choices(option, "", text, sizeof text);
        print_cell(text, out);
        return;
    }
    print_limits(option, text, sizeof text);
    print_cell(option->type == OPTION_TEXT && option->placeholder ? option->placeholder
                                                                  : words[option->type],
               out);
    print_cell(text, out);
}

/* A summary as a sentence, however it was written. */
static void print_sentence(const char *text, FILE *out)
{
    size_t bytes = strlen(text);
    if (bytes) {
        fputc(toupper((unsigned char)text[0]), out);
        fprintf(out, "%s%s", text + 1, text[bytes - 1] == '.' ? "" : ".");
    }
}

void options_print_markdown(const struct option_table *table, FILE *out)
{
    fprintf(out, "## %s\n\n", table->program);
    print_sentence(table->summary, out);
    fprintf(out, "\n\n    %s [OPTIONS]%s%s\n\n", table->program, table->operands ? " " : "",
            table->operands ? table->operands : "");
    fputs("| option | variable | takes | default | what it is |\n|---|---|---|---|---|\n", out);
    for (size_t i = 0; i < table->count; i++) {
        const struct option *option = &table->options[i];
        char variable[OPTION_VARIABLE_BYTES];
        option_variable(option, variable);
        fprintf(out, "| `--%s` | `%s` | ", option->name, variable);
        print_takes(option, out);
        fputs(" | ", out);
        if (option->required) {
            fputs("required", out);
        } else if (option->initial && option->initial[0] && !option->secret) {
            fputc('`', out);
            print_cell(option->initial, out);
            fputc('`', out);
        }
        fputs(" | ", out);
        print_cell(option->help, out);
        fputs(" |\n", out);
    }
    fputc('\n', out);
}
