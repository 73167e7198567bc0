/*
 * What an option table says about its options in words: shared by options.c (sentences) and
 * options_help.c (help). Within common.
 */
#ifndef ENGENHO_COMMON_OPTIONS_TEXT_H
#define ENGENHO_COMMON_OPTIONS_TEXT_H

#include "common/options.h"

#define OPTION_FORM_BYTES 512
#define OPTION_VARIABLE_BYTES 96
#define OPTION_BYTE_UNITS 5

struct option_byte_unit {
    const char *name;
    int64_t bytes;
};

extern const struct option_byte_unit option_byte_units[OPTION_BYTE_UNITS];

/* What it takes: "a whole number from 1 to 100000"; `form` holds OPTION_FORM_BYTES. */
void option_form(const struct option *option, char *form);
/* Its environment variable: ENGENHO_MAX_INFLIGHT; `variable` holds OPTION_VARIABLE_BYTES. */
void option_variable(const struct option *option, char *variable);

#endif
