/*
 * Ed25519 signatures of licence files, by OpenSSL.
 */
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "licensor/licence.h"

int licence_signature_check(const uint8_t key[LICENCE_KEY_BYTES], const void *data, size_t bytes,
                            const uint8_t signature[LICENCE_SIGNATURE_BYTES])
{
    EVP_PKEY *public = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, LICENCE_KEY_BYTES);
    if (public == NULL) {
        return -EINVAL;
    }
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int fits = EVP_DigestVerifyInit(context, NULL, NULL, NULL, public) == 1 &&
               EVP_DigestVerify(context, signature, LICENCE_SIGNATURE_BYTES, data, bytes) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(public);
    return fits ? 0 : -EBADMSG;
}

int licence_signature_make(const char *private_key_pem, const void *data, size_t bytes,
                           uint8_t ret_signature[LICENCE_SIGNATURE_BYTES])
{
    BIO *bio = BIO_new_mem_buf(private_key_pem, -1);
    EVP_PKEY *private = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    size_t length = LICENCE_SIGNATURE_BYTES;
    int made = private != NULL && EVP_PKEY_id(private) == EVP_PKEY_ED25519 &&
               EVP_DigestSignInit(context, NULL, NULL, NULL, private) == 1 &&
               EVP_DigestSign(context, ret_signature, &length, data, bytes) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(private);
    BIO_free(bio);
    return made ? 0 : -EINVAL;
}
