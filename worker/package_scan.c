#include "worker/package_scan.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/memory.h"

#define SOURCE_BYTES_MAX (4 * 1024 * 1024)
#define DEPTH_MAX 16
#define DECORATOR "applicationMethod"

static const char *skip_space(const char *at, const char *end)
{
    while (at < end && isspace((unsigned char)*at)) {
        at++;
    }
    return at;
}

bool package_scan_source(const char *source, size_t bytes, const char *method)
{
    const char *end = source + bytes, *at = source;
    size_t name_bytes = strlen(method);
    while ((at = memmem(at, (size_t)(end - at), DECORATOR, strlen(DECORATOR))) != NULL) {
        at = skip_space(at + strlen(DECORATOR), end);
        if (at == end || *at != '(') {
            continue;
        }
        at = skip_space(at + 1, end);
        if ((size_t)(end - at) >= name_bytes + 2 && (*at == '\'' || *at == '"') &&
            !memcmp(at + 1, method, name_bytes) && at[name_bytes + 1] == *at) {
            return true;
        }
    }
    return false;
}

static bool scan_file(const char *path, off_t size, const char *method)
{
    FILE *file = size > 0 && size <= SOURCE_BYTES_MAX ? fopen(path, "re") : NULL;
    if (file == NULL) {
        return false;
    }
    char *source = memory_new(1, (size_t)size);
    size_t bytes = fread(source, 1, (size_t)size, file);
    bool found = package_scan_source(source, bytes, method);
    free(source);
    fclose(file);
    return found;
}

static bool scan(const char *folder, const char *method, unsigned depth)
{
    DIR *directory = opendir(folder);
    bool found = false;
    struct dirent *entry;
    while (directory != NULL && !found && (entry = readdir(directory)) != NULL) {
        struct stat status;
        if (entry->d_name[0] == '.') {
            continue;
        }
        char *path = memory_print("%s/%s", folder, entry->d_name);
        const char *dot = strrchr(entry->d_name, '.');
        if (lstat(path, &status) != 0) {
            found = false;
        } else if (S_ISDIR(status.st_mode)) {
            found = depth < DEPTH_MAX && scan(path, method, depth + 1);
        } else if (S_ISREG(status.st_mode) && dot != NULL && !strcmp(dot, ".py")) {
            found = scan_file(path, status.st_size, method);
        }
        free(path);
    }
    if (directory != NULL) {
        closedir(directory);
    }
    return found;
}

bool package_scan_epm_method(const char *folder, const char *method)
{
    return scan(folder, method, 0);
}
