/*
 * Whether bytes are a package that a worker will unpack. An edge: libarchive. Producer.
 */
#ifndef ENGENHO_PRODUCER_PACKAGES_CHECK_H
#define ENGENHO_PRODUCER_PACKAGES_CHECK_H

#include <stddef.h>

#include "common/attributes.h"
#include "common/error.h"

#define PACKAGES_UNPACKED_BYTES_MAX (512 * 1024 * 1024)
#define PACKAGES_FILES_MAX 10000

/*
 * A name ending in .py is one file of text, else an archive (zip, tar, tar.gz): no path that leaves
 * its folder, no links, no devices, not too many files, not too large unpacked. Returns 0, or
 * -EINVAL with a sentence.
 */
MUST_CHECK int packages_check(const char *file, const void *data, size_t bytes,
                              struct error *error);

#endif
