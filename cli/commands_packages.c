/*
 * deploy, rollback: packages of code. Process: engenho.
 */
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/api.h"
#include "cli/output.h"
#include "cli/pack.h"
#include "common/memory.h"

const char *const origins[] = {"custom", "library", "vendor", NULL};

/* The bytes to send and the name they go by. */
static int read_package(const char *name, const char *path, size_t bytes_max, struct buf *data,
                        char **ret_file, struct error *error)
{
    struct stat info;
    buf_init(data, bytes_max);
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
        int failed = pack_directory(path, data, error);
        *ret_file = failed ? NULL : memory_print("%s.tar.gz", name);
        return failed;
    }
    char *text = NULL;
    size_t bytes = 0;
    int failed = api_read_file(path, bytes_max, &text, &bytes, error);
    failed = failed ? failed : buf_append(data, text, bytes);
    free(text);
    if (!failed) {
        char *copy = memory_copy_text(path);
        *ret_file = memory_copy_text(basename(copy));
        free(copy);
    }
    return failed;
}

int command_deploy(const struct call *call)
{
    const struct deploy_options *options = call->config;
    const char *name = call->operands[0];
    struct error error = {.text = ""};
    struct buf data;
    char *file = NULL;
    if (read_package(name, call->operands[1], (size_t)options->bytes_max, &data, &file, &error) !=
        0) {
        buf_release(&data);
        return command_fail(call, "%s", error.text);
    }
    struct client_path path;
    struct client_answer answer;
    client_path_init(&path, "/v1/packages");
    client_path_piece(&path, name);
    client_path_parameter(&path, "file", file);
    client_path_parameter(&path, "main", options->main);
    client_path_parameter(&path, "origin", origins[options->origin]);
    struct http_request request = {.method = "POST",
                                   .path = client_path_text(&path),
                                   .content_type = "application/octet-stream",
                                   .body = data.data,
                                   .body_bytes = data.length};
    int code = api_call(call, &request, &answer);
    if (!code) {
        json_int_t version = json_integer_value(json_object_get(answer.json, "version"));
        const char *result = json_string_value(json_object_get(answer.json, "result"));
        if (options->client.output != OUTPUT_TABLE) {
            code = output_document(call, options->client.output, answer.json);
        } else if (result && strcmp(result, "unchanged") == 0) {
            printf("package %s is unchanged: version %" JSON_INTEGER_FORMAT "\n", name, version);
        } else {
            printf("package %s is deployed: version %" JSON_INTEGER_FORMAT "\n", name, version);
        }
        client_answer_release(&answer);
    }
    client_path_release(&path);
    buf_release(&data);
    free(file);
    return code;
}

int command_rollback(const struct call *call)
{
    const struct rollback_options *options = call->config;
    struct client_path path;
    struct client_answer answer;
    char version[32];
    (void)snprintf(version, sizeof(version), "%" PRId64, options->to);
    client_path_init(&path, "/v1/packages");
    client_path_piece(&path, call->operands[0]);
    client_path_piece(&path, "active");
    client_path_parameter(&path, "version", version);
    int code = api_post(call, client_path_text(&path), &answer);
    if (!code) {
        printf(
            "package %s: new executions take version %" JSON_INTEGER_FORMAT "\n", call->operands[0],
            json_integer_value(json_object_get(answer.json, options->to ? "active" : "version")));
        client_answer_release(&answer);
    }
    client_path_release(&path);
    return code;
}
