/*
 * Unpack a package, guarded. Where it goes and by which name is packages.c. Worker only.
 */
#include "worker/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/names.h"
#include "worker/packages.h"

#define BLOCK_BYTES (64 * 1024)

struct unpacking {
    int folder_fd;
    const char *file_name; /* of the package, for sentences */
    size_t files;          /* folders included */
    size_t regular_files;
    uint64_t bytes;
    struct error *error;
};

static bool has_control_characters(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f) {
            return true;
        }
    }
    return false;
}

static int check_path(const char *text, struct error *error)
{
    size_t length = strlen(text);
    if (length == 0 || length >= UNPACK_PATH_BYTES_MAX) {
        return error_set(error, -EINVAL, "it has a path of %zu bytes; 1 to %d are allowed", length,
                         UNPACK_PATH_BYTES_MAX - 1);
    }
    if (!utf8_is_valid(text, length) || has_control_characters(text)) {
        return error_set(error, -EINVAL,
                         "it has a path that is not UTF-8 or has control characters");
    }
    if (text[0] == '/' || text[0] == '\\' || (isalpha((unsigned char)text[0]) && text[1] == ':')) {
        return error_set(error, -EINVAL, "its path '%.200s' is absolute", text);
    }
    return 0;
}

int unpack_clean_path(const char *text, char *path, size_t *ret_depth, struct error *error)
{
    int result = check_path(text, error);
    if (result < 0) {
        return result;
    }
    size_t written = 0;
    size_t depth = 0;
    for (const char *part = text; *part != '\0';) {
        size_t bytes = strcspn(part, "/\\");
        if (bytes == 2 && part[0] == '.' && part[1] == '.') {
            return error_set(error, -EINVAL, "its path '%.200s' leaves the package's folder", text);
        }
        if (bytes > 0 && !(bytes == 1 && part[0] == '.')) {
            if (written > 0) {
                path[written++] = '/';
            }
            memcpy(path + written, part, bytes);
            written += bytes;
            depth++;
        }
        part += bytes + (part[bytes] != '\0');
    }
    if (depth > UNPACK_DEPTH_MAX) {
        return error_set(error, -EINVAL, "its path '%.200s' is deeper than %d folders", text,
                         UNPACK_DEPTH_MAX);
    }
    path[written] = '\0';
    *ret_depth = depth;
    return 0;
}

static int refuse(const struct unpacking *self, int code, const char *what)
{
    return error_set(self->error, code, "the package %.200s can't be used: %s", self->file_name,
                     what);
}

static int failed(const struct unpacking *self, int code, const char *path)
{
    if (code == ENOSPC || code == EDQUOT) {
        return error_set(
            self->error, -ENOSPC,
            "no space is left for the package %.200s (at %.200s): free some on the disk of the package folder",
            self->file_name, path);
    }
    if (code == EEXIST || code == ENOTDIR || code == EISDIR) {
        return error_set(self->error, -EINVAL,
                         "the package %.200s can't be used: it has '%.200s' twice", self->file_name,
                         path);
    }
    return error_set(self->error, -code, "the package %.200s can't be unpacked at %.200s: %s",
                     self->file_name, path, strerror(code));
}

static int count_file(struct unpacking *self)
{
    if (++self->files > PACKAGE_FILES_MAX) {
        return error_set(
            self->error, -EFBIG,
            "the package %.200s has more than %d files and folders: leave data files out of it",
            self->file_name, PACKAGE_FILES_MAX);
    }
    return 0;
}

/* The folders that `path` needs, and itself when `whole`. */
static int make_folders(struct unpacking *self, char *path, bool whole)
{
    for (char *slash = strchr(path, '/');; slash = strchr(slash + 1, '/')) {
        if (slash == NULL && !whole) {
            return 0;
        }
        if (slash != NULL) {
            *slash = '\0';
        }
        int result = 0;
        if (mkdirat(self->folder_fd, path, 0755) == 0) {
            result = count_file(self);
        } else if (errno != EEXIST) {
            result = failed(self, errno, path);
        }
        if (slash == NULL || result < 0) {
            return result;
        }
        *slash = '/';
    }
}

static int write_bytes(struct unpacking *self, int fd, const void *data, size_t bytes,
                       const char *path)
{
    const uint8_t *at = data;
    self->bytes += bytes;
    if (self->bytes > PACKAGE_UNPACKED_BYTES_MAX) {
        return error_set(
            self->error, -EFBIG,
            "the package %.200s is larger than %d MiB when unpacked: leave data files out of it",
            self->file_name, PACKAGE_UNPACKED_BYTES_MAX >> 20);
    }
    while (bytes > 0) {
        ssize_t written = write(fd, at, bytes);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0) {
            return failed(self, errno, path);
        }
        at += written;
        bytes -= (size_t)written;
    }
    return 0;
}

static int open_file(struct unpacking *self, const char *path, int *ret_fd)
{
    int result = count_file(self);
    if (result < 0) {
        return result;
    }
    int fd =
        openat(self->folder_fd, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0) {
        return failed(self, errno, path);
    }
    self->regular_files++;
    *ret_fd = fd;
    return 0;
}

static int close_file(struct unpacking *self, int fd, int result, const char *path)
{
    if (close(fd) < 0 && result == 0) {
        return failed(self, errno, path);
    }
    return result;
}

static int refuse_archive(const struct unpacking *self, struct archive *archive)
{
    const char *why = archive_error_string(archive);
    return error_set(self->error, -EINVAL,
                     "the package %.200s is not a zip, tar or tar.gz that can be read: %.300s",
                     self->file_name, why != NULL ? why : "no reason was given");
}

static int copy_data(struct unpacking *self, struct archive *archive, int fd, const char *path)
{
    static uint8_t block[BLOCK_BYTES];
    for (;;) {
        la_ssize_t bytes = archive_read_data(archive, block, sizeof(block));
        if (bytes == 0) {
            return 0;
        }
        if (bytes < 0) {
            return refuse_archive(self, archive);
        }
        int result = write_bytes(self, fd, block, (size_t)bytes, path);
        if (result < 0) {
            return result;
        }
    }
}

static int unpack_entry(struct unpacking *self, struct archive *archive,
                        struct archive_entry *entry)
{
    char path[UNPACK_PATH_BYTES_MAX];
    size_t depth;
    struct error why = {{0}};
    const char *text = archive_entry_pathname_utf8(entry);
    text = text != NULL ? text : archive_entry_pathname(entry);
    if (text == NULL) {
        return refuse(self, -EINVAL, "it has a path that can't be read");
    }
    if (unpack_clean_path(text, path, &depth, &why) < 0) {
        return refuse(self, -EINVAL, why.text);
    }
    bool link = archive_entry_hardlink(entry) != NULL || archive_entry_symlink(entry) != NULL;
    mode_t type = archive_entry_filetype(entry);
    if (link || (type != AE_IFREG && type != AE_IFDIR)) {
        snprintf(why.text, sizeof(why.text),
                 "'%.200s' is a link or a device; only files and folders are allowed", path);
        return refuse(self, -EINVAL, why.text);
    }
    if (type == AE_IFDIR) {
        return depth > 0 ? make_folders(self, path, true) : 0;
    }
    if (depth == 0) {
        return refuse(self, -EINVAL, "it has a file without a name");
    }
    int fd;
    int result = make_folders(self, path, false);
    if (result == 0) {
        result = open_file(self, path, &fd);
    }
    if (result == 0) {
        result = close_file(self, fd, copy_data(self, archive, fd, path), path);
    }
    return result;
}

static int unpack_entries(struct unpacking *self, struct archive *archive)
{
    for (;;) {
        struct archive_entry *entry;
        int result = archive_read_next_header(archive, &entry);
        if (result == ARCHIVE_EOF) {
            return self->regular_files > 0 ? 0 : refuse(self, -EINVAL, "there is no file in it");
        }
        if (result != ARCHIVE_OK && result != ARCHIVE_WARN) {
            return refuse_archive(self, archive);
        }
        result = unpack_entry(self, archive, entry);
        if (result < 0) {
            return result;
        }
    }
}

static int unpack_archive(struct unpacking *self, const void *data, size_t bytes)
{
    struct archive *archive = archive_read_new();
    if (archive == NULL) {
        return refuse(self, -ENOMEM, "there is no memory to read it");
    }
    archive_read_support_format_zip(archive);
    archive_read_support_format_tar(archive);
    archive_read_support_filter_gzip(archive);
    int result;
    if (archive_read_open_memory(archive, data, bytes) != ARCHIVE_OK) {
        result = refuse_archive(self, archive);
    } else {
        result = unpack_entries(self, archive);
    }
    archive_read_free(archive);
    return result;
}

static bool is_module_name(const char *name, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        unsigned char byte = (unsigned char)name[i];
        if (!(isalpha(byte) || byte == '_' || byte >= 0x80 || (i > 0 && isdigit(byte)))) {
            return false;
        }
    }
    return bytes > 0 && utf8_is_valid(name, bytes);
}

static int unpack_source(struct unpacking *self, const void *data, size_t bytes)
{
    const char *slash = strrchr(self->file_name, '/');
    const char *name = slash != NULL ? slash + 1 : self->file_name;
    if (!is_module_name(name, strlen(name) - 3)) {
        return refuse(
            self, -EINVAL,
            "Python can't import a file of this name: use letters, digits and _ before .py");
    }
    int fd;
    int result = open_file(self, name, &fd);
    return result < 0 ? result
                      : close_file(self, fd, write_bytes(self, fd, data, bytes, name), name);
}

int unpack(int folder_fd, const char *file_name, const void *data, size_t bytes,
           struct error *error)
{
    struct unpacking self = {.folder_fd = folder_fd, .file_name = file_name, .error = error};
    size_t length = strlen(file_name);
    if (length > 3 && strcmp(file_name + length - 3, ".py") == 0) {
        return unpack_source(&self, data, bytes);
    }
    return unpack_archive(&self, data, bytes);
}
