/*
 * Licence files: JSON signed with Ed25519. For the licensor, which verifies them, and the command
 * line, which signs and shows them. Links jansson (licence.c) and OpenSSL (licence_signature.c); no
 * log, no clock.
 *
 *     {"licence": {"customer": "Plant", "edition": "enterprise", "keys": 4, "valid_from": "2020-01-01",
 *                  "valid_until": "2099-12-31", "grace_days": 14, "contact": "...", "pools": {"full": 2},
 *                  "chains": {"requests": ["requests", "full"]}},
 *      "key": "name of the vendor's key", "signature": "base64"}
 *
 * Signed are the bytes of the member `licence` as compact JSON with sorted keys, in UTF-8.
 */
#ifndef ENGENHO_LICENSOR_LICENCE_H
#define ENGENHO_LICENSOR_LICENCE_H

#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/error.h"
#include "licensor/limits.h"

#define LICENCE_FILE_BYTES_MAX (64 * 1024)
#define LICENCE_KEY_BYTES 32
#define LICENCE_SIGNATURE_BYTES 64

/* A public key that signatures are checked with. */
struct licence_key {
    char name[64];
    uint8_t bytes[LICENCE_KEY_BYTES];
};

/*
 * Read a licence file and check its signature against `keys`.
 * Returns 0, or with a sentence that says what is wrong and what to do: -EINVAL (not a licence
 * file), -ENOKEY (signed with a key that is not trusted), -EBADMSG (altered: the signature does not
 * fit).
 */
MUST_CHECK int licence_read(const void *file, size_t bytes, const struct licence_key *keys,
                            size_t keys_count, struct licence *ret_licence, struct error *error);

/*
 * Sign: `licence_json` is the object of the member `licence`; `private_key_pem` an Ed25519 key. The
 * file is returned owned in *ret_file. Returns 0, or -EINVAL with a sentence.
 */
MUST_CHECK int licence_sign(const char *licence_json, const char *private_key_pem,
                            const char *key_name, char **ret_file, struct error *error);

/* The keys that this build trusts: compiled in; builds for development also trust tests/keys. */
const struct licence_key *licence_trusted_keys(size_t *ret_count);

/* Ed25519. Returns 0; -EBADMSG: does not fit; -EINVAL: the key is none. */
MUST_CHECK int licence_signature_check(const uint8_t key[LICENCE_KEY_BYTES], const void *data,
                                       size_t bytes,
                                       const uint8_t signature[LICENCE_SIGNATURE_BYTES]);
MUST_CHECK int licence_signature_make(const char *private_key_pem, const void *data, size_t bytes,
                                      uint8_t ret_signature[LICENCE_SIGNATURE_BYTES]);

#endif
