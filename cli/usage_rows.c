/*
 * Usage records in rows. See the header.
 */
#include "cli/usage_rows.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/duration.h"
#include "common/memory.h"

#define DAY_US (INT64_C(86400) * SECOND_US)

/* Of numbers: the first two are the largest of what is summed, the others are added up. */
static const char *const numbers[] = {"limit",     "peak",     "granted", "reused", "waived",
                                      "escalated", "notified", "refused", "waited", "overrun"};
#define NUMBERS 10
#define LARGEST 2

struct usage_row {
    int64_t from_us, until_us;
    char *pool, *id;
    json_int_t number[NUMBERS];
    double wait_s;
    json_t *refusals, *holders; /* arrays, or NULL */
};

struct usage_rows {
    struct usage_row *row;
    size_t count, room;
};

const struct table_column usage_columns[] = {
    {"from", "from"},
    {"until", "until"},
    {"pool", "pool"},
    {"limit", "limit"},
    {"peak", "peak"},
    {"granted", "granted"},
    {"reused", "reused"},
    {"waived", "waived"},
    {"escalated", "escalated"},
    {"notified", "notified"},
    {"refused", "refused"},
    {"waited", "waited"},
    {"wait_seconds", "waitSeconds"},
    {"overrun", "overrun"},
    {"refusals", "refusals"},
    {"holders", "holders"},
};
const size_t usage_columns_count = ARRAY_SIZE(usage_columns);

struct usage_rows *usage_rows_new(void)
{
    return memory_new(1, sizeof(struct usage_rows));
}

static void release_row(struct usage_row *row)
{
    free(row->pool);
    free(row->id);
    json_decref(row->refusals);
    json_decref(row->holders);
}

void usage_rows_free(struct usage_rows *rows)
{
    if (!rows) {
        return;
    }
    for (size_t i = 0; i < rows->count; i++) {
        release_row(&rows->row[i]);
    }
    free(rows->row);
    free(rows);
}

static json_t *list_of(const json_t *record, const char *member)
{
    json_t *list = json_object_get(record, member);
    return json_array_size(list) > 0 ? json_incref(list) : NULL;
}

int usage_rows_add(struct usage_rows *rows, const json_t *record, struct error *error)
{
    struct usage_row row = {.from_us = 0};
    const char *id = json_string_value(json_object_get(record, "id"));
    const char *pool = json_string_value(json_object_get(record, "pool"));
    const char *from = json_string_value(json_object_get(record, "from"));
    const char *until = json_string_value(json_object_get(record, "until"));
    if (!id || !pool || !from || !until || instant_parse(from, &row.from_us) != 0 ||
        instant_parse(until, &row.until_us) != 0) {
        return error_set(error, -EINVAL,
                         "the server sent a usage record without id, pool, from or until");
    }
    for (size_t i = 0; i < NUMBERS; i++) {
        row.number[i] = json_integer_value(json_object_get(record, numbers[i]));
    }
    row.wait_s = json_number_value(json_object_get(record, "waitSeconds"));
    row.id = memory_copy_text(id);
    row.pool = memory_copy_text(pool);
    row.refusals = list_of(record, "refusals");
    row.holders = list_of(record, "holders");
    if (rows->count == rows->room) {
        rows->room = rows->room ? 2 * rows->room : 64;
        rows->row = memory_resize(rows->row, rows->room, sizeof(*rows->row));
    }
    rows->row[rows->count++] = row;
    return 0;
}

static int compare_rows(const void *a, const void *b)
{
    const struct usage_row *x = a, *y = b;
    if (x->from_us != y->from_us) {
        return x->from_us < y->from_us ? -1 : 1;
    }
    int by_pool = strcmp(x->pool, y->pool);
    return by_pool ? by_pool : strcmp(x->id, y->id);
}

static void leave_out_repeated(struct usage_rows *rows)
{
    size_t kept = 0;
    for (size_t i = 0; i < rows->count; i++) {
        if (kept > 0 && strcmp(rows->row[kept - 1].id, rows->row[i].id) == 0) {
            release_row(&rows->row[i]);
        } else {
            rows->row[kept++] = rows->row[i];
        }
    }
    rows->count = kept;
}

static bool is_same(const json_t *a, const json_t *b, const char *const *keys)
{
    for (; *keys; keys++) {
        if (!json_equal(json_object_get(a, *keys), json_object_get(b, *keys))) {
            return false;
        }
    }
    return true;
}

/* Add `more` to `*list`: entries with the same keys are one, their counts added up. */
static void merge(json_t **list, const json_t *more, const char *const *keys, const char *count)
{
    size_t i, j;
    json_t *entry, *known;
    json_t *merged = *list ? json_deep_copy(*list) : json_array();
    json_array_foreach((json_t *)(uintptr_t)more, i, entry)
    {
        json_t *same = NULL;
        json_array_foreach(merged, j, known)
        {
            same = !same && is_same(known, entry, keys) ? known : same;
        }
        if (same) {
            json_int_t sum = json_integer_value(json_object_get(same, count)) +
                             json_integer_value(json_object_get(entry, count));
            json_object_set_new(same, count, json_integer(sum));
        } else {
            json_array_append_new(merged, json_deep_copy(entry));
        }
    }
    json_decref(*list);
    *list = merged;
}

static void add_to_day(struct usage_row *day, const struct usage_row *row)
{
    static const char *const of_refusal[] = {"reason", NULL};
    static const char *const of_holder[] = {"processor", "production", NULL};
    for (size_t i = 0; i < NUMBERS; i++) {
        json_int_t larger = row->number[i] > day->number[i] ? row->number[i] : day->number[i];
        day->number[i] = i < LARGEST ? larger : day->number[i] + row->number[i];
    }
    day->wait_s += row->wait_s;
    if (row->refusals) {
        merge(&day->refusals, row->refusals, of_refusal, "count");
    }
    if (row->holders) {
        merge(&day->holders, row->holders, of_holder, "granted");
    }
}

/* Rows are in order of time, so those of a day and pool stand in one run of a day's rows. */
static void sum_days(struct usage_rows *rows)
{
    size_t kept = 0;
    for (size_t i = 0; i < rows->count; i++) {
        struct usage_row *row = &rows->row[i];
        size_t day = kept;
        row->from_us -= row->from_us % DAY_US;
        row->until_us = row->from_us + DAY_US;
        while (day > 0 && rows->row[day - 1].from_us == row->from_us &&
               strcmp(rows->row[day - 1].pool, row->pool) != 0) {
            day--;
        }
        if (day > 0 && rows->row[day - 1].from_us == row->from_us) {
            add_to_day(&rows->row[day - 1], row);
            release_row(row);
        } else {
            rows->row[kept++] = *row;
        }
    }
    rows->count = kept;
}

void usage_rows_finish(struct usage_rows *rows, bool by_day)
{
    if (rows->count == 0) {
        return;
    }
    qsort(rows->row, rows->count, sizeof(*rows->row), compare_rows);
    leave_out_repeated(rows);
    if (by_day) {
        sum_days(rows);
        qsort(rows->row, rows->count, sizeof(*rows->row), compare_rows);
    }
}

size_t usage_rows_count(const struct usage_rows *rows)
{
    return rows->count;
}

/* "w1/overheat=3; others=1": an entry without a name is what the others have. Returns owned. */
static json_t *list_as_text(const json_t *list, const char *first, const char *second,
                            const char *count)
{
    struct buf text;
    size_t i;
    json_t *entry;
    buf_init(&text, SIZE_MAX / 4);
    int failed = buf_append_text(&text, "");
    json_array_foreach((json_t *)(uintptr_t)list, i, entry)
    {
        const char *a = json_string_value(json_object_get(entry, first));
        const char *b = second ? json_string_value(json_object_get(entry, second)) : NULL;
        failed = failed ? failed
                        : buf_print(&text, "%s%s%s%s=%" JSON_INTEGER_FORMAT, i > 0 ? "; " : "",
                                    a && *a ? a : "others", b && *b ? "/" : "", b ? b : "",
                                    json_integer_value(json_object_get(entry, count)));
    }
    json_t *cell = failed ? json_null() : json_stringn((const char *)text.data, text.length);
    buf_release(&text);
    return cell ? cell : json_null();
}

json_t *usage_rows_json(const struct usage_rows *rows, size_t index, bool as_text)
{
    const struct usage_row *row = &rows->row[index];
    char from[INSTANT_TEXT_BYTES], until[INSTANT_TEXT_BYTES];
    json_t *json = json_object();
    instant_print(row->from_us, from);
    instant_print(row->until_us, until);
    json_object_set_new(json, "from", json_string(from));
    json_object_set_new(json, "until", json_string(until));
    json_object_set_new(json, "pool", json_string(row->pool));
    for (size_t i = 0; i < NUMBERS; i++) {
        json_object_set_new(json, numbers[i], json_integer(row->number[i]));
    }
    json_object_set_new(json, "waitSeconds", json_real(row->wait_s));
    if (as_text) {
        json_object_set_new(json, "refusals", list_as_text(row->refusals, "reason", NULL, "count"));
        json_object_set_new(json, "holders",
                            list_as_text(row->holders, "processor", "production", "granted"));
    } else {
        json_object_set_new(json, "refusals",
                            row->refusals ? json_incref(row->refusals) : json_array());
        json_object_set_new(json, "holders",
                            row->holders ? json_incref(row->holders) : json_array());
    }
    return json;
}
