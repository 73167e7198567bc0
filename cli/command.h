/*
 * The commands of `engenho`: one table (cli/commands.c) gives dispatch, help, completion and the
 * documentation.
 */
#ifndef ENGENHO_CLI_COMMAND_H
#define ENGENHO_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "common/attributes.h"
#include "common/options.h"

enum exit_code { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

#define COMMAND_SETS_MAX 64

/* How a command was called. All borrowed from argv, the environment and the tables. */
struct call {
    const struct command *command;
    void *config; /* the command's options, parsed */
    char **operands;
    size_t operand_count;
    const char *sets[COMMAND_SETS_MAX]; /* the values of --set, in order */
    size_t set_count;
};

struct command {
    const char *name;     /* "get", "dead-letters list" */
    const char *group;    /* a heading of the help */
    const char *operands; /* "KIND [NAME]"; NULL: none */
    size_t operands_min, operands_max;
    const char *summary;  /* one sentence */
    const char *complete; /* what operands are: kind, production, application, package, file,
                             master; NULL: nothing known */
    const struct option *options;
    size_t option_count;
    size_t config_bytes;
    int (*run)(
        const struct call *call); /* returns enum exit_code; has said on stderr why it failed */
};

extern const struct command commands[];
extern const size_t commands_count;

/* Say one sentence on stderr, after the command's name. Returns EXIT_FAILED, for `return
 * command_fail(...)`. */
int command_fail(const struct call *call, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
