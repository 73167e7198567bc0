/*
 * Hand a licence file to the licensor, which checks it, keeps it, and says why not. Speaks the
 * licensor's protocol: the API does not take licences. Process: engenho.
 */
#ifndef ENGENHO_CLI_LICENCE_CLIENT_H
#define ENGENHO_CLI_LICENCE_CLIENT_H

#include <stddef.h>

#include "common/attributes.h"
#include "common/error.h"

struct licence_options {
    const char *data;
    const char *licensor; /* HOST:PORT; NULL: that of a running `engenho up` */
};

/* Returns 0, or -Exxx with a sentence: the licensor's own when it refused. */
MUST_CHECK int licence_install(const struct licence_options *options, const char *file,
                               size_t bytes, struct error *error);

#endif
