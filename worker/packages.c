/*
 * The cache of unpacked packages: `<directory>/<sha256 in hex>`, put there by a rename. What it
 * does not do: fetch, import. What goes when it is full is in packages_evict.c. Worker only.
 *
 * Workers may share the directory. Each unpacks into a folder of its own that it holds locked; a
 * folder that nobody holds locked was left by a crash and is removed at start.
 */
#include "worker/packages.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/memory.h"
#include "common/random.h"
#include "worker/packages_private.h"
#include "worker/unpack.h"

#define TREE_DESCRIPTORS 16

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    (void)remove(path);
    return 0;
}

void packages_remove_tree(const char *path)
{
    nftw(path, remove_entry, TREE_DESCRIPTORS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

int packages_lock(const char *path, int how)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && flock(fd, how | LOCK_NB) < 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static void remove_leftovers(const struct packages *packages)
{
    DIR *directory = opendir(packages->directory);
    if (directory == NULL) {
        return;
    }
    for (struct dirent *found = readdir(directory); found != NULL; found = readdir(directory)) {
        if (strncmp(found->d_name, UNPACKING_PREFIX, strlen(UNPACKING_PREFIX)) != 0) {
            continue;
        }
        char *path = memory_print("%s/%s", packages->directory, found->d_name);
        int fd = packages_lock(path, LOCK_EX);
        if (fd >= 0) {
            packages_remove_tree(path);
            close(fd);
        }
        free(path);
    }
    closedir(directory);
}

static int make_directories(const char *path)
{
    char *copy = memory_copy_text(path);
    int result = 0;
    for (char *slash = strchr(copy + 1, '/'); result == 0; slash = strchr(slash + 1, '/')) {
        if (slash != NULL) {
            *slash = '\0';
        }
        if (mkdir(copy, 0755) < 0 && errno != EEXIST) {
            result = -errno;
        }
        if (slash == NULL) {
            break;
        }
        *slash = '/';
    }
    free(copy);
    return result;
}

struct packages *packages_new(const char *directory, uint64_t bytes_max, struct error *error)
{
    int result = make_directories(directory);
    if (result == 0 && access(directory, R_OK | W_OK | X_OK) < 0) {
        result = -errno;
    }
    char *real = result == 0 ? realpath(directory, NULL) : NULL;
    if (real == NULL) {
        error_set(error, result,
                  "the package folder %s can't be used: %s: make it writable or choose another",
                  directory, strerror(result < 0 ? -result : errno));
        return NULL;
    }
    struct packages *packages = memory_new(1, sizeof(*packages));
    packages->directory = real;
    packages->bytes_max = bytes_max;
    remove_leftovers(packages);
    return packages;
}

void packages_free(struct packages *packages)
{
    if (packages == NULL) {
        return;
    }
    struct package_entry *entry;
    struct package_entry *next;
    HASH_ITER (hh, packages->entries, entry, next) {
        HASH_DEL(packages->entries, entry);
        if (entry->uses > 0) {
            close(entry->lock);
        }
        free(entry->folder);
        free(entry);
    }
    free(packages->directory);
    free(packages);
}

static void to_hex(const uint8_t sha256[PACKAGE_SHA256_BYTES], char hex[HEX_BYTES])
{
    for (size_t i = 0; i < PACKAGE_SHA256_BYTES; i++) {
        snprintf(hex + 2 * i, 3, "%02x", sha256[i]);
    }
}

bool packages_is_folder(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* The entry of a content, made when new; whether its folder is there is another matter. */
struct package_entry *packages_entry(struct packages *packages, const char *hex)
{
    struct package_entry *entry;
    HASH_FIND_STR(packages->entries, hex, entry);
    if (entry == NULL) {
        entry = memory_new(1, sizeof(*entry));
        memcpy(entry->hex, hex, HEX_BYTES);
        entry->folder = memory_print("%s/%s", packages->directory, hex);
        HASH_ADD_STR(packages->entries, hex, entry);
    }
    return entry;
}

const char *packages_find(struct packages *packages, const uint8_t sha256[PACKAGE_SHA256_BYTES])
{
    char hex[HEX_BYTES];
    to_hex(sha256, hex);
    const struct package_entry *entry = packages_entry(packages, hex);
    if (!packages_is_folder(entry->folder)) {
        return NULL;
    }
    (void)utimensat(AT_FDCWD, entry->folder, NULL, 0); /* how recently it was found */
    return entry->folder;
}

static struct package_entry *entry_of_folder(struct packages *packages, const char *folder)
{
    const char *slash = strrchr(folder, '/');
    assert(slash != NULL);
    return packages_entry(packages, slash + 1);
}

int packages_use(struct packages *packages, const char *folder)
{
    struct package_entry *entry = entry_of_folder(packages, folder);
    struct stat locked, there;
    if (entry->uses > 0) {
        entry->uses++;
        return 0;
    }
    int fd = packages_lock(entry->folder, LOCK_SH);
    if (fd < 0) {
        return -ENOENT;
    }
    if (fstat(fd, &locked) < 0 || lstat(entry->folder, &there) < 0 ||
        locked.st_ino != there.st_ino) {
        close(fd);
        return -ENOENT;
    }
    entry->lock = fd;
    entry->uses = 1;
    return 0;
}

void packages_drop(struct packages *packages, const char *folder)
{
    struct package_entry *entry = entry_of_folder(packages, folder);
    assert(entry->uses > 0);
    if (--entry->uses == 0) {
        close(entry->lock);
    }
}

static int check(const uint8_t sha256[PACKAGE_SHA256_BYTES], const char *file_name,
                 const void *data, size_t bytes, struct error *error)
{
    if (bytes > PACKAGE_BYTES_MAX) {
        return error_set(
            error, -EFBIG,
            "the package %.200s has %zu bytes; %d MiB is the most: leave data files out of it",
            file_name, bytes, PACKAGE_BYTES_MAX >> 20);
    }
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    if (EVP_Digest(data, bytes, digest, &length, EVP_sha256(), NULL) != 1 ||
        length != PACKAGE_SHA256_BYTES) {
        return error_set(error, -EIO, "the hash of the package %.200s can't be computed",
                         file_name);
    }
    if (memcmp(digest, sha256, PACKAGE_SHA256_BYTES) != 0) {
        char expected[HEX_BYTES];
        char found[HEX_BYTES];
        to_hex(sha256, expected);
        to_hex(digest, found);
        return error_set(
            error, -EBADMSG,
            "the bytes of the package %.200s have the hash %s, not %s: deploy it again", file_name,
            found, expected);
    }
    return 0;
}

/* Rename it to its place, unless another worker was faster. */
static int put(const char *unpacked, const struct package_entry *entry, struct error *error)
{
    if (rename(unpacked, entry->folder) == 0) {
        return 0;
    }
    int code = errno;
    if ((code == EEXIST || code == ENOTEMPTY) && packages_is_folder(entry->folder)) {
        return 0;
    }
    return error_set(error, -code, "the package can't be put into %s: %s", entry->folder,
                     strerror(code));
}

/* long: what is stored, by which name and hash, and what comes back */
int packages_store(struct packages *packages, const uint8_t sha256[PACKAGE_SHA256_BYTES],
                   const char *file_name, const void *data, size_t bytes, const char **ret_folder,
                   struct error *error)
{
    int result = check(sha256, file_name, data, bytes, error);
    if (result < 0) {
        return result;
    }
    char hex[HEX_BYTES];
    to_hex(sha256, hex);
    struct package_entry *entry = packages_entry(packages, hex);
    if (packages_is_folder(entry->folder)) {
        *ret_folder = entry->folder;
        return 0;
    }
    char unique[17];
    random_hex(unique, 8);
    char *unpacking = memory_print("%s/" UNPACKING_PREFIX "%s", packages->directory, unique);
    int fd = -1;
    if (mkdir(unpacking, 0755) < 0) {
        result = error_set(error, -errno, "the package can't be unpacked in %s: %s",
                           packages->directory, strerror(errno));
    } else if ((fd = packages_lock(unpacking, LOCK_EX)) < 0) {
        result = error_set(error, -EBUSY,
                           "the package can't be unpacked in %s: the folder is in use", unpacking);
    } else {
        result = unpack(fd, file_name, data, bytes, error);
    }
    if (result == 0) {
        result = put(unpacking, entry, error);
    }
    /* A no-op after the rename. */
    packages_remove_tree(unpacking);
    if (fd >= 0) {
        close(fd);
    }
    free(unpacking);
    if (result == 0) {
        packages_evict(packages, entry);
        *ret_folder = entry->folder;
    }
    return result;
}
