/*
 * The definitions as they are now: what the records of `catalog` add up to. Pure. Producer.
 */
#ifndef ENGENHO_PRODUCER_CATALOG_VIEW_H
#define ENGENHO_PRODUCER_CATALOG_VIEW_H

#include <stddef.h>
#include <stdint.h>

#include "proto/definition.pb-c.h"

struct catalog_entry {
    uint64_t generation;             /* offset of its record + 1 */
    Engenho__Definition *definition; /* never NULL */
};

struct catalog_view;

struct catalog_view *catalog_view_new(void);
void catalog_view_free(struct catalog_view *view);

/* Put a definition in the place of what has its kind and name. Takes `definition`. */
void catalog_view_put(struct catalog_view *view, Engenho__Definition *definition,
                      uint64_t generation);
void catalog_view_delete(struct catalog_view *view, const char *kind, const char *name);

/* Kinds are lower case. Returns NULL when there is none. Borrowed until it is changed. */
const struct catalog_entry *catalog_view_find(const struct catalog_view *view, const char *kind,
                                              const char *name);
/*
 * All of a kind (NULL: all kinds, in the order application, agent, connection, package,
 * production), by name. Returns an owned array of borrowed entries.
 */
const struct catalog_entry **catalog_view_list(const struct catalog_view *view, const char *kind,
                                               size_t *ret_count);
size_t catalog_view_count(const struct catalog_view *view);

/*
 * The version of a package that new executions take now; NULL: no such package or it has no
 * version. Borrowed as above.
 */
const Engenho__PackageVersion *catalog_view_active(const struct catalog_view *view,
                                                   const char *package);
/* Any version of any package with this content, or NULL. Borrowed as above. */
const Engenho__PackageVersion *catalog_view_content(const struct catalog_view *view,
                                                    const uint8_t sha256[32]);

#endif
