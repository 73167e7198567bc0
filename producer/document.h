/*
 * YAML and JSON text into trees. An edge: libyaml and jansson, and nothing else. Producer.
 */
#ifndef ENGENHO_PRODUCER_DOCUMENT_H
#define ENGENHO_PRODUCER_DOCUMENT_H

#include <stddef.h>

#include "common/attributes.h"
#include "common/error.h"
#include "producer/node.h"

#define DOCUMENT_NODES_MAX 1000000

/*
 * All documents of a YAML text (JSON is YAML) as a list; an empty document is left out. Plain
 * scalars are typed as YAML 1.2's core schema has it. Refused with the line: what is not YAML, a
 * key twice, anchors and tags, too deep or too many. Returns 0 with an owned tree, or -EINVAL with
 * a sentence.
 */
MUST_CHECK int document_parse_yaml(const char *text, size_t bytes, struct node **ret_list,
                                   struct error *error);

/* One JSON value. Lines are not known. Returns as above. */
MUST_CHECK int document_parse_json(const char *text, size_t bytes, struct node **ret_node,
                                   struct error *error);

#endif
