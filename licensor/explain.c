/*
 * Explanations of requests.
 */
#include "licensor/explain.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/duration.h"
#include "licensor/refusal.h"

#define HOLDERS_NAMED_MAX 5
#define HOLDER_BYTES (2 * NAME_BYTES_MAX + 200) /* one of them, and what may follow */

static void write_seat(const char *request, const struct store_story *story, char *text)
{
    char at[INSTANT_TEXT_BYTES], why[160];
    instant_print(story->at_ms * 1000, at);
    if (strcmp(story->word, "reused") == 0) {
        snprintf(why, sizeof(why),
                 "re-used: the seat had been freed with life left, so no other was consumed");
    } else if (strcmp(story->word, "waived") == 0) {
        snprintf(why, sizeof(why), "waived: the same holder had the seat already");
    } else {
        snprintf(why, sizeof(why), "consumed when no freed seat of the pool had life left");
    }
    snprintf(text, EXPLANATION_BYTES,
             "request %s of processor %s got seat L%" PRIu64 " of pool %s at %s, token %" PRIu64
             "%s%s: %s; %u of %u were consumed "
             "then%s",
             request, story->name, story->number, story->pool, at, story->token,
             strcmp(story->pool, story->requested) != 0 ? ", escalated from pool " : "",
             strcmp(story->pool, story->requested) != 0 ? story->requested : "", why, story->in_use,
             story->limit, strcmp(story->word, "released") == 0 ? "; it was released" : "");
}

bool explain_wants_holders(const struct store_story *story)
{
    return story->pool[0] != '\0' &&
           (strcmp(story->word, "waiting") == 0 ||
            (strcmp(story->word, "refused") == 0 && story->reason == STORE_POOL_LIMIT));
}

const char *explain_name(const struct store_answer *list, const char *session)
{
    for (size_t i = 0; i < list->processors_count; i++) {
        if (strcmp(list->processors[i].session, session) == 0) {
            return list->processors[i].name;
        }
    }
    return "a processor that is gone";
}

void explain_holders(const struct store_answer *list, char *text)
{
    size_t length = strlen(text), named = 0, others = 0;
    for (size_t i = 0; i < list->seats_count; i++) {
        const struct store_seat_row *seat = &list->seats[i];
        if (strcmp(seat->state, "busy") != 0) {
            continue;
        }
        if (named == HOLDERS_NAMED_MAX || EXPLANATION_BYTES - length < HOLDER_BYTES) {
            others++;
            continue;
        }
        char since[INSTANT_TEXT_BYTES];
        instant_print(seat->since_ms * 1000, since);
        length += (size_t)snprintf(
            text + length, EXPLANATION_BYTES - length, "%s L%" PRIu64 " by %s for %s since %s",
            named == 0 ? "; now held:" : ",", seat->number, explain_name(list, seat->session),
            seat->production[0] != '\0' ? seat->production : "a run", since);
        named++;
    }
    if (others > 0) {
        snprintf(text + length, EXPLANATION_BYTES - length, ", and %zu more", others);
    }
}

void explain_write(const char *request, const struct store_story *story,
                   const struct limits *limits, char *text)
{
    char at[INSTANT_TEXT_BYTES];
    instant_print(story->at_ms * 1000, at);
    if (strcmp(story->word, "waiting") == 0) {
        snprintf(
            text, EXPLANATION_BYTES,
            "request %s of processor %s waits for pool %s since %s: %u of %u are consumed, %" PRIu64
            " are before it",
            request, story->name, story->pool, at, story->in_use, story->limit, story->number);
    } else if (strcmp(story->word, "refused") == 0) {
        struct store_answer answer = {.reason = story->reason, .full_count = 1};
        snprintf(answer.full[0].pool, sizeof(answer.full[0].pool), "%s", story->pool);
        answer.full[0].in_use = story->in_use;
        answer.full[0].limit = story->limit;
        struct refusal_text refusal;
        refusal_write(&answer, limits, &refusal);
        snprintf(text, EXPLANATION_BYTES, "request %s of processor %s was refused at %s: %s",
                 request, story->name, at, refusal.en);
    } else {
        write_seat(request, story, text);
    }
}
