/*
 * The API as commands see it: find the server and its token, call it, turn its refusals into one
 * sentence. Process: engenho.
 */
#ifndef ENGENHO_CLI_CLIENT_H
#define ENGENHO_CLI_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/http.h"
#include "common/attributes.h"
#include "common/buf.h"
#include "common/error.h"

/* The first members of the options of every command that speaks to the API. */
struct client_options {
    const char *server;     /* http://HOST:PORT; NULL: where `engenho up` runs */
    const char *token_file; /* NULL: that of `engenho up` */
    const char *data;
    int64_t output; /* enum output_format */
};

struct client;

/* Returns owned, or NULL with a sentence (no server found, no token). Nothing is sent yet. */
struct client *client_new(const struct client_options *options, struct error *error);
void client_free(struct client *client);
const char *client_server(const struct client *client);

struct client_answer {
    long status; /* of HTTP; 0: none came */
    struct buf body;
    json_t *json; /* the body, when it is JSON */
};

/*
 * Returns 0 when an answer of 2xx came; -EPROTO with the API's sentence for another status (the
 * answer is there too); -EAGAIN with a sentence when the server could not be reached, broke off or
 * said 503: the same call may work later. Release the answer in all cases.
 */
MUST_CHECK int client_call(struct client *client, const struct http_request *request,
                           struct client_answer *ret_answer, struct error *error);
void client_answer_release(struct client_answer *answer);

/* A growing path: client_path("/v1/results"), then pieces and parameters, escaped. */
struct client_path {
    struct buf text;
    bool query;
};
void client_path_init(struct client_path *path, const char *start);
void client_path_piece(struct client_path *path, const char *piece);
void client_path_parameter(struct client_path *path, const char *name, const char *value);
const char *client_path_text(const struct client_path *path);
void client_path_release(struct client_path *path);

#endif
