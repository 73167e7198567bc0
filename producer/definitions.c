#include "producer/definitions.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/names.h"
#include "producer/definitions_production.h"
#include "producer/definitions_reader.h"
#include "producer/suggest.h"

#define SPEC_BYTES_MAX (256 * 1024) /* a record of `catalog` is 1 MB at most */

static const char *const kinds[] = {"application", "production", "agent", "connection", "package"};
static const char *const titles[] = {"Application", "Production", "Agent", "Connection", "Package"};

const char *definition_kind(const char *text)
{
    size_t length = strlen(text);
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        size_t bytes = strlen(kinds[i]);
        if (strncasecmp(text, kinds[i], bytes) == 0 &&
            (length == bytes || (length == bytes + 1 && text[bytes] == 's'))) {
            return kinds[i];
        }
    }
    return NULL;
}

const char *definition_kind_title(const char *kind)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (!strcmp(kind, kinds[i])) {
            return titles[i];
        }
    }
    return kind;
}

static int read_application(struct definition_reader *reader, const struct node *spec,
                            Engenho__Definition *definition)
{
    static const struct definition_key keys[] = {
        {"package", definition_read_name, offsetof(Engenho__Application, package), true},
        {"method", definition_read_name, offsetof(Engenho__Application, method), true},
        {"parameters", definition_read_parameters, offsetof(Engenho__Application, n_parameters),
         false},
        {"sessionParameters", definition_read_parameters,
         offsetof(Engenho__Application, n_session_parameters), false},
    };
    definition->application = memory_new(1, sizeof *definition->application);
    engenho__application__init(definition->application);
    definition->spec_case = ENGENHO__DEFINITION__SPEC_APPLICATION;
    return definition_read_map(reader, spec, "spec", keys, ARRAY_SIZE(keys),
                               definition->application);
}

static int read_production(struct definition_reader *reader, const struct node *spec,
                           Engenho__Definition *definition)
{
    definition->production = memory_new(1, sizeof *definition->production);
    engenho__production__init(definition->production);
    definition->spec_case = ENGENHO__DEFINITION__SPEC_PRODUCTION;
    return definition_read_production(reader, spec, definition->production);
}

static int read_agent(struct definition_reader *reader, const struct node *spec,
                      Engenho__Definition *definition)
{
    static const struct definition_key keys[] = {
        {"description", definition_read_text, offsetof(Engenho__Agent, description), false},
    };
    definition->agent = memory_new(1, sizeof *definition->agent);
    engenho__agent__init(definition->agent);
    definition->spec_case = ENGENHO__DEFINITION__SPEC_AGENT;
    if (!name_is_agent(definition->name)) {
        return definition_refuse(reader, spec,
                                 "name '%.60s' is not an agent's name: 1 to %d of a-z, 0-9 and -",
                                 definition->name, AGENT_NAME_BYTES_MAX);
    }
    return definition_read_map(reader, spec, "spec", keys, ARRAY_SIZE(keys), definition->agent);
}

static int read_connection(struct definition_reader *reader, const struct node *spec,
                           Engenho__Definition *definition)
{
    static const struct definition_key keys[] = {
        {"type", definition_read_text, offsetof(Engenho__Connection, type), true},
        {"description", definition_read_text, offsetof(Engenho__Connection, description), false},
    };
    definition->connection = memory_new(1, sizeof *definition->connection);
    engenho__connection__init(definition->connection);
    definition->spec_case = ENGENHO__DEFINITION__SPEC_CONNECTION;
    if (strchr(definition->name, '/') != NULL) {
        return definition_refuse(
            reader, spec, "a connection's name can't hold a '/': keys are connection/object");
    }
    /*
     * Other types have other keys: say that the type is not there, before a key of it is called
     * unknown.
     */
    const char *type = node_text(spec, "type");
    if (type != NULL && strcmp(type, "push") != 0) {
        const struct node *where = node_get(spec, "type");
        return definition_refuse(
            reader, where,
            "spec.type '%.40s', line %d: this version takes push, whose values come over HTTP or Kafka",
            type, where->line);
    }
    return definition_read_map(reader, spec, "spec", keys, ARRAY_SIZE(keys),
                               definition->connection);
}

struct head {
    char *kind, *name;
};

static int read_anything(struct definition_reader *reader, const struct node *value,
                         const char *path, void *member)
{
    (void)reader;
    (void)value;
    (void)path;
    (void)member;
    return 0;
}

/* kind, name and that there is nothing else but spec. */
static int read_head(struct definition_reader *reader, const struct node *document,
                     const char *kind, const char *name, struct head *head)
{
    const struct definition_key keys[] = {
        {"kind", definition_read_text, offsetof(struct head, kind), kind == NULL},
        {"name", definition_read_name, offsetof(struct head, name), name == NULL},
        {"spec", read_anything, 0, false},
    };
    int result = definition_read_map(reader, document, "", keys, ARRAY_SIZE(keys), head);
    if (result != 0) {
        return result;
    }
    const struct node *where = node_get(document, "kind");
    const char *found = where != NULL ? definition_kind(head->kind) : kind;
    if (found == NULL) {
        const char *near = suggest(head->kind, titles, ARRAY_SIZE(titles));
        return definition_refuse(
            reader, where, "unknown kind '%.60s', line %d: %s%s%s", head->kind, where->line,
            near ? "did you mean '" : "it takes Application, Production, Agent or Connection",
            near ? near : "", near ? "'?" : "");
    }
    if (kind != NULL && strcmp(found, kind) != 0) {
        return definition_refuse(reader, where, "the document says kind %s, the address says %s",
                                 head->kind, kind);
    }
    if (name != NULL && head->name[0] != '\0' && strcmp(head->name, name) != 0) {
        return definition_refuse(reader, document,
                                 "the document says name '%.100s', the address says '%.100s'",
                                 head->name, name);
    }
    definition_set_text(&head->kind, found);
    if (head->name[0] == '\0') {
        definition_set_text(&head->name, name);
    }
    return 0;
}

static int read_spec(struct definition_reader *reader, const struct node *document,
                     Engenho__Definition *definition)
{
    static int (*const readers[])(struct definition_reader *, const struct node *,
                                  Engenho__Definition *) = {read_application, read_production,
                                                            read_agent, read_connection};
    struct node empty = {.type = NODE_MAP, .line = document->line};
    const struct node *spec = node_get(document, "spec");
    if (spec == NULL || spec->type == NODE_NULL) {
        spec = &empty;
    }
    for (size_t i = 0; i < ARRAY_SIZE(readers); i++) {
        if (!strcmp(definition->kind, kinds[i])) {
            int result = readers[i](reader, spec, definition);
            return result;
        }
    }
    return definition_refuse(reader, document,
                             "a package is not applied: deploy it with `engenho deploy %.60s PATH`",
                             definition->name);
}

static int write_spec(struct definition_reader *reader, const struct node *document,
                      Engenho__Definition *definition)
{
    struct buf json;
    struct node *spec = node_new(NODE_MAP, 0);
    const struct node *source = node_get(document, "spec");
    for (const struct node *child = source != NULL ? source->first : NULL; child != NULL;
         child = child->next) {
        if (strcmp(child->key, "started") != 0) {
            node_add(spec, child->key, node_copy(child));
        }
    }
    buf_init(&json, SPEC_BYTES_MAX);
    int result = node_write_json(spec, &json);
    if (result == 0) {
        definition->spec_json = memory_copy(json.data, json.length);
    } else {
        result = definition_refuse(
            reader, document, "the spec is too large: %d bytes as JSON at most", SPEC_BYTES_MAX);
    }
    buf_release(&json);
    node_free(spec);
    return result;
}

/* long: what a document is read with, and the three things it gives */
int definition_parse(const struct node *document, const char *kind, const char *name,
                     const struct definition_checks *checks, Engenho__Definition **ret_definition,
                     int *ret_started, int *ret_line, struct error *error)
{
    struct definition_reader reader = {.checks = checks, .error = error, .started = -1};
    struct head head = {(char *)protobuf_c_empty_string, (char *)protobuf_c_empty_string};
    Engenho__Definition *definition = memory_new(1, sizeof *definition);
    engenho__definition__init(definition);
    int result = read_head(&reader, document, kind, name, &head);
    definition->kind = head.kind;
    definition->name = head.name;
    if (result == 0) {
        result = read_spec(&reader, document, definition);
    }
    if (result == 0) {
        result = write_spec(&reader, document, definition);
    }
    if (result != 0) {
        *ret_line = reader.line;
        engenho__definition__free_unpacked(definition, NULL);
        return result;
    }
    *ret_started = reader.started;
    *ret_definition = definition;
    return 0;
}

Engenho__Definition *definition_copy(const Engenho__Definition *definition)
{
    size_t bytes = engenho__definition__get_packed_size(definition);
    uint8_t *packed = memory_new(bytes + 1, 1);
    engenho__definition__pack(definition, packed);
    Engenho__Definition *copy = engenho__definition__unpack(NULL, bytes, packed);
    free(packed);
    if (copy == NULL) {
        abort(); /* out of memory */
    }
    return copy;
}

bool definition_equal(const Engenho__Definition *a, const Engenho__Definition *b)
{
    Engenho__Definition one = *a, other = *b;
    one.changed_us = other.changed_us = 0;
    one.changed_by = other.changed_by = (char *)protobuf_c_empty_string;
    size_t bytes = engenho__definition__get_packed_size(&one);
    if (bytes != engenho__definition__get_packed_size(&other)) {
        return false;
    }
    uint8_t *first = memory_new(bytes + 1, 1), *second = memory_new(bytes + 1, 1);
    engenho__definition__pack(&one, first);
    engenho__definition__pack(&other, second);
    bool equal = memcmp(first, second, bytes) == 0;
    free(first);
    free(second);
    return equal;
}
