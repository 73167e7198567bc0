/*
 * OpenSSL, for what speaks to Redis. See redis_tls.h.
 */
#include "licensor/store/redis_tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/memory.h"

struct redis_tls {
    SSL_CTX *context;
    const char *refusal; /* OpenSSL's text */
};

static int on_verified(int is_good, X509_STORE_CTX *store)
{
    if (!is_good) {
        const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
        struct redis_tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
        tls->refusal = X509_verify_cert_error_string(X509_STORE_CTX_get_error(store));
    }
    return is_good;
}

static int refuse(const char *option, const char *file, struct error *error)
{
    unsigned long code = ERR_get_error();
    const char *why = code != 0 ? ERR_reason_error_string(code) : NULL;
    ERR_clear_error();
    return error_set(error, -EINVAL, "%s: '%s' can't be used (%s); it must be a file in PEM",
                     option, file, why != NULL ? why : "not readable");
}

static int read_files(SSL_CTX *context, const char *ca, const char *certificate, const char *key,
                      struct error *error)
{
    if (ca == NULL) {
        SSL_CTX_set_default_verify_paths(context);
    } else if (SSL_CTX_load_verify_locations(context, ca, NULL) != 1) {
        return refuse("--redis-ca-file", ca, error);
    }
    if ((certificate != NULL) != (key != NULL)) {
        return error_set(error, -EINVAL,
                         "--redis-cert-file and --redis-key-file go together; give both");
    }
    if (certificate != NULL && SSL_CTX_use_certificate_chain_file(context, certificate) != 1) {
        return refuse("--redis-cert-file", certificate, error);
    }
    if (key != NULL && (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 ||
                        SSL_CTX_check_private_key(context) != 1)) {
        return refuse("--redis-key-file", key, error);
    }
    return 0;
}

int redis_tls_new(const char *ca, const char *certificate, const char *key,
                  struct redis_tls **ret_tls, struct error *error)
{
    struct redis_tls *tls = memory_new(1, sizeof(*tls));
    tls->context = SSL_CTX_new(TLS_client_method());
    if (tls->context == NULL) {
        free(tls);
        return error_set(error, -EINVAL, "OpenSSL can't be used");
    }
    SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION);
    SSL_CTX_set_mode(tls->context,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_app_data(tls->context, tls);
    SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, on_verified);
    int rc = read_files(tls->context, ca, certificate, key, error);
    if (rc != 0) {
        redis_tls_free(tls);
        return rc;
    }
    *ret_tls = tls;
    return 0;
}

void redis_tls_free(struct redis_tls *tls)
{
    if (tls != NULL) {
        SSL_CTX_free(tls->context);
        free(tls);
    }
}

static bool is_number(const char *host)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

struct ssl_st *redis_tls_open(struct redis_tls *tls, const char *host)
{
    tls->refusal = NULL;
    SSL *ssl = SSL_new(tls->context);
    if (ssl == NULL) {
        return NULL;
    }
    bool named = is_number(host)
                     ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1
                     : SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
    if (!named) {
        SSL_free(ssl);
        return NULL;
    }
    return ssl;
}

void redis_tls_close(struct ssl_st *session)
{
    SSL_free(session);
}

const char *redis_tls_refusal(const struct redis_tls *tls)
{
    return tls != NULL ? tls->refusal : NULL;
}
