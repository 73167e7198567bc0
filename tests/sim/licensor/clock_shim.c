/*
 * A clock that tests hold in their hand: preloaded into a process (LD_PRELOAD), it makes its clocks
 * what a file says. libfaketime can't do this for Debian's redis-server: the two wait for each
 * other while jemalloc starts.
 *
 * TEST_CLOCK_FILE holds two 64-bit numbers: microseconds of the wall clock (unix), and of the
 * monotonic clock. They stand still until the file is written again. No file: the real clocks.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct clocks {
    volatile int64_t unix_us, mono_us;
};

static const struct clocks *clocks;

__attribute__((constructor)) static void open_clock(void)
{
    const char *path = getenv("TEST_CLOCK_FILE");
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        void *map = mmap(NULL, sizeof(struct clocks), PROT_READ, MAP_SHARED, fd, 0);
        clocks = map != MAP_FAILED ? map : NULL;
        close(fd);
    }
}

int clock_gettime(clockid_t clock, struct timespec *at)
{
    int64_t us;
    if (clocks == NULL) {
        return (int)syscall(SYS_clock_gettime, clock, at);
    }
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
        us = clocks->unix_us;
        break;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_BOOTTIME:
        us = clocks->mono_us;
        break;
    default:
        return (int)syscall(SYS_clock_gettime, clock, at);
    }
    at->tv_sec = us / 1000000;
    at->tv_nsec = us % 1000000 * 1000;
    return 0;
}

int gettimeofday(struct timeval *at, void *zone)
{
    (void)zone;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at != NULL) {
        *at = now.tv_sec;
    }
    return now.tv_sec;
}
