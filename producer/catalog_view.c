#include "producer/catalog_view.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/memory.h"

struct item {
    char *key; /* kind/name */
    struct catalog_entry entry;
    UT_hash_handle hh;
};

struct catalog_view {
    struct item *items;
};

struct catalog_view *catalog_view_new(void)
{
    return memory_new(1, sizeof(struct catalog_view));
}

static void remove_item(struct catalog_view *view, struct item *item)
{
    HASH_DEL(view->items, item);
    engenho__definition__free_unpacked(item->entry.definition, NULL);
    free(item->key);
    free(item);
}

void catalog_view_free(struct catalog_view *view)
{
    struct item *item, *next;
    if (view == NULL) {
        return;
    }
    HASH_ITER (hh, view->items, item, next) {
        remove_item(view, item);
    }
    free(view);
}

static struct item *find(const struct catalog_view *view, const char *kind, const char *name)
{
    struct item *item;
    char *key = memory_print("%s/%s", kind, name);
    HASH_FIND_STR(view->items, key, item);
    free(key);
    return item;
}

void catalog_view_put(struct catalog_view *view, Engenho__Definition *definition,
                      uint64_t generation)
{
    struct item *item = find(view, definition->kind, definition->name);
    if (item == NULL) {
        item = memory_new(1, sizeof *item);
        item->key = memory_print("%s/%s", definition->kind, definition->name);
        HASH_ADD_KEYPTR(hh, view->items, item->key, strlen(item->key), item);
    } else {
        engenho__definition__free_unpacked(item->entry.definition, NULL);
    }
    item->entry.definition = definition;
    item->entry.generation = generation;
}

void catalog_view_delete(struct catalog_view *view, const char *kind, const char *name)
{
    struct item *item = find(view, kind, name);
    if (item != NULL) {
        remove_item(view, item);
    }
}

const struct catalog_entry *catalog_view_find(const struct catalog_view *view, const char *kind,
                                              const char *name)
{
    const struct item *item = find(view, kind, name);
    return item != NULL ? &item->entry : NULL;
}

/* Productions last: what a document names stands before it. */
static int rank(const char *kind)
{
    return strcmp(kind, "production") == 0 ? 1 : 0;
}

static int compare(const void *a, const void *b)
{
    const Engenho__Definition *x = (*(const struct catalog_entry *const *)a)->definition;
    const Engenho__Definition *y = (*(const struct catalog_entry *const *)b)->definition;
    int by_rank = rank(x->kind) - rank(y->kind);
    int by_kind = by_rank != 0 ? by_rank : strcmp(x->kind, y->kind);
    return by_kind != 0 ? by_kind : strcmp(x->name, y->name);
}

const struct catalog_entry **catalog_view_list(const struct catalog_view *view, const char *kind,
                                               size_t *ret_count)
{
    const struct catalog_entry **list = memory_new(HASH_COUNT(view->items) + 1, sizeof *list);
    size_t count = 0;
    for (const struct item *item = view->items; item != NULL; item = item->hh.next) {
        if (kind == NULL || strcmp(item->entry.definition->kind, kind) == 0) {
            list[count++] = &item->entry;
        }
    }
    qsort(list, count, sizeof *list, compare);
    *ret_count = count;
    return list;
}

size_t catalog_view_count(const struct catalog_view *view)
{
    return HASH_COUNT(view->items);
}

const Engenho__PackageVersion *catalog_view_active(const struct catalog_view *view,
                                                   const char *package)
{
    const struct catalog_entry *entry = catalog_view_find(view, "package", package);
    if (entry == NULL || entry->definition->spec_case != ENGENHO__DEFINITION__SPEC_PACKAGE) {
        return NULL;
    }
    const Engenho__Package *spec = entry->definition->package;
    for (size_t i = 0; i < spec->n_versions; i++) {
        if (spec->versions[i]->version == spec->active) {
            return spec->versions[i];
        }
    }
    return spec->n_versions > 0 ? spec->versions[spec->n_versions - 1] : NULL;
}

const Engenho__PackageVersion *catalog_view_content(const struct catalog_view *view,
                                                    const uint8_t sha256[32])
{
    for (const struct item *item = view->items; item != NULL; item = item->hh.next) {
        if (item->entry.definition->spec_case != ENGENHO__DEFINITION__SPEC_PACKAGE) {
            continue;
        }
        const Engenho__Package *spec = item->entry.definition->package;
        for (size_t i = 0; i < spec->n_versions; i++) {
            if (spec->versions[i]->sha256.len == 32 &&
                memcmp(spec->versions[i]->sha256.data, sha256, 32) == 0) {
                return spec->versions[i];
            }
        }
    }
    return NULL;
}
