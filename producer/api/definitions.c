/*
 * Definitions over HTTP: read, write one, apply many, delete, export, start and stop.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/memory.h"
#include "common/names.h"
#include "producer/api/api_parts.h"
#include "producer/document.h"
#include "producer/results_json.h"

#define AGENT_LOOK_US 50000
#define AGENT_LOOKS_MAX 300 /* 15 s */

/* The view, or NULL: the call was answered. */
static const struct catalog_view *view_of(struct call *call)
{
    const struct api_services *services = call_services(call);
    if (services->catalog == NULL || !catalog_is_read(services->catalog)) {
        call_unavailable(call, "definitions");
        return NULL;
    }
    return catalog_view_of(services->catalog);
}

/* The kind that the path names, or NULL: the call was answered. */
static const char *kind_of(struct call *call)
{
    const char *kind = definition_kind(call->parts[0]);
    if (kind == NULL) {
        call_refuse(call, 404, call->parts[0],
                    "kinds are application, production, agent, connection and package",
                    "there is no kind '%.60s'", call->parts[0]);
    }
    return kind;
}

void api_definitions_list(struct call *call)
{
    const char *kind = kind_of(call);
    const struct catalog_view *view = kind != NULL ? view_of(call) : NULL;
    size_t count;
    if (view == NULL) {
        return;
    }
    const struct catalog_entry **list = catalog_view_list(view, kind, &count);
    writer_object(&call->json, NULL);
    writer_array(&call->json, "items");
    for (size_t i = 0; i < count; i++) {
        definition_write_json(&call->json, NULL, list[i]);
    }
    writer_end(&call->json);
    writer_end(&call->json);
    free(list);
    call_reply(call, 200);
}

static void set_etag(struct call *call, uint64_t generation)
{
    char text[32];
    snprintf(text, sizeof text, "\"%llu\"", (unsigned long long)generation);
    call_set_header(call, "ETag", text);
}

void api_definitions_get(struct call *call)
{
    const char *kind = kind_of(call);
    const struct catalog_view *view = kind != NULL ? view_of(call) : NULL;
    if (view == NULL) {
        return;
    }
    const struct catalog_entry *entry = catalog_view_find(view, kind, call->tail);
    if (entry == NULL) {
        call_refuse(call, 404, kind, "see what is there with `engenho get`",
                    "there is no %s '%.200s'", kind, call->tail);
        return;
    }
    definition_write_json(&call->json, NULL, entry);
    set_etag(call, entry->generation);
    call_reply(call, 200);
}

static void write_change(struct writer *json, const char *key, const struct catalog_change *change)
{
    writer_object(json, key);
    writer_text(json, "kind", definition_kind_title(change->kind));
    writer_text(json, "name", change->name);
    if (change->line > 0) {
        writer_integer(json, "line", change->line);
    }
    writer_text(json, "result", catalog_result_name(change->result));
    if (change->generation > 0) {
        writer_integer(json, "generation", (int64_t)change->generation);
    }
    if (change->result == CATALOG_REFUSED) {
        writer_text(json, "error", change->error.text);
    }
    writer_end(json);
}

static int status_of(const struct catalog_change *change)
{
    switch (change->code) {
    case -ENOENT:
        return 404;
    case -ESTALE:
        return 412;
    case -EBUSY:
        return 409;
    default:
        return 400;
    }
}

static const char *fix_of(const struct catalog_change *change)
{
    switch (change->code) {
    case -ENOENT:
        return "see what is there with `engenho get`";
    case -ESTALE:
        return "get it again, make the change on that, and write it with its generation";
    case -EBUSY:
        return "delete or change what uses it first";
    default:
        return "correct the document and send it again";
    }
}

static void refuse_change(struct call *call, const struct catalog_change *change)
{
    char where[NAME_BYTES_MAX + 64];
    snprintf(where, sizeof where, "%s %.200s", change->kind, change->name);
    call_refuse_begin(call, where, fix_of(change), change->error.text);
    if (change->generation > 0) {
        writer_integer(&call->json, "generation", (int64_t)change->generation);
    }
    writer_end(&call->json);
    call_reply(call, status_of(change));
}

static void refuse_shard(struct call *call)
{
    call_set_header(call, "Retry-After", "1");
    call_refuse(
        call, 503, "the catalog",
        "try again in some seconds; a write that names its generation is safe to repeat",
        "this replica lost the catalog while it was writing: it is not known to be written");
}

/* An answer that waits until the agents that it defined can be given work. */
struct waiting {
    int code;
    int looks;
    size_t count;
    char names[][AGENT_NAME_BYTES_MAX + 1];
};

static void on_look(evutil_socket_t fd, short events, void *context)
{
    const struct timeval pause = {0, AGENT_LOOK_US};
    struct call *call = context;
    const struct api_services *services = call_services(call);
    struct waiting *waiting = call->extra;
    size_t ready = 0;
    (void)fd;
    (void)events;
    while (ready < waiting->count &&
           services->agent_is_ready(services->context, waiting->names[ready])) {
        ready++;
    }
    if (ready == waiting->count || ++waiting->looks > AGENT_LOOKS_MAX) {
        call_reply(call, waiting->code);
    } else {
        event_add(call->timer, &pause);
    }
}

/*
 * Answer what was written into call->json; when agents were created, only once they have their
 * topics and starting offsets (or after a while): what is published after the answer must not be
 * before their start.
 */
static void reply_when_ready(struct call *call, int code, const struct catalog_change *changes,
                             size_t count)
{
    struct waiting *waiting = memory_new(1, sizeof *waiting + count * sizeof waiting->names[0]);
    waiting->code = code;
    for (size_t i = 0; i < count; i++) {
        if (changes[i].result == CATALOG_CREATED && strcmp(changes[i].kind, "agent") == 0) {
            snprintf(waiting->names[waiting->count++], sizeof waiting->names[0], "%s",
                     changes[i].name);
        }
    }
    call->extra = waiting;
    call->timer = event_new(call->api->base, -1, 0, on_look, call);
    on_look(-1, 0, call);
}

/* One definition was written. */
static void on_written(void *context, int result, const struct catalog_change *changes,
                       size_t count)
{
    struct call *call = context;
    (void)count;
    if (result == -EAGAIN) {
        refuse_shard(call);
    } else if (result != 0) {
        refuse_change(call, &changes[0]);
    } else {
        write_change(&call->json, NULL, &changes[0]);
        set_etag(call, changes[0].generation);
        reply_when_ready(call, changes[0].result == CATALOG_CREATED ? 201 : 200, changes, 1);
    }
}

/* Whether this replica writes the catalog; else the call was handed on or answered. */
static bool is_ours(struct call *call)
{
    const struct api_services *services = call_services(call);
    if (services->catalog == NULL || services->shards == NULL) {
        call_unavailable(call, "a write");
        return false;
    }
    if (!catalog_is_ours(services->catalog)) {
        call_forward(call, SHARD_OF_CATALOG);
        return false;
    }
    return true;
}

/* Takes `changes`. */
static void submit(struct call *call, struct catalog_change *changes, size_t count,
                   catalog_done done)
{
    const struct catalog_write write = {.changes = changes,
                                        .count = count,
                                        .who = api_caller(call),
                                        .dry_run = call_flag(call, "dryRun"),
                                        .done = done,
                                        .context = call};
    if (catalog_submit(call_services(call)->catalog, &write) != 0) {
        for (size_t i = 0; i < count; i++) {
            catalog_change_release(&changes[i]);
        }
        free(changes);
        call_refuse(call, 503, "the catalog", "try again",
                    "too many writes wait for the catalog already");
    }
}

/*
 * If-Match: "12", If-Match: 12, or If-None-Match: *. Returns whether it could be read; else the
 * call was answered.
 */
static bool read_expected(struct call *call, int64_t *ret_expected)
{
    const char *match = call_header(call, "If-Match"), *none = call_header(call, "If-None-Match");
    char *end;
    *ret_expected = none != NULL && strcmp(none, "*") == 0 ? 0 : GENERATION_ANY;
    if (match == NULL || strcmp(match, "*") == 0) {
        return true;
    }
    *ret_expected = strtoll(match + (match[0] == '"'), &end, 10);
    if (*ret_expected < 0 || end == match || (*end != '\0' && strcmp(end, "\"") != 0)) {
        call_refuse(call, 400, "If-Match", "send the generation that GET answered, or leave it out",
                    "If-Match '%.60s' is not a generation", match);
        return false;
    }
    return true;
}

void api_definitions_put(struct call *call)
{
    struct error error;
    struct node *documents = NULL;
    int line = 0, result;
    const char *kind = is_ours(call) ? kind_of(call) : NULL;
    struct catalog_change *change = memory_new(1, sizeof *change);
    if (kind == NULL || !read_expected(call, &change->expected)) {
        free(change);
        return;
    }
    result = document_parse_yaml(call->body, call->body_bytes, &documents, &error);
    if (result == 0 && documents->count != 1) {
        result = error_set(&error, -EINVAL, "the body holds %zu documents: one is written here",
                           documents->count);
    }
    if (result == 0) {
        result = definition_parse(documents->first, kind, call->tail, call->api->options.checks,
                                  &change->definition, &change->started, &line, &error);
    }
    node_free(documents);
    if (result != 0) {
        free(change);
        char where[64];
        snprintf(where, sizeof where, line > 0 ? "line %d" : "the body", line);
        call_refuse(call, 400, where, "correct the document and send it again", "%s", error.text);
        return;
    }
    change->kind = memory_copy_text(kind);
    change->name = memory_copy_text(change->definition->name);
    submit(call, change, 1, on_written);
}

void api_definitions_delete(struct call *call)
{
    const char *kind = is_ours(call) ? kind_of(call) : NULL;
    int64_t expected;
    if (kind == NULL || !read_expected(call, &expected)) {
        return;
    }
    struct catalog_change *change = memory_new(1, sizeof *change);
    *change = (struct catalog_change){
        .kind = memory_copy_text(kind), .name = memory_copy_text(call->tail), .expected = expected};
    submit(call, change, 1, on_written);
}

static void start_or_stop(struct call *call, bool started)
{
    if (!is_ours(call)) {
        return;
    }
    struct catalog_change *change = memory_new(1, sizeof *change);
    if (catalog_change_started(call_services(call)->catalog, call->parts[1], started, NULL,
                               change) != 0) {
        free(change);
        call_refuse(call, 404, "production", "see what is there with `engenho get productions`",
                    "there is no production '%.200s'", call->parts[1]);
        return;
    }
    submit(call, change, 1, on_written);
}

void api_production_start(struct call *call)
{
    start_or_stop(call, true);
}

void api_production_stop(struct call *call)
{
    start_or_stop(call, false);
}

/* Several definitions were written, or none. */
static void on_applied(void *context, int result, const struct catalog_change *changes,
                       size_t count)
{
    struct call *call = context;
    char where[64] = "the documents";
    if (result == -EAGAIN) {
        refuse_shard(call);
        return;
    }
    const struct catalog_change *bad = NULL;
    for (size_t i = 0; i < count && bad == NULL; i++) {
        bad = changes[i].result == CATALOG_REFUSED ? &changes[i] : NULL;
    }
    if (result != 0 && bad != NULL) {
        snprintf(where, sizeof where, "line %d", bad->line);
        call_refuse_begin(call, where, "correct it and apply again: nothing was written",
                          bad->error.text);
    } else {
        writer_object(&call->json, NULL);
    }
    writer_bool(&call->json, "dryRun", call_flag(call, "dryRun"));
    writer_array(&call->json, "documents");
    for (size_t i = 0; i < count; i++) {
        if (result == 0 || changes[i].result == CATALOG_REFUSED) {
            write_change(&call->json, NULL, &changes[i]);
        }
    }
    writer_end(&call->json);
    writer_end(&call->json);
    if (result == 0) {
        reply_when_ready(call, 200, changes, call_flag(call, "dryRun") ? 0 : count);
    } else {
        call_reply(call, bad != NULL && bad->code == -ESTALE ? 409 : 400);
    }
}

/* A document into a change; one that can't be read is a change that is refused already. */
static void read_change(struct call *call, const struct node *document,
                        struct catalog_change *change)
{
    int line = 0;
    *change =
        (struct catalog_change){.expected = GENERATION_ANY, .line = document->line, .started = -1};
    int result = definition_parse(document, NULL, NULL, call->api->options.checks,
                                  &change->definition, &change->started, &line, &change->error);
    if (result == 0) {
        change->kind = memory_copy_text(change->definition->kind);
        change->name = memory_copy_text(change->definition->name);
        return;
    }
    const char *kind = node_text(document, "kind"), *name = node_text(document, "name");
    const char *known = kind != NULL ? definition_kind(kind) : NULL;
    change->kind = memory_copy_text(known != NULL ? known : "?");
    change->name = memory_copy_text(name != NULL ? name : "?");
    change->result = CATALOG_REFUSED;
    change->code = -EINVAL;
    change->line = line > 0 ? line : document->line;
}

void api_definitions_apply(struct call *call)
{
    struct error error;
    struct node *documents;
    if (!is_ours(call)) {
        return;
    }
    if (document_parse_yaml(call->body, call->body_bytes, &documents, &error) != 0) {
        call_refuse(call, 400, "the body", "correct it and apply again: nothing was written", "%s",
                    error.text);
        return;
    }
    /* One JSON list is as good as several documents. */
    const struct node *list =
        documents->count == 1 && documents->first->type == NODE_LIST ? documents->first : documents;
    if (list->count == 0 || list->count > CATALOG_CHANGES_MAX) {
        call_refuse(call, 400, "the body", "send at least one document, and a large set in parts",
                    "the body holds %zu documents: 1 to %d are taken", list->count,
                    CATALOG_CHANGES_MAX);
        node_free(documents);
        return;
    }
    struct catalog_change *changes = memory_new(list->count, sizeof *changes);
    size_t count = 0;
    for (const struct node *child = list->first; child != NULL; child = child->next) {
        read_change(call, child, &changes[count++]);
    }
    node_free(documents);
    submit(call, changes, count, on_applied);
}

static int export_one(const struct catalog_entry *entry, struct buf *out)
{
    struct writer json;
    struct node *tree;
    struct buf text;
    buf_init(&text, CALL_ANSWER_BYTES_MAX);
    writer_init(&json, &text);
    definition_write_json(&json, NULL, entry);
    int result = writer_result(&json);
    if (result == 0) {
        result = document_parse_json((const char *)text.data, text.length, &tree, NULL);
    }
    buf_release(&text);
    if (result != 0) {
        return result;
    }
    struct node *document = node_new(NODE_MAP, 0);
    static const char *const keys[] = {"kind", "name", "spec"};
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        node_add(document, keys[i], node_copy(node_get(tree, keys[i])));
    }
    result = buf_append_text(out, "---\n");
    result = result == 0 ? node_write_yaml(document, out) : result;
    node_free(document);
    node_free(tree);
    return result;
}

void api_definitions_export(struct call *call)
{
    const struct catalog_view *view = view_of(call);
    size_t count;
    int result = 0;
    if (view == NULL) {
        return;
    }
    const struct catalog_entry **list = catalog_view_list(view, NULL, &count);
    for (size_t i = 0; i < count && result == 0; i++) {
        if (list[i]->definition->spec_case != ENGENHO__DEFINITION__SPEC_PACKAGE) {
            result = export_one(list[i], &call->out);
        }
    }
    free(list);
    if (result != 0) {
        call_refuse(call, 500, "the export", "get the kinds one by one",
                    "the export is larger than 64 MiB");
        return;
    }
    call_reply_bytes(call, 200, "application/yaml", call->out.data, call->out.length);
}
