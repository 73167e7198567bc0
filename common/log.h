/*
 * The structured log: one JSON line per event on stderr, and nothing else there. Only edges and
 * mains call it. Every process.
 *
 *     log_info("lane taken", LOG_TEXT("topic", topic), LOG_INT("partition", partition));
 *
 * gives {"time":"2026-01-31T12:00:00.123456Z","level":"info","component":"worker","message":"lane
 * taken","topic":...}. A line is 16 KiB at most; longer texts are cut. Bytes that are not UTF-8 are
 * replaced.
 */
#ifndef ENGENHO_COMMON_LOG_H
#define ENGENHO_COMMON_LOG_H

#include <stdint.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

enum log_field_type {
    LOG_FIELD_END,
    LOG_FIELD_TEXT,
    LOG_FIELD_INT,
    LOG_FIELD_REAL,
    LOG_FIELD_BOOL
};

struct log_field {
    enum log_field_type type;
    const char *name;
    const char *text; /* NULL: null */
    int64_t integer;
    double real;
};

#define LOG_TEXT(key, value)                                                                       \
    ((struct log_field){.type = LOG_FIELD_TEXT, .name = (key), .text = (value)})
#define LOG_INT(key, value)                                                                        \
    ((struct log_field){.type = LOG_FIELD_INT, .name = (key), .integer = (value)})
#define LOG_REAL(key, value)                                                                       \
    ((struct log_field){.type = LOG_FIELD_REAL, .name = (key), .real = (value)})
#define LOG_BOOL(key, value)                                                                       \
    ((struct log_field){.type = LOG_FIELD_BOOL, .name = (key), .integer = (value)})

/*
 * `component` (borrowed for ever) goes into each line; lines below `least` are left out. Before it:
 * "engenho", info.
 */
void log_start(const char *component, enum log_level least);
/* debug, info, warn, error; returns 0 or -EINVAL. */
int log_level_parse(const char *text, enum log_level *ret_level);
/* The fields follow by value and end with LOG_END; the macros below add it. */
void log_write(enum log_level level, const char *message, ...);

#define LOG_END ((struct log_field){.type = LOG_FIELD_END})
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__, LOG_END)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__, LOG_END)
#define log_warn(...) log_write(LOG_LEVEL_WARN, __VA_ARGS__, LOG_END)
#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__, LOG_END)

#endif
