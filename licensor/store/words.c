/*
 * Words of a command. See words.h.
 */
#include "licensor/store/words.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "licensor/store/command.h"
#include "licensor/store/packed.h"

#define WORDS_BYTES_MAX (8 * 1024 * 1024)
#define DIGITS_MAX 20

void words_init(struct words *words)
{
    memset(words, 0, sizeof(*words));
    buf_init(&words->body, WORDS_BYTES_MAX);
}

void words_init_packed(struct words *words)
{
    words_init(words);
    words->is_packed = true;
}

void words_release(struct words *words)
{
    if (words != NULL) {
        buf_release(&words->body);
    }
}

void words_clear(struct words *words)
{
    buf_clear(&words->body);
    words->count = 0;
    words->error = 0;
}

/* Decimal digits into the end of `text`, by hand: there are many numbers. Returns where they begin.
 */
static char *print_int(int64_t value, char text[DIGITS_MAX])
{
    uint64_t rest = value < 0 ? (uint64_t)0 - (uint64_t)value : (uint64_t)value;
    char *at = text + DIGITS_MAX;
    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0) {
        *--at = '-';
    }
    return at;
}

static int add_packed(struct buf *body, const void *data, size_t bytes)
{
    int rc = pack_text_header(body, bytes);
    return rc != 0 ? rc : buf_append(body, data, bytes);
}

void words_add_bytes(struct words *words, const void *data, size_t bytes)
{
    if (words->is_packed) {
        words->error = words->error != 0 ? words->error : add_packed(&words->body, data, bytes);
        words->count++;
        return;
    }
    char digits[DIGITS_MAX], *length = print_int((int64_t)bytes, digits);
    size_t length_bytes = (size_t)(digits + DIGITS_MAX - length);
    uint8_t *out = words->error == 0 ? buf_reserve(&words->body, length_bytes + bytes + 5) : NULL;
    if (out == NULL) {
        words->error = words->error != 0 ? words->error : -EMSGSIZE;
        return;
    }
    *out++ = '$';
    memcpy(out, length, length_bytes);
    out += length_bytes;
    memcpy(out, "\r\n", 2);
    if (bytes > 0) {
        memcpy(out + 2, data, bytes);
    }
    memcpy(out + 2 + bytes, "\r\n", 2);
    buf_commit(&words->body, length_bytes + bytes + 5);
    words->count++;
}

void words_add(struct words *words, const char *text)
{
    words_add_bytes(words, text, strlen(text));
}

void words_add_int(struct words *words, int64_t value)
{
    char digits[DIGITS_MAX], *text = print_int(value, digits);
    words_add_bytes(words, text, (size_t)(digits + DIGITS_MAX - text));
}

void words_add_pair(struct words *words, int64_t a, int64_t b)
{
    char text[2 * DIGITS_MAX + 1], digits[DIGITS_MAX], *first = print_int(a, digits);
    size_t bytes = (size_t)(digits + DIGITS_MAX - first);
    memcpy(text, first, bytes);
    text[bytes++] = ':';
    char *second = print_int(b, digits);
    memcpy(text + bytes, second, (size_t)(digits + DIGITS_MAX - second));
    words_add_bytes(words, text, bytes + (size_t)(digits + DIGITS_MAX - second));
}

void words_add_all(struct words *words, const struct words *more)
{
    if (words->error == 0) {
        words->error = more->error != 0
                           ? more->error
                           : buf_append(&words->body, more->body.data, more->body.length);
    }
    words->count += more->count;
}

void words_call(struct words *words, const char *function, const char *tenant)
{
    char text[128];
    words_add(words, "FCALL");
    snprintf(text, sizeof(text), ENGENHO_LIBRARY "_%s", function);
    words_add(words, text);
    words_add(words, "1");
    snprintf(text, sizeof(text), "{%s}", tenant);
    words_add(words, text);
}

int words_write(const struct words *words, struct buf *out)
{
    int rc = words->error;
    if (rc == 0) {
        rc = words->is_packed ? pack_array_header(out, (uint32_t)words->count)
                              : buf_print(out, "*%zu\r\n", words->count);
    }
    return rc != 0 ? rc : buf_append(out, words->body.data, words->body.length);
}
