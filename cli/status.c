/*
 * `engenho status` and `engenho down`: what a running `engenho up` wrote, and its end. An edge:
 * files, /proc, signals.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cli/commands_local.h"
#include "cli/data_directory.h"
#include "cli/local_options.h"
#include "cli/output.h"
#include "common/clock.h"
#include "common/memory.h"

/* Longer than all stages of a stop together may take. */
#define DOWN_MS_MAX 150000

/* Resident bytes of a process and of all below it: a worker with its interpreters. */
static int64_t resident_bytes(pid_t pid, int depth)
{
    char path[64];
    long pages = 0, all;
    int64_t sum = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
    FILE *file = fopen(path, "re");
    if (file) {
        sum = fscanf(file, "%ld %ld", &all, &pages) == 2 ? pages * sysconf(_SC_PAGESIZE) : 0;
        fclose(file);
    }
    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *threads = depth < 8 ? opendir(path) : NULL;
    for (struct dirent *entry; threads && (entry = readdir(threads));) {
        char children[128];
        int child;
        (void)snprintf(children, sizeof(children), "/proc/%d/task/%.20s/children", (int)pid,
                       entry->d_name);
        FILE *list = entry->d_name[0] != '.' ? fopen(children, "re") : NULL;
        while (list && fscanf(list, "%d", &child) == 1) {
            sum += resident_bytes(child, depth + 1);
        }
        if (list) {
            fclose(list);
        }
    }
    if (threads) {
        closedir(threads);
    }
    return sum;
}

static void print_age(int64_t us, char *text, size_t bytes)
{
    int64_t seconds = us > 0 ? us / SECOND_US : 0;
    if (seconds < 120) {
        (void)snprintf(text, bytes, "%" PRId64 "s", seconds);
    } else if (seconds < 7200) {
        (void)snprintf(text, bytes, "%" PRId64 "m", seconds / 60);
    } else {
        (void)snprintf(text, bytes, "%" PRId64 "h", seconds / 3600);
    }
}

/* What status.json says, as rows for people and programs: the file's own times are for this. */
static json_t *rows_of(const json_t *status)
{
    json_t *rows = json_array(), *process;
    size_t i;
    int64_t now_us = clock_unix_us();
    json_array_foreach(json_object_get(status, "processes"), i, process)
    {
        char uptime[32] = "", memory[32] = "";
        pid_t pid = (pid_t)json_integer_value(json_object_get(process, "pid"));
        if (pid > 0) {
            print_age(now_us - json_integer_value(json_object_get(process, "startedUs")), uptime,
                      sizeof(uptime));
            (void)snprintf(memory, sizeof(memory), "%" PRId64 " MiB", resident_bytes(pid, 0) >> 20);
        }
        json_t *row = json_object();
        json_object_set(row, "process", json_object_get(process, "name"));
        json_object_set_new(row, "pid", pid > 0 ? json_integer(pid) : json_null());
        json_object_set(row, "state", json_object_get(process, "state"));
        json_object_set(row, "restarts", json_object_get(process, "restarts"));
        json_object_set_new(row, "uptime", json_string(uptime));
        json_object_set_new(row, "memory", json_string(memory));
        json_object_set(row, "address", json_object_get(process, "address"));
        json_object_set(row, "admin", json_object_get(process, "admin"));
        json_object_set(row, "reason", json_object_get(process, "reason"));
        json_object_set(row, "log", json_object_get(process, "log"));
        json_array_append_new(rows, row);
    }
    return rows;
}

static const struct output_column status_columns[] = {
    {"PROCESS", "process", false}, {"PID", "pid", false},
    {"STATE", "state", false},     {"RESTARTS", "restarts", false},
    {"UPTIME", "uptime", false},   {"MEMORY", "memory", false},
    {"ADDRESS", "address", false}, {"ADMIN", "admin", true},
    {"REASON", "reason", false},   {"LOG", "log", true},
};

int command_status(const struct call *call)
{
    const struct local_options *options = call->config;
    char *path = data_directory_choose(options->data);
    pid_t owner = data_directory_owner(path);
    json_t *status = owner ? data_directory_read_json(path, "status.json") : NULL;
    int code;
    if (!owner) {
        code = command_fail(
            call,
            "nothing runs on %s: start it with `engenho up`, or name its directory with --data",
            path);
    } else if (!status) {
        code = command_fail(call, "engenho up (process %d) is just starting on %s: ask again",
                            (int)owner, path);
    } else {
        json_t *rows = rows_of(status);
        code = output_rows(call, options->output, rows, status_columns, ARRAY_SIZE(status_columns));
        json_decref(rows);
    }
    json_decref(status);
    free(path);
    return code;
}

/* Ask it to end, and wait until it has: a descriptor of a process is readable from its end on. */
static int stop_process(const struct call *call, pid_t owner, const char *path)
{
    int fd = (int)syscall(SYS_pidfd_open, owner, 0);
    if (fd < 0 && errno == ESRCH) {
        return EXIT_DONE;
    }
    if (fd < 0 || syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0) != 0) {
        int failed = errno;
        if (fd >= 0) {
            close(fd);
        }
        return failed == ESRCH ? EXIT_DONE
                               : command_fail(call, "can't stop process %d, which runs %s: %s",
                                              (int)owner, path, strerror(failed));
    }
    struct pollfd end = {.fd = fd, .events = POLLIN};
    int ended;
    do {
        ended = poll(&end, 1, DOWN_MS_MAX);
    } while (ended < 0 && errno == EINTR);
    close(fd);
    return ended == 1 ? EXIT_DONE
                      : command_fail(call,
                                     "process %d still stops what runs on %s after %d s: look at "
                                     "`engenho status`",
                                     (int)owner, path, DOWN_MS_MAX / 1000);
}

int command_down(const struct call *call)
{
    const struct local_options *options = call->config;
    char *path = data_directory_choose(options->data);
    pid_t owner = data_directory_owner(path);
    int code = owner ? stop_process(call, owner, path) : EXIT_DONE;
    if (code == EXIT_DONE) {
        printf(owner ? "stopped %s\n" : "nothing runs on %s\n", path);
    }
    free(path);
    return code;
}
