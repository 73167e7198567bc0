/*
 * `engenho up`: everything on this machine, supervised. This file is the loop: it does what
 * cli/supervisor.c says, and tells it what happened. One thread; nothing of it survives it.
 */
#include "cli/up.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/commands_local.h"
#include "cli/probe.h"
#include "common/child.h"
#include "common/clock.h"
#include "common/memory.h"

static void say(const struct up *up, const char *format, ...) PRINTF_LIKE(2, 3);

static void say(const struct up *up, const char *format, ...)
{
    (void)up;
    va_list arguments;
    va_start(arguments, format);
    (void)fputs("engenho up: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
    va_end(arguments);
}

static void feed(struct up *up, struct supervisor_event event);

/* Our own log lines are JSON: their message is what people want to read. */
static void last_words(const struct up_process *process, char *text, size_t bytes)
{
    json_t *json = json_loads(process->log.line, 0, NULL);
    const char *message = json_string_value(json_object_get(json, "message"));
    const char *why = json_string_value(json_object_get(json, "error"));
    why = why ? why : json_string_value(json_object_get(json, "reason"));
    if (message) {
        (void)snprintf(text, bytes, "%s%s%s", message, why ? ": " : "", why ? why : "");
    } else {
        (void)snprintf(text, bytes, "%.*s", (int)bytes - 1, process->log.line);
    }
    json_decref(json);
}

static int open_pipe(int *ret_read, int *ret_write)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return -errno;
    }
    (void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
    *ret_read = ends[0];
    *ret_write = ends[1];
    return 0;
}

static void close_pipe(struct up_process *process)
{
    if (process->pipe_fd >= 0) {
        (void)!log_file_drain(&process->log, process->pipe_fd);
        close(process->pipe_fd);
        process->pipe_fd = -1;
    }
}

static void start(struct up *up, size_t number)
{
    const struct plan_process *planned = &up->plan.processes[number];
    struct up_process *process = &up->processes[number];
    struct error error = {.text = ""};
    int write_end = -1;
    close_pipe(process);
    process->admin[0] = 0;
    process->reason[0] = 0;
    if (planned->ready_file) {
        (void)unlink(planned->ready_file);
    }
    int failed = open_pipe(&process->pipe_fd, &write_end);
    if (!failed) {
        /* SIGKILL: whoever kills us without warning wants nothing to remain. */
        struct child_options child = {.path = planned->argv[0],
                                      .argv = planned->argv,
                                      .directory = up->data.path,
                                      .fd3 = -1,
                                      .out_fd = write_end,
                                      .err_fd = write_end,
                                      .own_group = true,
                                      .parent_death_signal = SIGKILL};
        failed = child_start(&child, &process->pid, &error);
        close(write_end);
    }
    process->started_unix_us = clock_unix_us();
    if (failed) {
        process->pid = 0;
        (void)snprintf(process->reason, sizeof(process->reason), "%.500s",
                       error.text[0] ? error.text : strerror(-failed));
        say(up, "%s: %s", planned->name, process->reason);
    }
}

static void read_ready_file(struct up *up, size_t number)
{
    struct up_process *process = &up->processes[number];
    json_t *json = json_load_file(up->plan.processes[number].ready_file, 0, NULL);
    const char *admin = json_string_value(json_object_get(json, "admin"));
    /* A file of an earlier start says nothing about this one. */
    if (admin && json_integer_value(json_object_get(json, "pid")) == process->pid) {
        (void)snprintf(process->admin, sizeof(process->admin), "%s", admin);
    }
    json_decref(json);
}

static void probe(struct up *up, size_t number)
{
    static const enum probe_type types[] = {PROBE_KAFKA, PROBE_REDIS, PROBE_READYZ};
    const struct plan_process *planned = &up->plan.processes[number];
    struct up_process *process = &up->processes[number];
    if (planned->ready_file && !process->admin[0]) {
        read_ready_file(up, number);
    }
    const char *address = planned->ready_file ? process->admin : planned->address;
    bool ready = false;
    if (address[0]) {
        ready =
            probe_answers(types[planned->probe], address, process->reason, sizeof(process->reason));
    } else {
        (void)snprintf(process->reason, sizeof(process->reason), "it does not listen yet");
    }
    if (ready) {
        process->reason[0] = 0;
    }
    feed(up, (struct supervisor_event){.type = SUPERVISOR_PROBED, .unit = number, .ready = ready});
}

/* Told once for the same words in a row: a child that dies every five seconds must not fill a
 * terminal. */
static void tell_death(struct up *up, size_t number)
{
    const struct unit *unit = &up->supervisor.units[number];
    const struct up_process *process = &up->processes[number];
    char text[sizeof(up->said)];
    if (unit->state != UNIT_BACKOFF) {
        return;
    }
    (void)snprintf(text, sizeof(text), "%s %.160s", up->plan.processes[number].name,
                   process->reason);
    if (strcmp(text, up->said) != 0) {
        say(up, "%s; starting it again in %.1f s", text,
            (double)(unit->next_us - unit->since_us) / 1e6);
        memcpy(up->said, text, sizeof(text));
    }
}

static void died(struct up *up, size_t number, int wait_status)
{
    struct up_process *process = &up->processes[number];
    char how[64], words[320];
    close_pipe(process);
    process->pid = 0;
    process->admin[0] = 0;
    child_describe(wait_status, how);
    last_words(process, words, sizeof(words));
    (void)snprintf(process->reason, sizeof(process->reason), "%s%s%s", how,
                   words[0] ? "; its last line: " : "", words);
    feed(up, (struct supervisor_event){.type = SUPERVISOR_DIED, .unit = number});
    tell_death(up, number);
}

/* Collect all that ended. What a child leaves in its process group ends with it; orphans come to us
 * (see run). */
static void reap(struct up *up)
{
    siginfo_t info = {.si_pid = 0};
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0) {
        pid_t pid = info.si_pid;
        size_t number = 0;
        int status = 0;
        while (number < up->plan.count && up->processes[number].pid != pid) {
            number++;
        }
        if (number < up->plan.count) {
            (void)kill(-pid, SIGKILL);
        }
        (void)waitpid(pid, &status, 0);
        if (number < up->plan.count) {
            died(up, number, status);
        }
        info.si_pid = 0;
    }
}

static void say_ready(struct up *up)
{
    struct error error;
    char *console = up_console_url(up);
    if (up_write_endpoint(up, &error) != 0) {
        say(up, "%s", error.text);
    }
    printf("Engenho is ready, after %.1f s.\n\n"
           "  console  %s\n"
           "  data     %s\n\n"
           "Try\n"
           "  engenho status\n"
           "  engenho send plant MachineTemperature 101.5\n"
           "  engenho results --follow\n\n"
           "%s",
           (double)(clock_mono_us() - up->started_mono_us) / 1e6, console, up->data.path,
           up->options.detach ? "Stop it with `engenho down`.\n"
                              : "Stop it with Ctrl-C, or `engenho down`.\n");
    (void)fflush(stdout);
    free(console);
    if (up->ready_fd >= 0) {
        /* From here on nobody looks: the terminal is given back, and what is said goes into a log.
         */
        char *path = data_directory_file(up->data.path, "log/up.log");
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        free(path);
        fd = fd >= 0 ? fd : open("/dev/null", O_WRONLY | O_CLOEXEC);
        (void)dup2(fd, STDOUT_FILENO);
        (void)dup2(fd, STDERR_FILENO);
        close(fd);
        (void)setsid();
        (void)!write(up->ready_fd, "1", 1);
        close(up->ready_fd);
        up->ready_fd = -1;
    }
}

static void say_failed(struct up *up, size_t number)
{
    const struct up_process *process = &up->processes[number];
    char words[320];
    last_words(process, words, sizeof(words));
    up->failed = true;
    say(up, "%s did not become ready: %s%s%s (all of it: %s)", up->plan.processes[number].name,
        process->reason[0] ? process->reason : "it waited for the others",
        process->pid && words[0] ? "; its last line: " : "", process->pid ? words : "",
        process->log.path);
}

static void perform(struct up *up, const struct supervisor_actions *actions)
{
    for (size_t i = 0; i < actions->count; i++) {
        size_t number = actions->list[i].unit;
        pid_t pid = up->processes[number].pid;
        switch (actions->list[i].type) {
        case SUPERVISOR_DO_START:
            /* An earlier action of this list may have begun the stop. */
            if (up->supervisor.units[number].state == UNIT_STARTING) {
                start(up, number);
            }
            if (up->processes[number].pid == 0) {
                feed(up, (struct supervisor_event){.type = SUPERVISOR_DIED, .unit = number});
            }
            break;
        case SUPERVISOR_DO_PROBE:
            probe(up, number);
            break;
        case SUPERVISOR_DO_TERMINATE:
            if (pid > 0) {
                (void)kill(pid, SIGTERM);
            }
            break;
        case SUPERVISOR_DO_KILL:
            if (pid > 0) {
                (void)kill(-pid, SIGKILL);
            }
            break;
        case SUPERVISOR_SAY_READY:
            say_ready(up);
            break;
        case SUPERVISOR_SAY_FAILED:
            say_failed(up, number);
            break;
        }
    }
}

static void feed(struct up *up, struct supervisor_event event)
{
    struct supervisor_actions actions;
    supervisor_step(&up->supervisor, event, clock_mono_us(), &actions);
    perform(up, &actions);
}

static void stop(struct up *up)
{
    char *endpoint = data_directory_file(up->data.path, "endpoint.json");
    (void)unlink(endpoint);
    free(endpoint);
    if (up->supervisor.phase >= SUPERVISOR_STOPPING) {
        say(up, "killing what still runs");
        feed(up, (struct supervisor_event){.type = SUPERVISOR_KILL});
    } else {
        say(up, "stopping");
        feed(up, (struct supervisor_event){.type = SUPERVISOR_STOP});
    }
}

static void take_signals(struct up *up, int signal_fd)
{
    struct signalfd_siginfo info;
    while (read(signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD) {
            reap(up);
        } else {
            stop(up);
        }
    }
}

/* What differs in the table that people see. */
static uint64_t fingerprint(const struct up *up)
{
    uint64_t sum = (uint64_t)up->supervisor.phase;
    for (size_t i = 0; i < up->plan.count; i++) {
        const struct unit *unit = &up->supervisor.units[i];
        sum =
            sum * 31 + (uint64_t)unit->state + unit->restarts * 8 + (uint64_t)up->processes[i].pid;
        sum = sum * 31 + (uint64_t)unit->since_us + (up->processes[i].admin[0] != 0);
    }
    return sum;
}

static void loop(struct up *up, int signal_fd)
{
    uint64_t shown = 0;
    while (up->supervisor.phase != SUPERVISOR_STOPPED) {
        struct pollfd fds[SUPERVISOR_UNITS_MAX + 1] = {{.fd = signal_fd, .events = POLLIN}};
        for (size_t i = 0; i < up->plan.count; i++) {
            fds[i + 1] = (struct pollfd){.fd = up->processes[i].pipe_fd, .events = POLLIN};
        }
        int64_t wait_us = supervisor_wait_us(&up->supervisor, clock_mono_us());
        if (poll(fds, up->plan.count + 1, (int)((wait_us + 999) / 1000)) > 0) {
            for (size_t i = 0; i < up->plan.count; i++) {
                struct up_process *process = &up->processes[i];
                if (fds[i + 1].revents && log_file_drain(&process->log, process->pipe_fd) != 0) {
                    close(process->pipe_fd);
                    process->pipe_fd = -1;
                }
            }
        }
        take_signals(up, signal_fd);
        feed(up, (struct supervisor_event){.type = SUPERVISOR_TICK});
        uint64_t now = fingerprint(up);
        if (now != shown) {
            up_write_status(up);
            shown = now;
        }
    }
}

/* Orphans of our children (a script's own process that left its group) have come to us: end them
 * too. */
static void end_orphans(void)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "/proc/self/task/%d/children", (int)getpid());
    for (int turn = 0; turn < 100; turn++) {
        FILE *children = fopen(name, "re");
        int pid;
        while (children && fscanf(children, "%d", &pid) == 1) {
            (void)kill(pid, SIGKILL);
        }
        if (children) {
            fclose(children);
        }
        if (waitpid(-1, NULL, 0) < 0 && errno == ECHILD) {
            return;
        }
    }
}

static int block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static int supervise(struct up *up, int signal_fd, struct error *error)
{
    int64_t now_us = clock_mono_us();
    supervisor_init(&up->supervisor, now_us + up->options.start_limit_us);
    for (size_t i = 0; i < up->plan.count; i++) {
        const struct plan_process *planned = &up->plan.processes[i];
        char *name = memory_print("log/%s.log", planned->name);
        char *path = data_directory_file(up->data.path, name);
        up->processes[i].pipe_fd = -1;
        int failed = log_file_open(&up->processes[i].log, path, up->options.log_bytes_max, error);
        free(path);
        free(name);
        if (failed) {
            return failed;
        }
        (void)supervisor_add(&up->supervisor, planned->needs, planned->stop_stage,
                             planned->stop_us_max, now_us);
    }
    say(up, "starting on %s", up->data.path);
    loop(up, signal_fd);
    end_orphans();
    for (size_t i = 0; i < up->plan.count; i++) {
        close_pipe(&up->processes[i]);
    }
    return 0;
}

/* Nobody may wait for our input, and no child may read the terminal. */
static void close_input(void)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null >= 0) {
        (void)dup2(null, STDIN_FILENO);
        close(null);
    }
}

static int run(const struct call *call, const struct up_options *options, int ready_fd)
{
    struct up *up = memory_new(1, sizeof(*up));
    struct error error = {.text = ""};
    up->options = *options;
    up->ready_fd = ready_fd;
    up->started_unix_us = clock_unix_us();
    up->started_mono_us = clock_mono_us();
    close_input();
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    int signal_fd = block_signals();
    int failed = up_prepare(up, &error);
    failed = failed ? failed : supervise(up, signal_fd, &error);
    bool ours = up->data.lock_fd >= 0 && failed != -EBUSY;
    if (ours) {
        char *status = data_directory_file(up->data.path, "status.json");
        (void)unlink(status);
        free(status);
    }
    if (!failed && !up->failed) {
        say(up, "stopped");
    }
    bool start_failed = up->failed;
    for (size_t i = 0; i < up->plan.count; i++) {
        log_file_close(&up->processes[i].log);
    }
    up_release(up);
    free(up);
    close(signal_fd);
    if (failed) {
        return command_fail(call, "%s", error.text);
    }
    return start_failed ? EXIT_FAILED : EXIT_DONE;
}

/* The parent returns when the system is ready or has failed; the child is the system. */
static int detach(const struct call *call, const struct up_options *options)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return command_fail(call, "no pipe: %s", strerror(errno));
    }
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid < 0) {
        return command_fail(call, "can't start a process: %s", strerror(errno));
    }
    if (pid == 0) {
        close(ends[0]);
        exit(run(call, options, ends[1]));
    }
    char byte;
    int status = 0;
    close(ends[1]);
    ssize_t got;
    do {
        got = read(ends[0], &byte, 1);
    } while (got < 0 && errno == EINTR);
    close(ends[0]);
    if (got == 1) {
        return EXIT_DONE;
    }
    (void)waitpid(pid, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : EXIT_FAILED;
}

int command_up(const struct call *call)
{
    const struct up_options *options = call->config;
    return options->detach ? detach(call, options) : run(call, options, -1);
}
