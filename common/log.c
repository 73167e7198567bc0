/*
 * The structured log. A line is built on the stack and leaves in one write, so that lines of
 * several threads (librdkafka's call back from its own) and of several processes on one pipe never
 * mix. Every process.
 */
#include "common/log.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/utf8.h"

#define LINE_BYTES_MAX 16384
/* What every text leaves free for the closing of the line. */
#define LINE_BYTES_RESERVED 16

struct line {
    size_t length;
    char text[LINE_BYTES_MAX];
};

static const char *log_component = "engenho";
static enum log_level log_least = LOG_LEVEL_INFO;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_start(const char *component, enum log_level least)
{
    log_component = component;
    log_least = least;
}

int log_level_parse(const char *text, enum log_level *ret_level)
{
    for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
        if (!strcmp(text, level_names[i])) {
            *ret_level = (enum log_level)i;
            return 0;
        }
    }
    return -EINVAL;
}

static bool fits(const struct line *line, size_t bytes)
{
    return bytes <= LINE_BYTES_MAX - LINE_BYTES_RESERVED - line->length;
}

static void put(struct line *line, const char *text, size_t bytes)
{
    memcpy(line->text + line->length, text, bytes);
    line->length += bytes;
}

/*
 * The JSON form of one character at `text`; returns the bytes written to `out`, and how many it
 * read.
 */
static size_t escape(const char *text, size_t left, char out[8], size_t *ret_read)
{
    unsigned char c = (unsigned char)text[0];
    *ret_read = 1;
    if (c == '"' || c == '\\') {
        out[0] = '\\';
        out[1] = (char)c;
        return 2;
    }
    if (c == '\n' || c == '\t') {
        out[0] = '\\';
        out[1] = c == '\n' ? 'n' : 't';
        return 2;
    }
    if (c < 0x20 || c == 0x7f) {
        return (size_t)snprintf(out, 8, "\\u%04x", c);
    }
    size_t bytes = utf8_character(text, left);
    if (!bytes) {
        memcpy(out, "\xef\xbf\xbd", 3);
        return 3;
    }
    memcpy(out, text, bytes);
    *ret_read = bytes;
    return bytes;
}

static void put_text(struct line *line, const char *text)
{
    put(line, "\"", 1);
    size_t left = strlen(text);
    while (left) {
        char out[8];
        size_t read;
        size_t bytes = escape(text, left, out, &read);
        /* The quote and a sign that something is missing always fit behind. */
        if (!fits(line, bytes + 4)) {
            put(line, "\xe2\x80\xa6", 3);
            break;
        }
        put(line, out, bytes);
        text += read;
        left -= read;
    }
    put(line, "\"", 1);
}

static void put_real(struct line *line, double real)
{
    char text[40];
    /* JSON has no NaN or infinity. */
    int length = isfinite(real) ? snprintf(text, sizeof text, "%.12g", real)
                                : snprintf(text, sizeof text, "null");
    put(line, text, (size_t)length);
}

static void put_field(struct line *line, const struct log_field *field)
{
    size_t name_bytes = strlen(field->name);
    /* A field that can't even show its name and a number is left out whole. */
    if (!fits(line, name_bytes + 64)) {
        return;
    }
    put(line, ",\"", 2);
    put(line, field->name, name_bytes);
    put(line, "\":", 2);
    char number[24];
    switch (field->type) {
    case LOG_FIELD_TEXT:
        if (field->text) {
            put_text(line, field->text);
        } else {
            put(line, "null", 4);
        }
        break;
    case LOG_FIELD_INT:
        put(line, number, (size_t)snprintf(number, sizeof number, "%" PRId64, field->integer));
        break;
    case LOG_FIELD_REAL:
        put_real(line, field->real);
        break;
    case LOG_FIELD_BOOL:
        put(line, field->integer ? "true" : "false", field->integer ? 4 : 5);
        break;
    case LOG_FIELD_END:
        break;
    }
}

static void put_time(struct line *line)
{
    int64_t now_us = clock_unix_us();
    time_t seconds = (time_t)(now_us / SECOND_US);
    struct tm utc;
    if (!gmtime_r(&seconds, &utc)) {
        utc = (struct tm){.tm_year = 70, .tm_mday = 1};
    }
    char text[96];
    int length = snprintf(text, sizeof text, "{\"time\":\"%04d-%02d-%02dT%02d:%02d:%02d.%06dZ\"",
                          utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min,
                          utc.tm_sec, (int)(now_us % SECOND_US));
    put(line, text, (size_t)length);
}

static void write_line(const struct line *line)
{
    const char *at = line->text;
    size_t left = line->length;
    while (left) {
        ssize_t written = write(STDERR_FILENO, at, left);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        /* A log that can't be written must not stop the work. */
        if (written <= 0) {
            return;
        }
        at += written;
        left -= (size_t)written;
    }
}

void log_write(enum log_level level, const char *message, ...)
{
    if (level < log_least) {
        return;
    }
    int saved_errno = errno;
    struct line line;
    line.length = 0;
    put_time(&line);
    put_field(&line, &LOG_TEXT("level", level_names[level]));
    put_field(&line, &LOG_TEXT("component", log_component));
    put_field(&line, &LOG_TEXT("message", message));
    va_list arguments;
    va_start(arguments, message);
    for (;;) {
        struct log_field field = va_arg(arguments, struct log_field);
        if (field.type == LOG_FIELD_END) {
            break;
        }
        put_field(&line, &field);
    }
    va_end(arguments);
    put(&line, "}\n", 2);
    write_line(&line);
    errno = saved_errno;
}
