/*
 * JSON as text for people and spreadsheets. See the header. It reads no files and knows no
 * commands.
 */
#include "cli/table.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

#define YAML_DEPTH_MAX 64

const json_t *table_member(const json_t *object, const char *path)
{
    while (object && *path) {
        char name[64];
        size_t length = strcspn(path, ".");
        if (length >= sizeof(name)) {
            return NULL;
        }
        memcpy(name, path, length);
        name[length] = 0;
        object = json_object_get(object, name);
        path += length + (path[length] == '.');
    }
    return object;
}

/* The shortest digits that read back as the same number. */
static int append_real(struct buf *out, double value)
{
    char text[40] = "";
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    return buf_print(out, "%s%s", text, strpbrk(text, ".en") ? "" : ".0");
}

/* A line end and its indentation, or nothing when all stands on one line. */
static int append_break(struct buf *out, int indent)
{
    return indent < 0 ? 0 : buf_print(out, "\n%*s", indent, "");
}

static int append_json(struct buf *out, const json_t *value, int indent);

static int append_json_object(struct buf *out, const json_t *object, int indent)
{
    const char *key;
    json_t *value;
    int failed = buf_append_text(out, "{");
    bool first = true;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        json_t *name = json_string(key);
        failed = failed || first ? failed : buf_append_text(out, ",");
        failed = failed ? failed : append_break(out, indent);
        failed = failed ? failed : append_json(out, name, -1);
        failed = failed ? failed : buf_append_text(out, indent < 0 ? ":" : ": ");
        failed = failed ? failed : append_json(out, value, indent);
        json_decref(name);
        first = false;
    }
    failed = failed || first ? failed : append_break(out, indent < 0 ? -1 : indent - 2);
    return failed ? failed : buf_append_text(out, "}");
}

static int append_json_array(struct buf *out, const json_t *array, int indent)
{
    int failed = buf_append_text(out, "[");
    for (size_t i = 0; i < json_array_size(array) && !failed; i++) {
        failed = i > 0 ? buf_append_text(out, ",") : 0;
        failed = failed ? failed : append_break(out, indent);
        failed = failed ? failed : append_json(out, json_array_get(array, i), indent);
    }
    if (!failed && json_array_size(array) > 0) {
        failed = append_break(out, indent < 0 ? -1 : indent - 2);
    }
    return failed ? failed : buf_append_text(out, "]");
}

/* `indent` columns before the members of what is written now; -1: all on one line. */
static int append_json(struct buf *out, const json_t *value, int indent)
{
    int inner = indent < 0 ? -1 : indent + 2;
    if (json_is_object(value)) {
        return append_json_object(out, value, inner);
    }
    if (json_is_array(value)) {
        return append_json_array(out, value, inner);
    }
    if (json_is_real(value)) {
        return append_real(out, json_real_value(value));
    }
    char *text = json_dumps(value, JSON_ENCODE_ANY);
    int failed = text ? buf_append_text(out, text) : -ENOMEM;
    free(text);
    return failed;
}

int table_print_json(struct buf *out, const json_t *value, bool indented)
{
    int failed = append_json(out, value, indented ? 0 : -1);
    return failed || !indented ? failed : buf_append_text(out, "\n");
}

/* On one line. Returns owned. */
static char *compact(const json_t *value)
{
    struct buf text;
    buf_init(&text, SIZE_MAX / 4);
    if (append_json(&text, value, -1) != 0) {
        buf_release(&text);
        return memory_copy_text("");
    }
    return (char *)text.data;
}

char *table_cell(const json_t *value)
{
    char *text;
    if (!value || json_is_null(value)) {
        text = memory_copy_text("");
    } else if (json_is_string(value)) {
        text = memory_copy_text(json_string_value(value));
    } else {
        text = compact(value);
    }
    for (char *at = text; *at; at++) {
        if ((unsigned char)*at < ' ' || *at == 127) {
            *at = ' ';
        }
    }
    /* What a script printed ends with a line end. */
    for (size_t length = strlen(text); length > 0 && text[length - 1] == ' '; length--) {
        text[length - 1] = 0;
    }
    return text;
}

static bool continues(char byte)
{
    return ((unsigned char)byte & 0xc0) == 0x80;
}

/* Characters, counted as one column each. */
static size_t columns_of(const char *text)
{
    size_t columns = 0;
    for (; *text; text++) {
        columns += !continues(*text);
    }
    return columns;
}

static void cut(char *text, size_t columns_max)
{
    if (columns_max < 4 || columns_of(text) <= columns_max) {
        return;
    }
    size_t columns = 0;
    char *at = text;
    while (columns < columns_max - 3 || continues(*at)) {
        columns += !continues(*at);
        at++;
    }
    /* Three bytes fit: at least three characters were cut. */
    memcpy(at, "...", 4);
}

static int append_line(struct buf *out, char *const *cells, const size_t *widths, size_t count)
{
    size_t last = count;
    while (last > 1 && cells[last - 1][0] == 0) {
        last--;
    }
    for (size_t i = 0; i < last; i++) {
        int pad = i + 1 < last ? (int)(widths[i] - columns_of(cells[i]) + 2) : 0;
        int failed = buf_print(out, "%s%*s", cells[i], pad, "");
        if (failed) {
            return failed;
        }
    }
    return buf_append_text(out, "\n");
}

int table_print(struct buf *out, const json_t *rows, const struct table_form *form)
{
    const struct table_column *columns = form->columns;
    size_t count = form->count;
    size_t row_count = json_array_size(rows), widths[TABLE_COLUMNS_MAX] = {0};
    char **cells = memory_new((row_count + 1) * count, sizeof(char *));
    int failed = 0;
    for (size_t r = 0; r <= row_count; r++) {
        for (size_t c = 0; c < count; c++) {
            char *cell =
                r == 0 ? memory_copy_text(form->title ? columns[c].title : "")
                       : table_cell(table_member(json_array_get(rows, r - 1), columns[c].path));
            if (c + 1 < count) {
                cut(cell, form->cell_columns_max);
            }
            size_t wide = columns_of(cell);
            widths[c] = wide > widths[c] ? wide : widths[c];
            cells[r * count + c] = cell;
        }
    }
    for (size_t r = form->title ? 0 : 1; r <= row_count && !failed; r++) {
        failed = append_line(out, cells + r * count, widths, count);
    }
    for (size_t i = 0; i < (row_count + 1) * count; i++) {
        free(cells[i]);
    }
    free(cells);
    return failed;
}

static int append_csv(struct buf *out, const char *text)
{
    if (!strpbrk(text, "\",\r\n")) {
        return buf_append_text(out, text);
    }
    int failed = buf_append_text(out, "\"");
    for (; *text && !failed; text++) {
        failed = buf_append(out, *text == '"' ? "\"\"" : text, *text == '"' ? 2 : 1);
    }
    return failed ? failed : buf_append_text(out, "\"");
}

int table_print_csv(struct buf *out, const json_t *rows, const struct table_form *form)
{
    const struct table_column *columns = form->columns;
    size_t count = form->count;
    int failed = 0;
    for (size_t r = form->title ? 0 : 1; r <= json_array_size(rows) && !failed; r++) {
        for (size_t c = 0; c < count && !failed; c++) {
            const json_t *value =
                r > 0 ? table_member(json_array_get(rows, r - 1), columns[c].path) : NULL;
            char *made = NULL;
            const char *text = r == 0 ? columns[c].title : json_string_value(value);
            if (!text) {
                text = made = table_cell(value);
            }
            failed = c > 0 ? buf_append_text(out, ",") : 0;
            failed = failed ? failed : append_csv(out, text);
            free(made);
        }
        failed = failed ? failed : buf_append_text(out, "\r\n");
    }
    return failed;
}

/* A text that YAML would not read as anything else. */
static bool is_plain(const char *text)
{
    static const char *const words[] = {"true", "false", "null", "yes", "no",
                                        "on",   "off",   "~",    "y",   "n"};
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        if (strcasecmp(text, words[i]) == 0) {
            return false;
        }
    }
    if (!isalpha((unsigned char)text[0]) && text[0] != '/' && text[0] != '_') {
        return false;
    }
    for (const char *at = text; *at; at++) {
        bool good = isalnum((unsigned char)*at) || (*at && strchr("_-./+@", *at)) ||
                    (*at == ' ' && at[1]) || (unsigned char)*at >= 0x80;
        if (!good) {
            return false;
        }
    }
    return text[strlen(text) - 1] != ' ';
}

static int append_scalar(struct buf *out, const json_t *value)
{
    if (json_is_string(value) && is_plain(json_string_value(value))) {
        return buf_append_text(out, json_string_value(value));
    }
    /* JSON's quoted texts and numbers are YAML's. */
    return append_json(out, value, -1);
}

static int append_yaml(struct buf *out, const json_t *value, int indent, bool after_dash);

/* What follows "key:" or "-": on the same line when it is short, else below. */
static int append_value(struct buf *out, const json_t *value, int indent)
{
    bool empty = json_is_array(value) ? json_array_size(value) == 0 : json_object_size(value) == 0;
    int failed = 0;
    if ((json_is_object(value) || json_is_array(value)) && !empty && indent < YAML_DEPTH_MAX * 2) {
        failed = buf_append_text(out, "\n");
        return failed ? failed
                      : append_yaml(out, value, indent + (json_is_object(value) ? 2 : 0), false);
    }
    failed = buf_append_text(out, " ");
    failed = failed ? failed : append_scalar(out, value);
    return failed ? failed : buf_append_text(out, "\n");
}

static int append_object(struct buf *out, const json_t *object, int indent, bool after_dash)
{
    const char *key;
    json_t *value;
    int failed = 0;
    bool first = after_dash;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        failed = failed ? failed : buf_print(out, "%*s", first ? 0 : indent, "");
        first = false;
        json_t *name = json_string(key);
        failed = failed ? failed : append_scalar(out, name);
        json_decref(name);
        failed = failed ? failed : buf_append_text(out, ":");
        failed = failed ? failed : append_value(out, value, indent);
    }
    return failed;
}

/* What follows a dash. */
static int append_item(struct buf *out, const json_t *item, int indent)
{
    bool object = json_is_object(item) && json_object_size(item) > 0;
    bool list = json_is_array(item) && json_array_size(item) > 0;
    if (!object && !list) {
        return append_value(out, item, indent);
    }
    int failed = buf_append_text(out, " ");
    if (failed) {
        return failed;
    }
    if (object && indent < YAML_DEPTH_MAX * 2) {
        return append_yaml(out, item, indent + 2, true);
    }
    /* A list in a list: JSON's form is YAML too. */
    failed = append_scalar(out, item);
    return failed ? failed : buf_append_text(out, "\n");
}

static int append_yaml(struct buf *out, const json_t *value, int indent, bool after_dash)
{
    int failed = 0;
    if (json_is_object(value) && json_object_size(value) > 0) {
        return append_object(out, value, indent, after_dash);
    }
    if (json_is_array(value) && json_array_size(value) > 0) {
        for (size_t i = 0; i < json_array_size(value) && !failed; i++) {
            failed = buf_print(out, "%*s-", indent, "");
            failed = failed ? failed : append_item(out, json_array_get(value, i), indent);
        }
        return failed;
    }
    failed = append_scalar(out, value);
    return failed ? failed : buf_append_text(out, "\n");
}

int table_print_yaml(struct buf *out, const json_t *value)
{
    return append_yaml(out, value, 0, false);
}
