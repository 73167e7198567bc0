/*
 * What the files of the cache of packages share. Worker only.
 */
#ifndef ENGENHO_WORKER_PACKAGES_PRIVATE_H
#define ENGENHO_WORKER_PACKAGES_PRIVATE_H

#include <uthash.h>

#include "worker/packages.h"

#define HEX_BYTES (2 * PACKAGE_SHA256_BYTES + 1)
#define UNPACKING_PREFIX ".unpacking-"

struct package_entry {
    char hex[HEX_BYTES];
    char *folder;
    uint64_t bytes; /* of all its files; 0: not counted yet */
    unsigned uses;
    int lock; /* descriptor that holds the folder locked, shared, while it has uses */
    UT_hash_handle hh;
};

struct packages {
    char *directory;
    uint64_t bytes_max, bytes, evicted;
    struct package_entry *entries;
};

/* The entry of a content, made when new; whether its folder is there is another matter. */
struct package_entry *packages_entry(struct packages *packages, const char *hex);
bool packages_is_folder(const char *path);
void packages_remove_tree(const char *path);
/*
 * LOCK_EX or LOCK_SH, without waiting. Returns the descriptor that holds the lock, or -1: somebody
 * else holds it, or there is no such folder.
 */
int packages_lock(const char *path, int how);
/* Make room for what was stored last, which stays. */
void packages_evict(struct packages *packages, const struct package_entry *newest);

#endif
