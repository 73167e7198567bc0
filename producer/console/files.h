/*
 * The console's files as the build found them: files.c is made by embed.cmake. Producer.
 */
#ifndef ENGENHO_PRODUCER_CONSOLE_FILES_H
#define ENGENHO_PRODUCER_CONSOLE_FILES_H

#include <stddef.h>

struct console_file {
    const char *name; /* index.html */
    const char *type; /* of its content */
    const unsigned char *data;
    size_t bytes;
};

extern const struct console_file console_files[];
extern const size_t console_files_count;

#endif
