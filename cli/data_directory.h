/*
 * The data directory of `engenho up`: who owns it, and the files by which the other commands find
 * the running system. An edge: files only. Process: engenho.
 *
 *     lock           held while `engenho up` runs; its holder's process id is the kernel's answer, never a stale number
 *     token          of the API, mode 0600
 *     ports.json     chosen once, so that addresses stay the same over restarts
 *     endpoint.json  server, tokenFile, kafka, redis, licensor, console: there while the API works, mode 0600
 *     status.json    the processes
 *     kafka/ redis/ licences/ cache/ log/ run/
 */
#ifndef ENGENHO_CLI_DATA_DIRECTORY_H
#define ENGENHO_CLI_DATA_DIRECTORY_H

#include <jansson.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/attributes.h"
#include "common/error.h"

struct data_directory {
    char *path;  /* absolute */
    int lock_fd; /* -1: not ours */
};

/*
 * The directory that is meant: `wanted` when it is not empty, else ./.engenho where there is one,
 * else $XDG_STATE_HOME/engenho (~/.local/state/engenho). Returns owned.
 */
char *data_directory_choose(const char *wanted);

/*
 * Make the directory and its folders where they are missing, and lock it.
 *
 * Returns 0, or with a sentence -EBUSY (another `engenho up` has it: its process id), -EACCES and
 * the like (not writable), -ENOSPC (less than `free_bytes_min` free). Close it in all cases.
 */
MUST_CHECK int data_directory_open(struct data_directory *directory, const char *path,
                                   int64_t free_bytes_min, struct error *error);
void data_directory_close(struct data_directory *directory);

/* The process that holds the lock of the directory at `path`, or 0. */
pid_t data_directory_owner(const char *path);

/* PATH/NAME. Returns owned. */
char *data_directory_file(const char *path, const char *name);
/* Write a file at once (a rename), mode 0600. Returns 0, or -errno with a sentence. */
MUST_CHECK int data_directory_write(const char *path, const char *name, const char *text,
                                    struct error *error);
MUST_CHECK int data_directory_write_json(const char *path, const char *name, json_t *json,
                                         struct error *error);
/* Read a JSON file. Returns owned, or NULL when there is none that can be read. */
json_t *data_directory_read_json(const char *path, const char *name);

#endif
