/*
 * SHA-256. An edge: OpenSSL. Producer.
 */
#ifndef ENGENHO_PRODUCER_PACKAGES_HASH_H
#define ENGENHO_PRODUCER_PACKAGES_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void packages_hash(const void *data, size_t bytes, uint8_t sha256[32]);
/* Whether two secrets are the same, in a time that tells nothing about where they differ. */
bool secret_equal(const char *given, const char *secret);

#endif
