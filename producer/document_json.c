/*
 * Documents in JSON as nodes. An edge: jansson. Producer.
 */
#include "producer/document.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "common/memory.h"

/*
 * Depth is bounded before we come here: jansson's own limit is 2,048, so it is checked while
 * walking.
 */
static int convert(const json_t *json, int depth, size_t *nodes, struct node **ret_node)
{
    const char *key;
    json_t *value;
    size_t index;
    int result = 0;
    struct node *child;
    if (depth > NODE_DEPTH_MAX || ++*nodes > DOCUMENT_NODES_MAX ||
        (json_is_object(json) && json_object_size(json) > NODE_KEYS_MAX) ||
        json_array_size(json) > NODE_CHILDREN_MAX) {
        return -EFBIG;
    }
    struct node *node = node_new(NODE_NULL, 0);
    switch (json_typeof(json)) {
    case JSON_NULL:
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        node->type = NODE_BOOL;
        node->integer = json_is_true(json);
        break;
    case JSON_INTEGER:
        node->type = NODE_INTEGER;
        node->integer = json_integer_value(json);
        break;
    case JSON_REAL:
        node->type = NODE_REAL;
        node->real = json_real_value(json);
        break;
    case JSON_STRING:
        node->type = NODE_TEXT;
        node->text = memory_copy_text(json_string_value(json));
        break;
    case JSON_ARRAY:
        node->type = NODE_LIST;
        json_array_foreach(json, index, value)
        {
            result = convert(value, depth + 1, nodes, &child);
            if (result != 0) {
                break;
            }
            node_add(node, NULL, child);
        }
        break;
    case JSON_OBJECT:
        node->type = NODE_MAP;
        json_object_foreach((json_t *)json, key, value)
        {
            result = convert(value, depth + 1, nodes, &child);
            if (result != 0) {
                break;
            }
            node_add(node, key, child);
        }
        break;
    }
    if (result != 0) {
        node_free(node);
        return result;
    }
    *ret_node = node;
    return 0;
}

int document_parse_json(const char *text, size_t bytes, struct node **ret_node, struct error *error)
{
    json_error_t why;
    size_t nodes = 0;
    json_t *json = json_loadb(text, bytes, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &why);
    if (json == NULL) {
        return error_set(error, -EINVAL, "not JSON: %s, line %d, column %d", why.text, why.line,
                         why.column);
    }
    int result = convert(json, 1, &nodes, ret_node);
    json_decref(json);
    if (result == -EFBIG) {
        return error_set(
            error, -EINVAL,
            "the JSON is too large: %d levels, %d keys in an object, %d values in a list at most",
            NODE_DEPTH_MAX, NODE_KEYS_MAX, NODE_CHILDREN_MAX);
    }
    return result;
}
