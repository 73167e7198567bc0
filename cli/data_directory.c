/*
 * Files of the data directory. See the header. It knows nothing of processes but who holds the
 * lock.
 */
#include "cli/data_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/memory.h"

static const char *const folders[] = {"kafka", "redis", "licences", "cache", "log", "run"};

char *data_directory_choose(const char *wanted)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    struct stat info;
    char *chosen;
    if (wanted && *wanted) {
        chosen = memory_copy_text(wanted);
    } else if (stat(".engenho", &info) == 0 && S_ISDIR(info.st_mode)) {
        chosen = memory_copy_text(".engenho");
    } else if (state && *state == '/') {
        chosen = memory_print("%s/engenho", state);
    } else {
        chosen = memory_print("%s/.local/state/engenho", home ? home : "/tmp");
    }
    char here[PATH_MAX];
    if (*chosen != '/' && getcwd(here, sizeof(here))) {
        char *absolute = memory_print("%s/%s", here, chosen);
        free(chosen);
        chosen = absolute;
    }
    return chosen;
}

char *data_directory_file(const char *path, const char *name)
{
    return memory_print("%s/%s", path, name);
}

static int make_folder(const char *path, struct error *error)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST) {
        return 0;
    }
    int failed = -errno;
    return error_set(
        error, failed,
        "can't make the directory %s: %s; give --data a directory that you may write to", path,
        strerror(-failed));
}

/* The directory and all above it. */
static int make_path(const char *path, struct error *error)
{
    char *copy = memory_copy_text(path);
    int failed = 0;
    for (char *slash = strchr(copy + 1, '/'); slash && !failed; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        failed = make_folder(copy, error);
        *slash = '/';
    }
    failed = failed ? failed : make_folder(copy, error);
    free(copy);
    return failed;
}

static int lock(struct data_directory *directory, struct error *error)
{
    char *file = data_directory_file(directory->path, "lock");
    directory->lock_fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    free(file);
    if (directory->lock_fd < 0) {
        int failed = -errno;
        return error_set(error, failed,
                         "can't write in %s: %s; give --data a directory that you may write to",
                         directory->path, strerror(-failed));
    }
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(directory->lock_fd, F_SETLK, &whole) != 0) {
        whole.l_pid = 0;
        (void)fcntl(directory->lock_fd, F_GETLK, &whole);
        return error_set(
            error, -EBUSY,
            "engenho up runs already on %s (process %d): use it, stop it with `engenho down`, or give "
            "--data another directory",
            directory->path, (int)whole.l_pid);
    }
    return 0;
}

int data_directory_open(struct data_directory *directory, const char *path, int64_t free_bytes_min,
                        struct error *error)
{
    *directory = (struct data_directory){.path = memory_copy_text(path), .lock_fd = -1};
    int failed = make_path(path, error);
    failed = failed ? failed : lock(directory, error);
    for (size_t i = 0; i < ARRAY_SIZE(folders) && !failed; i++) {
        char *folder = data_directory_file(path, folders[i]);
        failed = make_folder(folder, error);
        free(folder);
    }
    struct statvfs disk;
    if (!failed && statvfs(path, &disk) == 0) {
        int64_t bytes = (int64_t)disk.f_bavail * (int64_t)disk.f_frsize;
        if (bytes < free_bytes_min) {
            failed = error_set(
                error, -ENOSPC,
                "the disk of %s is full: %lld MiB are free and %lld are needed; make room, or give "
                "--data a directory on another disk",
                path, (long long)(bytes >> 20), (long long)(free_bytes_min >> 20));
        }
    }
    return failed;
}

void data_directory_close(struct data_directory *directory)
{
    if (!directory || !directory->path) {
        return;
    }
    if (directory->lock_fd >= 0) {
        close(directory->lock_fd);
    }
    free(directory->path);
    *directory = (struct data_directory){.lock_fd = -1};
}

pid_t data_directory_owner(const char *path)
{
    char *file = data_directory_file(path, "lock");
    int fd = open(file, O_RDWR | O_CLOEXEC);
    free(file);
    if (fd < 0) {
        return 0;
    }
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    pid_t owner = fcntl(fd, F_GETLK, &whole) == 0 && whole.l_type != F_UNLCK ? whole.l_pid : 0;
    close(fd);
    return owner;
}

static int write_whole(int fd, const char *text)
{
    size_t left = strlen(text);
    while (left > 0) {
        ssize_t written = write(fd, text, left);
        if (written < 0 && errno != EINTR) {
            return -errno;
        }
        text += written > 0 ? written : 0;
        left -= written > 0 ? (size_t)written : 0;
    }
    return 0;
}

int data_directory_write(const char *path, const char *name, const char *text, struct error *error)
{
    char *file = data_directory_file(path, name);
    char *fresh = memory_print("%s.new", file);
    int failed = 0;
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        failed = -errno;
    } else {
        failed = write_whole(fd, text);
        failed = close(fd) != 0 && !failed ? -errno : failed;
        failed = !failed && rename(fresh, file) != 0 ? -errno : failed;
    }
    if (failed) {
        (void)error_set(error, failed, "can't write %s: %s", file, strerror(-failed));
        (void)unlink(fresh);
    }
    free(fresh);
    free(file);
    return failed;
}

int data_directory_write_json(const char *path, const char *name, json_t *json, struct error *error)
{
    char *text = json_dumps(json, JSON_INDENT(2));
    if (!text) {
        return error_set(error, -ENOMEM, "can't write %s/%s: out of memory", path, name);
    }
    int failed = data_directory_write(path, name, text, error);
    free(text);
    return failed;
}

json_t *data_directory_read_json(const char *path, const char *name)
{
    char *file = data_directory_file(path, name);
    json_t *json = json_load_file(file, JSON_REJECT_DUPLICATES, NULL);
    free(file);
    return json;
}
