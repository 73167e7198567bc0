/*
 * What commands of the API share. See the header.
 */
#include "cli/api.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

int api_call(const struct call *call, const struct http_request *request,
             struct client_answer *ret_answer)
{
    struct error error = {.text = ""};
    struct client *client = client_new(call->config, &error);
    if (!client) {
        return command_fail(call, "%s", error.text);
    }
    int failed = client_call(client, request, ret_answer, &error);
    client_free(client);
    if (failed) {
        client_answer_release(ret_answer);
        return command_fail(call, "%s", error.text);
    }
    return EXIT_DONE;
}

int api_get(const struct call *call, const char *path, struct client_answer *ret_answer)
{
    return api_call(call, &(struct http_request){.method = "GET", .path = path}, ret_answer);
}

int api_post(const struct call *call, const char *path, struct client_answer *ret_answer)
{
    return api_call(call, &(struct http_request){.method = "POST", .path = path}, ret_answer);
}

int api_post_json(const struct call *call, const char *path, json_t *body,
                  struct client_answer *ret_answer)
{
    char *text = json_dumps(body, JSON_COMPACT);
    struct http_request request = {.method = "POST",
                                   .path = path,
                                   .content_type = "application/json",
                                   .body = text,
                                   .body_bytes = text ? strlen(text) : 0};
    int code = api_call(call, &request, ret_answer);
    free(text);
    return code;
}

int api_read_file(const char *path, size_t bytes_max, char **ret_data, size_t *ret_bytes,
                  struct error *error)
{
    bool standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "re");
    if (!file) {
        int failed = -errno;
        return error_set(error, failed, "can't read %s: %s", path, strerror(-failed));
    }
    struct buf text;
    buf_init(&text, bytes_max);
    int failed = buf_append_text(&text, "");
    char part[65536];
    size_t got;
    while (!failed && (got = fread(part, 1, sizeof(part), file)) > 0) {
        failed = buf_append(&text, part, got);
    }
    if (!failed && ferror(file)) {
        failed = errno ? -errno : -EIO;
    }
    if (!standard) {
        fclose(file);
    }
    if (failed) {
        buf_release(&text);
        return failed == -EMSGSIZE
                   ? error_set(error, failed, "%s is larger than %zu bytes", path, bytes_max)
                   : error_set(error, failed, "can't read %s: %s", path, strerror(-failed));
    }
    *ret_bytes = text.length;
    *ret_data = text.data ? (char *)text.data : memory_copy_text("");
    return 0;
}

json_t *api_sets(const struct call *call, struct error *error)
{
    json_t *object = json_object();
    for (size_t i = 0; i < call->set_count; i++) {
        const char *set = call->sets[i], *equals = strchr(set, '=');
        if (!equals || equals == set) {
            (void)error_set(error, -EINVAL, "--set %s is not NAME=VALUE", set);
            json_decref(object);
            return NULL;
        }
        json_t *value = json_loads(equals + 1, JSON_DECODE_ANY, NULL);
        value = value ? value : json_string(equals + 1);
        if (!value || json_object_setn_new(object, set, (size_t)(equals - set), value) != 0) {
            (void)error_set(error, -EINVAL, "--set %s is not UTF-8", set);
            json_decref(object);
            return NULL;
        }
    }
    return object;
}
