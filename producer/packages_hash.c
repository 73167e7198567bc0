#include "producer/packages_hash.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>

void packages_hash(const void *data, size_t bytes, uint8_t sha256[32])
{
    SHA256(data, bytes, sha256);
}

bool secret_equal(const char *given, const char *secret)
{
    uint8_t a[32], b[32];
    packages_hash(given, strlen(given), a);
    packages_hash(secret, strlen(secret), b);
    return CRYPTO_memcmp(a, b, sizeof a) == 0;
}
