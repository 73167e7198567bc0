/*
 * Usage records as the vendor's statistics have them: in order, each once, by minute or summed by
 * day (UTC). Pure.
 */
#ifndef ENGENHO_CLI_USAGE_ROWS_H
#define ENGENHO_CLI_USAGE_ROWS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "cli/table.h"
#include "common/attributes.h"
#include "common/error.h"

struct usage_rows;

struct usage_rows *usage_rows_new(void);
void usage_rows_free(struct usage_rows *rows);

/*
 * Add a record as /v1/usage answers it; what it does not say is 0. Borrowed. Returns 0, or -EINVAL
 * with a sentence: it has no id, no pool or no times.
 */
MUST_CHECK int usage_rows_add(struct usage_rows *rows, const json_t *record, struct error *error);

/* All were added: put them in order of time and pool, leave out what came twice, sum days. Once. */
void usage_rows_finish(struct usage_rows *rows, bool by_day);

size_t usage_rows_count(const struct usage_rows *rows);
/* The columns of a row. */
extern const struct table_column usage_columns[];
extern const size_t usage_columns_count;
/*
 * One row, after usage_rows_finish: members as the columns name them; refusals and holders as lists
 * of objects, or with `as_text` as one cell each ("reason=count; reason=count"). Returns owned.
 */
json_t *usage_rows_json(const struct usage_rows *rows, size_t index, bool as_text);

#endif
