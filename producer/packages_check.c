#include "producer/packages_check.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/names.h"

/* Absolute, or with a `..` between slashes (either kind). */
static bool leaves(const char *path)
{
    if (path[0] == '/' || path[0] == '\\' || (path[0] != '\0' && path[1] == ':')) {
        return true;
    }
    while (*path != '\0') {
        size_t bytes = strcspn(path, "/\\");
        if (bytes == 2 && path[0] == '.' && path[1] == '.') {
            return true;
        }
        path += bytes + (path[bytes] != '\0');
    }
    return false;
}

static int check_entry(const char *file, struct archive_entry *entry, struct error *error)
{
    const char *path = archive_entry_pathname_utf8(entry);
    if (path == NULL || !utf8_is_valid(path, strlen(path))) {
        return error_set(error, -EINVAL, "%s holds a file whose name is not UTF-8: rename it",
                         file);
    }
    if (leaves(path)) {
        return error_set(
            error, -EINVAL,
            "%s holds '%.200s', which would be written outside of its folder: pack with relative paths",
            file, path);
    }
    if (archive_entry_symlink(entry) != NULL || archive_entry_hardlink(entry) != NULL) {
        return error_set(error, -EINVAL, "%s holds a link, '%.200s': pack the file itself", file,
                         path);
    }
    if (archive_entry_filetype(entry) != AE_IFREG && archive_entry_filetype(entry) != AE_IFDIR) {
        return error_set(error, -EINVAL, "%s holds '%.200s', which is neither a file nor a folder",
                         file, path);
    }
    return 0;
}

/* Read through all of an entry: sizes in headers can lie. */
static int count_bytes(struct archive *archive, const char *file, size_t *total,
                       struct error *error)
{
    const void *block;
    size_t bytes;
    la_int64_t offset;
    int code;
    while ((code = archive_read_data_block(archive, &block, &bytes, &offset)) == ARCHIVE_OK) {
        *total += bytes;
        if (*total > PACKAGES_UNPACKED_BYTES_MAX || offset > PACKAGES_UNPACKED_BYTES_MAX) {
            return error_set(error, -EINVAL,
                             "%s is more than %d MiB when unpacked: make it smaller", file,
                             PACKAGES_UNPACKED_BYTES_MAX / 1024 / 1024);
        }
    }
    if (code != ARCHIVE_EOF) {
        return error_set(error, -EINVAL, "%s is damaged: %s", file, archive_error_string(archive));
    }
    return 0;
}

static int check_archive(struct archive *archive, const char *file, struct error *error)
{
    struct archive_entry *entry;
    size_t files = 0, total = 0;
    int code, result = 0;
    while (result == 0 && (code = archive_read_next_header(archive, &entry)) != ARCHIVE_EOF) {
        if (code < ARCHIVE_WARN) {
            return error_set(
                error, -EINVAL,
                "%s is not a package: a file ending in .py, or a zip, tar or tar.gz archive (%s)",
                file, archive_error_string(archive));
        }
        if (++files > PACKAGES_FILES_MAX) {
            return error_set(error, -EINVAL, "%s holds more than %d files", file,
                             PACKAGES_FILES_MAX);
        }
        result = check_entry(file, entry, error);
        if (result == 0) {
            result = count_bytes(archive, file, &total, error);
        }
    }
    if (result == 0 && total == 0) {
        return error_set(error, -EINVAL, "%s holds no files", file);
    }
    return result;
}

int packages_check(const char *file, const void *data, size_t bytes, struct error *error)
{
    size_t length = strlen(file);
    if (bytes == 0) {
        return error_set(error, -EINVAL, "%s is empty", file);
    }
    if (strchr(file, '/') != NULL || !name_is_valid(file)) {
        return error_set(error, -EINVAL, "the file's name must be a name without folders");
    }
    if (length > 3 && strcmp(file + length - 3, ".py") == 0) {
        if (!utf8_is_valid(data, bytes) || memchr(data, '\0', bytes) != NULL) {
            return error_set(error, -EINVAL, "%s is not Python source in UTF-8", file);
        }
        return 0;
    }
    struct archive *archive = archive_read_new();
    archive_read_support_format_zip(archive);
    archive_read_support_format_tar(archive);
    archive_read_support_filter_gzip(archive);
    int result;
    if (archive_read_open_memory(archive, data, bytes) != ARCHIVE_OK) {
        result = error_set(
            error, -EINVAL,
            "%s is not a package: a file ending in .py, or a zip, tar or tar.gz archive (%s)", file,
            archive_error_string(archive));
    } else {
        result = check_archive(archive, file, error);
    }
    archive_read_free(archive);
    return result;
}
