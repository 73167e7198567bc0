/*
 * Reads /proc/self and the cgroup (version 2, or version 1 where that is mounted). Every process.
 */
#include "common/process_stats.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define FILE_BYTES_MAX 8192

const struct process_stat_desc process_stat_descs[PROCESS_STATS] = {
    [PROCESS_STAT_CPU] = {"process_cpu_seconds_total", "CPU time of this process.", true},
    [PROCESS_STAT_RESIDENT] = {"process_resident_memory_bytes", "Memory of this process in RAM.",
                               false},
    [PROCESS_STAT_VIRTUAL] = {"process_virtual_memory_bytes", "Address space of this process.",
                              false},
    [PROCESS_STAT_START] = {"process_start_time_seconds", "When this process started, since 1970.",
                            false},
    [PROCESS_STAT_OPEN_FDS] = {"process_open_fds", "Open file descriptors.", false},
    [PROCESS_STAT_MAX_FDS] = {"process_max_fds", "The most file descriptors it may open.", false},
    [PROCESS_STAT_THROTTLED] = {"engenho_cgroup_cpu_throttled_seconds_total",
                                "Time without CPU because of the cgroup's limit.", true},
    [PROCESS_STAT_CGROUP_USAGE] = {"engenho_cgroup_memory_usage_bytes", "Memory of this cgroup.",
                                   false},
    [PROCESS_STAT_CGROUP_LIMIT] = {"engenho_cgroup_memory_limit_bytes",
                                   "The most memory of this cgroup; absent without a limit.",
                                   false},
    [PROCESS_STAT_OOM_KILLS] = {"engenho_cgroup_oom_kills_total",
                                "Processes of this cgroup killed because its memory was full.",
                                true},
};

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

static void read_stat(double *values)
{
    char text[FILE_BYTES_MAX];
    if (!read_file("/proc/self/stat", text)) {
        return;
    }
    /* The name in parentheses may hold spaces; what is behind it is counted from 3, see proc(5). */
    const char *at = strrchr(text, ')');
    if (!at) {
        return;
    }
    uint64_t user, system, start, virtual_bytes;
    int64_t resident_pages;
    int read = sscanf(at + 1,
                      " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
                      " %*d %*d %*d %*d %*d %*d %" SCNu64 " %" SCNu64 " %" SCNd64,
                      &user, &system, &start, &virtual_bytes, &resident_pages);
    if (read != 5) {
        return;
    }
    double ticks = (double)sysconf(_SC_CLK_TCK);
    values[PROCESS_STAT_CPU] = (double)(user + system) / ticks;
    values[PROCESS_STAT_RESIDENT] = (double)resident_pages * (double)sysconf(_SC_PAGESIZE);
    values[PROCESS_STAT_VIRTUAL] = (double)virtual_bytes;
    values[PROCESS_STAT_START] = boot_time_seconds() + (double)start / ticks;
}

static void read_descriptors(double *values)
{
    DIR *directory = opendir("/proc/self/fd");
    if (directory) {
        /* Neither . nor .. nor the one that reads the directory. */
        double open = -3;
        while (readdir(directory)) {
            open++;
        }
        closedir(directory);
        values[PROCESS_STAT_OPEN_FDS] = open;
    }
    struct rlimit limit;
    if (!getrlimit(RLIMIT_NOFILE, &limit)) {
        values[PROCESS_STAT_MAX_FDS] = (double)limit.rlim_cur;
    }
}

/* The number in a file, or NaN. */
static double read_bytes(const char *path)
{
    char text[FILE_BYTES_MAX];
    if (!read_file(path, text) || text[0] < '0' || text[0] > '9') {
        return NAN;
    }
    /* "max" in version 2 and a number near 2^63 in version 1 mean that there is no limit. */
    double value = strtod(text, NULL);
    return value < 9e18 ? value : NAN;
}

/*
 * In a container the cgroup's own root is mounted; on a plain machine it is the root of all, which
 * has no limits.
 */
static void read_cgroup(double *values)
{
    char text[FILE_BYTES_MAX];
    double value;
    if (read_file("/sys/fs/cgroup/cpu.stat", text) && find_number(text, "throttled_usec", &value)) {
        values[PROCESS_STAT_THROTTLED] = value / 1e6;
    } else if (read_file("/sys/fs/cgroup/cpu/cpu.stat", text) &&
               find_number(text, "throttled_time", &value)) {
        values[PROCESS_STAT_THROTTLED] = value / 1e9;
    }
    values[PROCESS_STAT_CGROUP_USAGE] = read_bytes("/sys/fs/cgroup/memory.current");
    values[PROCESS_STAT_CGROUP_LIMIT] = read_bytes("/sys/fs/cgroup/memory.max");
    if (isnan(values[PROCESS_STAT_CGROUP_USAGE])) {
        values[PROCESS_STAT_CGROUP_USAGE] =
            read_bytes("/sys/fs/cgroup/memory/memory.usage_in_bytes");
        values[PROCESS_STAT_CGROUP_LIMIT] =
            read_bytes("/sys/fs/cgroup/memory/memory.limit_in_bytes");
    }
    if ((read_file("/sys/fs/cgroup/memory.events", text) ||
         read_file("/sys/fs/cgroup/memory/memory.oom_control", text)) &&
        find_number(text, "oom_kill", &value)) {
        values[PROCESS_STAT_OOM_KILLS] = value;
    }
}

void process_stats_read(double ret_values[PROCESS_STATS])
{
    for (size_t i = 0; i < PROCESS_STATS; i++) {
        ret_values[i] = NAN;
    }
    read_stat(ret_values);
    read_descriptors(ret_values);
    read_cgroup(ret_values);
}
