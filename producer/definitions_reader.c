#include "producer/definitions_reader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/duration.h"
#include "common/memory.h"
#include "common/names.h"
#include "common/when.h"
#include "producer/suggest.h"

#define TEXT_BYTES_MAX 65536
#define COUNT_MAX 1000000
#define KEYS_MAX 32
#define PARAMETERS_MAX 200
#define PARAMETER_BYTES_MAX 65536

int definition_refuse(struct definition_reader *reader, const struct node *where,
                      const char *format, ...)
{
    char text[ERROR_TEXT_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    reader->line = where->line;
    return error_set(reader->error, -EINVAL, "%s", text);
}

/* ", line 7", or nothing when lines are not known. */
static const char *at_line(const struct node *node, char text[32])
{
    text[0] = '\0';
    if (node->line > 0) {
        snprintf(text, 32, ", line %d", node->line);
    }
    return text;
}

const char *definition_path(char text[DEFINITION_PATH_BYTES], const char *path, const char *key)
{
    snprintf(text, DEFINITION_PATH_BYTES, "%.120s%s%.120s", path, path[0] != '\0' ? "." : "", key);
    return text;
}

void definition_set_text(char **member, const char *text)
{
    if (*member != (char *)protobuf_c_empty_string) {
        free(*member);
    }
    *member = memory_copy_text(text);
}

static int wrong_type(struct definition_reader *reader, const struct node *value, const char *path,
                      const char *wanted)
{
    char line[32];
    return definition_refuse(reader, value, "%s must be %s, not %s%s", path, wanted,
                             node_type_name(value->type), at_line(value, line));
}

static int unknown_key(struct definition_reader *reader, const struct node *child, const char *path,
                       const struct definition_key *keys, size_t count)
{
    const char *names[KEYS_MAX];
    char line[32], all[512] = "";
    for (size_t i = 0; i < count; i++) {
        names[i] = keys[i].name;
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", i > 0 ? ", " : "",
                 keys[i].name);
    }
    const char *near = suggest(child->key, names, count);
    const char *where = path[0] != '\0' ? path : "the document";
    if (near != NULL) {
        return definition_refuse(reader, child, "unknown key '%.100s' in %s%s: did you mean '%s'?",
                                 child->key, where, at_line(child, line), near);
    }
    return definition_refuse(reader, child, "unknown key '%.100s' in %s%s: it takes %s", child->key,
                             where, at_line(child, line), all);
}

/* long: what is read, where it stands, by which keys, into what */
int definition_read_map(struct definition_reader *reader, const struct node *map, const char *path,
                        const struct definition_key *keys, size_t count, void *message)
{
    char text[DEFINITION_PATH_BYTES], line[32];
    if (map->type != NODE_MAP) {
        return wrong_type(reader, map, path[0] != '\0' ? path : "a document", "a map");
    }
    for (const struct node *child = map->first; child != NULL; child = child->next) {
        size_t i = 0;
        while (i < count && strcmp(keys[i].name, child->key) != 0) {
            i++;
        }
        if (i == count) {
            return unknown_key(reader, child, path, keys, count);
        }
        int result = keys[i].read(reader, child, definition_path(text, path, child->key),
                                  (char *)message + keys[i].offset);
        if (result != 0) {
            return result;
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (keys[i].required && node_get(map, keys[i].name) == NULL) {
            return definition_refuse(reader, map, "%s is missing%s",
                                     definition_path(text, path, keys[i].name), at_line(map, line));
        }
    }
    return 0;
}

DEFINITION_READ(text)
{
    char line[32];
    if (value->type != NODE_TEXT) {
        return wrong_type(reader, value, path, "text (in quotes where it looks like a number)");
    }
    if (strlen(value->text) > TEXT_BYTES_MAX) {
        return definition_refuse(reader, value, "%s is too long%s: %d bytes at most", path,
                                 at_line(value, line), TEXT_BYTES_MAX);
    }
    definition_set_text(member, value->text);
    return 0;
}

DEFINITION_READ(name)
{
    char line[32];
    int result = definition_read_text(reader, value, path, member);
    if (result == 0 && !name_is_valid(value->text)) {
        return definition_refuse(
            reader, value, "%s is not a name%s: 1 to %d bytes of UTF-8 without control characters",
            path, at_line(value, line), NAME_BYTES_MAX);
    }
    return result;
}

DEFINITION_READ(agent)
{
    char line[32];
    int result = definition_read_text(reader, value, path, member);
    if (result == 0 && !name_is_agent(value->text)) {
        return definition_refuse(reader, value,
                                 "%s '%.60s' is not an agent's name%s: 1 to %d of a-z, 0-9 and -",
                                 path, value->text, at_line(value, line), AGENT_NAME_BYTES_MAX);
    }
    return result;
}

DEFINITION_READ(when)
{
    struct error why;
    char line[32];
    int result = definition_read_text(reader, value, path, member);
    if (result != 0 || value->text[0] == '\0') {
        return result;
    }
    struct when *when = when_new(value->text, &why);
    if (when == NULL) {
        return definition_refuse(reader, value, "%s%s: %s", path, at_line(value, line), why.text);
    }
    when_free(when);
    return 0;
}

DEFINITION_READ(bool)
{
    if (value->type != NODE_BOOL) {
        return wrong_type(reader, value, path, "true or false");
    }
    *(protobuf_c_boolean *)member = value->integer != 0;
    return 0;
}

DEFINITION_READ(count)
{
    char line[32];
    if (value->type != NODE_INTEGER) {
        return wrong_type(reader, value, path, "a whole number");
    }
    if (value->integer < 0 || value->integer > COUNT_MAX) {
        return definition_refuse(reader, value, "%s is %" PRId64 "%s: it takes 0 to %d", path,
                                 value->integer, at_line(value, line), COUNT_MAX);
    }
    *(uint32_t *)member = (uint32_t)value->integer;
    return 0;
}

DEFINITION_READ(wait)
{
    char line[32];
    int64_t us = 0;
    if (value->type != NODE_TEXT || duration_parse(value->text, &us) != 0 || us < 0) {
        return definition_refuse(reader, value,
                                 "%s is not a duration%s: write 60s, 30m, 12h, 7d or ddd.hh:mm:ss",
                                 path, at_line(value, line));
    }
    *(int64_t *)member = us;
    return 0;
}

DEFINITION_READ(duration)
{
    char line[32];
    int result = definition_read_wait(reader, value, path, member);
    if (result == 0 && *(int64_t *)member == 0) {
        return definition_refuse(reader, value, "%s is 0%s: it must be longer", path,
                                 at_line(value, line));
    }
    return result;
}

DEFINITION_READ(instant)
{
    char line[32];
    int64_t us = 0;
    if (value->type != NODE_TEXT || instant_parse(value->text, &us) != 0) {
        return definition_refuse(reader, value,
                                 "%s is not a time%s: write it as 2026-01-31T12:00:00Z", path,
                                 at_line(value, line));
    }
    *(int64_t *)member = us;
    return 0;
}

DEFINITION_READ(size64)
{
    static const struct {
        const char *unit;
        int shift;
    } units[] = {{"", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}};
    char line[32], *end = NULL;
    uint64_t number = 0;
    bool good = value->type == NODE_INTEGER && value->integer >= 0;
    if (good) {
        number = (uint64_t)value->integer;
    } else if (value->type == NODE_TEXT && value->text[0] >= '0' && value->text[0] <= '9') {
        number = strtoull(value->text, &end, 10);
        for (size_t i = 0; i < ARRAY_SIZE(units) && !good; i++) {
            if (!strcmp(end, units[i].unit) && number < UINT64_C(1) << 32) {
                number <<= units[i].shift;
                good = true;
            }
        }
    }
    if (!good) {
        return definition_refuse(reader, value,
                                 "%s is not a size%s: write bytes, or 64KiB, 16MiB, 1GiB", path,
                                 at_line(value, line));
    }
    *(uint64_t *)member = number;
    return 0;
}

DEFINITION_READ(size32)
{
    uint64_t number;
    char line[32];
    int result = definition_read_size64(reader, value, path, &number);
    if (result == 0 && number > UINT32_C(1) << 30) {
        return definition_refuse(reader, value, "%s is too large%s: 1GiB at most", path,
                                 at_line(value, line));
    }
    if (result == 0) {
        *(uint32_t *)member = (uint32_t)number;
    }
    return result;
}

static void free_parameters(Engenho__Parameter **parameters, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        engenho__parameter__free_unpacked(parameters[i], NULL);
    }
    free(parameters);
}

static Engenho__Parameter *new_parameter(const struct node *child)
{
    struct buf json;
    buf_init(&json, PARAMETER_BYTES_MAX);
    if (node_write_json(child, &json) != 0) {
        buf_release(&json);
        return NULL;
    }
    Engenho__Parameter *parameter = memory_new(1, sizeof *parameter);
    engenho__parameter__init(parameter);
    parameter->name = memory_copy_text(child->key);
    parameter->json = memory_copy(json.data, json.length);
    buf_release(&json);
    return parameter;
}

/* As protobuf-c lays out a repeated member. */
struct parameters_member {
    size_t count;
    Engenho__Parameter **list;
};

DEFINITION_READ(parameters)
{
    struct parameters_member *target = member;
    char line[32];
    if (value->type != NODE_MAP) {
        return wrong_type(reader, value, path, "a map of names and values");
    }
    if (value->count > PARAMETERS_MAX) {
        return definition_refuse(reader, value, "%s has too many parameters%s: %d at most", path,
                                 at_line(value, line), PARAMETERS_MAX);
    }
    Engenho__Parameter **list = memory_new(value->count + 1, sizeof *list);
    size_t count = 0;
    for (const struct node *child = value->first; child != NULL; child = child->next) {
        list[count] = name_is_valid(child->key) ? new_parameter(child) : NULL;
        if (list[count] == NULL) {
            free_parameters(list, count);
            return definition_refuse(
                reader, child,
                "%s.%.100s can't be a parameter%s: a name is 1 to %d bytes, a value %d bytes", path,
                child->key, at_line(child, line), NAME_BYTES_MAX, PARAMETER_BYTES_MAX);
        }
        count++;
    }
    target->count = count;
    target->list = list;
    return 0;
}

int definition_parameters(const struct node *map, size_t *ret_count,
                          Engenho__Parameter ***ret_parameters, struct error *error)
{
    struct definition_reader reader = {.error = error};
    struct parameters_member member = {0};
    int result = definition_read_parameters(&reader, map, "parameters", &member);
    if (result == 0) {
        *ret_count = member.count;
        *ret_parameters = member.list;
    }
    return result;
}

int definition_read_word(struct definition_reader *reader, const struct node *value,
                         const char *path, const char *const *words, size_t count)
{
    char all[200] = "", line[32];
    for (size_t i = 0; i < count; i++) {
        if (value->type == NODE_TEXT && !strcmp(value->text, words[i])) {
            return (int)i;
        }
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s",
                 i == 0           ? ""
                 : i + 1 == count ? " or "
                                  : ", ",
                 words[i]);
    }
    return definition_refuse(reader, value, "%s takes %s%s", path, all, at_line(value, line));
}
