/*
 * One interpreter process. Not what it is given to do (pool_interpreter.c), not which one is chosen
 * (pool.c). Worker only.
 */
#include "worker/pool_process.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/child.h"
#include "common/frames.h"
#include "common/memory.h"
#include "proto/interpreter.pb-c.h"

#define RECEIVE_BYTES (256 * 1024)
#define KEEP_BYTES (1024 * 1024)
#define PIPE_BYTES (256 * 1024)
#define TREE_DESCRIPTORS 16

extern char **environ;

/* The child's ends, while it is being started. */
struct ends {
    int connection, output, capture, stack, memory;
};

void process_init(struct process *process)
{
    *process = (struct process){.pid_fd = -1, .fd = -1, .capture_fd = -1, .stack_fd = -1};
    buf_init(&process->in, PROCESS_FRAME_BYTES_MAX + FRAME_HEADER_BYTES + RECEIVE_BYTES);
    buf_init(&process->out, PROCESS_SEND_BYTES_MAX);
}

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    (void)remove(path);
    return 0;
}

static int make_directory(const char *directory, struct error *error)
{
    nftw(directory, remove_entry, TREE_DESCRIPTORS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    if (mkdir(directory, 0700) < 0 && errno != EEXIST) {
        return error_set(error, -errno,
                         "can't make the interpreter's folder %s: %s: check --work-directory",
                         directory, strerror(errno));
    }
    return 0;
}

/* Ours, without what is the worker's own or would change Python behind our back. */
static char **make_environment(const char *directory)
{
    size_t count = 0;
    while (environ[count] != NULL) {
        count++;
    }
    char **environment = memory_new(count + 8, sizeof(*environment));
    size_t kept = 0;
    bool has_threads = false;
    for (size_t i = 0; i < count; i++) {
        const char *entry = environ[i];
        bool ours = strncmp(entry, "ENGENHO_", 8) == 0 || strncmp(entry, "PYTHON", 6) == 0 ||
                    strncmp(entry, "TMPDIR=", 7) == 0;
        has_threads = has_threads || strncmp(entry, "OPENBLAS_NUM_THREADS=", 21) == 0;
        if (!ours) {
            environment[kept++] = memory_copy_text(entry);
        }
    }
    environment[kept++] = memory_print("TMPDIR=%s", directory);
    if (!has_threads) {
        environment[kept++] = memory_copy_text("OPENBLAS_NUM_THREADS=1");
        environment[kept++] = memory_copy_text("OMP_NUM_THREADS=1");
    }
    return environment;
}

static void free_environment(char **environment)
{
    for (size_t i = 0; environment[i] != NULL; i++) {
        free(environment[i]);
    }
    free(environment);
}

static void close_ends(struct ends *ends)
{
    close_fd(&ends->connection);
    close_fd(&ends->output);
    close_fd(&ends->capture);
    close_fd(&ends->stack);
    close_fd(&ends->memory);
}

static int make_ends(struct process *process, struct ends *ends)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        return -errno;
    }
    process->fd = pair[0];
    ends->connection = pair[1];
    if (fcntl(process->fd, F_SETFL, O_NONBLOCK) < 0 || pipe2(pair, O_CLOEXEC) < 0) {
        return -errno;
    }
    process->capture_fd = pair[0];
    ends->output = pair[1];
    /*
     * The reader's description is the interpreter's too: both read without blocking. The writers
     * are scripts: they block.
     */
    (void)!fcntl(pair[1], F_SETPIPE_SZ, PIPE_BYTES);
    ends->capture = fcntl(process->capture_fd, F_DUPFD_CLOEXEC, 0);
    if (fcntl(process->capture_fd, F_SETFL, O_NONBLOCK) < 0 || ends->capture < 0 ||
        pipe2(pair, O_CLOEXEC | O_NONBLOCK) < 0) {
        return -errno;
    }
    process->stack_fd = pair[0];
    ends->stack = pair[1];
    ends->memory = memfd_create("engenho-interpreter", MFD_CLOEXEC);
    if (ends->memory < 0 || ftruncate(ends->memory, sizeof(struct shared)) < 0) {
        return -errno;
    }
    void *memory =
        mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, ends->memory, 0);
    if (memory == MAP_FAILED) {
        return -errno;
    }
    process->shared = memory;
    return 0;
}

/* The first frame, a ping, takes the descriptors along. */
static int send_hello(struct process *process, const struct ends *ends)
{
    Engenho__ToInterpreter message = ENGENHO__TO_INTERPRETER__INIT;
    Engenho__Ping ping = ENGENHO__PING__INIT;
    message.body_case = ENGENHO__TO_INTERPRETER__BODY_PING;
    message.ping = &ping;
    uint8_t frame[FRAME_HEADER_BYTES + 16];
    size_t bytes = engenho__to_interpreter__pack(&message, frame + FRAME_HEADER_BYTES);
    frame_header(frame, (uint32_t)bytes);
    int fds[SHARED_FD_COUNT] = {[SHARED_FD_MEMORY] = ends->memory,
                                [SHARED_FD_CAPTURE] = ends->capture,
                                [SHARED_FD_STACK] = ends->stack};
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(fds))];
    } control = {.room = {0}};
    struct iovec part = {frame, FRAME_HEADER_BYTES + bytes};
    struct msghdr header = {.msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof(control)};
    struct cmsghdr *first = CMSG_FIRSTHDR(&header);
    first->cmsg_level = SOL_SOCKET;
    first->cmsg_type = SCM_RIGHTS;
    first->cmsg_len = CMSG_LEN(sizeof(fds));
    memcpy(CMSG_DATA(first), fds, sizeof(fds));
    return sendmsg(process->fd, &header, MSG_NOSIGNAL) == (ssize_t)part.iov_len ? 0 : -EIO;
}

static int start_child(struct process *process, const struct process_options *options,
                       const struct ends *ends, struct error *error)
{
    char *arguments[] = {(char *)"engenho-interpreter", (char *)"--library",
                         (char *)options->python_library, NULL};
    char **environment = make_environment(options->directory);
    struct child_options child = {.path = options->program,
                                  .argv = arguments,
                                  .environment = environment,
                                  .directory = options->directory,
                                  .fd3 = ends->connection,
                                  .out_fd = ends->output,
                                  .err_fd = ends->output,
                                  .own_group = true,
                                  .parent_death_signal = SIGKILL};
    int result = child_start(&child, &process->pid, error);
    free_environment(environment);
    if (result < 0) {
        return result;
    }
    process->pid_fd = (int)syscall(SYS_pidfd_open, process->pid, 0);
    if (process->pid_fd < 0) {
        return error_set(error, -errno,
                         "can't watch the interpreter's process: %s: Linux 5.3 or newer is needed",
                         strerror(errno));
    }
    fcntl(process->pid_fd, F_SETFD, FD_CLOEXEC);
    return 0;
}

int process_start(struct process *process, const struct process_options *options,
                  struct error *error)
{
    struct ends ends = {-1, -1, -1, -1, -1};
    int result = make_directory(options->directory, error);
    if (result == 0) {
        result = make_ends(process, &ends);
        if (result == 0) {
            result = send_hello(process, &ends);
        }
        if (result < 0) {
            error_set(error, result, "can't connect an interpreter: %s", strerror(-result));
        }
    }
    if (result == 0) {
        result = start_child(process, options, &ends, error);
    }
    close_ends(&ends);
    if (result < 0) {
        process_release(process);
    }
    return result;
}

void process_release(struct process *process)
{
    if (process->pid > 0) {
        process_kill(process);
        while (waitpid(process->pid, NULL, 0) < 0 && errno == EINTR) {
        }
        process->pid = 0;
    }
    close_fd(&process->pid_fd);
    close_fd(&process->fd);
    close_fd(&process->capture_fd);
    close_fd(&process->stack_fd);
    if (process->shared != NULL) {
        munmap(process->shared, sizeof(struct shared));
        process->shared = NULL;
    }
    buf_release(&process->in);
    buf_release(&process->out);
    process->data_limit_bytes = 0;
}

int process_send(struct process *process)
{
    size_t sent = 0;
    int result = 0;
    while (sent < process->out.length) {
        ssize_t bytes =
            send(process->fd, process->out.data + sent, process->out.length - sent, MSG_NOSIGNAL);
        if (bytes >= 0) {
            sent += (size_t)bytes;
        } else if (errno != EINTR) {
            result = errno == EWOULDBLOCK ? -EAGAIN : -errno;
            break;
        }
    }
    buf_consume(&process->out, sent);
    if (process->out.length == 0 && process->out.capacity > KEEP_BYTES) {
        buf_release(&process->out);
    }
    return result;
}

int process_receive(struct process *process)
{
    if (process->in.length == 0 && process->in.capacity > KEEP_BYTES) {
        buf_release(&process->in);
    }
    uint8_t *room = buf_reserve(&process->in, RECEIVE_BYTES);
    if (room == NULL) {
        return -EPIPE;
    }
    ssize_t bytes;
    do {
        bytes = recv(process->fd, room, RECEIVE_BYTES, 0);
    } while (bytes < 0 && errno == EINTR);
    if (bytes < 0) {
        return errno == EAGAIN || errno == EWOULDBLOCK ? -EAGAIN : -EPIPE;
    }
    buf_commit(&process->in, (size_t)bytes);
    return bytes == 0 ? -EPIPE : 0;
}

void process_finish(struct process *process)
{
    shutdown(process->fd, SHUT_WR);
}

void process_interrupt(struct process *process, uint64_t number)
{
    atomic_store(&process->shared->interrupt, number);
    /* To the main thread: only there does Python look at once. */
    syscall(SYS_tgkill, process->pid, process->pid, SIGINT);
}

void process_kill(struct process *process)
{
    if (process->pid > 0) {
        kill(-process->pid, SIGKILL);
        kill(process->pid, SIGKILL);
    }
}

void process_ask_stack(struct process *process)
{
    syscall(SYS_tgkill, process->pid, process->pid, SIGUSR1);
}

int process_reap(struct process *process, int *ret_status)
{
    siginfo_t info = {0};
    int result = waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOHANG | WNOWAIT);
    if (result == 0 && info.si_pid == 0) {
        return -EAGAIN;
    }
    int status = 0;
    if (result == 0) {
        /* While it is not reaped, its number, and so its group's, is nobody else's. */
        kill(-process->pid, SIGKILL);
        if (waitpid(process->pid, &status, 0) < 0) {
            status = 0;
        }
    }
    process->pid = 0;
    *ret_status = status;
    return 0;
}

/* The shadow memory of a sanitizer is data too, terabytes of it. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CAN_LIMIT_DATA false
#else
#define CAN_LIMIT_DATA true
#endif

void process_limit_data(struct process *process, uint64_t bytes)
{
    if (!CAN_LIMIT_DATA || bytes == process->data_limit_bytes || process->pid <= 0) {
        return;
    }
    struct rlimit limit;
    if (prlimit(process->pid, RLIMIT_DATA, NULL, &limit) < 0) {
        return;
    }
    limit.rlim_cur = bytes == 0 || (limit.rlim_max != RLIM_INFINITY && bytes > limit.rlim_max)
                         ? limit.rlim_max
                         : bytes;
    if (prlimit(process->pid, RLIMIT_DATA, &limit, NULL) == 0) {
        process->data_limit_bytes = bytes;
    }
}

static bool read_proc(const struct process *process, const char *file, char *text, size_t room)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)process->pid, file);
    int fd = process->pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) {
        return false;
    }
    ssize_t bytes = read(fd, text, room - 1);
    close(fd);
    text[bytes > 0 ? bytes : 0] = '\0';
    return bytes > 0;
}

uint64_t process_rss_bytes(const struct process *process)
{
    char text[128];
    unsigned long long pages = 0;
    if (!read_proc(process, "statm", text, sizeof(text)) || sscanf(text, "%*s %llu", &pages) != 1) {
        return 0;
    }
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

double process_cpu_seconds(const struct process *process)
{
    char text[1024];
    unsigned long long user = 0;
    unsigned long long system_ticks = 0;
    if (!read_proc(process, "stat", text, sizeof(text))) {
        return 0;
    }
    /* The second field is the program's name, in parentheses, and may hold anything. */
    const char *after = strrchr(text, ')');
    if (after == NULL || sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu",
                                &user, &system_ticks) != 2) {
        return 0;
    }
    return (double)(user + system_ticks) / (double)sysconf(_SC_CLK_TCK);
}

void process_take_output(struct process *process, struct buf *out, bool *ret_truncated)
{
    uint64_t printed = atomic_load(&process->shared->output_bytes);
    uint64_t limit = atomic_load(&process->shared->output_limit);
    limit = limit < SHARED_OUTPUT_BYTES ? limit : SHARED_OUTPUT_BYTES;
    limit = limit < out->max ? limit : out->max;
    *ret_truncated = printed > limit;
    if (buf_append(out, process->shared->output, printed < limit ? printed : limit) < 0) {
        return;
    }
    char data[4096];
    ssize_t bytes;
    while (!*ret_truncated && (bytes = read(process->capture_fd, data, sizeof(data))) > 0) {
        size_t room = limit - out->length;
        *ret_truncated = (size_t)bytes > room;
        if (buf_append(out, data, (size_t)bytes < room ? (size_t)bytes : room) < 0) {
            return;
        }
    }
}
