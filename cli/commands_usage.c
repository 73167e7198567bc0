/*
 * usage export: the vendor's statistics file. Process: engenho.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/api.h"
#include "cli/usage_rows.h"
#include "common/memory.h"

#define PAGE "5000"
#define WRITE_BYTES ((size_t)1 << 20)

const char *const usage_formats[] = {"csv", "json", NULL};
const char *const usage_periods[] = {"minute", "day", NULL};

/* Read page after page until one is empty. */
static int read_all(const struct call *call, struct usage_rows *rows)
{
    const struct usage_options *options = call->config;
    char *after = NULL;
    int code = EXIT_DONE;
    for (size_t got = 1; got > 0 && !code;) {
        struct client_path path;
        struct client_answer answer;
        struct error error = {.text = ""};
        size_t i;
        json_t *record;
        client_path_init(&path, "/v1/usage?limit=" PAGE);
        client_path_parameter(&path, "from", options->from);
        client_path_parameter(&path, "until", options->until);
        client_path_parameter(&path, "pool", options->pool);
        client_path_parameter(&path, "after", after);
        code = api_get(call, client_path_text(&path), &answer);
        client_path_release(&path);
        if (code) {
            break;
        }
        const json_t *records = json_object_get(answer.json, "records");
        got = json_array_size(records);
        json_array_foreach((json_t *)(uintptr_t)records, i, record)
        {
            if (!code && usage_rows_add(rows, record, &error) != 0) {
                code = command_fail(call, "%s", error.text);
            }
        }
        free(after);
        after = memory_copy_text(json_string_value(json_object_get(answer.json, "next")));
        client_answer_release(&answer);
    }
    free(after);
    return code;
}

/* What stands before the rows of a JSON file: whose statistics they are. */
static int print_head(const struct call *call, struct buf *text)
{
    const struct usage_options *options = call->config;
    static const char *const members[] = {"customer", "edition"};
    struct client_answer answer;
    int code = api_get(call, "/v1/licence", &answer);
    if (code) {
        return code;
    }
    json_t *head = json_object();
    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        json_object_set(head, members[i], json_object_get(answer.json, members[i]));
    }
    json_object_set_new(head, "by", json_string(usage_periods[options->by]));
    int failed = table_print_json(text, head, false);
    json_decref(head);
    client_answer_release(&answer);
    if (failed || text->length == 0) {
        return command_fail(call, "out of memory");
    }
    text->length--; /* the closing brace: rows follow */
    return buf_append_text(text, ",\"rows\":[\n") ? command_fail(call, "out of memory") : EXIT_DONE;
}

static int print_row(struct buf *text, const struct usage_rows *rows, size_t index, bool is_csv)
{
    json_t *row = usage_rows_json(rows, index, is_csv);
    int failed;
    if (is_csv) {
        json_t *one = json_pack("[O]", row);
        failed = table_print_csv(
            text, one,
            &(struct table_form){.columns = usage_columns, .count = usage_columns_count});
        json_decref(one);
    } else {
        failed = table_print_json(text, row, false);
        failed = failed ? failed
                        : buf_append_text(text, index + 1 < usage_rows_count(rows) ? ",\n" : "\n");
    }
    json_decref(row);
    return failed;
}

static int write_text(const struct call *call, struct buf *text)
{
    size_t length = text->length;
    bool is_written = length == 0 || fwrite(text->data, 1, length, stdout) == length;
    buf_clear(text);
    return is_written ? EXIT_DONE
                      : command_fail(call, "can't write the output: %s", strerror(errno));
}

static int print_all(const struct call *call, const struct usage_rows *rows)
{
    const struct usage_options *options = call->config;
    bool is_csv = options->format == 0;
    struct buf text;
    int code = EXIT_DONE;
    buf_init(&text, SIZE_MAX / 4);
    if (is_csv) {
        json_t *none = json_array();
        const struct table_form form = {
            .columns = usage_columns, .count = usage_columns_count, .title = true};
        code = table_print_csv(&text, none, &form) ? command_fail(call, "out of memory") : code;
        json_decref(none);
    } else {
        code = print_head(call, &text);
    }
    for (size_t i = 0; i < usage_rows_count(rows) && !code; i++) {
        code = print_row(&text, rows, i, is_csv) ? command_fail(call, "out of memory") : code;
        code = !code && text.length > WRITE_BYTES ? write_text(call, &text) : code;
    }
    if (!code && !is_csv) {
        code = buf_append_text(&text, "]}\n") ? command_fail(call, "out of memory") : code;
    }
    code = code ? code : write_text(call, &text);
    buf_release(&text);
    if (!code && fflush(stdout) != 0) {
        code = command_fail(call, "can't write the output: %s", strerror(errno));
    }
    return code;
}

int command_usage_export(const struct call *call)
{
    const struct usage_options *options = call->config;
    struct usage_rows *rows = usage_rows_new();
    int code = read_all(call, rows);
    if (!code) {
        usage_rows_finish(rows, options->by == 1);
        code = print_all(call, rows);
    }
    usage_rows_free(rows);
    return code;
}
