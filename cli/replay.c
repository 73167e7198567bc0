/*
 * replay: a file's rows as events, each exactly once, at the file's pace or another. Process:
 * engenho.
 *
 * The file is the queue: each batch says how many events of the source came before it, the server
 * commits events and position together, and after anything that goes wrong the next batch begins at
 * the position that the server names.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/api.h"
#include "cli/csv.h"
#include "cli/pace.h"
#include "common/clock.h"
#include "common/duration.h"
#include "common/memory.h"

#define BATCH_BYTES_MAX ((size_t)8 << 20)
/* How often a paced replay sends what has become due: 5 events a batch at 200 a second. */
#define TURN_US INT64_C(25000)
#define RETRY_US_MIN INT64_C(100000)
#define RETRY_US_MAX INT64_C(2000000)
#define CALL_MS_MAX 15000
#define PROGRESS_US INT64_C(1000000)

struct replay {
    const struct call *call;
    const struct replay_options *options;
    struct client *client;
    const char *data; /* the file, mapped */
    size_t length;
    struct csv csv;
    size_t time_field, value_field; /* SIZE_MAX: none */
    char *source;
    uint64_t position; /* committed */
    uint64_t read;     /* rows read; row `read - 1` is in csv */
    char *previous;    /* value of the row before, as JSON; NULL: none */
    char *value;       /* of the row that was read */
    int64_t time_us;
    bool more; /* a row is read and waits */
    struct pace pace;
    struct buf batch;
    int64_t started_us, shown_us;
    uint64_t first; /* position at the start */
    bool terminal;
};

static void wait_us(int64_t us)
{
    struct timespec pause = {.tv_sec = us / SECOND_US, .tv_nsec = us % SECOND_US * 1000};
    if (us > 0) {
        nanosleep(&pause, NULL);
    }
}

/* A cell as JSON: numbers as they are written, nothing as null, all else as text. Returns owned. */
static char *cell_as_json(const char *cell)
{
    if (csv_is_json_number(cell)) {
        return memory_copy_text(cell);
    }
    if (!*cell || strcasecmp(cell, "nan") == 0 || strcasecmp(cell, "null") == 0) {
        return memory_copy_text("null");
    }
    json_t *text = json_string(cell);
    char *json = text ? json_dumps(text, JSON_ENCODE_ANY) : NULL;
    json_decref(text);
    return json;
}

static int column_of(const struct csv *csv, const char *wanted, const char *usual,
                     size_t *ret_field, struct error *error)
{
    for (size_t i = 0; i < csv->field_count; i++) {
        if (strcasecmp(csv_field(csv, i), wanted ? wanted : usual) == 0) {
            *ret_field = i;
            return 0;
        }
    }
    if (!wanted) {
        *ret_field = SIZE_MAX;
        return 0;
    }
    return error_set(error, -ENOENT, "there is no column '%s' in the first line", wanted);
}

/* Read the next row into the waiting one. Returns 0 (replay->more says whether there was one), or
 * -Exxx. */
static int next_row(struct replay *replay, struct error *error)
{
    const char *file = replay->call->operands[0];
    int got = csv_next(&replay->csv);
    replay->more = got == 1;
    if (got < 0) {
        return error_set(error, got, "%s, line %" PRIu64 ": %s", file, replay->csv.line,
                         got == -EILSEQ ? "a quote that is not closed, or a byte that is no text"
                                        : "the line is too long or has too many columns");
    }
    if (!got) {
        return 0;
    }
    free(replay->previous);
    replay->previous = replay->value;
    replay->value = cell_as_json(csv_field(&replay->csv, replay->value_field));
    if (!replay->value) {
        return error_set(error, -EILSEQ, "%s, line %" PRIu64 ": the value is not UTF-8", file,
                         replay->csv.line);
    }
    if (replay->time_field != SIZE_MAX &&
        instant_parse(csv_field(&replay->csv, replay->time_field), &replay->time_us) != 0) {
        return error_set(error, -EINVAL,
                         "%s, line %" PRIu64 ": '%s' is not a time such as 2026-01-31T12:00:00Z",
                         file, replay->csv.line, csv_field(&replay->csv, replay->time_field));
    }
    replay->read++;
    return 0;
}

/* The first line: which columns are the time and the value. */
static int read_titles(struct replay *replay, struct error *error)
{
    const struct replay_options *options = replay->options;
    int got = csv_next(&replay->csv);
    if (got < 1) {
        return error_set(error, got ? got : -ENODATA,
                         "%s is empty or its first line is not one of column names",
                         replay->call->operands[0]);
    }
    int failed = column_of(&replay->csv, options->time, "timestamp", &replay->time_field, error);
    if (!failed) {
        failed = column_of(&replay->csv, options->value, "value", &replay->value_field, error);
    }
    if (!failed && replay->value_field == SIZE_MAX) {
        replay->value_field = replay->csv.field_count - 1;
    }
    if (!failed && options->speed && replay->time_field == SIZE_MAX) {
        failed = error_set(error, -EINVAL, "--speed needs times: name their column with --time");
    }
    return failed;
}

/* Stand before row number `position`: the first that is not committed. */
static int seek(struct replay *replay, uint64_t position, struct error *error)
{
    csv_release(&replay->csv);
    csv_init(&replay->csv, replay->data, replay->length);
    free(replay->previous);
    free(replay->value);
    replay->previous = replay->value = NULL;
    replay->read = 0;
    replay->position = position;
    int failed = read_titles(replay, error);
    while (!failed && replay->read <= position) {
        failed = next_row(replay, error);
        if (!replay->more) {
            break;
        }
    }
    if (!failed && !replay->more && replay->read < position) {
        failed = error_set(error, -ERANGE,
                           "the server has had %" PRIu64
                           " events of source %s, but the file has %" PRIu64
                           ": another file? then name another --source",
                           position, replay->source, replay->read);
    }
    return failed;
}

/* Begin a JSON text with its quotes. */
static int append_member(struct buf *batch, const char *name, const char *text)
{
    json_t *string = json_string(text);
    char *json = string ? json_dumps(string, JSON_ENCODE_ANY) : NULL;
    int failed = json ? buf_print(batch, "\"%s\":%s", name, json) : -EINVAL;
    free(json);
    json_decref(string);
    return failed;
}

static int append_event(struct replay *replay)
{
    struct buf *batch = &replay->batch;
    int failed = buf_append_text(batch, batch->length > 1 ? ",{" : "{");
    failed = failed ? failed : append_member(batch, "connection", replay->options->connection);
    failed = failed ? failed : buf_append_text(batch, ",");
    failed = failed ? failed : append_member(batch, "object", replay->options->object);
    failed = failed ? failed : buf_print(batch, ",\"value\":%s", replay->value);
    if (!failed && replay->previous) {
        failed = buf_print(batch, ",\"previous\":%s", replay->previous);
    }
    if (!failed && replay->time_field != SIZE_MAX) {
        char text[INSTANT_TEXT_BYTES];
        instant_print(replay->time_us, text);
        failed = buf_print(batch, ",\"timestamp\":\"%s\"", text);
    }
    return failed ? failed : buf_append_text(batch, "}");
}

/* Put what is due now into the batch. *ret_count events; 0: *ret_wait_us until the next one is. */
static int fill(struct replay *replay, uint64_t *ret_count, int64_t *ret_wait_us,
                struct error *error)
{
    int64_t now_us = clock_mono_us();
    *ret_count = 0;
    *ret_wait_us = 0;
    buf_clear(&replay->batch);
    int failed = buf_append_text(&replay->batch, "[");
    if (replay->more) {
        pace_catch(&replay->pace, replay->position, replay->time_us, now_us);
    }
    while (!failed && replay->more && *ret_count < (uint64_t)replay->options->batch &&
           replay->batch.length < BATCH_BYTES_MAX / 2) {
        int64_t due_us = pace_due_us(&replay->pace, replay->position + *ret_count, replay->time_us);
        if (due_us > now_us) {
            *ret_wait_us = due_us - now_us > TURN_US ? due_us - now_us : TURN_US;
            break;
        }
        failed = append_event(replay);
        *ret_count += 1;
        failed = failed ? failed : next_row(replay, error);
    }
    return failed ? failed : buf_append_text(&replay->batch, "]");
}

static void show(struct replay *replay, bool last)
{
    int64_t now_us = clock_mono_us();
    bool due = now_us - replay->shown_us >= (replay->terminal ? PROGRESS_US : 10 * PROGRESS_US);
    if (replay->options->quiet || (!due && !last)) {
        return;
    }
    double seconds = (double)(now_us - replay->started_us) / 1e6;
    double rate = seconds > 0 ? (double)(replay->position - replay->first) / seconds : 0;
    replay->shown_us = now_us;
    (void)fprintf(stderr, "%s%" PRIu64 " events, %.1f s, %.1f a second%s",
                  replay->terminal ? "\r" : "", replay->position, seconds, rate,
                  !replay->terminal || last ? "\n" : " ");
}

/* The position that the server has committed. Returns 0, or as client_call. */
static int ask_position(struct replay *replay, uint64_t *ret_position, struct error *error)
{
    struct client_path path;
    struct client_answer answer;
    client_path_init(&path, "/v1/sources");
    client_path_piece(&path, replay->source);
    struct http_request request = {
        .method = "GET", .path = client_path_text(&path), .limit_ms = CALL_MS_MAX};
    int failed = client_call(replay->client, &request, &answer, error);
    if (!failed) {
        *ret_position = (uint64_t)json_integer_value(json_object_get(answer.json, "position"));
    }
    client_answer_release(&answer);
    client_path_release(&path);
    return failed;
}

/* One try. Returns 0 with the position that is committed now; -EAGAIN: the same again later; else
 * it is over. */
static int post(struct replay *replay, uint64_t *ret_position, struct error *error)
{
    struct client_path path;
    struct client_answer answer;
    char from[32];
    (void)snprintf(from, sizeof(from), "%" PRIu64, replay->position);
    client_path_init(&path, "/v1/events");
    client_path_parameter(&path, "source", replay->source);
    client_path_parameter(&path, "from", from);
    struct http_request request = {.method = "POST",
                                   .path = client_path_text(&path),
                                   .content_type = "application/json",
                                   .body = replay->batch.data,
                                   .body_bytes = replay->batch.length,
                                   .limit_ms = CALL_MS_MAX};
    int failed = client_call(replay->client, &request, &answer, error);
    const json_t *position = json_object_get(answer.json, "position");
    if ((!failed || answer.status == 409) && json_is_integer(position)) {
        /* Refused where it stands: another batch of the source, maybe our own of before a break, is
         * being committed. */
        *ret_position = (uint64_t)json_integer_value(position);
        failed = failed && *ret_position == replay->position ? -EAGAIN : 0;
    } else if (!failed) {
        failed = error_set(error, -EPROTO, "%s gave no position: is it Engenho's API?",
                           client_server(replay->client));
    }
    client_answer_release(&answer);
    client_path_release(&path);
    return failed;
}

/* Until it is committed, refused, or --give-up has passed. A batch that was in doubt is settled by
 * its `from`. */
static int deliver(struct replay *replay, uint64_t count, struct error *error)
{
    int64_t until_us = clock_mono_us() + replay->options->give_up_us, pause_us = RETRY_US_MIN;
    uint64_t committed = 0;
    int failed;
    bool told = false;
    while ((failed = post(replay, &committed, error)) == -EAGAIN && clock_mono_us() < until_us) {
        if (!told && !replay->options->quiet) {
            (void)fprintf(stderr, "%s%s; trying again from event %" PRIu64 "\n",
                          replay->terminal ? "\r" : "", error->text, replay->position);
            told = true;
        }
        wait_us(pause_us);
        pause_us = pause_us * 2 < RETRY_US_MAX ? pause_us * 2 : RETRY_US_MAX;
    }
    if (failed) {
        return failed;
    }
    if (committed == replay->position + count) {
        replay->position = committed;
        return 0;
    }
    return seek(replay, committed, error);
}

static int run(struct replay *replay, double rate, double speed, struct error *error)
{
    int failed = seek(replay, replay->position, error);
    replay->first = replay->position;
    replay->started_us = replay->shown_us = clock_mono_us();
    pace_init(&replay->pace, rate, speed);
    pace_start(&replay->pace, replay->position, replay->time_us, replay->started_us);
    while (!failed && replay->more) {
        uint64_t count = 0;
        int64_t pause_us = 0;
        failed = fill(replay, &count, &pause_us, error);
        if (!failed && count > 0) {
            failed = deliver(replay, count, error);
        }
        if (!failed) {
            show(replay, false);
            wait_us(pause_us);
        }
    }
    if (!failed) {
        show(replay, true);
    }
    return failed;
}

/* The same file into the same variable is the same source: started again, a replay goes on where it
 * was. */
static char *source_of(const struct replay *replay)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    const char *columns[] = {replay->options->time ? replay->options->time : "",
                             replay->options->value ? replay->options->value : ""};
    for (size_t i = 0; i < replay->length; i++) {
        hash = (hash ^ (uint8_t)replay->data[i]) * UINT64_C(1099511628211);
    }
    for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
        for (const char *at = columns[i]; *at; at++) {
            hash = (hash ^ (uint8_t)*at) * UINT64_C(1099511628211);
        }
    }
    return memory_print("replay %s %s %016" PRIx64, replay->options->connection,
                        replay->options->object, hash);
}

static int map_file(struct replay *replay, struct error *error)
{
    const char *path = replay->call->operands[0];
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0) {
        int failed = -errno;
        if (fd >= 0) {
            close(fd);
        }
        return error_set(error, failed, "can't read %s: %s", path, strerror(-failed));
    }
    int failed = 0;
    if (!S_ISREG(info.st_mode) || info.st_size == 0) {
        failed = error_set(error, -EINVAL, "%s is not a file with rows", path);
    } else {
        void *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) {
            failed = error_set(error, -errno, "can't read %s: %s", path, strerror(errno));
        } else {
            replay->data = data;
            replay->length = (size_t)info.st_size;
        }
    }
    close(fd);
    return failed;
}

/* "200" or "0.5": a positive number. Returns 0, or -EINVAL with a sentence. */
static int parse_factor(const char *name, const char *text, double *ret_value, struct error *error)
{
    char *end = NULL;
    *ret_value = 0;
    if (!text) {
        return 0;
    }
    double value = strtod(text, &end);
    if (end == text || *end || !isfinite(value) || value <= 0 || value > 1e9) {
        return error_set(error, -EINVAL, "--%s takes a number above 0, not '%s'", name, text);
    }
    *ret_value = value;
    return 0;
}

int command_replay(const struct call *call)
{
    const struct replay_options *options = call->config;
    struct error error = {.text = ""};
    double rate = 0, speed = 0;
    if (parse_factor("rate", options->rate, &rate, &error) != 0 ||
        parse_factor("speed", options->speed, &speed, &error) != 0) {
        (void)command_fail(call, "%s", error.text);
        return EXIT_USAGE;
    }
    if (rate > 0 && speed > 0) {
        (void)command_fail(call, "--rate and --speed exclude each other");
        return EXIT_USAGE;
    }
    struct replay replay = {
        .call = call, .options = options, .terminal = isatty(STDERR_FILENO) == 1};
    buf_init(&replay.batch, BATCH_BYTES_MAX);
    int failed = map_file(&replay, &error);
    csv_init(&replay.csv, replay.data, replay.length);
    if (!failed) {
        replay.source = options->source ? memory_copy_text(options->source) : source_of(&replay);
        replay.client = client_new(&options->client, &error);
        failed = replay.client ? ask_position(&replay, &replay.position, &error) : -ENOENT;
    }
    if (!failed && replay.position > 0 && !options->quiet) {
        (void)fprintf(
            stderr, "source '%s' goes on after %" PRIu64 " events; another --source begins anew\n",
            replay.source, replay.position);
    }
    failed = failed ? failed : run(&replay, rate, speed, &error);
    client_free(replay.client);
    csv_release(&replay.csv);
    buf_release(&replay.batch);
    free(replay.previous);
    free(replay.value);
    free(replay.source);
    if (replay.data) {
        (void)munmap((void *)(uintptr_t)replay.data, replay.length);
    }
    return failed ? command_fail(call, "%s", error.text[0] ? error.text : strerror(-failed))
                  : EXIT_DONE;
}
