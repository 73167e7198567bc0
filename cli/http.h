/*
 * One HTTP request and its answer, over a connection that is kept for the next. The only file that
 * knows libcurl. Process: engenho.
 */
#ifndef ENGENHO_CLI_HTTP_H
#define ENGENHO_CLI_HTTP_H

#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/buf.h"
#include "common/error.h"

struct http;

/*
 * `server` (http://HOST:PORT), `token` and `user` (who calls, for logs; NULL: not said) are copied.
 * Returns owned, or NULL with a sentence.
 */
struct http *http_new(const char *server, const char *token, const char *user, struct error *error);
void http_free(struct http *http);

struct http_request {
    const char *method;       /* GET, POST, PUT, DELETE */
    const char *path;         /* /v1/..., escaped, with its query */
    const char *content_type; /* NULL: no body */
    const void *body;
    size_t body_bytes;
    int64_t limit_ms; /* for all of it; 0: 60 s */
};

/*
 * Append the body of the answer to `ret_body`, whose maximum is the answer's.
 *
 * Returns 0 with the status, whatever it is; with a sentence -EAGAIN when the server could not be
 * reached or broke off, -EPROTO when the address is none or the answer too large.
 */
MUST_CHECK int http_call(struct http *http, const struct http_request *request, long *ret_status,
                         struct buf *ret_body, struct error *error);

#endif
