/*
 * The file that a service writes once it listens: JSON with its process id and its addresses, for
 * whoever started it on free ports. Every service.
 */
#ifndef ENGENHO_COMMON_READY_FILE_H
#define ENGENHO_COMMON_READY_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/error.h"

/* One address: the host of `listen` (HOST:PORT) with the port that was really bound. */
struct ready_place {
    const char *name; /* admin, api, listen */
    const char *listen;
    uint16_t port;
};

/*
 * Write it beside its place and rename it, so that nobody reads half of it. A NULL path: does
 * nothing. Returns 0, or -Exxx with a sentence.
 */
MUST_CHECK int ready_file_write(const char *path, const struct ready_place *places, size_t count,
                                struct error *error);

#endif
