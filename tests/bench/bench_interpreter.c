/*
 * How fast the hand-off to an interpreter is: frames of a trivial method through the socketpair, no
 * Kafka, no pool.
 *
 *     build/test/bench/bench_interpreter [SECONDS]
 *
 * prints, for frames of 1, 8 and 64: executions a second, executions a second of the interpreter's
 * processor time, and its microseconds an execution; beside them the bare Python call, measured
 * inside the interpreter.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/frames.h"
#include "proto/interpreter.pb-c.h"
#include "worker/arena.h"
#include "worker/pool_process.h"

static const char script[] = "from engenho import method\n"
                             "import time\n"
                             "@method('Trivial')\n"
                             "def trivial(event):\n"
                             "    return event.value\n"
                             "@method('Nothing')\n"
                             "def nothing(event):\n"
                             "    pass\n"
                             "@method('Bare')\n"
                             "def bare(event):\n"
                             "    n = 1000000\n"
                             "    start = time.process_time()\n"
                             "    for _ in range(n): trivial(event)\n"
                             "    return (time.process_time() - start) / n * 1e6\n";

static void fail(const char *what)
{
    fprintf(stderr, "bench_interpreter: %s\n", what);
    exit(1);
}

static void append(struct process *process, const Engenho__ToInterpreter *message)
{
    size_t bytes = engenho__to_interpreter__get_packed_size(message);
    uint8_t *room = buf_reserve(&process->out, FRAME_HEADER_BYTES + bytes);
    if (room == NULL) {
        fail("a frame is too large");
    }
    frame_header(room, (uint32_t)bytes);
    engenho__to_interpreter__pack(message, room + FRAME_HEADER_BYTES);
    buf_commit(&process->out, FRAME_HEADER_BYTES + bytes);
}

static void wait_for(struct process *process, short what)
{
    struct pollfd descriptor = {.fd = process->fd, .events = what};
    if (poll(&descriptor, 1, 30000) <= 0) {
        fail("the interpreter does not answer");
    }
}

static void send_all(struct process *process)
{
    while (process_send(process) == -EAGAIN) {
        wait_for(process, POLLOUT);
    }
}

static void load(struct process *process, uint32_t code, const char *directory, const char *method)
{
    Engenho__ToInterpreter message = ENGENHO__TO_INTERPRETER__INIT;
    Engenho__Load body = ENGENHO__LOAD__INIT;
    body.code = code;
    body.directory = (char *)directory;
    body.method = (char *)method;
    body.output_limit_bytes = 65536;
    message.body_case = ENGENHO__TO_INTERPRETER__BODY_LOAD;
    message.load = &body;
    append(process, &message);
}

/* Counts whole answers; prints the last result when asked. */
static size_t receive(struct process *process, struct arena *arena, char *result, size_t room)
{
    size_t answers = 0;
    int received = process_receive(process);
    if (received == -EAGAIN) {
        wait_for(process, POLLIN);
        return 0;
    }
    if (received < 0) {
        fail("the interpreter is gone");
    }
    size_t taken = 0;
    const uint8_t *payload;
    size_t bytes;
    size_t frame;
    while (frame_next(process->in.data + taken, process->in.length - taken, PROCESS_FRAME_BYTES_MAX,
                      &payload, &bytes, &frame) == 1) {
        taken += frame;
        arena_reset(arena);
        Engenho__ToWorker *message = engenho__to_worker__unpack(&arena->allocator, bytes, payload);
        if (message == NULL) {
            fail("what came is not an answer");
        }
        if (message->body_case == ENGENHO__TO_WORKER__BODY_LOADED &&
            message->loaded->error[0] != '\0') {
            fail(message->loaded->error);
        }
        answers += message->n_answers;
        for (size_t i = 0; i < message->n_answers; i++) {
            if (message->answers[i]->outcome != ENGENHO__OUTCOME__OUTCOME_SUCCEEDED) {
                fail(message->answers[i]->error);
            }
            if (result != NULL) {
                snprintf(result, room, "%s", message->answers[i]->result);
            }
        }
    }
    buf_consume(&process->in, taken);
    return answers;
}

static void send_batch(struct process *process, uint32_t code, size_t count, uint64_t *number)
{
    static const uint8_t event[] =
        "\x0a\x05plant\x12\x12MachineTemperature\x1a\x09\x09\0\0\0\0\0\x40\x59\x40"
        "\x22\x09\x09\0\0\0\0\0\0\x59\x40\x30\x80\x80\xa0\xf5\xa1\x89\x92\x03";
    Engenho__Execution executions[64];
    Engenho__Execution *pointers[64];
    for (size_t i = 0; i < count; i++) {
        engenho__execution__init(&executions[i]);
        executions[i].number = ++*number;
        executions[i].code = code;
        executions[i].execution_id = (char *)"default/events/3/123456/overheat";
        executions[i].event_bytes.data = (uint8_t *)event;
        executions[i].event_bytes.len = sizeof(event) - 1;
        executions[i].time_event_us = INT64_C(1769860800000000);
        executions[i].attempt = 1;
        executions[i].kind = ENGENHO__TRIGGER_KIND__TRIGGER_KIND_EVENT;
        pointers[i] = &executions[i];
    }
    Engenho__ToInterpreter message = ENGENHO__TO_INTERPRETER__INIT;
    Engenho__Batch batch = ENGENHO__BATCH__INIT;
    batch.executions = pointers;
    batch.n_executions = count;
    message.body_case = ENGENHO__TO_INTERPRETER__BODY_BATCH;
    message.batch = &batch;
    append(process, &message);
    send_all(process);
}

static void measure(struct process *process, struct arena *arena, uint32_t code, size_t frame,
                    double seconds, uint64_t *number)
{
    size_t done = 0;
    double cpu_before = process_cpu_seconds(process);
    int64_t before_us = clock_mono_us();
    int64_t end_us = before_us + (int64_t)(seconds * 1e6);
    while (clock_mono_us() < end_us) {
        size_t answered = 0;
        send_batch(process, code, frame, number);
        while (answered < frame) {
            answered += receive(process, arena, NULL, 0);
        }
        done += answered;
    }
    double wall = (double)(clock_mono_us() - before_us) / 1e6;
    double cpu = process_cpu_seconds(process) - cpu_before;
    printf("%-8s frames of %2zu: %8.0f/s, %8.0f a CPU-second of the interpreter, %6.3f us each\n",
           code == 1 ? "trivial" : "nothing", frame, (double)done / wall, (double)done / cpu,
           cpu / (double)done * 1e6);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 3;
    char directory[] = "/tmp/engenho-bench-XXXXXX";
    char path[128];
    if (mkdtemp(directory) == NULL) {
        fail("no folder in /tmp");
    }
    snprintf(path, sizeof(path), "%s/main.py", directory);
    FILE *out = fopen(path, "w");
    if (out == NULL || fputs(script, out) < 0 || fclose(out) != 0) {
        fail("the script can't be written");
    }
    snprintf(path, sizeof(path), "%s/work", directory);
    struct process process;
    struct process_options options = {
        .program = BENCH_INTERPRETER, .python_library = BENCH_PYTHON_LIBRARY, .directory = path};
    struct error error;
    struct arena arena;
    arena_init(&arena);
    process_init(&process);
    int64_t before_us = clock_mono_us();
    if (process_start(&process, &options, &error) < 0) {
        fail(error.text);
    }
    uint64_t number = 0;
    load(&process, 1, directory, "Trivial");
    load(&process, 2, directory, "Nothing");
    load(&process, 3, directory, "Bare");
    send_batch(&process, 1, 1, &number);
    while (receive(&process, &arena, NULL, 0) == 0) {
    }
    printf("start to first answer: %.1f ms, %.1f MiB resident\n",
           (double)(clock_mono_us() - before_us) / 1e3,
           (double)process_rss_bytes(&process) / 1048576);
    char bare[64] = "";
    send_batch(&process, 3, 1, &number);
    while (receive(&process, &arena, bare, sizeof(bare)) == 0) {
    }
    printf("the bare call of the trivial method in a Python loop: %.3f us\n", strtod(bare, NULL));
    static const size_t frames[] = {1, 8, 64};
    for (uint32_t code = 1; code <= 2; code++) {
        for (size_t i = 0; i < 3; i++) {
            measure(&process, &arena, code, frames[i], seconds, &number);
        }
    }
    printf("afterwards %.1f MiB resident\n", (double)process_rss_bytes(&process) / 1048576);
    process_release(&process);
    arena_release(&arena);
    return 0;
}
