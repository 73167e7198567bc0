/*
 * What people define: a document's tree checked against the schema of its kind, and made a
 * Definition. Pure. Producer.
 *
 * References to other definitions are not looked at here: catalog_plan does.
 */
#ifndef ENGENHO_PRODUCER_DEFINITIONS_H
#define ENGENHO_PRODUCER_DEFINITIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/error.h"
#include "producer/node.h"
#include "proto/definition.pb-c.h"

#define AGENT_DEFAULT "default" /* there without a definition */

/* Checks that belong to others. Each returns 0, or -EINVAL with a sentence. */
struct definition_checks {
    int (*cron)(const char *text, struct error *error);
    int (*time_zone)(const char *name, struct error *error);
};

/*
 * One document: {kind, name, spec}. `kind` and `name` (lower case kind; NULL: the document must
 * say) are what the caller knows already: a document that says otherwise is refused.
 *
 * Returns 0 with an owned definition (engenho__definition__free_unpacked); its spec_json is the
 * spec with `started` left out.
 * `*ret_started` is 1 or 0 as the document says, -1 when it doesn't. Or -EINVAL with a sentence;
 * *ret_line is where (0: not known).
 */
MUST_CHECK int definition_parse(const struct node *document, const char *kind, const char *name,
                                const struct definition_checks *checks,
                                Engenho__Definition **ret_definition, int *ret_started,
                                int *ret_line, struct error *error);

/*
 * The kinds, lower case and in the plural as well: "production" of "Productions". NULL: not a kind.
 * Lives for ever.
 */
const char *definition_kind(const char *text);
/* "Production" of "production". */
const char *definition_kind_title(const char *kind);

Engenho__Definition *definition_copy(const Engenho__Definition *definition);
/* Whether both say the same, whenever and by whomever they were written. */
bool definition_equal(const Engenho__Definition *a, const Engenho__Definition *b);

/* Parameters of a map: also those of POST /v1/runs. Returns 0 or -EINVAL with a sentence. */
MUST_CHECK int definition_parameters(const struct node *map, size_t *ret_count,
                                     Engenho__Parameter ***ret_parameters, struct error *error);

#endif
