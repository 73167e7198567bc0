/*
 * Packages as people deploy them: checked, cut into parts on `packages`, and listed in the catalog.
 * An edge: shards.h. Producer.
 */
#ifndef ENGENHO_PRODUCER_PACKAGES_H
#define ENGENHO_PRODUCER_PACKAGES_H

#include "common/attributes.h"
#include "common/error.h"
#include "producer/catalog.h"
#include "producer/shards.h"

#define PACKAGES_BYTES_MAX (64 * 1024 * 1024)
#define PACKAGES_PART_BYTES (512 * 1024)

struct packages_upload {
    const char *name, *file, *main, *origin, *who; /* copied; main, origin: may be NULL */
    const void *data;                              /* borrowed until `done` */
    size_t bytes;
    int partitions; /* of `packages` */
};

/*
 * 0: this is the version (borrowed for the call) and whether it was there before; -EINVAL with a
 * sentence; -EAGAIN: the shard went away: try again.
 */
typedef void (*packages_done)(void *context, int result, const Engenho__PackageVersion *version,
                              bool was_there, uint64_t generation, const char *reason);

/*
 * Returns 0 (then `done` is called once, later or at once), or -EINVAL with a sentence: not a
 * package; -EAGAIN: not ours.
 */
MUST_CHECK int packages_deploy(struct catalog *catalog, struct shards *shards,
                               const struct packages_upload *upload, packages_done done,
                               void *context, struct error *error);

#endif
