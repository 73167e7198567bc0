/*
 * The licence files of a directory, added up. Edge: reads and writes files; the rules are limits.c,
 * the signatures licence.c.
 */
#ifndef ENGENHO_LICENSOR_LICENCES_H
#define ENGENHO_LICENSOR_LICENCES_H

#include "common/attributes.h"
#include "common/error.h"
#include "licensor/licence.h"
#include "licensor/limits.h"

/* One file that was not accepted, and why. Borrowed for the call. */
typedef void (*licences_refused)(void *context, const char *path, const char *reason);

/*
 * Add up the *.json files of `directory` (NULL: none) by name, those that upgrade last. A file that
 * is not accepted is told to `refused` and left out. Returns 0 with the limits, or -Exxx with a
 * sentence when the directory can't be read.
 */
MUST_CHECK int licences_load(const char *directory, const char *customer, int64_t now_unix_us,
                             licences_refused refused, void *context, struct limits *ret_limits,
                             struct error *error);

/*
 * Check a licence file against those that are there, and write it into the directory. Returns 0, or
 * -Exxx with a sentence; then nothing was written.
 */
MUST_CHECK int licences_install(const char *directory, const char *customer, int64_t now_unix_us,
                                const void *file, size_t bytes, struct error *error);

#endif
