/*
 * Options of the commands that look at a data directory. Process: engenho.
 */
#ifndef ENGENHO_CLI_LOCAL_OPTIONS_H
#define ENGENHO_CLI_LOCAL_OPTIONS_H

#include <stdint.h>

struct local_options {
    const char *data;
    int64_t output; /* enum output_format */
};

#endif
