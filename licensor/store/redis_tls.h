/*
 * TLS of the connections to Redis: whom we trust, and who we are. The server's name is checked too,
 * which hiredis by itself does not do.
 */
#ifndef ENGENHO_LICENSOR_STORE_REDIS_TLS_H
#define ENGENHO_LICENSOR_STORE_REDIS_TLS_H

#include "common/attributes.h"
#include "common/error.h"

struct redisAsyncContext;
struct redis_tls;

/*
 * Files in PEM. `ca` may be NULL: the system's authorities; `certificate` and `key` are both NULL
 * or both given. `ret_tls` is owned by the caller.
 * Returns 0, or -EINVAL with a sentence.
 */
MUST_CHECK int redis_tls_new(const char *ca, const char *certificate, const char *key,
                             struct redis_tls **ret_tls, struct error *error);
void redis_tls_free(struct redis_tls *tls);
/* Speak TLS on a connection that was just begun, with `host`. Returns 0 or -EIO. */
MUST_CHECK int redis_tls_start(struct redis_tls *tls, struct redisAsyncContext *ac,
                               const char *host);

#endif
