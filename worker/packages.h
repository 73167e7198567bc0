/*
 * The worker's cache of unpacked packages: a folder for each content hash, guarded (no path
 * escapes, no bombs). An edge: libarchive, the file system. It does not fetch: the caller brings
 * the bytes.
 */
#ifndef ENGENHO_WORKER_PACKAGES_H
#define ENGENHO_WORKER_PACKAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/error.h"

#define PACKAGE_SHA256_BYTES 32
#define PACKAGE_BYTES_MAX (64 * 1024 * 1024) /* as uploaded */
#define PACKAGE_UNPACKED_BYTES_MAX (512 * 1024 * 1024)
#define PACKAGE_FILES_MAX 10000

struct packages;

/*
 * `directory` is made when missing; half-unpacked folders of before are removed. When what is
 * stored passes `bytes_max` (0: no limit), what nobody uses goes, the least recently found first.
 * Returns owned, or NULL with a sentence.
 */
struct packages *packages_new(const char *directory, uint64_t bytes_max, struct error *error);
void packages_free(struct packages *packages);

/*
 * The folder of a content that is there already, or NULL. The text is borrowed until packages_free;
 * the folder stays while somebody uses it.
 */
const char *packages_find(struct packages *packages, const uint8_t sha256[PACKAGE_SHA256_BYTES]);

/*
 * Use a folder that packages_find gave: neither this nor another worker removes it until
 * packages_drop was called as often. Returns 0, or -ENOENT: it has just been removed, ask for it
 * again.
 */
MUST_CHECK int packages_use(struct packages *packages, const char *folder);
void packages_drop(struct packages *packages, const char *folder);

/* What all folders took when they were last counted, and how many were removed for want of room. */
uint64_t packages_bytes(const struct packages *packages);
uint64_t packages_evicted(const struct packages *packages);

/*
 * Unpack `data` (a name ending in .py is one file, else an archive that libarchive reads: zip, tar,
 * tar.gz), which must have this hash, and return its folder as packages_find does. Atomic: a crash
 * leaves nothing half there. Returns 0; -EBADMSG: another hash; -EINVAL: not an archive, a path
 * that leaves the folder, a link; -EFBIG: too large; -ENOSPC: with a sentence.
 */
MUST_CHECK int packages_store(struct packages *packages, const uint8_t sha256[PACKAGE_SHA256_BYTES],
                              const char *file_name, const void *data, size_t bytes,
                              const char **ret_folder, struct error *error);

#endif
