/*
 * Documents in YAML as nodes. An edge: libyaml. Producer.
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "common/memory.h"
#include "producer/document.h"

struct reader {
    yaml_parser_t parser;
    /* [0] is the list of documents; the open maps and lists below it */
    struct node *stack[NODE_DEPTH_MAX];
    char *keys[NODE_DEPTH_MAX]; /* of an open map: the key whose value comes next */
    int depth;
    size_t nodes;
    struct error *error;
};

static int line_of(const yaml_event_t *event)
{
    return (int)event->start_mark.line + 1;
}

/* A whole number in decimal, within int64_t. */
static bool read_integer(const char *text, int64_t *ret_value)
{
    char *end;
    const char *digits = text + (text[0] == '-' || text[0] == '+');
    if (!isdigit((unsigned char)digits[0]) || strspn(digits, "0123456789") != strlen(digits)) {
        return false;
    }
    errno = 0;
    *ret_value = strtoll(text, &end, 10);
    return errno == 0;
}

static bool read_real(const char *text, double *ret_value)
{
    char *end;
    const char *start = text + (text[0] == '-' || text[0] == '+');
    if ((!isdigit((unsigned char)start[0]) && start[0] != '.') ||
        strspn(start, "0123456789.eE+-") != strlen(start) || strpbrk(start, "0123456789") == NULL) {
        return false;
    }
    *ret_value = strtod(text, &end);
    return *end == '\0' && isfinite(*ret_value);
}

static bool is_one_of(const char *text, const char *const *words, size_t count)
{
    while (count > 0 && strcmp(text, words[count - 1]) != 0) {
        count--;
    }
    return count > 0;
}

static struct node *scalar(const yaml_event_t *event)
{
    static const char *const nothing[] = {"", "~", "null", "Null", "NULL"};
    static const char *const yes[] = {"true", "True", "TRUE"}, *const no[] = {"false", "False",
                                                                              "FALSE"};
    const char *text = (const char *)event->data.scalar.value;
    struct node *node = node_new(NODE_TEXT, line_of(event));
    if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
        if (is_one_of(text, nothing, ARRAY_SIZE(nothing))) {
            node->type = NODE_NULL;
        } else if (is_one_of(text, yes, ARRAY_SIZE(yes))) {
            node->type = NODE_BOOL;
            node->integer = 1;
        } else if (is_one_of(text, no, ARRAY_SIZE(no))) {
            node->type = NODE_BOOL;
        } else if (read_integer(text, &node->integer)) {
            node->type = NODE_INTEGER;
        } else if (read_real(text, &node->real)) {
            node->type = NODE_REAL;
        }
    }
    if (node->type == NODE_TEXT) {
        node->text = memory_copy_text(text);
    }
    return node;
}

/* Put a value into the open map or list. Takes `node`, also on failure. */
static int add_value(struct reader *reader, struct node *node)
{
    struct node *parent = reader->stack[reader->depth];
    char **key = &reader->keys[reader->depth];
    if (++reader->nodes > DOCUMENT_NODES_MAX ||
        parent->count >= (parent->type == NODE_MAP ? NODE_KEYS_MAX : NODE_CHILDREN_MAX)) {
        int line = node->line;
        node_free(node);
        return error_set(
            reader->error, -EINVAL,
            "the document is too large, line %d: %d keys in a map, %d items in a list at most",
            line, NODE_KEYS_MAX, NODE_CHILDREN_MAX);
    }
    node_add(parent, *key, node);
    free(*key);
    *key = NULL;
    return 0;
}

static int take_key(struct reader *reader, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    if (event->type != YAML_SCALAR_EVENT || event->data.scalar.length != strlen(text)) {
        return error_set(reader->error, -EINVAL, "a key must be text, line %d", line_of(event));
    }
    if (node_get(reader->stack[reader->depth], text) != NULL) {
        return error_set(reader->error, -EINVAL, "key '%s' is there twice, line %d: remove one",
                         text, line_of(event));
    }
    reader->keys[reader->depth] = memory_copy_text(text);
    return 0;
}

static int open_value(struct reader *reader, const yaml_event_t *event, enum node_type type)
{
    if (reader->depth + 1 >= NODE_DEPTH_MAX) {
        return error_set(reader->error, -EINVAL, "nested too deep, line %d: %d levels at most",
                         line_of(event), NODE_DEPTH_MAX);
    }
    struct node *node = node_new(type, line_of(event));
    int result = add_value(reader, node);
    if (result == 0) {
        reader->stack[++reader->depth] = node;
    }
    return result;
}

static bool has_tag(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return event->data.scalar.tag != NULL || event->data.scalar.anchor != NULL;
    case YAML_SEQUENCE_START_EVENT:
        return event->data.sequence_start.tag != NULL || event->data.sequence_start.anchor != NULL;
    case YAML_MAPPING_START_EVENT:
        return event->data.mapping_start.tag != NULL || event->data.mapping_start.anchor != NULL;
    default:
        return event->type == YAML_ALIAS_EVENT;
    }
}

static int take(struct reader *reader, const yaml_event_t *event)
{
    struct node *parent = reader->stack[reader->depth];
    bool opens = event->type == YAML_SCALAR_EVENT || event->type == YAML_SEQUENCE_START_EVENT ||
                 event->type == YAML_MAPPING_START_EVENT;
    if (has_tag(event)) {
        return error_set(reader->error, -EINVAL,
                         "anchors, aliases and tags are not taken, line %d: write the value itself",
                         line_of(event));
    }
    if (opens && parent->type == NODE_MAP && reader->keys[reader->depth] == NULL) {
        return take_key(reader, event);
    }
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        if (event->data.scalar.length != strlen((const char *)event->data.scalar.value)) {
            return error_set(reader->error, -EINVAL,
                             "a text with a NUL character is not taken, line %d", line_of(event));
        }
        if (reader->depth == 0 && event->data.scalar.length == 0) {
            return 0; /* an empty document */
        }
        return add_value(reader, scalar(event));
    case YAML_SEQUENCE_START_EVENT:
        return open_value(reader, event, NODE_LIST);
    case YAML_MAPPING_START_EVENT:
        return open_value(reader, event, NODE_MAP);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        reader->depth--;
        return 0;
    default:
        return 0;
    }
}

int document_parse_yaml(const char *text, size_t bytes, struct node **ret_list, struct error *error)
{
    struct reader reader = {.error = error};
    bool ended = false;
    int result = 0;
    if (!yaml_parser_initialize(&reader.parser)) {
        return error_set(error, -ENOMEM, "out of memory");
    }
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, bytes);
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    reader.stack[0] = node_new(NODE_LIST, 1);
    while (result == 0 && !ended) {
        yaml_event_t event;
        if (!yaml_parser_parse(&reader.parser, &event)) {
            result = error_set(error, -EINVAL, "not YAML: %s, line %zu, column %zu",
                               reader.parser.problem ? reader.parser.problem : "out of memory",
                               reader.parser.problem_mark.line + 1,
                               reader.parser.problem_mark.column + 1);
            break;
        }
        ended = event.type == YAML_STREAM_END_EVENT;
        result = take(&reader, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&reader.parser);
    for (int i = 0; i < NODE_DEPTH_MAX; i++) {
        free(reader.keys[i]);
    }
    if (result != 0) {
        node_free(reader.stack[0]);
        return result;
    }
    *ret_list = reader.stack[0];
    return 0;
}
