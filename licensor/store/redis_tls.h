/*
 * TLS of the connections to Redis: whom we trust, and who we are. The server's name is checked too,
 * which hiredis by itself does not do.
 */
#ifndef ENGENHO_LICENSOR_STORE_REDIS_TLS_H
#define ENGENHO_LICENSOR_STORE_REDIS_TLS_H

#include "common/attributes.h"
#include "common/error.h"

struct ssl_st; /* of OpenSSL */
struct redis_tls;

/*
 * Files in PEM. `ca` may be NULL: the system's authorities; `certificate` and `key` are both NULL
 * or both given. `ret_tls` is owned by the caller.
 * Returns 0, or -EINVAL with a sentence.
 */
MUST_CHECK int redis_tls_new(const char *ca, const char *certificate, const char *key,
                             struct redis_tls **ret_tls, struct error *error);
void redis_tls_free(struct redis_tls *tls);
/* A session with `host`, owned by the caller; NULL: there is no memory. */
struct ssl_st *redis_tls_open(struct redis_tls *tls, const char *host);
void redis_tls_close(struct ssl_st *session);
/* Why the server's certificate was refused since the last start; NULL: it was not. `tls` may be
 * NULL. */
const char *redis_tls_refusal(const struct redis_tls *tls);

#endif
