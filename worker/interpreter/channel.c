/*
 * The interpreter's end of the socketpair. Not the meaning of frames (main.c), not their running
 * (run.c). Interpreter only.
 */
#include "worker/interpreter/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/frames.h"
#include "worker/interpreter/answer.h"

#define POOL_FD 3
/* Past what scripts close by habit (3 to 255). */
#define CHANNEL_FD_MIN 300
#define READ_BYTES (64 * 1024)
#define KEEP_BYTES (1024 * 1024)
#define FLUSH_AFTER_NS 1000000
#define FLUSH_SIGNAL (SIGRTMIN + 6)

static struct {
    int fd;
    struct shared *shared;
    struct buf in;
    size_t taken; /* bytes at the front of `in` that channel_next has given out */
    timer_t timer;
    volatile sig_atomic_t armed;
    /*
     * What is queued has been sent. It stays in shared memory until more is queued: a script that
     * writes to the connection itself may have spoilt what was sent, and then the pool looks there.
     */
    volatile sig_atomic_t sent;
    volatile sig_atomic_t busy; /* the main thread is changing the queue: the handler keeps off */
} channel = {.fd = -1};

static int send_all(struct iovec *parts, int count)
{
    while (count > 0) {
        ssize_t sent = writev(channel.fd, parts, count);
        if (sent < 0) {
            if (errno == EINTR) {
                continue;
            }
            return -errno;
        }
        while (count > 0 && (size_t)sent >= parts->iov_len) {
            sent -= (ssize_t)parts->iov_len;
            parts++;
            count--;
        }
        if (count > 0) {
            parts->iov_base = (uint8_t *)parts->iov_base + sent;
            parts->iov_len -= (size_t)sent;
        }
    }
    return 0;
}

static int send_frame(const void *payload, size_t bytes)
{
    uint8_t header[FRAME_HEADER_BYTES];
    frame_header(header, (uint32_t)bytes);
    struct iovec parts[2] = {{header, sizeof(header)}, {(void *)payload, bytes}};
    return send_all(parts, 2);
}

static void timer_set(long after_ns)
{
    struct itimerspec when = {.it_value = {.tv_nsec = after_ns}};
    timer_settime(channel.timer, 0, &when, NULL);
}

/* In the handler too: async-signal-safe. */
static int send_answers(void)
{
    uint32_t bytes = atomic_load_explicit(&channel.shared->answers_bytes, memory_order_relaxed);
    if (bytes == 0 || channel.sent) {
        return 0;
    }
    int result = send_frame(channel.shared->answers, bytes);
    channel.sent = result == 0;
    return result;
}

static void on_timer(int number)
{
    (void)number;
    int saved = errno;
    if (channel.fd >= 0) {
        if (channel.busy) {
            timer_set(FLUSH_AFTER_NS);
        } else {
            (void)!send_answers();
            channel.armed = 0;
        }
    }
    errno = saved;
}

static int take_descriptors(struct msghdr *message, int fds[SHARED_FD_COUNT])
{
    struct cmsghdr *control = CMSG_FIRSTHDR(message);
    if (control == NULL || control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS ||
        control->cmsg_len != CMSG_LEN(sizeof(int) * SHARED_FD_COUNT)) {
        return -EPROTO;
    }
    memcpy(fds, CMSG_DATA(control), sizeof(int) * SHARED_FD_COUNT);
    for (size_t i = 0; i < SHARED_FD_COUNT; i++) {
        int high = fcntl(fds[i], F_DUPFD_CLOEXEC, CHANNEL_FD_MIN);
        if (high < 0) {
            return -errno;
        }
        close(fds[i]);
        fds[i] = high;
    }
    return 0;
}

static int receive_hello(int fds[SHARED_FD_COUNT], struct error *error)
{
    uint8_t *room = buf_reserve(&channel.in, READ_BYTES);
    if (room == NULL) {
        return error_set(error, -ENOMEM, "no memory for a read buffer of %d bytes", READ_BYTES);
    }
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * SHARED_FD_COUNT)];
    } control;
    struct iovec part = {room, READ_BYTES};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    ssize_t received = recvmsg(channel.fd, &message, MSG_CMSG_CLOEXEC);
    if (received <= 0) {
        return error_set(error, received < 0 ? -errno : -EPIPE,
                         "the worker closed the connection before its first frame");
    }
    buf_commit(&channel.in, (size_t)received);
    int result = take_descriptors(&message, fds);
    return result < 0
               ? error_set(error, result, "the worker's first frame came without its descriptors")
               : 0;
}

static int make_timer(struct error *error)
{
    struct sigaction action = {.sa_handler = on_timer, .sa_flags = SA_RESTART};
    sigfillset(&action.sa_mask);
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = FLUSH_SIGNAL};
    event._sigev_un._tid = gettid();
    if (sigaction(FLUSH_SIGNAL, &action, NULL) < 0 ||
        timer_create(CLOCK_MONOTONIC, &event, &channel.timer) < 0) {
        return error_set(error, -errno, "cannot make the timer that sends answers: %s",
                         strerror(errno));
    }
    return 0;
}

int channel_open(struct shared **ret_shared, int *ret_capture_fd, int *ret_stack_fd,
                 struct error *error)
{
    channel.fd = fcntl(POOL_FD, F_DUPFD_CLOEXEC, CHANNEL_FD_MIN);
    if (channel.fd < 0) {
        return error_set(
            error, -errno,
            "file descriptor 3 is not a connection to a worker: engenho-worker starts this program, people do not");
    }
    close(POOL_FD);
    buf_init(&channel.in, CHANNEL_FRAME_BYTES_MAX + FRAME_HEADER_BYTES + READ_BYTES);
    int fds[SHARED_FD_COUNT];
    int result = receive_hello(fds, error);
    if (result < 0) {
        return result;
    }
    void *memory = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED,
                        fds[SHARED_FD_MEMORY], 0);
    if (memory == MAP_FAILED) {
        return error_set(error, -errno, "cannot map the memory shared with the worker: %s",
                         strerror(errno));
    }
    close(fds[SHARED_FD_MEMORY]);
    channel.shared = memory;
    result = make_timer(error);
    if (result < 0) {
        return result;
    }
    *ret_shared = memory;
    *ret_capture_fd = fds[SHARED_FD_CAPTURE];
    *ret_stack_fd = fds[SHARED_FD_STACK];
    return 0;
}

int channel_next(const uint8_t **ret_payload, size_t *ret_bytes)
{
    size_t frame_bytes;
    const uint8_t *data = channel.in.data + channel.taken;
    int result = frame_next(data, channel.in.length - channel.taken, CHANNEL_FRAME_BYTES_MAX,
                            ret_payload, ret_bytes, &frame_bytes);
    if (result == 1) {
        channel.taken += frame_bytes;
    }
    return result;
}

int channel_wait(void)
{
    buf_consume(&channel.in, channel.taken);
    channel.taken = 0;
    if (channel.in.length == 0 && channel.in.capacity > KEEP_BYTES) {
        buf_release(&channel.in);
    }
    uint8_t *room = buf_reserve(&channel.in, READ_BYTES);
    if (room == NULL) {
        return -EMSGSIZE;
    }
    ssize_t received;
    do {
        received = read(channel.fd, room, READ_BYTES);
    } while (received < 0 && errno == EINTR);
    if (received <= 0) {
        return received < 0 ? -errno : -EPIPE;
    }
    buf_commit(&channel.in, (size_t)received);
    return 0;
}

static int send_large(const Engenho__Finished *finished, size_t bytes_max)
{
    uint8_t *packed = malloc(bytes_max);
    if (packed == NULL) {
        return -ENOMEM;
    }
    int result = send_frame(packed, answer_pack(finished, packed));
    free(packed);
    return result;
}

/* Where the next answer goes: after what waits, or where what was sent had been. */
static uint32_t begin_answer(void)
{
    if (channel.sent) {
        atomic_store_explicit(&channel.shared->answers_bytes, 0, memory_order_seq_cst);
        channel.sent = 0;
    }
    return atomic_load_explicit(&channel.shared->answers_bytes, memory_order_relaxed);
}

int channel_answer(const Engenho__Finished *finished)
{
    size_t bytes_max = answer_bytes_max(finished);
    int result = 0;
    channel.busy = 1;
    atomic_signal_fence(memory_order_seq_cst);
    uint32_t used = begin_answer();
    if (bytes_max > SHARED_ANSWERS_BYTES - used) {
        result = send_answers();
        used = begin_answer();
    }
    if (result == 0 && bytes_max > SHARED_ANSWERS_BYTES) {
        result = send_large(finished, bytes_max);
    } else if (result == 0) {
        size_t bytes = answer_pack(finished, channel.shared->answers + used);
        atomic_store_explicit(&channel.shared->answers_bytes, used + (uint32_t)bytes,
                              memory_order_release);
    }
    atomic_signal_fence(memory_order_seq_cst);
    channel.busy = 0;
    return result;
}

int channel_flush(const Engenho__ToWorker *message)
{
    channel.busy = 1;
    atomic_signal_fence(memory_order_seq_cst);
    int result = send_answers();
    if (channel.armed) {
        timer_set(0);
        channel.armed = 0;
    }
    if (result == 0 && message != NULL) {
        size_t bytes = engenho__to_worker__get_packed_size(message);
        uint8_t *packed = malloc(bytes + 1);
        if (packed == NULL) {
            result = -ENOMEM;
        } else {
            engenho__to_worker__pack(message, packed);
            result = send_frame(packed, bytes);
            free(packed);
        }
    }
    atomic_signal_fence(memory_order_seq_cst);
    channel.busy = 0;
    return result;
}

void channel_may_last(void)
{
    if (!channel.armed && !channel.sent &&
        atomic_load_explicit(&channel.shared->answers_bytes, memory_order_relaxed) > 0) {
        channel.armed = 1;
        timer_set(FLUSH_AFTER_NS);
    }
}

bool channel_is_open(void)
{
    return fcntl(channel.fd, F_GETFD) >= 0;
}

void channel_close_in_child(void)
{
    close(channel.fd);
    channel.fd = -1;
}
