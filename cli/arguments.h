/*
 * The words of a command line as people type them, brought into the form that option tables take:
 * options first, operands after `--`, -o and -f by their long names, and the values of the
 * repeatable --set apart. Pure.
 */
#ifndef ENGENHO_CLI_ARGUMENTS_H
#define ENGENHO_CLI_ARGUMENTS_H

#include <stddef.h>

#include "common/attributes.h"
#include "common/error.h"
#include "common/options.h"

struct arguments {
    char **
        argv; /* argv[0], options, "--", operands; NULL-terminated; owned array of borrowed words */
    int argc;
    const char **sets; /* values of --set */
    size_t set_count;
};

/* `argv` has the program or command in front. Returns 0, or -EINVAL with a sentence. Release it in
 * both cases. */
MUST_CHECK int arguments_init(struct arguments *arguments, const struct option *options,
                              size_t option_count, int argc, char **argv, struct error *error);
void arguments_release(struct arguments *arguments);

#endif
