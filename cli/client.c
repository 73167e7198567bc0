/*
 * Calls of the API. See the header. It retries nothing: commands know what may be sent twice.
 */
#include "cli/client.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/data_directory.h"
#include "common/memory.h"

#define ANSWER_BYTES_MAX ((size_t)1 << 30)
#define PATH_BYTES_MAX 65536
#define CALL_MS_MAX 60000
#define CONNECT_MS_MAX 10000

struct client {
    CURL *curl;
    char *server;
    char *token;
    char *data; /* the data directory, when the server was found there */
};

/* Returns owned, or NULL. */
static char *read_token(const char *path)
{
    char text[1024] = "";
    FILE *file = fopen(path, "re");
    if (!file) {
        return NULL;
    }
    if (!fgets(text, sizeof(text), file)) {
        text[0] = 0;
    }
    fclose(file);
    text[strcspn(text, "\r\n")] = 0;
    return text[0] ? memory_copy_text(text) : NULL;
}

static int find(struct client *client, const struct client_options *options, struct error *error)
{
    client->data = data_directory_choose(options->data);
    pid_t owner = data_directory_owner(client->data);
    json_t *endpoint = owner ? data_directory_read_json(client->data, "endpoint.json") : NULL;
    const char *here = json_string_value(json_object_get(endpoint, "server"));
    const char *file = options->token_file;
    int failed = 0;
    client->server = memory_copy_text(options->server ? options->server : here);
    if (!client->server) {
        failed =
            owner
                ? error_set(error, -ENOENT,
                            "engenho up is still starting on %s: see `engenho status`",
                            client->data)
                : error_set(
                      error, -ENOENT,
                      "no server: start one with `engenho up`, or name it with --server or ENGENHO_SERVER "
                      "(nothing runs on %s)",
                      client->data);
    } else {
        size_t length = strlen(client->server);
        if (length > 0 && client->server[length - 1] == '/') {
            client->server[length - 1] = 0;
        }
        if (!file && here && strcmp(here, client->server) == 0) {
            file = json_string_value(json_object_get(endpoint, "tokenFile"));
        }
        if (!file) {
            failed = error_set(error, -ENOENT,
                               "no token for %s: name its file with --token-file or "
                               "ENGENHO_TOKEN_FILE",
                               client->server);
        } else if (!(client->token = read_token(file))) {
            failed = error_set(error, -ENOENT, "no token in %s: it has to hold one line", file);
        }
    }
    json_decref(endpoint);
    return failed;
}

struct client *client_new(const struct client_options *options, struct error *error)
{
    struct client *client = memory_new(1, sizeof(*client));
    if (find(client, options, error) != 0) {
        client_free(client);
        return NULL;
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(client->curl = curl_easy_init())) {
        (void)error_set(error, -ENOMEM, "libcurl can't be started");
        client_free(client);
        return NULL;
    }
    return client;
}

void client_free(struct client *client)
{
    if (!client) {
        return;
    }
    if (client->curl) {
        curl_easy_cleanup(client->curl);
        curl_global_cleanup();
    }
    free(client->server);
    free(client->token);
    free(client->data);
    free(client);
}

const char *client_server(const struct client *client)
{
    return client->server;
}

static size_t take_body(char *data, size_t size, size_t count, void *context)
{
    struct client_answer *answer = context;
    return buf_append(&answer->body, data, size * count) == 0 ? size * count : 0;
}

/* The API's refusal as one sentence: where, what, and what to do. */
static int refused(const struct client *client, const struct client_answer *answer,
                   struct error *error)
{
    const char *what = json_string_value(json_object_get(answer->json, "error"));
    const char *where = json_string_value(json_object_get(answer->json, "where"));
    const char *fix = json_string_value(json_object_get(answer->json, "fix"));
    int code =
        answer->status == 503 || answer->status == 502 || answer->status == 504 ? -EAGAIN : -EPROTO;
    if (!what) {
        return error_set(error, code, "%s answered with HTTP status %ld: is it Engenho's API?",
                         client->server, answer->status);
    }
    return error_set(error, code, "%s%s%s%s%s", where && *where ? where : "",
                     where && *where ? ": " : "", what, fix && *fix ? "; " : "",
                     fix && *fix ? fix : "");
}

static int unreachable(const struct client *client, CURLcode code, struct error *error)
{
    if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL) {
        return error_set(error, -EPROTO,
                         "%s is not the address of a server: it looks like http://HOST:PORT",
                         client->server);
    }
    if (code == CURLE_WRITE_ERROR) {
        return error_set(error, -EPROTO, "the answer of %s is larger than %zu bytes",
                         client->server, (size_t)ANSWER_BYTES_MAX);
    }
    return error_set(error, -EAGAIN, "%s can't be reached: %s; see `engenho status`",
                     client->server, curl_easy_strerror(code));
}

static CURLcode perform(struct client *client, const struct client_request *request,
                        struct client_answer *answer)
{
    CURL *curl = client->curl;
    struct curl_slist *headers = NULL;
    char *url = memory_print("%s%s", client->server, request->path);
    char *authorization = memory_print("Authorization: Bearer %s", client->token);
    curl_easy_reset(curl);
    headers = curl_slist_append(headers, authorization);
    headers = curl_slist_append(headers, "Expect:");
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_TCP_NODELAY, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS_MAX);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
                           (long)(request->limit_ms ? request->limit_ms : CALL_MS_MAX));
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    if (strcmp(request->method, "POST") == 0 || request->content_type) {
        (void)curl_easy_setopt(curl, CURLOPT_POST, 1L);
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body ? request->body : "");
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_bytes);
        char *type = memory_print("Content-Type: %s", request->content_type ? request->content_type
                                                                            : "application/json");
        headers = curl_slist_append(headers, type);
        free(type);
    }
    (void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    CURLcode code = curl_easy_perform(curl);
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer->status);
    curl_slist_free_all(headers);
    free(authorization);
    free(url);
    return code;
}

int client_call(struct client *client, const struct client_request *request,
                struct client_answer *ret_answer, struct error *error)
{
    *ret_answer = (struct client_answer){.status = 0};
    buf_init(&ret_answer->body, ANSWER_BYTES_MAX);
    CURLcode code = perform(client, request, ret_answer);
    if (code != CURLE_OK) {
        ret_answer->status = 0;
        return unreachable(client, code, error);
    }
    if (ret_answer->body.length > 0) {
        ret_answer->json = json_loadb((const char *)ret_answer->body.data, ret_answer->body.length,
                                      JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    }
    return ret_answer->status >= 200 && ret_answer->status < 300
               ? 0
               : refused(client, ret_answer, error);
}

void client_answer_release(struct client_answer *answer)
{
    if (!answer) {
        return;
    }
    buf_release(&answer->body);
    json_decref(answer->json);
    answer->json = NULL;
}

/* Paths have a maximum far above any name's: past it the text stays short, and the server refuses
 * it. */
void client_path_init(struct client_path *path, const char *start)
{
    path->query = strchr(start, '?') != NULL;
    buf_init(&path->text, PATH_BYTES_MAX);
    (void)!buf_append_text(&path->text, start);
}

static void append_escaped(struct client_path *path, const char *text)
{
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        if (isalnum(byte) || strchr("-_.~", byte)) {
            (void)!buf_append(&path->text, &byte, 1);
        } else {
            (void)!buf_print(&path->text, "%%%02X", byte);
        }
    }
}

void client_path_piece(struct client_path *path, const char *piece)
{
    (void)!buf_append_text(&path->text, "/");
    append_escaped(path, piece);
}

void client_path_parameter(struct client_path *path, const char *name, const char *value)
{
    if (!value) {
        return;
    }
    (void)!buf_print(&path->text, "%c%s=", path->query ? '&' : '?', name);
    path->query = true;
    append_escaped(path, value);
}

const char *client_path_text(const struct client_path *path)
{
    return (const char *)path->text.data;
}

void client_path_release(struct client_path *path)
{
    buf_release(&path->text);
}
