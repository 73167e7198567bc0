/*
 * A directory as an archive for `engenho deploy`: the same files give the same bytes, whoever packs
 * them and when, so that deploying them again is not a new version. The only file that knows
 * libarchive. Process: engenho.
 */
#ifndef ENGENHO_CLI_PACK_H
#define ENGENHO_CLI_PACK_H

#include "common/attributes.h"
#include "common/buf.h"
#include "common/error.h"

/*
 * Append a tar.gz of the directory `path` to `out`, whose maximum is the archive's. Left out: names
 * that begin with a dot,
 * __pycache__, *.pyc, and what is neither a file nor a directory.
 *
 * Returns 0, or -Exxx with a sentence: what can't be read, an empty directory, too large.
 */
MUST_CHECK int pack_directory(const char *path, struct buf *out, struct error *error);

#endif
