/*
 * Packages over HTTP: deploy, and choose the version that runs.
 */
#include "producer/packages.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/names.h"
#include "producer/api/api_parts.h"
#include "producer/results_json.h"

static bool is_ours(struct call *call)
{
    const struct api_services *services = call_services(call);
    if (services->catalog == NULL || services->shards == NULL ||
        services->packages_partitions == 0) {
        call_unavailable(call, "a deployment");
        return false;
    }
    if (!catalog_is_ours(services->catalog)) {
        call_forward(call, SHARD_OF_CATALOG);
        return false;
    }
    return true;
}

/* long: what the answer says of a version */
static void reply_version(struct call *call, int code, const char *result,
                          const Engenho__PackageVersion *version, uint64_t active,
                          uint64_t generation)
{
    writer_object(&call->json, NULL);
    writer_text(&call->json, "name", call->parts[1]);
    writer_text(&call->json, "result", result);
    writer_integer(&call->json, "generation", (int64_t)generation);
    writer_integer(&call->json, "active", (int64_t)active);
    if (version != NULL) {
        char hex[65] = "";
        for (size_t i = 0; i < version->sha256.len && i < 32; i++) {
            snprintf(hex + 2 * i, 3, "%02x", version->sha256.data[i]);
        }
        writer_integer(&call->json, "version", (int64_t)version->version);
        writer_text(&call->json, "sha256", hex);
        writer_integer(&call->json, "sizeBytes", (int64_t)version->size_bytes);
    }
    writer_end(&call->json);
    call_reply(call, code);
}

static void refuse_shard(struct call *call)
{
    call_set_header(call, "Retry-After", "1");
    call_refuse(
        call, 503, "the catalog", "deploy again: the same content is never stored twice",
        "this replica lost the catalog while it was writing: the deployment is not known to be there");
}

static void on_deployed(void *context, int result, const Engenho__PackageVersion *version,
                        bool was_there, uint64_t generation, const char *reason)
{
    struct call *call = context;
    if (result == 0) {
        reply_version(call, was_there ? 200 : 201, was_there ? "unchanged" : "created", version, 0,
                      generation);
    } else if (result == -EAGAIN) {
        refuse_shard(call);
    } else {
        call_refuse(call, 400, call->parts[1], "correct it and deploy again", "%s",
                    reason != NULL ? reason : "refused");
    }
}

static bool is_origin(const char *text)
{
    return text == NULL || strcmp(text, "vendor") == 0 || strcmp(text, "library") == 0 ||
           strcmp(text, "custom") == 0;
}

/* FILE:FUNCTION */
static bool is_main(const char *text)
{
    const char *colon = text != NULL ? strchr(text, ':') : NULL;
    return text == NULL || text[0] == '\0' ||
           (name_is_valid(text) && colon != NULL && colon != text && colon[1] != '\0');
}

void api_packages_deploy(struct call *call)
{
    struct error error;
    if (!is_ours(call)) {
        return;
    }
    const char *file = call_query(call, "file");
    struct packages_upload upload = {.name = call->parts[1],
                                     .file = file,
                                     .main = call_query(call, "main"),
                                     .origin = call_query(call, "origin"),
                                     .who = api_caller(call),
                                     .data = call->body,
                                     .bytes = call->body_bytes,
                                     .partitions = call_services(call)->packages_partitions};
    if (!name_is_valid(upload.name)) {
        call_refuse(call, 400, "the name", "choose another",
                    "a package's name is 1 to %d bytes of UTF-8", NAME_BYTES_MAX);
    } else if (file == NULL || file[0] == '\0') {
        call_refuse(call, 400, "file", "add ?file=NAME: main.py, or plant.tar.gz",
                    "the name of the package's file is missing");
    } else if (!is_origin(upload.origin)) {
        call_refuse(call, 400, "origin", "leave it out for custom",
                    "origin is vendor, library or custom, not '%.40s'", upload.origin);
    } else if (!is_main(upload.main)) {
        call_refuse(call, 400, "main", "write it as main.py:run",
                    "main '%.100s' is not FILE:FUNCTION", upload.main);
    } else if (call->body_bytes > PACKAGES_BYTES_MAX) {
        call_refuse(call, 413, file, "leave out what scripts do not need",
                    "%.100s is larger than %d MiB", file, PACKAGES_BYTES_MAX / 1024 / 1024);
    } else {
        int result = packages_deploy(call_services(call)->catalog, call_services(call)->shards,
                                     &upload, on_deployed, call, &error);
        if (result == -EAGAIN) {
            refuse_shard(call);
        } else if (result != 0) {
            call_refuse(call, 400, file, "correct it and deploy again", "%s", error.text);
        }
    }
}

static void on_activated(void *context, int result, const struct catalog_change *changes,
                         size_t count)
{
    struct call *call = context;
    (void)count;
    if (result == -EAGAIN) {
        refuse_shard(call);
    } else if (result != 0) {
        call_refuse(call, changes[0].code == -ESTALE ? 412 : 400, call->parts[1], "try again", "%s",
                    changes[0].error.text);
    } else {
        uint64_t active = changes[0].definition->package->active;
        const Engenho__Package *spec = changes[0].definition->package;
        const Engenho__PackageVersion *version = NULL;
        for (size_t i = 0; i < spec->n_versions; i++) {
            if (spec->versions[i]->version == active ||
                (active == 0 && i + 1 == spec->n_versions)) {
                version = spec->versions[i];
            }
        }
        reply_version(call, 200, changes[0].result == CATALOG_UNCHANGED ? "unchanged" : "changed",
                      version, active, changes[0].generation);
    }
}

static bool has_version(const Engenho__Package *spec, int64_t version)
{
    for (size_t i = 0; i < spec->n_versions; i++) {
        if ((int64_t)spec->versions[i]->version == version) {
            return true;
        }
    }
    return version == 0;
}

void api_packages_activate(struct call *call)
{
    int64_t version = -1;
    if (!is_ours(call) || !call_number(call, "version", INT64_MAX, &version)) {
        return;
    }
    const struct api_services *services = call_services(call);
    const struct catalog_entry *entry =
        catalog_view_find(catalog_view_of(services->catalog), "package", call->parts[1]);
    if (entry == NULL) {
        call_refuse(call, 404, "package", "see what is there with `engenho packages`",
                    "there is no package '%.200s'", call->parts[1]);
        return;
    }
    if (!has_version(entry->definition->package, version)) {
        call_refuse(call, 400, "version", "see its versions with `engenho packages`",
                    "package '%.200s' has no version %lld", call->parts[1], (long long)version);
        return;
    }
    struct catalog_change *change = memory_new(1, sizeof *change);
    *change = (struct catalog_change){.kind = memory_copy_text("package"),
                                      .name = memory_copy_text(call->parts[1]),
                                      .definition = definition_copy(entry->definition),
                                      .started = -1,
                                      .expected = (int64_t)entry->generation};
    change->definition->package->active = (uint64_t)version;
    if (catalog_submit(services->catalog, &(struct catalog_write){.changes = change,
                                                                  .count = 1,
                                                                  .who = api_caller(call),
                                                                  .done = on_activated,
                                                                  .context = call}) != 0) {
        catalog_change_release(change);
        free(change);
        call_refuse(call, 503, "the catalog", "try again",
                    "too many writes wait for the catalog already");
    }
}
