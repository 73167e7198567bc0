/*
 * Results and definitions as the API shows them. Pure. Producer.
 */
#ifndef ENGENHO_PRODUCER_RESULTS_JSON_H
#define ENGENHO_PRODUCER_RESULTS_JSON_H

#include "producer/catalog_view.h"
#include "producer/writer.h"
#include "proto/result.pb-c.h"

/* One object. A `result` that does not look like JSON is shown as text. */
void results_write_json(struct writer *json, const char *key, const Engenho__Result *result);
void definition_write_json(struct writer *json, const char *key, const struct catalog_entry *entry);
void package_version_write_json(struct writer *json, const char *key,
                                const Engenho__PackageVersion *version);

/* Whether a text is one JSON value. */
bool json_is_valid(const char *text, size_t bytes);

#endif
