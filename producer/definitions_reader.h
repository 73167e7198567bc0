/*
 * Reading a map of a definition into a protobuf message, by a table of its keys: what kinds of
 * values there are, and the sentences for what does not fit. Pure. Producer: only definitions*.c.
 */
#ifndef ENGENHO_PRODUCER_DEFINITIONS_READER_H
#define ENGENHO_PRODUCER_DEFINITIONS_READER_H

#include "producer/definitions.h"

struct definition_reader {
    const struct definition_checks *checks;
    struct error *error;
    int line;    /* of what was wrong */
    int started; /* -1: not said */
};

struct definition_key {
    const char *name;
    /* Read `value` into the member. `path` (spec.retries.count) is for sentences. */
    int (*read)(struct definition_reader *reader, const struct node *value, const char *path,
                void *member);
    size_t offset; /* of the member in the message */
    bool required;
};

/* Read a map by its keys into `message`. */
MUST_CHECK int definition_read_map(struct definition_reader *reader, const struct node *map,
                                   const char *path, const struct definition_key *keys,
                                   size_t count, void *message);

/* Set the sentence and the line. Returns -EINVAL. */
int definition_refuse(struct definition_reader *reader, const struct node *where,
                      const char *format, ...) PRINTF_LIKE(3, 4);

#define DEFINITION_PATH_BYTES 256
/* `path` with a key behind it, cut when too long. Returns `text`. */
const char *definition_path(char text[DEFINITION_PATH_BYTES], const char *path, const char *key);

#define DEFINITION_READ(name)                                                                      \
    int definition_read_##name(struct definition_reader *reader, const struct node *value,         \
                               const char *path, void *member)
DEFINITION_READ(text);     /* char *: up to 64 KiB */
DEFINITION_READ(name);     /* char *: as names are allowed */
DEFINITION_READ(agent);    /* char *: an agent's name */
DEFINITION_READ(when);     /* char *: a condition */
DEFINITION_READ(bool);     /* protobuf_c_boolean */
DEFINITION_READ(count);    /* uint32_t, up to 1,000,000 */
DEFINITION_READ(duration); /* int64_t microseconds, above 0 */
DEFINITION_READ(wait);     /* int64_t microseconds, 0 too */
DEFINITION_READ(instant);  /* int64_t */
DEFINITION_READ(size64);   /* uint64_t bytes: 65536, 64KiB, 16MiB, 1GiB */
DEFINITION_READ(size32);   /* uint32_t */
/* size_t, followed by Engenho__Parameter ** as protobuf-c lays them out */
DEFINITION_READ(parameters);

/* A word of a list into an enum: the index of the word. */
int definition_read_word(struct definition_reader *reader, const struct node *value,
                         const char *path, const char *const *words, size_t count);

/* Set a text member of a message, which is the empty string of protobuf-c or ours. */
void definition_set_text(char **member, const char *text);

#endif
