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

struct licences_source {
    const char *directory; /* NULL: none */
    const char *customer;  /* for whom licences must be; NULL: whom the first one is for */
    struct licence_time time;
    bool demo; /* the Master is in demo: so is every processor */
    /* One file that was not accepted, and why. Borrowed for the call. */
    void (*refused)(void *context, const char *path, const char *reason);
    void *context;
};

/*
 * Add up the *.json files of the directory by name, those that upgrade last. A file that is not
 * accepted is told to `refused` and left out. Returns 0 with the limits, or -Exxx with a sentence
 * when the directory can't be read.
 */
MUST_CHECK int licences_load(const struct licences_source *source, struct limits *ret_limits,
                             struct error *error);

/*
 * Check a licence file against those that are there, and write it into the directory. Returns 0;
 * -EIO with a sentence when the directory can't be read or written; or -Exxx with a sentence when
 * the licence is not accepted. Then nothing was written.
 */
MUST_CHECK int licences_install(const struct licences_source *source, const void *file,
                                size_t bytes, struct error *error);

#endif
