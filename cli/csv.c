/*
 * CSV. See the header. It gives meaning to nothing.
 */
#include "cli/csv.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

void csv_init(struct csv *csv, const char *data, size_t length)
{
    memset(csv, 0, sizeof(*csv));
    csv->data = data;
    csv->length = length;
    csv->next_line = 1;
    if (length >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) {
        csv->at = 3;
    }
    buf_init(&csv->text, CSV_RECORD_BYTES_MAX);
}

void csv_release(struct csv *csv)
{
    if (csv) {
        buf_release(&csv->text);
    }
}

static bool at_line_end(const struct csv *csv)
{
    if (csv->at >= csv->length || csv->data[csv->at] == '\n') {
        return true;
    }
    return csv->data[csv->at] == '\r' &&
           (csv->at + 1 == csv->length || csv->data[csv->at + 1] == '\n');
}

static void pass_line_end(struct csv *csv)
{
    if (csv->at < csv->length && csv->data[csv->at] == '\r') {
        csv->at++;
    }
    if (csv->at < csv->length) {
        csv->at++;
    }
    csv->next_line++;
}

/* A field that begins with a quote; `at` stands behind that. */
static int read_quoted(struct csv *csv)
{
    while (csv->at < csv->length) {
        char byte = csv->data[csv->at++];
        if (byte == '"') {
            if (csv->at >= csv->length || csv->data[csv->at] != '"') {
                return at_line_end(csv) || csv->data[csv->at] == ',' ? 0 : -EILSEQ;
            }
            csv->at++;
        }
        csv->next_line += byte == '\n';
        /* A NUL would end the text early for all who read it. */
        int failed = byte ? buf_append(&csv->text, &byte, 1) : -EILSEQ;
        if (failed) {
            return failed;
        }
    }
    return -EILSEQ;
}

static int read_plain(struct csv *csv)
{
    size_t begin = csv->at;
    while (!at_line_end(csv) && csv->data[csv->at] != ',') {
        if (!csv->data[csv->at]) {
            return -EILSEQ;
        }
        csv->at++;
    }
    return buf_append(&csv->text, csv->data + begin, csv->at - begin);
}

int csv_next(struct csv *csv)
{
    csv->field_count = 0;
    buf_clear(&csv->text);
    while (csv->at < csv->length && at_line_end(csv)) {
        pass_line_end(csv);
    }
    csv->line = csv->next_line;
    if (csv->at >= csv->length) {
        return 0;
    }
    for (;;) {
        if (csv->field_count >= CSV_FIELDS_MAX) {
            return -E2BIG;
        }
        csv->field[csv->field_count++] = csv->text.length;
        bool quoted = csv->at < csv->length && csv->data[csv->at] == '"';
        csv->at += quoted;
        int failed = quoted ? read_quoted(csv) : read_plain(csv);
        failed = failed ? failed : buf_append(&csv->text, "", 1);
        if (failed) {
            return failed;
        }
        if (at_line_end(csv)) {
            pass_line_end(csv);
            return 1;
        }
        csv->at++;
    }
}

const char *csv_field(const struct csv *csv, size_t i)
{
    return i < csv->field_count ? (const char *)csv->text.data + csv->field[i] : "";
}

static const char *pass_digits(const char *text)
{
    while (isdigit((unsigned char)*text)) {
        text++;
    }
    return text;
}

bool csv_is_json_number(const char *text)
{
    text += *text == '-';
    const char *digits = pass_digits(text);
    if (digits == text || (*text == '0' && digits > text + 1)) {
        return false;
    }
    text = digits;
    if (*text == '.') {
        digits = pass_digits(text + 1);
        if (digits == text + 1) {
            return false;
        }
        text = digits;
    }
    if (*text == 'e' || *text == 'E') {
        text += text[1] == '+' || text[1] == '-' ? 2 : 1;
        digits = pass_digits(text);
        if (digits == text) {
            return false;
        }
        text = digits;
    }
    return *text == 0;
}
