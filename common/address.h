/*
 * HOST:PORT, [V6]:PORT. Pure.
 */
#ifndef ENGENHO_COMMON_ADDRESS_H
#define ENGENHO_COMMON_ADDRESS_H

#include <stdint.h>

#include "common/attributes.h"
#include "common/error.h"

struct address {
    char host[256];
    uint16_t port;
};

/* Returns 0, or -EINVAL with a sentence. */
MUST_CHECK int address_parse(const char *text, struct address *ret_address, struct error *error);

#endif
