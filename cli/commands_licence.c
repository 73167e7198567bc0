/*
 * licence show, install, verify, sign, master: licence files, and what counts. Process: engenho.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/api.h"
#include "cli/output.h"
#include "common/base64.h"
#include "common/clock.h"
#include "common/duration.h"
#include "common/memory.h"
#include "licensor/licence.h"

#define KEY_BYTES_MAX 65536

int command_licence_show(const struct call *call)
{
    const struct client_options *options = call->config;
    struct client_answer answer;
    int code = api_get(call, "/v1/licence", &answer);
    if (!code) {
        code = output_document(call, options->output, answer.json);
        client_answer_release(&answer);
    }
    return code;
}

/* A licence file as it is. Returns 0 with an owned text, or -errno with a sentence. */
static int read_licence(const char *path, char **ret_data, size_t *ret_bytes, struct error *error)
{
    int failed = api_read_file(path, LICENCE_FILE_BYTES_MAX, ret_data, ret_bytes, error);
    if (!failed && *ret_bytes == 0) {
        free(*ret_data);
        *ret_data = NULL;
        return error_set(error, -EINVAL, "%s is empty: use the licence file as it was sent", path);
    }
    if (failed == -EMSGSIZE) {
        return error_set(
            error, failed,
            "%s is larger than 64 KiB, which no licence is: use the licence file as it "
            "was sent",
            path);
    }
    return failed;
}

int command_licence_install(const struct call *call)
{
    struct error error = {.text = ""};
    struct client_answer answer;
    char *data = NULL;
    size_t bytes = 0;
    if (read_licence(call->operands[0], &data, &bytes, &error) != 0) {
        return command_fail(call, "%s", error.text);
    }
    const struct http_request request = {.method = "POST",
                                         .path = "/v1/licence",
                                         .content_type = "application/octet-stream",
                                         .body = data,
                                         .body_bytes = bytes};
    int code = api_call(call, &request, &answer);
    free(data);
    if (!code) {
        printf("%s is installed: edition %s, %" JSON_INTEGER_FORMAT " keys in all\n",
               call->operands[0], json_string_value(json_object_get(answer.json, "edition")),
               json_integer_value(json_object_get(answer.json, "keys")));
        client_answer_release(&answer);
    }
    return code;
}

/* Verify ------------------------------------------------------------------------------------- */

/* NAME:BASE64, as builds are told. */
static int parse_key(const char *text, struct licence_key *ret_key, struct error *error)
{
    const char *colon = strchr(text, ':');
    uint8_t raw[LICENCE_KEY_BYTES + 8];
    size_t bytes = 0;
    if (!colon || colon == text || (size_t)(colon - text) >= sizeof(ret_key->name) ||
        strlen(colon + 1) != 44 || base64_decode(colon + 1, 44, raw, &bytes) != 0 ||
        bytes != LICENCE_KEY_BYTES) {
        return error_set(
            error, -EINVAL,
            "--public-key takes NAME:BASE64 with the 32 bytes of an Ed25519 public key");
    }
    (void)snprintf(ret_key->name, sizeof(ret_key->name), "%.*s", (int)(colon - text), text);
    memcpy(ret_key->bytes, raw, LICENCE_KEY_BYTES);
    return 0;
}

/* Signature first, then time and customer, as the licensor does when nothing is installed. */
static int verify(const struct verify_options *options, const char *data, size_t bytes,
                  struct licence *ret_licence, struct error *error)
{
    struct licence_key given;
    size_t keys_count = 1;
    const struct licence_key *keys = &given;
    struct limits limits;
    if (!options->public_key) {
        keys = licence_trusted_keys(&keys_count);
    } else if (parse_key(options->public_key, &given, error) != 0) {
        return -EINVAL;
    }
    int failed = licence_read(data, bytes, keys, keys_count, ret_licence, error);
    limits_init(&limits);
    return failed ? failed
                  : limits_add(&limits, ret_licence, options->customer,
                               &(struct licence_time){.now_us = clock_unix_us()}, error);
}

/* As a licence writes it: a number of seats, or an object where more is said. Returns owned. */
static json_t *describe_pool(const struct pool_limit *pool)
{
    if (!pool->shared && pool->reserved_count == 0) {
        return json_integer(pool->cap);
    }
    json_t *reserve = json_object();
    for (size_t i = 0; i < pool->reserved_count; i++) {
        json_object_set_new(reserve, pool->reserved[i].agent,
                            json_integer(pool->reserved[i].seats));
    }
    return json_pack("{sI ss so}", "seats", (json_int_t)pool->cap, "holder",
                     pool->shared ? "pool" : "production", "reserve", reserve);
}

static json_t *describe(const struct licence *licence)
{
    char from[INSTANT_TEXT_BYTES], until[INSTANT_TEXT_BYTES];
    instant_print(licence->valid_from_us, from);
    instant_print(licence->valid_until_us, until);
    json_t *pools = json_object(), *chains = json_object();
    for (size_t i = 0; i < licence->pools_count; i++) {
        json_object_set_new(pools, licence->pools[i].pool, describe_pool(&licence->pools[i]));
    }
    for (size_t i = 0; i < licence->chains_count; i++) {
        json_t *chain = json_array();
        for (size_t j = 0; j < licence->chains[i].count; j++) {
            json_array_append_new(chain, json_string(licence->chains[i].pools[j]));
        }
        json_object_set_new(chains, licence->chains[i].name, chain);
    }
    return json_pack("{ss ss si ss ss si ss sb sb so so}", "customer", licence->customer, "edition",
                     edition_word(licence->edition), "keys", (int)licence->keys, "validFrom", from,
                     "validUntil", until, "graceDays", (int)licence->grace_days, "contact",
                     licence->contact, "upgrade", licence->upgrade, "inGrace",
                     clock_unix_us() >= licence->valid_until_us, "pools", pools, "chains", chains);
}

int command_licence_verify(const struct call *call)
{
    const struct verify_options *options = call->config;
    struct error error = {.text = ""};
    struct licence licence;
    char *data = NULL;
    size_t bytes = 0;
    int failed = read_licence(call->operands[0], &data, &bytes, &error);
    failed = failed ? failed : verify(options, data, bytes, &licence, &error);
    free(data);
    if (failed) {
        return command_fail(call, "%s", error.text);
    }
    json_t *document = describe(&licence);
    int code = output_document(call, options->output, document);
    json_decref(document);
    return code;
}

/* Sign --------------------------------------------------------------------------------------- */

static int write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "wex"); /* never over another licence */
    if (!file) {
        return -errno;
    }
    bool is_written = fputs(text, file) >= 0 && fputc('\n', file) != EOF;
    return fclose(file) == 0 && is_written ? 0 : -EIO;
}

int command_licence_sign(const struct call *call)
{
    const struct sign_options *options = call->config;
    struct error error = {.text = ""};
    char *licence = NULL, *key = NULL, *file = NULL;
    size_t bytes = 0;
    int code = EXIT_DONE;
    int failed = api_read_file(call->operands[0], LICENCE_FILE_BYTES_MAX, &licence, &bytes, &error);
    failed = failed ? failed : api_read_file(options->key, KEY_BYTES_MAX, &key, &bytes, &error);
    failed = failed ? failed : licence_sign(licence, key, options->key_name, &file, &error);
    if (failed) {
        code = command_fail(call, "%s", error.text);
    } else if (!options->out) {
        code = printf("%s\n", file) < 0 || fflush(stdout) != 0
                   ? command_fail(call, "can't write the output: %s", strerror(errno))
                   : EXIT_DONE;
    } else if ((failed = write_file(options->out, file)) != 0) {
        code = command_fail(call, "can't write %s: %s", options->out, strerror(-failed));
    }
    if (key) {
        explicit_bzero(key, strlen(key));
    }
    free(licence);
    free(key);
    free(file);
    return code;
}

/* Master ------------------------------------------------------------------------------------- */

int command_licence_master(const struct call *call)
{
    const char *state = call->operands[0];
    struct client_answer answer;
    if (strcmp(state, "demo") != 0 && strcmp(state, "licensed") != 0) {
        (void)command_fail(call, "a Master is demo or licensed, not '%s'", state);
        return EXIT_USAGE;
    }
    char *body = memory_print("{\"state\": \"%s\"}", state);
    const struct http_request request = {.method = "PUT",
                                         .path = "/v1/licence/master",
                                         .content_type = "application/json",
                                         .body = body,
                                         .body_bytes = strlen(body)};
    int code = api_call(call, &request, &answer);
    free(body);
    if (!code) {
        printf("the Master is %s\n", json_string_value(json_object_get(answer.json, "state")));
        client_answer_release(&answer);
    }
    return code;
}
