/*
 * HTTP by libcurl. See the header. It knows nothing of what is asked and answered.
 */
#include "cli/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

#define CALL_MS_MAX 60000
#define CONNECT_MS_MAX 10000

struct http {
    CURL *curl;
    char *server;
    char *authorization; /* the header */
    char *user;          /* the header; NULL: none */
};

struct http *http_new(const char *server, const char *token, const char *user, struct error *error)
{
    CURL *curl = NULL;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(curl = curl_easy_init())) {
        (void)error_set(error, -ENOMEM, "libcurl can't be started");
        return NULL;
    }
    struct http *http = memory_new(1, sizeof(*http));
    http->curl = curl;
    http->server = memory_copy_text(server);
    http->authorization = memory_print("Authorization: Bearer %s", token);
    http->user = user ? memory_print("X-Engenho-User: %s", user) : NULL;
    return http;
}

void http_free(struct http *http)
{
    if (!http) {
        return;
    }
    curl_easy_cleanup(http->curl);
    curl_global_cleanup();
    free(http->server);
    free(http->authorization);
    free(http->user);
    free(http);
}

static size_t take_body(char *data, size_t size, size_t count, void *context)
{
    return buf_append(context, data, size * count) == 0 ? size * count : 0;
}

static int broken(const struct http *http, CURLcode code, struct error *error)
{
    if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL) {
        return error_set(error, -EPROTO,
                         "%s is not the address of a server: it looks like http://HOST:PORT",
                         http->server);
    }
    if (code == CURLE_WRITE_ERROR) {
        return error_set(error, -EPROTO, "the answer of %s is too large", http->server);
    }
    return error_set(error, -EAGAIN, "%s can't be reached: %s; see `engenho status`", http->server,
                     curl_easy_strerror(code));
}

/* Returns the headers, to be freed after the call. */
static struct curl_slist *set_body(struct http *http, const struct http_request *request,
                                   struct curl_slist *headers)
{
    char *type = memory_print("Content-Type: %s",
                              request->content_type ? request->content_type : "application/json");
    headers = curl_slist_append(headers, type);
    free(type);
    (void)curl_easy_setopt(http->curl, CURLOPT_POST, 1L);
    (void)curl_easy_setopt(http->curl, CURLOPT_POSTFIELDS, request->body ? request->body : "");
    (void)curl_easy_setopt(http->curl, CURLOPT_POSTFIELDSIZE_LARGE,
                           (curl_off_t)request->body_bytes);
    return headers;
}

int http_call(struct http *http, const struct http_request *request, long *ret_status,
              struct buf *ret_body, struct error *error)
{
    CURL *curl = http->curl;
    char *url = memory_print("%s%s", http->server, request->path);
    curl_easy_reset(curl);
    struct curl_slist *headers = curl_slist_append(NULL, http->authorization);
    headers = curl_slist_append(headers, "Expect:");
    headers = http->user ? curl_slist_append(headers, http->user) : headers;
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_TCP_NODELAY, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS_MAX);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
                           (long)(request->limit_ms ? request->limit_ms : CALL_MS_MAX));
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, ret_body);
    if (strcmp(request->method, "POST") == 0 || request->content_type) {
        headers = set_body(http, request, headers);
    }
    (void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    CURLcode code = curl_easy_perform(curl);
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, ret_status);
    curl_slist_free_all(headers);
    free(url);
    return code == CURLE_OK ? 0 : broken(http, code, error);
}
