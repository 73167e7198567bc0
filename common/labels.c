/*
 * The words of the enums in proto/. They are made once, when first asked for, and kept. Every
 * process.
 */
#include "common/labels.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "common/memory.h"

#define ENUMS_MAX 64

/* One enum's words, in the order of its descriptor's values. */
struct words {
    const ProtobufCEnumDescriptor *descriptor;
    char **list;
};

static struct words enums[ENUMS_MAX];
static size_t enum_count;

/* Bytes of TRIGGER_KIND_ for TriggerKind: each capital after the first starts a word. */
static size_t prefix_bytes(const char *enum_name)
{
    size_t bytes = 0;
    for (const char *c = enum_name; *c; c++) {
        bytes += 1 + (c != enum_name && isupper((unsigned char)*c));
    }
    return bytes + 1;
}

static const struct words *words_of(const ProtobufCEnumDescriptor *descriptor)
{
    for (size_t i = 0; i < enum_count; i++) {
        if (enums[i].descriptor == descriptor) {
            return &enums[i];
        }
    }
    assert(enum_count < ENUMS_MAX);
    struct words *words = &enums[enum_count++];
    words->descriptor = descriptor;
    words->list = memory_new(descriptor->n_values, sizeof *words->list);
    size_t prefix = prefix_bytes(descriptor->short_name);
    for (unsigned i = 0; i < descriptor->n_values; i++) {
        assert(strlen(descriptor->values[i].name) > prefix);
        words->list[i] = memory_copy_text(descriptor->values[i].name + prefix);
        for (char *c = words->list[i]; *c; c++) {
            *c = (char)tolower((unsigned char)*c);
        }
    }
    return words;
}

const char *label_of(const ProtobufCEnumDescriptor *descriptor, int value)
{
    const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value(descriptor, value);
    return found ? words_of(descriptor)->list[found - descriptor->values] : "unknown";
}

int label_parse(const ProtobufCEnumDescriptor *descriptor, const char *word, int *ret_value)
{
    const struct words *words = words_of(descriptor);
    for (unsigned i = 0; i < descriptor->n_values; i++) {
        if (!strcmp(words->list[i], word)) {
            *ret_value = descriptor->values[i].value;
            return 0;
        }
    }
    return -EINVAL;
}
