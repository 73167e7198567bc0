#include "common/secret_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int secret_file_read(const char *option, const char *path, char *ret_text, size_t size,
                     struct error *error)
{
    char line[4096];
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return error_set(error, -errno, "%s: cannot read %s: %s", option, path, strerror(errno));
    }
    size_t length = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[length] = '\0';
    line[strcspn(line, "\r\n")] = '\0';
    length = strlen(line);
    int result = 0;
    if (length == 0 || length >= size) {
        result = error_set(error, -EINVAL, "%s: the first line of %s must have 1 to %zu bytes",
                           option, path, size - 1);
    } else {
        memcpy(ret_text, line, length + 1);
    }
    explicit_bzero(line, sizeof line);
    return result;
}
