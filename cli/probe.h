/*
 * Ask a server on this machine whether it works: one connection, one question, the first bytes of
 * its answer, and a short limit. Process: engenho up and the commands beside it.
 */
#ifndef ENGENHO_CLI_PROBE_H
#define ENGENHO_CLI_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"

enum probe_type {
    PROBE_KAFKA, /* ApiVersions is answered */
    PROBE_REDIS, /* PING is answered with PONG, or with a wish for a password */
    PROBE_READYZ /* GET /readyz is answered with 200 */
};

/* At most this long for all of it. */
#define PROBE_MS_MAX 400

/*
 * Whether HOST:PORT answers as it should. The first line of what a service says about itself goes
 * into `reason` (NUL-terminated, cut), or why it could not be asked.
 */
MUST_CHECK bool probe_answers(enum probe_type type, const char *address, char *reason,
                              size_t reason_bytes);

/* A connection (non-blocking) to HOST:PORT, made before `until_us` (monotonic). Returns its
 * descriptor, or -errno. */
MUST_CHECK int probe_connect(const char *address, int64_t until_us);

#endif
