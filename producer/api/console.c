/*
 * The console's files, compiled in. They hold nothing secret, so they come without a token; what
 * they show does not.
 */
#include <string.h>

#include "common/memory.h"
#include "producer/api/api_parts.h"
#include "producer/console/files.h"

#define POLICY                                                                                                                \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; " \
    "frame-ancestors 'none'"

bool api_console(struct call *call, const char *path)
{
    const char *name = strcmp(path, "/") == 0 ? "index.html" : path + 1;
    for (size_t i = 0; i < console_files_count; i++) {
        const struct console_file *file = &console_files[i];
        if (strcmp(file->name, name) == 0) {
            call_set_header(call, "Content-Security-Policy", POLICY);
            call_set_header(call, "Referrer-Policy", "no-referrer");
            call_reply_bytes(call, 200, file->type, file->data, file->bytes);
            return true;
        }
    }
    return false;
}
