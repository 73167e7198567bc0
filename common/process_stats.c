/*
 * Reads /proc/self and the cgroup (version 2, or version 1 where that is mounted). Every process.
 */
#include "common/process_stats.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define FILE_BYTES_MAX 8192

struct stats {
    struct process_stat *list;
    size_t count;
};

static void add(struct stats *stats, const char *name, const char *help, bool counter, double value)
{
    assert(stats->count < PROCESS_STATS_MAX);
    stats->list[stats->count++] = (struct process_stat){name, help, counter, value};
}

/* The start of a small file as text; false when it can't be read. */
static bool read_file(const char *path, char *text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t bytes = read(fd, text, FILE_BYTES_MAX - 1);
    close(fd);
    if (bytes < 0) {
        return false;
    }
    text[bytes] = 0;
    return true;
}

/*
 * The number behind `name` at the start of a line, as in memory.events; false when there is none.
 */
static bool find_number(const char *text, const char *name, double *ret_value)
{
    size_t bytes = strlen(name);
    for (const char *line = text; line && *line;
         line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
        if (!strncmp(line, name, bytes) && line[bytes] == ' ') {
            *ret_value = strtod(line + bytes, NULL);
            return true;
        }
    }
    return false;
}

static double boot_time_seconds(void)
{
    char text[FILE_BYTES_MAX];
    double value = 0;
    /* /proc/stat is longer than the buffer on big machines, and then btime is beyond it. */
    FILE *file = fopen("/proc/stat", "re");
    if (file) {
        while (fgets(text, sizeof text, file) && !find_number(text, "btime", &value)) {
        }
        fclose(file);
    }
    return value;
}

static void read_stat(struct stats *stats)
{
    char text[FILE_BYTES_MAX];
    if (!read_file("/proc/self/stat", text)) {
        return;
    }
    /*
     * The name in parentheses may hold spaces; the fields behind it are counted from 3 (see
     * proc(5)).
     */
    const char *at = strrchr(text, ')');
    if (!at) {
        return;
    }
    char state;
    uint64_t user, system, start, virtual_bytes;
    int64_t resident_pages;
    int read = sscanf(at + 1,
                      " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
                      " %*d %*d %*d %*d %*d %*d %" SCNu64 " %" SCNu64 " %" SCNd64,
                      &state, &user, &system, &start, &virtual_bytes, &resident_pages);
    if (read != 6) {
        return;
    }
    double ticks = (double)sysconf(_SC_CLK_TCK);
    add(stats, "process_cpu_seconds_total", "CPU time of this process in seconds.", true,
        (double)(user + system) / ticks);
    add(stats, "process_resident_memory_bytes", "Memory of this process that is in RAM.", false,
        (double)resident_pages * (double)sysconf(_SC_PAGESIZE));
    add(stats, "process_virtual_memory_bytes", "Address space of this process.", false,
        (double)virtual_bytes);
    add(stats, "process_start_time_seconds", "When this process started, in seconds since 1970.",
        false, boot_time_seconds() + (double)start / ticks);
}

static void read_descriptors(struct stats *stats)
{
    DIR *directory = opendir("/proc/self/fd");
    if (directory) {
        /* Neither . nor .. nor the one that reads the directory. */
        double open = -3;
        while (readdir(directory)) {
            open++;
        }
        closedir(directory);
        add(stats, "process_open_fds", "Open file descriptors.", false, open);
    }
    struct rlimit limit;
    if (!getrlimit(RLIMIT_NOFILE, &limit)) {
        add(stats, "process_max_fds", "The most file descriptors this process may have open.",
            false, (double)limit.rlim_cur);
    }
}

static void add_bytes_file(struct stats *stats, const char *path, const char *name,
                           const char *help)
{
    char text[FILE_BYTES_MAX];
    /* "max" in version 2 and a number near 2^63 in version 1 mean that there is no limit. */
    if (read_file(path, text) && text[0] >= '0' && text[0] <= '9' && strtod(text, NULL) < 9e18) {
        add(stats, name, help, false, strtod(text, NULL));
    }
}

#define THROTTLED "engenho_cgroup_cpu_throttled_seconds_total"
#define THROTTLED_HELP "Time in which this cgroup had no CPU because of its limit, in seconds."
#define USAGE "engenho_cgroup_memory_usage_bytes"
#define USAGE_HELP "Memory of this cgroup."
#define LIMIT "engenho_cgroup_memory_limit_bytes"
#define LIMIT_HELP "The most memory this cgroup may take; absent without a limit."
#define OOM_KILLS "engenho_cgroup_oom_kills_total"
#define OOM_KILLS_HELP                                                                             \
    "Processes of this cgroup that were killed because its memory was at its limit."

/*
 * In a container the cgroup's own root is mounted; on a plain machine it is the root of all, which
 * has no limits.
 */
static void read_cgroup(struct stats *stats)
{
    char text[FILE_BYTES_MAX];
    double value;
    if (read_file("/sys/fs/cgroup/cpu.stat", text) && find_number(text, "throttled_usec", &value)) {
        add(stats, THROTTLED, THROTTLED_HELP, true, value / 1e6);
    } else if (read_file("/sys/fs/cgroup/cpu/cpu.stat", text) &&
               find_number(text, "throttled_time", &value)) {
        add(stats, THROTTLED, THROTTLED_HELP, true, value / 1e9);
    }
    size_t before = stats->count;
    add_bytes_file(stats, "/sys/fs/cgroup/memory.current", USAGE, USAGE_HELP);
    add_bytes_file(stats, "/sys/fs/cgroup/memory.max", LIMIT, LIMIT_HELP);
    if (stats->count == before) {
        add_bytes_file(stats, "/sys/fs/cgroup/memory/memory.usage_in_bytes", USAGE, USAGE_HELP);
        add_bytes_file(stats, "/sys/fs/cgroup/memory/memory.limit_in_bytes", LIMIT, LIMIT_HELP);
    }
    if ((read_file("/sys/fs/cgroup/memory.events", text) ||
         read_file("/sys/fs/cgroup/memory/memory.oom_control", text)) &&
        find_number(text, "oom_kill", &value)) {
        add(stats, OOM_KILLS, OOM_KILLS_HELP, true, value);
    }
}

size_t process_stats_read(struct process_stat *ret_stats)
{
    struct stats stats = {.list = ret_stats};
    read_stat(&stats);
    read_descriptors(&stats);
    read_cgroup(&stats);
    return stats.count;
}
