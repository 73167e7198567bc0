/*
 * Text of what commands print, made of JSON: tables with aligned columns, CSV, YAML. Pure.
 */
#ifndef ENGENHO_CLI_TABLE_H
#define ENGENHO_CLI_TABLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/attributes.h"
#include "common/buf.h"

#define TABLE_COLUMNS_MAX 24

struct table_column {
    const char *title;
    const char *path;
};

/* Which cells of the rows, and how. */
struct table_form {
    const struct table_column *columns;
    size_t count;
    size_t cell_columns_max; /* a cell of a table is cut after so many characters; 0: never */
    bool title;              /* a line of titles first */
};

/* The member at `path` ("a.b.c"), or NULL. Borrowed. */
const json_t *table_member(const json_t *object, const char *path);
/* A cell: texts as they are, other values as JSON, null and nothing as "". Control characters
 * become spaces. Returns owned. */
char *table_cell(const json_t *value);

/* Columns as wide as their longest cell, two spaces between them. Returns 0 or -EMSGSIZE. */
MUST_CHECK int table_print(struct buf *out, const json_t *rows, const struct table_form *form);
/* RFC 4180. Returns as table_print. */
MUST_CHECK int table_print_csv(struct buf *out, const json_t *rows, const struct table_form *form);
/*
 * JSON with numbers as short as they are exact; on one line, or indented with a line end behind it.
 * Returns 0, -EMSGSIZE, or -ENOMEM.
 */
MUST_CHECK int table_print_json(struct buf *out, const json_t *value, bool indented);
/* YAML that reads back as the same JSON. */
MUST_CHECK int table_print_yaml(struct buf *out, const json_t *value);

#endif
