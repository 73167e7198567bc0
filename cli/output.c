/*
 * Print rows and documents. See the header.
 */
#include "cli/output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/table.h"

/* Far more than the API answers. */
#define OUTPUT_BYTES_MAX (SIZE_MAX / 4)
#define CELL_COLUMNS_MAX 48

const char *const output_formats[] = {"table", "wide", "json", "yaml", "csv", NULL};

static int write_out(const struct call *call, struct buf *text, int failed)
{
    if (!failed && text->length > 0 &&
        fwrite(text->data, 1, text->length, stdout) != text->length) {
        failed = -EIO;
    }
    if (!failed && fflush(stdout) != 0) {
        failed = -errno;
    }
    buf_release(text);
    return failed ? command_fail(call, "can't write the output: %s", strerror(-failed)) : EXIT_DONE;
}

int output_rows(const struct call *call, int64_t format, const json_t *rows,
                const struct output_column *columns, size_t column_count)
{
    struct buf text;
    struct table_column chosen[TABLE_COLUMNS_MAX];
    size_t count = 0;
    buf_init(&text, OUTPUT_BYTES_MAX);
    for (size_t i = 0; i < column_count && count < TABLE_COLUMNS_MAX; i++) {
        if (format != OUTPUT_TABLE || !columns[i].wide_only) {
            chosen[count++] = (struct table_column){columns[i].title, columns[i].path};
        }
    }
    struct table_form form = {.columns = chosen,
                              .count = count,
                              .title = true,
                              .cell_columns_max = format == OUTPUT_WIDE ? 0 : CELL_COLUMNS_MAX};
    int failed;
    switch (format) {
    case OUTPUT_JSON:
        failed = table_print_json(&text, rows, true);
        break;
    case OUTPUT_YAML:
        failed = table_print_yaml(&text, rows);
        break;
    case OUTPUT_CSV:
        failed = table_print_csv(&text, rows, &form);
        break;
    default:
        failed = table_print(&text, rows, &form);
    }
    return write_out(call, &text, failed);
}

/* Members one a line; texts of several lines below their name. */
static int append_members(struct buf *text, const json_t *document)
{
    const char *key;
    json_t *value;
    int failed = 0;
    json_object_foreach((json_t *)(uintptr_t)document, key, value)
    {
        const char *lines = json_string_value(value);
        if (lines && strchr(lines, '\n')) {
            failed = failed ? failed
                            : buf_print(text, "%s:\n%s%s", key, lines,
                                        lines[strlen(lines) - 1] == '\n' ? "" : "\n");
        } else {
            char *cell = table_cell(value);
            failed = failed ? failed : buf_print(text, "%-16s %s\n", key, cell);
            free(cell);
        }
    }
    return failed;
}

int output_document(const struct call *call, int64_t format, const json_t *document)
{
    struct buf text;
    int failed;
    buf_init(&text, OUTPUT_BYTES_MAX);
    if (format == OUTPUT_YAML) {
        failed = table_print_yaml(&text, document);
    } else if (format == OUTPUT_JSON || !json_is_object(document)) {
        failed = table_print_json(&text, document, true);
    } else if (format == OUTPUT_CSV) {
        struct table_column columns[TABLE_COLUMNS_MAX];
        size_t count = 0;
        const char *key;
        json_t *value, *rows = json_array();
        json_array_append(rows, (json_t *)(uintptr_t)document);
        json_object_foreach((json_t *)(uintptr_t)document, key, value)
        {
            if (count < TABLE_COLUMNS_MAX) {
                columns[count++] = (struct table_column){key, key};
            }
        }
        failed = table_print_csv(
            &text, rows, &(struct table_form){.columns = columns, .count = count, .title = true});
        json_decref(rows);
    } else {
        failed = append_members(&text, document);
    }
    return write_out(call, &text, failed);
}
