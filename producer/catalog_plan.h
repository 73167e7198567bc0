/*
 * What a set of writes to the catalog comes to: checked against what is there, all or none. Pure.
 * Producer.
 */
#ifndef ENGENHO_PRODUCER_CATALOG_PLAN_H
#define ENGENHO_PRODUCER_CATALOG_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/error.h"
#include "producer/catalog_view.h"

#define CATALOG_CHANGES_MAX 1000 /* of one call */

#define GENERATION_ANY (-1)

enum catalog_result {
    CATALOG_CREATED,
    CATALOG_CHANGED,
    CATALOG_UNCHANGED,
    CATALOG_DELETED,
    CATALOG_REFUSED
};

struct catalog_change {
    /* Given. */
    char *kind, *name;               /* owned */
    Engenho__Definition *definition; /* owned; NULL: delete */
    /* of a production: 1, 0, or -1: as it is now (a new one: stopped) */
    int started;
    int64_t expected; /* generation; 0: must not exist; GENERATION_ANY */
    int line;         /* of the document */
    /* Found. */
    enum catalog_result result;
    uint64_t generation; /* as it is now; 0: not there */
    /* CATALOG_REFUSED: -EINVAL, -ENOENT (not there), -ESTALE (generation), -EBUSY (in use) */
    int code;
    struct error error; /* CATALOG_REFUSED: why */
};

/*
 * Find what each change comes to, and complete its definition (changed_us, started, started_us,
 * versions of packages stay as given). References are looked up in the view with all the changes
 * made. `who` goes into changed_by.
 *
 * Returns 0, or -EINVAL when any is refused (then none may be written).
 */
MUST_CHECK int catalog_plan(const struct catalog_view *view, struct catalog_change *changes,
                            size_t count, const char *who, int64_t now_us);

/* Releases what the change owns. */
void catalog_change_release(struct catalog_change *change);
const char *catalog_result_name(enum catalog_result result);

#endif
