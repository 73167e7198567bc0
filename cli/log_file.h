/*
 * A child's log: what it prints goes through a pipe to us and into <data>/log/NAME.log, which is
 * renamed to NAME.log.1 when it is full, so that a chatty child never fills the disk. Keeps the
 * last line for people. Process: engenho up.
 */
#ifndef ENGENHO_CLI_LOG_FILE_H
#define ENGENHO_CLI_LOG_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/error.h"

#define LOG_FILE_LINE_BYTES 512

struct log_file {
    char *path;
    char *old_path;
    int fd;        /* -1: could not be opened, tried again at the next write */
    int64_t bytes; /* in the file now */
    int64_t bytes_max;
    char line[LOG_FILE_LINE_BYTES]; /* the newest whole line that is not empty, cut */
    char part[LOG_FILE_LINE_BYTES]; /* the line that is being written */
    size_t part_length;
};

/* Returns 0, or -errno with a sentence. `path` is copied. */
MUST_CHECK int log_file_open(struct log_file *log, const char *path, int64_t bytes_max,
                             struct error *error);
void log_file_close(struct log_file *log);
/* Append; what can't be written (a full disk) is dropped: a child never waits for its log. */
void log_file_write(struct log_file *log, const char *data, size_t bytes);
/* Read what is in the pipe `fd` (non-blocking) into the log. Returns 0 while it is open, -EPIPE at
 * its end. */
MUST_CHECK int log_file_drain(struct log_file *log, int fd);

#endif
