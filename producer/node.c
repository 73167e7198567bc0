#include "producer/node.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "producer/writer.h"

struct node *node_new(enum node_type type, int line)
{
    struct node *node = memory_new(1, sizeof *node);
    node->type = type;
    node->line = line;
    return node;
}

struct node *node_new_text(const char *text, int line)
{
    struct node *node = node_new(NODE_TEXT, line);
    node->text = memory_copy_text(text);
    return node;
}

void node_free(struct node *node)
{
    if (node == NULL) {
        return;
    }
    struct node *child = node->first;
    while (child != NULL) {
        struct node *next = child->next;
        node_free(child); /* NODE_DEPTH_MAX deep at most: the parsers see to it */
        child = next;
    }
    free(node->key);
    free(node->text);
    free(node);
}

void node_add(struct node *parent, const char *key, struct node *child)
{
    assert(parent->type == NODE_LIST || parent->type == NODE_MAP);
    assert((key != NULL) == (parent->type == NODE_MAP));
    child->key = memory_copy_text(key);
    child->next = NULL;
    if (parent->last != NULL) {
        parent->last->next = child;
    } else {
        parent->first = child;
    }
    parent->last = child;
    parent->count++;
}

void node_set(struct node *map, const char *key, struct node *child)
{
    struct node **link = &map->first, *before = NULL;
    while (*link != NULL && strcmp((*link)->key, key) != 0) {
        before = *link;
        link = &before->next;
    }
    struct node *old = *link;
    if (old == NULL) {
        node_add(map, key, child);
        return;
    }
    child->key = memory_copy_text(key);
    child->next = old->next;
    *link = child;
    if (map->last == old) {
        map->last = child;
    }
    node_free(old);
}

struct node *node_get(const struct node *map, const char *key)
{
    if (map == NULL || map->type != NODE_MAP) {
        return NULL;
    }
    struct node *child = map->first;
    while (child != NULL && strcmp(child->key, key) != 0) {
        child = child->next;
    }
    return child;
}

const char *node_text(const struct node *map, const char *key)
{
    const struct node *child = node_get(map, key);
    return child != NULL && child->type == NODE_TEXT ? child->text : NULL;
}

struct node *node_copy(const struct node *node)
{
    struct node *copy = node_new(node->type, node->line);
    copy->text = memory_copy_text(node->text);
    copy->integer = node->integer;
    copy->real = node->real;
    for (const struct node *child = node->first; child != NULL; child = child->next) {
        node_add(copy, child->key, node_copy(child));
    }
    return copy;
}

const char *node_type_name(enum node_type type)
{
    static const char *const names[] = {"nothing", "true or false", "a whole number", "a number",
                                        "text",    "a list",        "a map"};
    return names[type];
}

static void write_json(const struct node *node, const char *key, struct writer *json)
{
    switch (node->type) {
    case NODE_NULL:
        writer_null(json, key);
        break;
    case NODE_BOOL:
        writer_bool(json, key, node->integer != 0);
        break;
    case NODE_INTEGER:
        writer_integer(json, key, node->integer);
        break;
    case NODE_REAL:
        writer_real(json, key, node->real);
        break;
    case NODE_TEXT:
        writer_text(json, key, node->text);
        break;
    case NODE_LIST:
    case NODE_MAP:
        if (node->type == NODE_LIST) {
            writer_array(json, key);
        } else {
            writer_object(json, key);
        }
        for (const struct node *child = node->first; child != NULL; child = child->next) {
            write_json(child, child->key, json);
        }
        writer_end(json);
        break;
    }
}

int node_write_json(const struct node *node, struct buf *out)
{
    struct writer json;
    writer_init(&json, out);
    write_json(node, NULL, &json);
    return writer_result(&json);
}

/* Whether YAML reads this text back as the same text without quotes; when in doubt: no. */
static bool is_plain(const char *text)
{
    static const char *const taken[] = {"true", "false", "null", "yes", "no",
                                        "on",   "off",   "y",    "n"};
    if (!isalpha((unsigned char)text[0]) || text[strlen(text) - 1] == ' ') {
        return false;
    }
    for (size_t i = 0; i < ARRAY_SIZE(taken); i++) {
        if (strcasecmp(text, taken[i]) == 0) {
            return false;
        }
    }
    for (const char *c = text; *c != '\0'; c++) {
        if (!isalnum((unsigned char)*c) && strchr("_-./ ", *c) == NULL) {
            return false;
        }
    }
    return true;
}

static int write_yaml_text(const char *text, struct buf *out)
{
    if (is_plain(text)) {
        return buf_append_text(out, text);
    }
    struct writer json;
    writer_init(&json, out);
    writer_text(&json, NULL, text);
    return writer_result(&json);
}

static int write_yaml(const struct node *node, int indent, struct buf *out)
{
    int result = 0;
    for (const struct node *child = node->first; child != NULL && result == 0;
         child = child->next) {
        result = buf_print(out, "%*s", indent, "");
        if (result == 0 && child->key != NULL) {
            result = write_yaml_text(child->key, out);
        }
        if (result == 0) {
            result = buf_append_text(out, child->key != NULL ? ":" : "-");
        }
        if (result == 0 && child->count > 0) {
            result = buf_append_text(out, "\n");
            result = result == 0 ? write_yaml(child, indent + 2, out) : result;
            continue;
        }
        result = result == 0 ? buf_append_text(out, " ") : result;
        if (result == 0) {
            result = child->type == NODE_TEXT ? write_yaml_text(child->text, out)
                                              : node_write_json(child, out);
        }
        result = result == 0 ? buf_append_text(out, "\n") : result;
    }
    return result;
}

int node_write_yaml(const struct node *node, struct buf *out)
{
    if (node->count > 0) {
        return write_yaml(node, 0, out);
    }
    int result =
        node->type == NODE_TEXT ? write_yaml_text(node->text, out) : node_write_json(node, out);
    return result == 0 ? buf_append_text(out, "\n") : result;
}
