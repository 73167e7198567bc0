/*
 * What goes when the cache of packages is full: what no worker of this machine uses, the least
 * recently found first (the time of a folder says when). Worker only.
 */
#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/memory.h"
#include "common/random.h"
#include "worker/packages_private.h"

#define TREE_DESCRIPTORS 16

struct candidate {
    struct package_entry *entry;
    struct timespec found;
};

struct candidates {
    struct candidate *list;
    size_t count, capacity;
};

static uint64_t counted; /* nftw has no argument for its callback */

static int count_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)path;
    (void)type;
    (void)place;
    counted += (uint64_t)status->st_blocks * 512;
    return 0;
}

static uint64_t count_tree(const char *path)
{
    counted = 0;
    nftw(path, count_entry, TREE_DESCRIPTORS, FTW_PHYS | FTW_MOUNT);
    return counted > 0 ? counted : 1;
}

static void list_entry(struct packages *packages, const char *name, struct candidates *candidates)
{
    struct stat status;
    if (strlen(name) != HEX_BYTES - 1 || strspn(name, "0123456789abcdef") != HEX_BYTES - 1) {
        return;
    }
    struct package_entry *entry = packages_entry(packages, name);
    if (lstat(entry->folder, &status) < 0 || !S_ISDIR(status.st_mode)) {
        return;
    }
    if (entry->bytes == 0) {
        entry->bytes = count_tree(entry->folder);
    }
    packages->bytes += entry->bytes;
    if (candidates->count == candidates->capacity) {
        candidates->capacity = candidates->capacity ? 2 * candidates->capacity : 64;
        candidates->list =
            memory_resize(candidates->list, candidates->capacity, sizeof *candidates->list);
    }
    candidates->list[candidates->count++] =
        (struct candidate){.entry = entry, .found = status.st_mtim};
}

static int by_time(const void *a, const void *b)
{
    const struct timespec *first = &((const struct candidate *)a)->found;
    const struct timespec *second = &((const struct candidate *)b)->found;
    if (first->tv_sec != second->tv_sec) {
        return first->tv_sec < second->tv_sec ? -1 : 1;
    }
    return (first->tv_nsec > second->tv_nsec) - (first->tv_nsec < second->tv_nsec);
}

/* Out of its place first, so that a crash leaves no half of it there. */
static bool remove_folder(const struct packages *packages, const struct package_entry *entry)
{
    int fd = packages_lock(entry->folder, LOCK_EX);
    if (fd < 0) {
        return false;
    }
    char unique[17];
    random_hex(unique, 8);
    char *removing = memory_print("%s/" UNPACKING_PREFIX "%s", packages->directory, unique);
    bool renamed = rename(entry->folder, removing) == 0;
    if (renamed) {
        packages_remove_tree(removing);
    }
    free(removing);
    close(fd);
    return renamed;
}

void packages_evict(struct packages *packages, const struct package_entry *newest)
{
    struct candidates candidates = {.count = 0};
    DIR *directory = opendir(packages->directory);
    if (directory == NULL) {
        return;
    }
    packages->bytes = 0;
    for (struct dirent *found = readdir(directory); found != NULL; found = readdir(directory)) {
        list_entry(packages, found->d_name, &candidates);
    }
    closedir(directory);
    if (packages->bytes_max > 0 && packages->bytes > packages->bytes_max) {
        qsort(candidates.list, candidates.count, sizeof *candidates.list, by_time);
    }
    for (size_t i = 0;
         i < candidates.count && packages->bytes_max > 0 && packages->bytes > packages->bytes_max;
         i++) {
        struct package_entry *entry = candidates.list[i].entry;
        if (entry != newest && entry->uses == 0 && remove_folder(packages, entry)) {
            packages->bytes -= entry->bytes;
            packages->evicted++;
            entry->bytes = 0;
        }
    }
    free(candidates.list);
}

uint64_t packages_bytes(const struct packages *packages)
{
    return packages->bytes;
}

uint64_t packages_evicted(const struct packages *packages)
{
    return packages->evicted;
}
