/*
 * What commands print on stdout: rows of JSON objects as a table, or whole as json, yaml or csv.
 * Tables are for people: long cells are cut there and nowhere else. Process: engenho.
 */
#ifndef ENGENHO_CLI_OUTPUT_H
#define ENGENHO_CLI_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>

#include "cli/command.h"

enum output_format { OUTPUT_TABLE, OUTPUT_WIDE, OUTPUT_JSON, OUTPUT_YAML, OUTPUT_CSV };

extern const char *const output_formats[]; /* names by enum output_format, NULL-terminated */

struct output_column {
    const char *title;
    const char *path; /* members by dots: "status.started", "seat.pool" */
    bool wide_only;
};

/* Print all rows (an array of objects; borrowed). Returns EXIT_DONE, or EXIT_FAILED when stdout
 * can't be written. */
int output_rows(const struct call *call, int64_t format, const json_t *rows,
                const struct output_column *columns, size_t column_count);
/* Print one document. table and wide: members one a line; csv: one row. */
int output_document(const struct call *call, int64_t format, const json_t *document);

#endif
