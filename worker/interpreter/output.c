/*
 * What an execution prints. The thread here is the interpreter's only one of ours; it never touches
 * Python. Interpreter only.
 */
#include "worker/interpreter/output.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "common/names.h"

#define READ_BYTES (64 * 1024)
#define THREAD_STACK_BYTES (128 * 1024 + READ_BYTES)
/* Waits for the thread at the end of an execution: 200 of 0.1 ms at most. */
#define WAITS_MAX 200
#define WAIT_NS 100000

static struct {
    struct shared *shared;
    int capture_fd;
    atomic_bool reading; /* the thread may hold bytes that it has not appended yet */
} output;

void output_begin(uint32_t limit_bytes)
{
    uint64_t limit = limit_bytes < SHARED_OUTPUT_BYTES ? limit_bytes : SHARED_OUTPUT_BYTES;
    atomic_store_explicit(&output.shared->output_limit, limit, memory_order_relaxed);
    atomic_store_explicit(&output.shared->output_bytes, 0, memory_order_release);
}

void output_append(const void *data, size_t bytes)
{
    uint64_t limit = atomic_load_explicit(&output.shared->output_limit, memory_order_relaxed);
    uint64_t at =
        atomic_fetch_add_explicit(&output.shared->output_bytes, bytes, memory_order_acq_rel);
    if (limit > SHARED_OUTPUT_BYTES || at >= limit) {
        return;
    }
    memcpy(output.shared->output + at, data, bytes < limit - at ? bytes : limit - at);
}

static void *empty_pipe(void *unused)
{
    char data[READ_BYTES];
    struct pollfd descriptor = {.fd = output.capture_fd, .events = POLLIN};
    for (;;) {
        if (poll(&descriptor, 1, -1) < 0 && errno != EINTR) {
            return unused;
        }
        atomic_store(&output.reading, true);
        ssize_t bytes = read(output.capture_fd, data, sizeof(data));
        if (bytes > 0) {
            output_append(data, (size_t)bytes);
        }
        atomic_store(&output.reading, false);
        if (bytes == 0 || (bytes < 0 && errno != EAGAIN && errno != EINTR)) {
            return unused;
        }
    }
}

int output_open(struct shared *shared, int capture_fd, struct error *error)
{
    output.shared = shared;
    output.capture_fd = capture_fd;
    output_begin(SHARED_OUTPUT_BYTES);
    /* C code that prints without flushing would be seen executions later. */
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    /* Signals are for the thread that runs scripts. */
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES);
    pthread_t thread;
    int result = pthread_create(&thread, &attributes, empty_pipe, NULL);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result != 0
               ? error_set(error, -result, "cannot start the thread that captures output: %s",
                           strerror(result))
               : 0;
}

static void wait_for_pipe(void)
{
    fflush(stdout);
    for (int i = 0; i < WAITS_MAX; i++) {
        int waiting = 0;
        /* In this order: bytes that are not in the pipe any more were read with `reading` set. */
        if (ioctl(output.capture_fd, FIONREAD, &waiting) < 0 ||
            (waiting == 0 && !atomic_load(&output.reading))) {
            return;
        }
        nanosleep(&(struct timespec){.tv_nsec = WAIT_NS}, NULL);
    }
}

static size_t sequence_bytes(const uint8_t *at, size_t room)
{
    size_t wanted = at[0] < 0x80 ? 1 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    return wanted <= room && utf8_is_valid(at, wanted) ? wanted : 0;
}

static size_t make_utf8(uint8_t *data, size_t bytes, bool truncated)
{
    /* A character cut by the limit has its first byte among the last three. */
    for (size_t back = 1; truncated && back <= 3 && back <= bytes; back++) {
        uint8_t byte = data[bytes - back];
        if (byte >= 0xc0) {
            size_t wanted = byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
            bytes -= wanted > back ? back : 0;
            break;
        }
        if (byte < 0x80) {
            break;
        }
    }
    if (utf8_is_valid(data, bytes)) {
        return bytes;
    }
    for (size_t at = 0; at < bytes;) {
        size_t sequence = sequence_bytes(data + at, bytes - at);
        if (sequence == 0) {
            data[at] = '?';
            sequence = 1;
        }
        at += sequence;
    }
    return bytes;
}

void output_end(bool look, const uint8_t **ret_data, size_t *ret_bytes, bool *ret_truncated)
{
    if (look) {
        wait_for_pipe();
    }
    uint64_t bytes = atomic_load_explicit(&output.shared->output_bytes, memory_order_acquire);
    if (bytes == 0) {
        *ret_data = NULL;
        *ret_bytes = 0;
        *ret_truncated = false;
        return;
    }
    uint64_t limit = atomic_load_explicit(&output.shared->output_limit, memory_order_relaxed);
    limit = limit < SHARED_OUTPUT_BYTES ? limit : SHARED_OUTPUT_BYTES;
    bool truncated = bytes > limit;
    *ret_bytes = make_utf8(output.shared->output, truncated ? limit : bytes, truncated);
    *ret_data = output.shared->output;
    *ret_truncated = truncated;
}
