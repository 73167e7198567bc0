/*
 * Bounded logs of children. See the header. Not the log of a program itself: that is common/log.h.
 */
#include "cli/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/memory.h"

static int open_now(struct log_file *log)
{
    struct stat info;
    log->fd = open(log->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log->fd < 0) {
        return -errno;
    }
    log->bytes = fstat(log->fd, &info) == 0 ? info.st_size : 0;
    return 0;
}

int log_file_open(struct log_file *log, const char *path, int64_t bytes_max, struct error *error)
{
    *log = (struct log_file){.path = memory_copy_text(path),
                             .old_path = memory_print("%s.1", path),
                             .fd = -1,
                             .bytes_max = bytes_max};
    int failed = open_now(log);
    if (failed) {
        return error_set(error, failed,
                         "can't write %s: %s; give --data a directory that you may write to", path,
                         strerror(-failed));
    }
    return 0;
}

void log_file_close(struct log_file *log)
{
    if (!log || !log->path) {
        return;
    }
    if (log->fd >= 0) {
        close(log->fd);
    }
    free(log->path);
    free(log->old_path);
    *log = (struct log_file){.fd = -1};
}

static void remember_line(struct log_file *log, const char *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (data[i] != '\n') {
            if (log->part_length < LOG_FILE_LINE_BYTES - 1) {
                log->part[log->part_length++] = data[i];
            }
        } else if (log->part_length > 0) {
            memcpy(log->line, log->part, log->part_length);
            log->line[log->part_length] = 0;
            log->part_length = 0;
        }
    }
}

void log_file_write(struct log_file *log, const char *data, size_t bytes)
{
    remember_line(log, data, bytes);
    if (log->fd >= 0 && log->bytes > 0 && log->bytes + (int64_t)bytes > log->bytes_max) {
        close(log->fd);
        log->fd = -1;
        if (rename(log->path, log->old_path) != 0) {
            (void)!truncate(log->path, 0);
        }
    }
    if (log->fd < 0 && open_now(log) != 0) {
        return;
    }
    ssize_t written = write(log->fd, data, bytes);
    log->bytes += written > 0 ? written : 0;
}

int log_file_drain(struct log_file *log, int fd)
{
    char data[16384];
    /* A child that prints without end must not keep us from the others: so much a turn. */
    for (int turn = 0; turn < 16; turn++) {
        ssize_t got = read(fd, data, sizeof(data));
        if (got > 0) {
            log_file_write(log, data, (size_t)got);
        } else if (got == 0) {
            return -EPIPE;
        } else if (errno != EINTR) {
            return errno == EAGAIN ? 0 : -EPIPE;
        }
    }
    return 0;
}
