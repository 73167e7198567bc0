/*
 * Secrets come as files (a mounted Kubernetes Secret, a file of mode 0600), so that no process list
 * or environment shows them. Every process.
 */
#ifndef ENGENHO_COMMON_SECRET_FILE_H
#define ENGENHO_COMMON_SECRET_FILE_H

#include <stddef.h>

#include "common/attributes.h"
#include "common/error.h"

/*
 * The first line of `path`, without its end, into `ret_text` of `size` bytes with a NUL. `option`
 * is what named the file. Returns 0, or -Exxx with a sentence that shows none of the file: it
 * cannot be read, the line is empty, or too long.
 */
MUST_CHECK int secret_file_read(const char *option, const char *path, char *ret_text, size_t size,
                                struct error *error);

#endif
