#include "producer/writer.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/duration.h"
#include "common/names.h"

void writer_init(struct writer *json, struct buf *out)
{
    memset(json, 0, sizeof *json);
    json->out = out;
}

static void put(struct writer *json, const void *text, size_t bytes)
{
    if (json->result == 0) {
        json->result = buf_append(json->out, text, bytes);
    }
}

/* How many bytes the character at `text` has, when it is well-formed UTF-8; else 0. */
static size_t character_bytes(const unsigned char *text, size_t left)
{
    size_t bytes = text[0] < 0x80 ? 1 : text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;
    return bytes <= left && utf8_is_valid(text, bytes) ? bytes : 0;
}

static void put_escaped(struct writer *json, unsigned char c)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    char text[8];
    const char *found = memchr(from, c, sizeof from - 1);
    if (found != NULL) {
        snprintf(text, sizeof text, "\\%c", to[found - from]);
    } else {
        snprintf(text, sizeof text, "\\u%04x", c);
    }
    put(json, text, strlen(text));
}

static void put_string(struct writer *json, const unsigned char *text, size_t bytes)
{
    size_t start = 0, i = 0;
    put(json, "\"", 1);
    while (i < bytes) {
        size_t width = character_bytes(text + i, bytes - i);
        if (width > 0 && text[i] >= 0x20 && text[i] != '"' && text[i] != '\\' && text[i] != 0x7f) {
            i += width;
            continue;
        }
        put(json, text + start, i - start);
        if (width == 0) {
            put(json, "\xef\xbf\xbd", 3);
        } else {
            put_escaped(json, text[i]);
        }
        start = ++i;
    }
    put(json, text + start, i - start);
    put(json, "\"", 1);
}

static void begin(struct writer *json, const char *key)
{
    if (json->filled[json->depth]) {
        put(json, ",", 1);
    }
    json->filled[json->depth] = true;
    if (key != NULL) {
        put_string(json, (const unsigned char *)key, strlen(key));
        put(json, ":", 1);
    }
}

static void open_level(struct writer *json, const char *key, const char *opening, char closing)
{
    begin(json, key);
    assert(json->depth + 1 < WRITER_DEPTH_MAX);
    json->depth++;
    json->filled[json->depth] = false;
    json->closing[json->depth] = closing;
    put(json, opening, 1);
}

void writer_object(struct writer *json, const char *key)
{
    open_level(json, key, "{", '}');
}

void writer_array(struct writer *json, const char *key)
{
    open_level(json, key, "[", ']');
}

void writer_end(struct writer *json)
{
    assert(json->depth > 0);
    put(json, &json->closing[json->depth], 1);
    json->depth--;
}

void writer_bytes(struct writer *json, const char *key, const void *text, size_t bytes)
{
    begin(json, key);
    put_string(json, text, bytes);
}

void writer_text(struct writer *json, const char *key, const char *text)
{
    if (text == NULL) {
        writer_null(json, key);
    } else {
        writer_bytes(json, key, text, strlen(text));
    }
}

void writer_integer(struct writer *json, const char *key, int64_t value)
{
    char text[32];
    begin(json, key);
    snprintf(text, sizeof text, "%" PRId64, value);
    put(json, text, strlen(text));
}

void writer_real(struct writer *json, const char *key, double value)
{
    char text[40];
    if (!isfinite(value)) {
        writer_null(json, key);
        return;
    }
    begin(json, key);
    snprintf(text, sizeof text, "%.15g", value);
    double back = 0;
    if (sscanf(text, "%lf", &back) != 1 || memcmp(&back, &value, sizeof back) != 0) {
        snprintf(text, sizeof text, "%.17g", value);
    }
    if (strpbrk(text, ".e") == NULL) {
        /* or it would read back as a whole number */
        snprintf(text + strlen(text), sizeof text - strlen(text), ".0");
    }
    put(json, text, strlen(text));
}

void writer_bool(struct writer *json, const char *key, bool value)
{
    begin(json, key);
    put(json, value ? "true" : "false", value ? 4 : 5);
}

void writer_null(struct writer *json, const char *key)
{
    begin(json, key);
    put(json, "null", 4);
}

void writer_instant(struct writer *json, const char *key, int64_t unix_us)
{
    char text[INSTANT_TEXT_BYTES];
    if (unix_us != 0) {
        instant_print(unix_us, text);
        writer_text(json, key, text);
    }
}

void writer_raw(struct writer *json, const char *key, const char *text, size_t bytes)
{
    begin(json, key);
    put(json, text, bytes);
}

int writer_result(const struct writer *json)
{
    return json->result;
}
