/*
 * Records of a CSV file in memory (RFC 4180, also with LF alone): quoted fields, doubled quotes,
 * line ends inside quotes. Pure; a parser of outside bytes.
 */
#ifndef ENGENHO_CLI_CSV_H
#define ENGENHO_CLI_CSV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/buf.h"

#define CSV_FIELDS_MAX 256
#define CSV_RECORD_BYTES_MAX (1 << 20)

struct csv {
    const char *data; /* borrowed */
    size_t length, at;
    uint64_t line; /* of the record read last, from 1 */
    uint64_t next_line;
    struct buf text;              /* the fields of the record, each NUL-terminated */
    size_t field[CSV_FIELDS_MAX]; /* where each begins in `text` */
    size_t field_count;
};

/* `data` stays the caller's until csv_release. A byte-order mark at its front is left out. */
void csv_init(struct csv *csv, const char *data, size_t length);
void csv_release(struct csv *csv);

/*
 * Read the next record; empty lines are left out. Its fields are valid until the next call.
 *
 * Returns 1, 0 at the end, or -EILSEQ (a quote that never closes, or text behind one), -E2BIG (more
 * than CSV_FIELDS_MAX fields), -EMSGSIZE (a record past CSV_RECORD_BYTES_MAX); csv->line says
 * where.
 */
MUST_CHECK int csv_next(struct csv *csv);
/* Field `i` as text; "" past the last one. */
const char *csv_field(const struct csv *csv, size_t i);

/* Whether `text` is a number as JSON writes them. */
bool csv_is_json_number(const char *text);

#endif
