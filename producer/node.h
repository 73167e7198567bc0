/*
 * A tree of values with the lines where they stood: what YAML and JSON documents are read into,
 * before anyone looks at what they mean. Pure. Producer.
 */
#ifndef ENGENHO_PRODUCER_NODE_H
#define ENGENHO_PRODUCER_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/buf.h"

#define NODE_DEPTH_MAX 32
#define NODE_CHILDREN_MAX 10000 /* of a list; of a map: NODE_KEYS_MAX */
#define NODE_KEYS_MAX 1000

enum node_type { NODE_NULL, NODE_BOOL, NODE_INTEGER, NODE_REAL, NODE_TEXT, NODE_LIST, NODE_MAP };

struct node {
    enum node_type type;
    int line;                  /* from 1; 0: not known */
    char *key;                 /* in a map: its name there; else NULL */
    char *text;                /* NODE_TEXT, NUL-terminated */
    int64_t integer;           /* NODE_INTEGER, and NODE_BOOL as 0 or 1 */
    double real;               /* NODE_REAL: finite */
    struct node *first, *last; /* children of a list or map, in order */
    struct node *next;         /* the next child of the parent */
    size_t count;              /* children */
};

struct node *node_new(enum node_type type, int line);
struct node *node_new_text(const char *text, int line);
/* With all below it; NULL: nothing. */
void node_free(struct node *node);

/* Add a child at the end; `key` (copied) is NULL in a list. Takes `child`. */
void node_add(struct node *parent, const char *key, struct node *child);
/* Put `child` in the place of the one with this key, or at the end. Takes `child`. */
void node_set(struct node *map, const char *key, struct node *child);
/* The child with this key, or NULL. Borrowed. */
struct node *node_get(const struct node *map, const char *key);
/* The text under a key, or NULL when it is absent or not a text. Borrowed. */
const char *node_text(const struct node *map, const char *key);
/* A deep copy without its key. Returns owned. */
struct node *node_copy(const struct node *node);

/* "a map", "a list", "text", ...: for sentences. */
const char *node_type_name(enum node_type type);

/* As JSON on one line. Returns 0, or -EMSGSIZE or -ENOMEM as buf_append. */
MUST_CHECK int node_write_json(const struct node *node, struct buf *out);
/* As YAML in block style, that reads back to the same tree. Returns as above. */
MUST_CHECK int node_write_yaml(const struct node *node, struct buf *out);

#endif
