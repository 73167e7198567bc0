#include "producer/packages.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/memory.h"
#include "common/murmur2.h"
#include "kafka/topics.h"
#include "producer/definitions_reader.h"
#include "producer/packages_check.h"
#include "producer/packages_hash.h"

#define PARTS_AT_ONCE 8
#define RACES_MAX 5

struct deploying {
    struct catalog *catalog;
    struct shards *shards;
    char *name, *file, *main, *origin, *who;
    const uint8_t *data;
    size_t bytes;
    uint8_t sha256[32];
    char hex[65];
    int32_t partition;
    uint32_t parts, sent; /* parts in all, and handed to the shard */
    int64_t first_offset, last_offset;
    int races;
    packages_done done;
    void *context;
};

/* long: the arguments of packages_done */
static void answer(struct deploying *deploying, int result, const Engenho__PackageVersion *version,
                   bool was_there, uint64_t generation, const char *reason)
{
    deploying->done(deploying->context, result, version, was_there, generation, reason);
    free(deploying->name);
    free(deploying->file);
    free(deploying->main);
    free(deploying->origin);
    free(deploying->who);
    free(deploying);
}

/* The version of this package that has this content, file name and main; NULL: none. */
static const Engenho__PackageVersion *find_version(const struct deploying *deploying,
                                                   uint64_t *ret_generation)
{
    const struct catalog_entry *entry =
        catalog_view_find(catalog_view_of(deploying->catalog), "package", deploying->name);
    if (entry == NULL) {
        return NULL;
    }
    *ret_generation = entry->generation;
    const Engenho__Package *spec = entry->definition->package;
    for (size_t i = spec->n_versions; i-- > 0;) {
        const Engenho__PackageVersion *version = spec->versions[i];
        if (version->sha256.len == 32 && memcmp(version->sha256.data, deploying->sha256, 32) == 0 &&
            strcmp(version->main, deploying->main) == 0 &&
            strcmp(version->file_name, deploying->file) == 0) {
            return version;
        }
    }
    return NULL;
}

static Engenho__PackageVersion *new_version(const struct deploying *deploying, uint64_t number)
{
    Engenho__PackageVersion *version = memory_new(1, sizeof *version);
    engenho__package_version__init(version);
    version->version = number;
    version->sha256.data = memory_copy(deploying->sha256, 32);
    version->sha256.len = 32;
    version->size_bytes = deploying->bytes;
    definition_set_text(&version->origin, deploying->origin);
    definition_set_text(&version->main, deploying->main);
    definition_set_text(&version->file_name, deploying->file);
    version->partition = deploying->partition;
    version->first_offset = deploying->first_offset;
    version->last_offset = deploying->last_offset;
    version->parts = deploying->parts;
    version->created_us = clock_unix_us();
    definition_set_text(&version->created_by, deploying->who);
    return version;
}

/* The package's definition with one more version, which becomes the active one. */
static Engenho__Definition *new_definition(const struct deploying *deploying,
                                           const struct catalog_entry *entry)
{
    Engenho__Definition *definition;
    if (entry != NULL) {
        definition = definition_copy(entry->definition);
    } else {
        definition = memory_new(1, sizeof *definition);
        engenho__definition__init(definition);
        definition_set_text(&definition->kind, "package");
        definition_set_text(&definition->name, deploying->name);
        definition->spec_case = ENGENHO__DEFINITION__SPEC_PACKAGE;
        definition->package = memory_new(1, sizeof *definition->package);
        engenho__package__init(definition->package);
    }
    Engenho__Package *spec = definition->package;
    uint64_t number = spec->n_versions > 0 ? spec->versions[spec->n_versions - 1]->version + 1 : 1;
    spec->versions = memory_resize(spec->versions, spec->n_versions + 1, sizeof *spec->versions);
    spec->versions[spec->n_versions++] = new_version(deploying, number);
    spec->active = 0;
    return definition;
}

static void list_version(struct deploying *deploying);

static void on_listed(void *context, int result, const struct catalog_change *changes, size_t count)
{
    struct deploying *deploying = context;
    (void)count;
    if (result == 0) {
        const Engenho__Package *spec = changes[0].definition->package;
        answer(deploying, 0, spec->versions[spec->n_versions - 1], false, changes[0].generation,
               NULL);
    } else if (result == -EINVAL && changes[0].code == -ESTALE && ++deploying->races < RACES_MAX) {
        /* another deployment of this package came first: take the number after it */
        list_version(deploying);
    } else {
        answer(deploying, result, NULL, false, 0, result == -EINVAL ? changes[0].error.text : NULL);
    }
}

/* The parts are there: write the manifest. */
static void list_version(struct deploying *deploying)
{
    uint64_t generation;
    const Engenho__PackageVersion *there = find_version(deploying, &generation);
    if (there != NULL) {
        answer(deploying, 0, there, true, generation, NULL);
        return;
    }
    const struct catalog_entry *entry =
        catalog_view_find(catalog_view_of(deploying->catalog), "package", deploying->name);
    struct catalog_change *change = memory_new(1, sizeof *change);
    *change = (struct catalog_change){.kind = memory_copy_text("package"),
                                      .name = memory_copy_text(deploying->name),
                                      .definition = new_definition(deploying, entry),
                                      .started = -1,
                                      .expected = entry != NULL ? (int64_t)entry->generation : 0};
    if (catalog_submit(deploying->catalog, &(struct catalog_write){.changes = change,
                                                                   .count = 1,
                                                                   .who = deploying->who,
                                                                   .done = on_listed,
                                                                   .context = deploying}) != 0) {
        catalog_change_release(change);
        free(change);
        answer(deploying, -EAGAIN, NULL, false, 0, NULL);
    }
}

static void send_parts(struct deploying *deploying);

static void on_parts(void *context, int result, const struct shards_delivery *deliveries,
                     size_t count)
{
    struct deploying *deploying = context;
    if (result != 0) {
        answer(deploying, -EAGAIN, NULL, false, 0, NULL);
        return;
    }
    if (deploying->first_offset < 0) {
        deploying->first_offset = deliveries[0].offset;
    }
    deploying->last_offset = deliveries[count - 1].offset;
    if (deploying->sent < deploying->parts) {
        send_parts(deploying);
    } else {
        list_version(deploying);
    }
}

/*
 * The next few parts: a crash on the way leaves parts that no manifest names, and the next
 * deployment writes them again.
 */
static void send_parts(struct deploying *deploying)
{
    struct shards_record records[PARTS_AT_ONCE];
    char keys[PARTS_AT_ONCE][96];
    size_t count = 0;
    while (count < PARTS_AT_ONCE && deploying->sent < deploying->parts) {
        size_t at = (size_t)deploying->sent * PACKAGES_PART_BYTES, left = deploying->bytes - at;
        snprintf(keys[count], sizeof keys[count], "%s/%u", deploying->hex, deploying->sent);
        records[count] = (struct shards_record){
            .topic = TOPIC_PACKAGES,
            .partition = deploying->partition,
            .key = keys[count],
            .key_bytes = strlen(keys[count]),
            .value = deploying->data + at,
            .value_bytes = left < PACKAGES_PART_BYTES ? left : PACKAGES_PART_BYTES};
        deploying->sent++;
        count++;
    }
    if (shards_submit(deploying->shards, SHARD_OF_CATALOG, records, count, on_parts, deploying) !=
        0) {
        answer(deploying, -EAGAIN, NULL, false, 0, NULL);
    }
}

int packages_deploy(struct catalog *catalog, struct shards *shards,
                    const struct packages_upload *upload, packages_done done, void *context,
                    struct error *error)
{
    if (!catalog_is_ours(catalog)) {
        return -EAGAIN;
    }
    int result = packages_check(upload->file, upload->data, upload->bytes, error);
    if (result != 0) {
        return result;
    }
    struct deploying *deploying = memory_new(1, sizeof *deploying);
    *deploying =
        (struct deploying){.catalog = catalog,
                           .shards = shards,
                           .name = memory_copy_text(upload->name),
                           .file = memory_copy_text(upload->file),
                           .main = memory_copy_text(upload->main ? upload->main : ""),
                           .origin = memory_copy_text(upload->origin ? upload->origin : "custom"),
                           .who = memory_copy_text(upload->who),
                           .data = upload->data,
                           .bytes = upload->bytes,
                           .first_offset = -1,
                           .last_offset = -1,
                           .done = done,
                           .context = context};
    packages_hash(upload->data, upload->bytes, deploying->sha256);
    for (int i = 0; i < 32; i++) {
        snprintf(deploying->hex + 2 * i, 3, "%02x", deploying->sha256[i]);
    }
    deploying->parts = (uint32_t)((upload->bytes + PACKAGES_PART_BYTES - 1) / PACKAGES_PART_BYTES);
    deploying->partition = murmur2_partition(deploying->hex, 64, upload->partitions);
    const Engenho__PackageVersion *same =
        catalog_view_content(catalog_view_of(catalog), deploying->sha256);
    if (same != NULL) {
        /*
         * These bytes are on `packages` already, under keys that another write would take away from
         * their place.
         */
        deploying->partition = same->partition;
        deploying->first_offset = same->first_offset;
        deploying->last_offset = same->last_offset;
        list_version(deploying);
    } else {
        send_parts(deploying);
    }
    return 0;
}
