/*
 * Option tables: one table gives parsing, limits, --help, environment variables and a section of
 * docs/CONFIGURATION.md.
 *
 * The option `max-inflight` of engenho-worker is --max-inflight N or --max-inflight=N, and
 * ENGENHO_MAX_INFLIGHT in the environment; the command line wins. A switch (OPTION_BOOL) is --name,
 * --name=true or --name=false. Every program answers --help (stdout, exit 0), --version, and
 * --help-markdown (its section of CONFIGURATION.md).
 */
#ifndef ENGENHO_COMMON_OPTIONS_H
#define ENGENHO_COMMON_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/attributes.h"
#include "common/error.h"

enum option_type {
    OPTION_TEXT,     /* const char *: borrowed from argv, the environment or the table */
    OPTION_INT,      /* int64_t */
    OPTION_DURATION, /* int64_t microseconds; written 200ms, 60s, 30m, 12h, 7d or ddd.hh:mm:ss */
    OPTION_BYTES,    /* int64_t; written 8192, 64KiB, 16MiB, 1GiB */
    OPTION_BOOL,     /* bool */
    OPTION_CHOICE    /* int64_t: index into choices */
};

struct option {
    const char *name;
    enum option_type type;
    size_t offset;       /* of the member in the configuration structure: offsetof(...) */
    const char *initial; /* as it would be typed; NULL: 0, false or NULL */
    /* inclusive, for numbers (in the member's unit); both 0: no limits but >= 0 */
    int64_t min, max;
    const char *const *choices; /* NULL-terminated */
    bool required;
    bool secret;             /* its value is never shown */
    const char *placeholder; /* HOST:PORT; NULL: by type */
    const char *help;        /* one sentence, with its unit */
};

struct option_table {
    const char *program;  /* engenho-worker */
    const char *summary;  /* one sentence */
    const char *operands; /* what follows the options: "FILE..."; NULL: nothing may */
    const struct option *options;
    size_t count;
};

enum options_result { OPTIONS_RUN, OPTIONS_ANSWERED, OPTIONS_WRONG };

/*
 * Fill `config` from the table's initial values, the environment and `argv`, in this order.
 *
 * *ret_operand is the index in argv of the first operand (argc: none); options stop at `--` or the
 * first operand. Returns OPTIONS_RUN; OPTIONS_ANSWERED when --help, --version or --help-markdown
 * was printed (exit 0); OPTIONS_WRONG with a sentence in `error` that names the option or variable,
 * what was wrong and what it takes (exit 2).
 */
MUST_CHECK enum options_result options_parse(const struct option_table *table, int argc,
                                             char **argv, void *config, int *ret_operand,
                                             struct error *error);
void options_print_help(const struct option_table *table, FILE *out);
void options_print_markdown(const struct option_table *table, FILE *out);

#endif
