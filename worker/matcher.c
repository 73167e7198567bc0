#include "worker/matcher.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/memory.h"
#include "common/names.h"

#define KEY_BYTES_MAX (2 * NAME_BYTES_MAX + 2)

/* The answer for one kind, connection and object. */
struct answer {
    struct production **productions;
    size_t count;
    UT_hash_handle hh;
    size_t key_bytes;
    char key[];
};

struct matcher {
    struct production **productions; /* all, in order */
    size_t count, capacity;
    struct answer *answers;
    size_t answer_count;
    struct production **found; /* scratch of matcher_find, as long as `productions` */
};

struct matcher *matcher_new(void)
{
    return memory_new(1, sizeof(struct matcher));
}

static void forget_answers(struct matcher *matcher)
{
    struct answer *answer, *following;
    HASH_ITER (hh, matcher->answers, answer, following) {
        HASH_DEL(matcher->answers, answer);
        free(answer->productions);
        free(answer);
    }
    matcher->answer_count = 0;
}

void matcher_clear(struct matcher *matcher)
{
    forget_answers(matcher);
    for (size_t i = 0; i < matcher->count; i++) {
        production_drop(matcher->productions[i]);
    }
    matcher->count = 0;
}

void matcher_free(struct matcher *matcher)
{
    if (matcher == NULL) {
        return;
    }
    matcher_clear(matcher);
    free(matcher->productions);
    free(matcher->found);
    free(matcher);
}

void matcher_add(struct matcher *matcher, struct production *production)
{
    if (production->trigger != ENGENHO__PRODUCTION__TRIGGER_DATA &&
        production->trigger != ENGENHO__PRODUCTION__TRIGGER_NAMED &&
        production->trigger != ENGENHO__PRODUCTION__TRIGGER_TRANSITION) {
        return;
    }
    forget_answers(matcher);
    if (matcher->count == matcher->capacity) {
        matcher->capacity = matcher->capacity ? 2 * matcher->capacity : 16;
        matcher->productions =
            memory_resize(matcher->productions, matcher->capacity, sizeof *matcher->productions);
        matcher->found = memory_resize(matcher->found, matcher->capacity, sizeof *matcher->found);
    }
    matcher->productions[matcher->count++] = production_use(production);
}

static bool same_text(struct text_view view, const char *text)
{
    return strlen(text) == view.bytes && !memcmp(view.data, text, view.bytes);
}

static bool wants(const struct production *production, const struct event_view *event,
                  const char *object)
{
    switch (event->kind) {
    case EVENT_DATA:
        return production->trigger == ENGENHO__PRODUCTION__TRIGGER_DATA &&
               same_text(event->connection, production->connection) &&
               (!strcmp(object, production->object) || name_matches(production->object, object));
    case EVENT_NAMED:
        return production->trigger == ENGENHO__PRODUCTION__TRIGGER_NAMED &&
               same_text(event->connection, production->connection) &&
               !strcmp(object, production->object);
    case EVENT_TRANSITION:
        return production->trigger == ENGENHO__PRODUCTION__TRIGGER_TRANSITION &&
               same_text(event->process, production->process) &&
               (production->from_stage[0] == '\0' ||
                same_text(event->from_stage, production->from_stage)) &&
               (production->to_stage[0] == '\0' ||
                same_text(event->to_stage, production->to_stage));
    }
    return false;
}

static size_t collect(const struct matcher *matcher, const struct event_view *event,
                      const char *object, struct production **found)
{
    size_t count = 0;
    for (size_t i = 0; i < matcher->count; i++) {
        if (wants(matcher->productions[i], event, object)) {
            found[count++] = matcher->productions[i];
        }
    }
    return count;
}

static struct matches remember(struct matcher *matcher, const struct event_view *event,
                               const char *key, size_t key_bytes)
{
    char object[NAME_BYTES_MAX + 1];
    if (matcher->answer_count == MATCHER_REMEMBERED_MAX) {
        forget_answers(matcher);
    }
    memcpy(object, event->object.data, event->object.bytes);
    object[event->object.bytes] = '\0';
    struct answer *answer = memory_new(1, sizeof *answer + key_bytes);
    answer->key_bytes = key_bytes;
    memcpy(answer->key, key, key_bytes);
    answer->count = collect(matcher, event, object, matcher->found);
    answer->productions = memory_new(answer->count + 1, sizeof *answer->productions);
    memcpy(answer->productions, matcher->found, answer->count * sizeof *answer->productions);
    HASH_ADD_KEYPTR(hh, matcher->answers, answer->key, answer->key_bytes, answer);
    matcher->answer_count++;
    return (struct matches){answer->productions, answer->count};
}

struct matches matcher_find(struct matcher *matcher, const struct event_view *event)
{
    if (matcher->count == 0) {
        return (struct matches){NULL, 0};
    }
    if (event->kind == EVENT_TRANSITION) {
        size_t count = collect(matcher, event, "", matcher->found);
        return (struct matches){matcher->found, count};
    }
    char key[KEY_BYTES_MAX];
    if (event->connection.bytes > NAME_BYTES_MAX || event->object.bytes > NAME_BYTES_MAX) {
        return (struct matches){NULL, 0};
    }
    size_t bytes = 0;
    key[bytes++] = event->kind == EVENT_DATA ? 'd' : 'n';
    memcpy(key + bytes, event->connection.data, event->connection.bytes);
    bytes += event->connection.bytes;
    key[bytes++] = '\0';
    memcpy(key + bytes, event->object.data, event->object.bytes);
    bytes += event->object.bytes;
    struct answer *answer;
    HASH_FIND(hh, matcher->answers, key, bytes, answer);
    if (answer != NULL) {
        return (struct matches){answer->productions, answer->count};
    }
    return remember(matcher, event, key, bytes);
}
