/*
 * apply, diff, get, delete, export, start, stop: definitions. Process: engenho.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/api.h"
#include "cli/output.h"
#include "cli/table.h"
#include "common/memory.h"

#define DEFINITIONS_BYTES_MAX ((size_t)16 << 20)

static const char *const kinds[] = {"application", "production", "agent", "connection", "package"};

static bool is_definition_file(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return entry->d_name[0] != '.' && dot &&
           (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0 || strcmp(dot, ".json") == 0);
}

static int keep(const struct dirent *entry)
{
    return is_definition_file(entry);
}

/* All definition files of a directory, by name, as one stream of documents. */
static int read_directory(const char *path, struct buf *text, struct error *error)
{
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, keep, alphasort), failed = 0;
    if (count < 0) {
        return error_set(error, -errno, "can't read the directory %s: %s", path, strerror(errno));
    }
    if (count == 0) {
        failed = error_set(error, -ENOENT, "no .yaml, .yml or .json file in %s", path);
    }
    for (int i = 0; i < count; i++) {
        char *file = memory_print("%s/%s", path, entries[i]->d_name), *data = NULL;
        size_t bytes = 0;
        failed = failed ? failed : api_read_file(file, DEFINITIONS_BYTES_MAX, &data, &bytes, error);
        if (!failed &&
            (buf_append_text(text, "\n---\n") != 0 || buf_append(text, data, bytes) != 0)) {
            failed = error_set(error, -EMSGSIZE, "the files of %s are larger than %zu bytes", path,
                               DEFINITIONS_BYTES_MAX);
        }
        free(data);
        free(file);
        free(entries[i]);
    }
    free(entries);
    return failed;
}

static int read_definitions(const char *path, struct buf *text, struct error *error)
{
    struct stat info;
    char *data = NULL;
    size_t bytes = 0;
    buf_init(text, DEFINITIONS_BYTES_MAX);
    if (strcmp(path, "-") != 0 && stat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
        return read_directory(path, text, error);
    }
    int failed = api_read_file(path, DEFINITIONS_BYTES_MAX, &data, &bytes, error);
    if (!failed && buf_append(text, data, bytes) != 0) {
        failed =
            error_set(error, -EMSGSIZE, "%s is larger than %zu bytes", path, DEFINITIONS_BYTES_MAX);
    }
    free(data);
    return failed;
}

static const struct output_column written_columns[] = {
    {"KIND", "kind", false},     {"NAME", "name", false},
    {"RESULT", "result", false}, {"GENERATION", "generation", true},
    {"LINE", "line", true},      {"ERROR", "error", false},
};

/* What became of each document goes to stdout also when the whole was refused: the reason is on
 * stderr. */
static int apply(const struct call *call, const char *path, bool *ret_differs)
{
    const struct apply_options *options = call->config;
    struct error error = {.text = ""};
    struct client_answer answer = {.status = 0};
    struct buf text;
    int code = EXIT_DONE;
    int failed = read_definitions(options->file, &text, &error);
    struct client *client = failed ? NULL : client_new(&options->client, &error);
    if (client) {
        struct http_request request = {.method = "POST",
                                       .path = path,
                                       .content_type = "application/yaml",
                                       .body = text.data,
                                       .body_bytes = text.length};
        failed = client_call(client, &request, &answer, &error);
    }
    const json_t *documents = json_object_get(answer.json, "documents");
    if (json_array_size(documents) > 0) {
        size_t i;
        json_t *document;
        code = output_rows(call, options->client.output, documents, written_columns,
                           ARRAY_SIZE(written_columns));
        json_array_foreach(documents, i, document)
        {
            const char *result = json_string_value(json_object_get(document, "result"));
            *ret_differs = *ret_differs || !result || strcmp(result, "unchanged") != 0;
        }
    }
    if (!client || failed) {
        code = command_fail(call, "%s", error.text);
    }
    client_answer_release(&answer);
    client_free(client);
    buf_release(&text);
    return code;
}

int command_apply(const struct call *call)
{
    bool differs = false;
    return apply(call, "/v1/apply", &differs);
}

int command_diff(const struct call *call)
{
    bool differs = false;
    int code = apply(call, "/v1/apply?dryRun=true", &differs);
    return code ? code : differs ? EXIT_FAILED : EXIT_DONE;
}

/* production, productions, Production. NULL with a sentence said. */
static const char *kind_of(const struct call *call, const char *text)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        size_t length = strlen(kinds[i]);
        if (strncasecmp(text, kinds[i], length) == 0 &&
            (!text[length] || (strcasecmp(text + length, "s") == 0))) {
            return kinds[i];
        }
    }
    (void)command_fail(
        call, "there is no kind '%s': one of application, production, agent, connection, package",
        text);
    return NULL;
}

static const struct output_column production_columns[] = {
    {"NAME", "name", false},
    {"APPLICATION", "spec.application", false},
    {"AGENT", "spec.agent", false},
    {"STARTED", "status.started", false},
    {"TRIGGER", "spec.trigger", false},
    {"REASON", "status.stoppedReason", false},
    {"GENERATION", "generation", true},
    {"CHANGED", "changedAt", true},
    {"BY", "changedBy", true},
};
static const struct output_column application_columns[] = {
    {"NAME", "name", false},
    {"PACKAGE", "spec.package", false},
    {"METHOD", "spec.method", false},
    {"PARAMETERS", "spec.parameters", false},
    {"GENERATION", "generation", true},
    {"CHANGED", "changedAt", true},
    {"BY", "changedBy", true},
};
static const struct output_column other_columns[] = {
    {"NAME", "name", false},         {"SPEC", "spec", false},   {"GENERATION", "generation", true},
    {"CHANGED", "changedAt", false}, {"BY", "changedBy", true},
};
static const struct output_column package_columns[] = {
    {"NAME", "name", false},      {"RUNS", "runs", false},         {"NEWEST", "newest", false},
    {"VERSIONS", "count", false}, {"FILE", "file", false},         {"BYTES", "bytes", true},
    {"SHA256", "sha256", true},   {"CHANGED", "changedAt", false}, {"BY", "changedBy", true},
};

/* A package's row: its newest version beside its name. */
static void add_package_summary(json_t *package)
{
    json_t *versions = json_object_get(package, "versions");
    size_t count = json_array_size(versions);
    json_t *newest = json_array_get(versions, count - 1);
    json_t *active = json_object_get(package, "active"),
           *number = json_object_get(newest, "version");
    json_object_set_new(package, "count", json_integer((json_int_t)count));
    json_object_set(package, "newest", number ? number : json_null());
    json_object_set(package, "runs",
                    json_integer_value(active) ? active
                    : number                   ? number
                                               : json_null());
    json_object_set(package, "file", newest ? json_object_get(newest, "fileName") : json_null());
    json_object_set(package, "bytes", newest ? json_object_get(newest, "sizeBytes") : json_null());
    json_object_set(package, "sha256", newest ? json_object_get(newest, "sha256") : json_null());
}

static int print_definitions(const struct call *call, const char *kind, json_t *items)
{
    const struct client_options *options = call->config;
    const struct output_column *columns = other_columns;
    size_t count = ARRAY_SIZE(other_columns), i;
    json_t *item;
    if (strcmp(kind, "production") == 0) {
        columns = production_columns;
        count = ARRAY_SIZE(production_columns);
    } else if (strcmp(kind, "application") == 0) {
        columns = application_columns;
        count = ARRAY_SIZE(application_columns);
    } else if (strcmp(kind, "package") == 0) {
        columns = package_columns;
        count = ARRAY_SIZE(package_columns);
        if (options->output != OUTPUT_JSON && options->output != OUTPUT_YAML) {
            json_array_foreach(items, i, item)
            {
                add_package_summary(item);
            }
        }
    }
    return output_rows(call, options->output, items, columns, count);
}

/* A document as `apply` takes it: what the server adds is left out. */
static json_t *as_written(const json_t *definition)
{
    json_t *document = json_object();
    const char *const members[] = {"kind", "name", "spec"};
    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        json_t *value = json_object_get(definition, members[i]);
        if (value) {
            json_object_set(document, members[i], value);
        }
    }
    return document;
}

static int print_definition(const struct call *call, const char *kind, json_t *definition)
{
    const struct client_options *options = call->config;
    if (options->output == OUTPUT_YAML && json_object_get(definition, "spec")) {
        json_t *document = as_written(definition);
        int code = output_document(call, OUTPUT_YAML, document);
        json_decref(document);
        return code;
    }
    if (options->output == OUTPUT_JSON || options->output == OUTPUT_YAML) {
        return output_document(call, options->output, definition);
    }
    json_t *rows = json_array();
    json_array_append(rows, definition);
    int code = print_definitions(call, kind, rows);
    json_decref(rows);
    return code;
}

static void path_of(struct client_path *path, const char *kind, const char *name)
{
    bool package = strcmp(kind, "package") == 0;
    client_path_init(path, "/v1");
    client_path_piece(path, package ? "packages" : kind);
    if (name) {
        client_path_piece(path, name);
    }
}

static int get(const struct call *call, const char *kind, const char *name)
{
    struct client_path path;
    struct client_answer answer;
    path_of(&path, kind, name);
    int code = api_get(call, client_path_text(&path), &answer);
    client_path_release(&path);
    if (code) {
        return code;
    }
    json_t *items = json_object_get(answer.json, "items");
    code = name ? print_definition(call, kind, answer.json) : print_definitions(call, kind, items);
    client_answer_release(&answer);
    return code;
}

int command_get(const struct call *call)
{
    const char *kind = kind_of(call, call->operands[0]);
    return kind ? get(call, kind, call->operand_count > 1 ? call->operands[1] : NULL) : EXIT_USAGE;
}

int command_packages(const struct call *call)
{
    return get(call, "package", call->operand_count > 0 ? call->operands[0] : NULL);
}

int command_agents(const struct call *call)
{
    return get(call, "agent", call->operand_count > 0 ? call->operands[0] : NULL);
}

int command_delete(const struct call *call)
{
    const char *kind = kind_of(call, call->operands[0]);
    if (!kind) {
        return EXIT_USAGE;
    }
    struct client_path path;
    struct client_answer answer;
    path_of(&path, kind, call->operands[1]);
    struct http_request request = {.method = "DELETE", .path = client_path_text(&path)};
    int code = api_call(call, &request, &answer);
    if (!code) {
        printf("%s %s deleted\n", kind, call->operands[1]);
        client_answer_release(&answer);
    }
    client_path_release(&path);
    return code;
}

int command_export(const struct call *call)
{
    struct client_answer answer;
    int code = api_get(call, "/v1/export", &answer);
    if (!code) {
        if (answer.body.length > 0 &&
            fwrite(answer.body.data, 1, answer.body.length, stdout) != answer.body.length) {
            code = command_fail(call, "can't write the output: %s", strerror(errno));
        }
        client_answer_release(&answer);
    }
    return code;
}

static int start_or_stop(const struct call *call, const char *what, const char *done)
{
    struct client_path path;
    struct client_answer answer;
    client_path_init(&path, "/v1/production");
    client_path_piece(&path, call->operands[0]);
    client_path_piece(&path, what);
    int code = api_post(call, client_path_text(&path), &answer);
    client_path_release(&path);
    if (!code) {
        const char *result = json_string_value(json_object_get(answer.json, "result"));
        bool unchanged = result && strcmp(result, "unchanged") == 0;
        printf("production %s %s%s\n", call->operands[0], unchanged ? "was already " : "", done);
        client_answer_release(&answer);
    }
    return code;
}

int command_start(const struct call *call)
{
    return start_or_stop(call, "start", "started");
}

int command_stop(const struct call *call)
{
    return start_or_stop(call, "stop", "stopped");
}
