/*
 * A directory of licence files.
 */
#include "licensor/licences.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/memory.h"

/* Up to LICENCE_FILE_BYTES_MAX + 1 bytes, so that a larger one is noticed. */
static int read_file(const char *path, char *data, size_t *ret_bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    size_t bytes = 0;
    ssize_t got;
    while (bytes <= LICENCE_FILE_BYTES_MAX &&
           (got = read(fd, data + bytes, LICENCE_FILE_BYTES_MAX + 1 - bytes)) > 0) {
        bytes += (size_t)got;
    }
    close(fd);
    *ret_bytes = bytes;
    return 0;
}

static int is_licence_file(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return entry->d_name[0] != '.' && length > 5 &&
           strcmp(entry->d_name + length - 5, ".json") == 0;
}

static int read_licence(const char *path, struct licence *ret_licence, struct error *error)
{
    char *data = memory_new(1, LICENCE_FILE_BYTES_MAX + 1);
    size_t bytes = 0, keys_count;
    const struct licence_key *keys = licence_trusted_keys(&keys_count);
    int rc = read_file(path, data, &bytes);
    if (rc != 0) {
        error_set(error, rc, "can't read it: %s", strerror(-rc));
    } else {
        rc = licence_read(data, bytes, keys, keys_count, ret_licence, error);
    }
    free(data);
    return rc;
}

/* A licence and where it is, while the directory is added up. */
struct found {
    char *path;
    struct licence licence;
};

static bool is_twice(const struct found *found, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(found[i].licence.signature, found[count].licence.signature) == 0) {
            return true;
        }
    }
    return false;
}

static size_t read_all(const struct licences_source *source, struct dirent **entries,
                       int entries_count, struct found *found)
{
    size_t count = 0;
    for (int i = 0; i < entries_count && count < LICENCES_MAX; i++) {
        struct error error;
        found[count].path = memory_print("%s/%s", source->directory, entries[i]->d_name);
        if (read_licence(found[count].path, &found[count].licence, &error) != 0) {
            source->refused(source->context, found[count].path, error.text);
            free(found[count].path);
        } else if (is_twice(found, count)) {
            source->refused(source->context, found[count].path,
                            "the same licence is there twice; it counts once");
            free(found[count].path);
        } else {
            count++;
        }
    }
    return count;
}

/* Those that upgrade come last, for the others must be there. */
static void add_all(const struct licences_source *source, const struct found *found, size_t count,
                    struct limits *limits)
{
    for (int upgrades = 0; upgrades < 2; upgrades++) {
        for (size_t i = 0; i < count; i++) {
            struct error reason;
            if (found[i].licence.upgrade == (upgrades == 1) &&
                limits_add(limits, &found[i].licence, source->customer, &source->time, &reason) !=
                    0) {
                source->refused(source->context, found[i].path, reason.text);
            }
        }
    }
}

static int load_directory(const struct licences_source *source, struct limits *limits,
                          struct error *error)
{
    struct dirent **entries;
    int entries_count = scandir(source->directory, &entries, is_licence_file, alphasort);
    if (entries_count < 0) {
        int rc = -errno;
        return error_set(
            error, rc, "can't read the licence directory %s: %s; make it, or change --licence-dir",
            source->directory, strerror(-rc));
    }
    struct found *found = memory_new(LICENCES_MAX + 1, sizeof(*found));
    size_t count = read_all(source, entries, entries_count, found);
    add_all(source, found, count, limits);
    for (size_t i = 0; i < count; i++) {
        free(found[i].path);
    }
    free(found);
    for (int i = 0; i < entries_count; i++) {
        free(entries[i]);
    }
    free(entries);
    return 0;
}

int licences_load(const struct licences_source *source, struct limits *ret_limits,
                  struct error *error)
{
    struct limits limits;
    limits_init(&limits);
    int rc = source->directory != NULL ? load_directory(source, &limits, error) : 0;
    if (rc == 0) {
        if (source->demo) {
            limits_set_demo(&limits);
        }
        limits_close(&limits);
        *ret_limits = limits;
    }
    return rc;
}

static void ignore(void *context, const char *path, const char *reason)
{
    (void)context;
    (void)path;
    (void)reason;
}

static int write_all(int fd, const char *data, size_t bytes)
{
    while (bytes > 0) {
        ssize_t written = write(fd, data, bytes);
        if (written < 0 && errno != EINTR) {
            return -errno;
        }
        data += written > 0 ? written : 0;
        bytes -= written > 0 ? (size_t)written : 0;
    }
    return fsync(fd) == 0 || errno == EINVAL ? 0 : -errno; /* EINVAL: nothing that could be lost */
}

/* Written beside and renamed, so that nobody reads a part. Returns 0 or -errno. */
static int write_file(const char *path, const void *data, size_t bytes)
{
    char *beside = memory_print("%s.new", path);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    int rc = fd < 0 ? -errno : write_all(fd, data, bytes);
    if (fd >= 0 && close(fd) != 0 && rc == 0) {
        rc = -errno;
    }
    if (rc == 0 && rename(beside, path) != 0) {
        rc = -errno;
    }
    if (rc != 0 && fd >= 0) {
        unlink(beside);
    }
    free(beside);
    return rc;
}

/* The licence is good; what is wrong with the directory, and what to do. */
static int refuse_write(const char *directory, int rc, struct error *error)
{
    switch (-rc) {
    case EROFS:
    case EACCES:
    case EPERM:
        return error_set(
            error, -EIO,
            "the licence is good, but the licensor may not write its licence directory %s (%s): copy "
            "the file there (in Kubernetes into the Secret that it comes from), or give the licensor "
            "a directory that it may write",
            directory, strerror(-rc));
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return error_set(
            error, -EIO,
            "the licence is good, but the disk of the licensor's licence directory %s is "
            "full (%s): make room there and install it again",
            directory, strerror(-rc));
    default:
        return error_set(error, -EIO,
                         "the licence is good, but the licensor can't write it into its licence "
                         "directory %s (%s): mend that and install it again",
                         directory, strerror(-rc));
    }
}

int licences_install(const struct licences_source *source, const void *file, size_t bytes,
                     struct error *error)
{
    if (source->directory == NULL) {
        return error_set(error, -EIO,
                         "the licensor has no licence directory; start it with --licence-dir");
    }
    size_t keys_count;
    const struct licence_key *keys = licence_trusted_keys(&keys_count);
    struct licence licence;
    int rc = licence_read(file, bytes, keys, keys_count, &licence, error);
    if (rc != 0) {
        return rc;
    }
    struct licences_source quiet = *source;
    quiet.refused = ignore;
    struct limits limits;
    limits_init(&limits);
    if (load_directory(&quiet, &limits, error) != 0) {
        return -EIO;
    }
    rc = limits_add(&limits, &licence, source->customer, &source->time, error);
    if (rc != 0) {
        return rc;
    }
    char name[24] = "";
    for (size_t i = 0, at = 0; licence.signature[i] != '\0' && at < 16; i++) {
        if (licence.signature[i] != '/' && licence.signature[i] != '+') {
            name[at++] = licence.signature[i];
        }
    }
    char *path = memory_print("%s/licence-%s.json", source->directory, name);
    rc = write_file(path, file, bytes);
    free(path);
    return rc != 0 ? refuse_write(source->directory, rc, error) : 0;
}
