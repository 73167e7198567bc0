/*
 * Pack a directory. See the header. It unpacks nothing: that is the worker's.
 */
#include "cli/pack.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/memory.h"

#define DEPTH_MAX 32

struct packing {
    struct archive *archive;
    struct buf *out;
    size_t files;
    bool full;
    struct error *error;
};

static la_ssize_t take(struct archive *archive, void *context, const void *data, size_t bytes)
{
    struct packing *packing = context;
    if (buf_append(packing->out, data, bytes) != 0) {
        packing->full = true;
        archive_set_error(archive, EMSGSIZE, "too large");
        return -1;
    }
    return (la_ssize_t)bytes;
}

static int keep(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return entry->d_name[0] != '.' && strcmp(entry->d_name, "__pycache__") != 0 &&
           !(length > 4 && strcmp(entry->d_name + length - 4, ".pyc") == 0);
}

static int compare(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int broken(struct packing *packing)
{
    if (packing->full) {
        return error_set(packing->error, -EMSGSIZE,
                         "the package is larger than %zu bytes: leave data files out, or raise "
                         "--bytes-max",
                         packing->out->max);
    }
    return error_set(packing->error, -EIO, "can't pack: %s",
                     archive_error_string(packing->archive));
}

static int pack_file(struct packing *packing, const char *path, const char *name)
{
    struct stat info;
    char data[65536];
    int fd = open(path, O_RDONLY | O_CLOEXEC), failed = 0;
    if (fd < 0 || fstat(fd, &info) != 0) {
        failed = error_set(packing->error, -errno, "can't read %s: %s", path, strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return failed;
    }
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, info.st_size);
    archive_entry_set_mtime(entry, 0, 0);
    failed = archive_write_header(packing->archive, entry) == ARCHIVE_OK ? 0 : broken(packing);
    archive_entry_free(entry);
    int64_t left = info.st_size;
    while (!failed && left > 0) {
        ssize_t got = read(fd, data, left < (int64_t)sizeof(data) ? (size_t)left : sizeof(data));
        if (got <= 0) {
            failed = error_set(packing->error, got < 0 ? -errno : -EIO, "can't read %s: %s", path,
                               got < 0 ? strerror(errno) : "it became shorter");
        } else if (archive_write_data(packing->archive, data, (size_t)got) != got) {
            failed = broken(packing);
        }
        left -= got;
    }
    close(fd);
    packing->files++;
    return failed;
}

static int pack_folder(struct packing *packing, const char *path, const char *name, int depth)
{
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, keep, compare), failed = 0;
    if (count < 0) {
        return error_set(packing->error, -errno, "can't read the directory %s: %s", path,
                         strerror(errno));
    }
    if (depth > DEPTH_MAX) {
        failed = error_set(packing->error, -ELOOP, "%s is more than %d directories deep", path,
                           DEPTH_MAX);
    }
    for (int i = 0; i < count; i++) {
        struct stat info;
        char *inner = memory_print("%s/%s", path, entries[i]->d_name);
        char *inner_name = memory_print("%s%s%s", name, *name ? "/" : "", entries[i]->d_name);
        if (!failed && stat(inner, &info) == 0) {
            if (S_ISDIR(info.st_mode)) {
                failed = pack_folder(packing, inner, inner_name, depth + 1);
            } else if (S_ISREG(info.st_mode)) {
                failed = pack_file(packing, inner, inner_name);
            }
        }
        free(inner_name);
        free(inner);
        free(entries[i]);
    }
    free(entries);
    return failed;
}

int pack_directory(const char *path, struct buf *out, struct error *error)
{
    struct packing packing = {.archive = archive_write_new(), .out = out, .error = error};
    archive_write_add_filter_gzip(packing.archive);
    archive_write_set_format_ustar(packing.archive);
    (void)archive_write_set_options(packing.archive, "gzip:!timestamp");
    int failed = archive_write_open(packing.archive, &packing, NULL, take, NULL) == ARCHIVE_OK
                     ? 0
                     : broken(&packing);
    failed = failed ? failed : pack_folder(&packing, path, "", 0);
    if (!failed && packing.files == 0) {
        failed = error_set(error, -ENOENT, "there is no file to deploy in %s", path);
    }
    if (archive_write_close(packing.archive) != ARCHIVE_OK && !failed) {
        failed = broken(&packing);
    }
    (void)archive_write_free(packing.archive);
    return failed;
}
