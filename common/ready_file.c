#include "common/ready_file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/memory.h"

static void print(FILE *file, const struct ready_place *places, size_t count)
{
    fprintf(file, "{\"pid\":%d", (int)getpid());
    for (size_t i = 0; i < count; i++) {
        const char *colon = strrchr(places[i].listen, ':');
        int host_bytes =
            colon != NULL ? (int)(colon - places[i].listen) : (int)strlen(places[i].listen);
        fprintf(file, ",\"%s\":\"%.*s:%u\"", places[i].name, host_bytes, places[i].listen,
                (unsigned)places[i].port);
    }
    fputs("}\n", file);
}

int ready_file_write(const char *path, const struct ready_place *places, size_t count,
                     struct error *error)
{
    if (path == NULL) {
        return 0;
    }
    int result = 0;
    char *beside = memory_print("%s.new", path);
    FILE *file = fopen(beside, "we");
    bool good = file != NULL;
    if (file != NULL) {
        print(file, places, count);
        good = !ferror(file);
        good = fclose(file) == 0 && good;
    }
    if (!good || rename(beside, path) != 0) {
        int code = errno != 0 ? errno : EIO;
        result = error_set(
            error, -code,
            "the ready file %s can't be written: %s; choose another place with --ready-file", path,
            strerror(code));
        unlink(beside);
    }
    free(beside);
    return result;
}
