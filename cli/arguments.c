/*
 * Order the words of a command line. See the header. It checks nothing that common/options.h
 * checks.
 */
#include "cli/arguments.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

static const struct {
    const char *word, *option;
} short_names[] = {{"-o", "--output"}, {"-f", "--file"}};

static const char *long_name(const char *word)
{
    for (size_t i = 0; i < ARRAY_SIZE(short_names); i++) {
        if (strcmp(word, short_names[i].word) == 0) {
            return short_names[i].option;
        }
    }
    return word;
}

/* Whether the option in `word` takes the next word as its value. One that nobody knows takes none,
 * and is refused later. */
static bool takes_next(const struct option *options, size_t count, const char *word)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(word + 2, options[i].name) == 0) {
            return options[i].type != OPTION_BOOL;
        }
    }
    return false;
}

/* A dash alone is a file, a dash and a digit a number. */
static bool is_operand(const char *word)
{
    return word[0] != '-' || word[1] == 0 || isdigit((unsigned char)word[1]) || word[1] == '.';
}

int arguments_init(struct arguments *arguments, const struct option *options, size_t option_count,
                   int argc, char **argv, struct error *error)
{
    size_t words = (size_t)argc;
    char **operands = memory_new(words + 1, sizeof(char *));
    int operand_count = 0, result = 0;
    *arguments = (struct arguments){.argv = memory_new(words + 3, sizeof(char *)),
                                    .sets = memory_new(words + 1, sizeof(char *))};
    arguments->argv[arguments->argc++] = argv[0];
    for (int i = 1; i < argc && !result; i++) {
        const char *word = long_name(argv[i]);
        if (strcmp(word, "--") == 0) {
            while (++i < argc) {
                operands[operand_count++] = argv[i];
            }
        } else if (is_operand(word)) {
            operands[operand_count++] = argv[i];
        } else if (strncmp(word, "--set=", 6) == 0) {
            arguments->sets[arguments->set_count++] = word + 6;
        } else if (strcmp(word, "--set") == 0 && takes_next(options, option_count, word)) {
            if (++i >= argc) {
                result = error_set(error, -EINVAL, "--set has no value: it takes NAME=VALUE");
                break;
            }
            arguments->sets[arguments->set_count++] = argv[i];
        } else {
            arguments->argv[arguments->argc++] = (char *)(uintptr_t)word;
            if (takes_next(options, option_count, word) && i + 1 < argc) {
                arguments->argv[arguments->argc++] = argv[++i];
            }
        }
    }
    if (operand_count > 0) {
        arguments->argv[arguments->argc++] = (char *)(uintptr_t) "--";
        memcpy(arguments->argv + arguments->argc, operands, (size_t)operand_count * sizeof(char *));
        arguments->argc += operand_count;
    }
    free(operands);
    return result;
}

void arguments_release(struct arguments *arguments)
{
    if (!arguments) {
        return;
    }
    free(arguments->argv);
    free(arguments->sets);
    *arguments = (struct arguments){.argc = 0};
}
