/*
 * Unpack a package into a folder, guarded: nothing leaves the folder, no links, no devices, no
 * bombs. An edge: libarchive, the file system. Worker only.
 */
#ifndef ENGENHO_WORKER_UNPACK_H
#define ENGENHO_WORKER_UNPACK_H

#include <stddef.h>

#include "common/attributes.h"
#include "common/error.h"

#define UNPACK_DEPTH_MAX 32
#define UNPACK_PATH_BYTES_MAX 1024

/*
 * Write the content of `data` into the empty folder `folder_fd` (borrowed): one file when
 * `file_name` ends in .py, else a zip, tar or tar.gz. After a failure the folder holds a part.
 * Returns 0; -EINVAL: not an archive, a path that leaves the folder, a link or device, an entry
 * twice, nothing in it; -EFBIG: more files or bytes than a package may have; -ENOSPC and others,
 * each with a sentence.
 */
MUST_CHECK int unpack(int folder_fd, const char *file_name, const void *data, size_t bytes,
                      struct error *error);

/*
 * Make a path of an archive relative and plain ("./a//b" is "a/b"; backslashes of Windows' zips are
 * slashes). *ret_depth counts its components: 0 for the folder itself. `path` holds
 * UNPACK_PATH_BYTES_MAX bytes. Returns 0, or -EINVAL with a sentence: absolute, a drive letter,
 * `..`, too deep or long, control characters, not UTF-8.
 */
MUST_CHECK int unpack_clean_path(const char *text, char *path, size_t *ret_depth,
                                 struct error *error);

#endif
