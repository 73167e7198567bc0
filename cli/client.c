/*
 * Calls of the API. See the header. It retries nothing: commands know what may be sent twice.
 */
#include "cli/client.h"

#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/data_directory.h"
#include "common/memory.h"

#define ANSWER_BYTES_MAX ((size_t)1 << 30)
#define PATH_BYTES_MAX 65536

struct client {
    struct http *http;
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

/* Who runs this command, for logs and changedBy; NULL: this machine has no name for him. */
static const char *user_name(void)
{
    const struct passwd *entry = getpwuid(geteuid());
    return entry && entry->pw_name[0] && !strpbrk(entry->pw_name, "\r\n") ? entry->pw_name : NULL;
}

struct client *client_new(const struct client_options *options, struct error *error)
{
    struct client *client = memory_new(1, sizeof(*client));
    if (find(client, options, error) != 0) {
        client_free(client);
        return NULL;
    }
    client->http = http_new(client->server, client->token, user_name(), error);
    if (!client->http) {
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
    http_free(client->http);
    free(client->server);
    free(client->token);
    free(client->data);
    free(client);
}

const char *client_server(const struct client *client)
{
    return client->server;
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

int client_call(struct client *client, const struct http_request *request,
                struct client_answer *ret_answer, struct error *error)
{
    *ret_answer = (struct client_answer){.status = 0};
    buf_init(&ret_answer->body, ANSWER_BYTES_MAX);
    int failed = http_call(client->http, request, &ret_answer->status, &ret_answer->body, error);
    if (failed) {
        ret_answer->status = 0;
        return failed;
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
