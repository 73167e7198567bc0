/*
 * The token that calls of the API must bring: read from a file, which is made when missing.
 * Producer.
 */
#ifndef ENGENHO_PRODUCER_TOKEN_H
#define ENGENHO_PRODUCER_TOKEN_H

#include "common/attributes.h"
#include "common/error.h"

/* Returns 0 with an owned token, or -Exxx with a sentence. A new file has mode 0600. */
MUST_CHECK int token_load(const char *path, char **ret_token, struct error *error);

#endif
