/*
 * Replies of the functions of Redis: [op, now, word, handed, ...].
 */
#include "licensor/store/reply.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

/*
 * One array of a reply while it is read; the first thing that is not as expected stays as the
 * error.
 */
struct reader {
    const redisReply *array;
    size_t at;
    int error;
};

static struct reader reader_of(const redisReply *array)
{
    struct reader reader = {.array = array};
    if (array == NULL || array->type != REDIS_REPLY_ARRAY) {
        reader.array = NULL;
        reader.error = -EPROTO;
    }
    return reader;
}

static bool more(const struct reader *reader)
{
    return reader->error == 0 && reader->at < reader->array->elements;
}

static const redisReply *next(struct reader *reader)
{
    if (!more(reader)) {
        reader->error = -EPROTO;
        return NULL;
    }
    return reader->array->element[reader->at++];
}

/* Numbers come as integers, or as text where they were read from a hash. */
static int64_t read_int(struct reader *reader)
{
    const redisReply *element = next(reader);
    if (element == NULL) {
        return 0;
    }
    if (element->type == REDIS_REPLY_INTEGER) {
        return element->integer;
    }
    if (element->type == REDIS_REPLY_STRING && element->len > 0) {
        char *end;
        long long value = strtoll(element->str, &end, 10);
        if (*end == '\0') {
            return value;
        }
    }
    reader->error = -EPROTO;
    return 0;
}

static void read_text(struct reader *reader, char *text, size_t bytes)
{
    const redisReply *element = next(reader);
    if (element == NULL) {
        return;
    }
    if (element->type != REDIS_REPLY_STRING || element->len >= bytes) {
        reader->error = -EPROTO;
        return;
    }
    memcpy(text, element->str, element->len + 1);
}

static struct reader read_array(struct reader *reader)
{
    struct reader inner = reader_of(next(reader));
    if (inner.error != 0) {
        reader->error = inner.error;
    }
    return inner;
}

static size_t left(const struct reader *reader)
{
    return reader->error == 0 ? reader->array->elements - reader->at : 0;
}

/* The outcome of an inner array counts for the whole. */
static void close_array(struct reader *outer, const struct reader *inner)
{
    if (outer->error == 0) {
        outer->error = inner->error;
    }
}

static void read_grant(struct reader *outer, struct store_grant *grant)
{
    struct reader r = read_array(outer);
    read_text(&r, grant->session, sizeof(grant->session));
    read_text(&r, grant->request, sizeof(grant->request));
    grant->token = (uint64_t)read_int(&r);
    read_text(&r, grant->pool, sizeof(grant->pool));
    read_text(&r, grant->requested, sizeof(grant->requested));
    grant->number = (uint64_t)read_int(&r);
    grant->reused = read_int(&r) != 0;
    grant->escalated = read_int(&r) != 0;
    grant->waived = read_int(&r) != 0;
    grant->life_left_ms = read_int(&r);
    close_array(outer, &r);
}

static void read_full(struct reader *outer, struct store_answer *answer)
{
    struct reader r = read_array(outer);
    while (more(&r) && answer->full_count < CHAIN_POOLS_MAX) {
        struct store_full *full = &answer->full[answer->full_count++];
        read_text(&r, full->pool, sizeof(full->pool));
        full->in_use = (uint32_t)read_int(&r);
        full->limit = (uint32_t)read_int(&r);
    }
    close_array(outer, &r);
}

static void read_refused(struct reader *r, struct store_answer *answer)
{
    char word[32] = "";
    read_text(r, word, sizeof(word));
    if (store_reason_parse(word, &answer->reason) != 0) {
        r->error = -EPROTO;
        return;
    }
    if (answer->reason == STORE_NAME_IN_USE) {
        read_text(r, answer->host, sizeof(answer->host));
        answer->pid = (int32_t)read_int(r);
    } else if (answer->reason == STORE_NO_KEY) {
        answer->full[0].in_use = (uint32_t)read_int(r);
        answer->full[0].limit = (uint32_t)read_int(r);
        answer->full_count = 1;
    } else if (more(r)) {
        read_full(r, answer);
    }
}

static void read_registered(struct reader *r, struct store_answer *answer)
{
    read_text(r, answer->session, sizeof(answer->session));
    answer->slot = (uint32_t)read_int(r);
    struct reader lost = read_array(r);
    answer->lost = memory_new(left(&lost) + 1, sizeof(*answer->lost));
    while (more(&lost)) {
        answer->lost[answer->lost_count++] = (uint64_t)read_int(&lost);
    }
    close_array(r, &lost);
}

static void read_alive(struct reader *r, struct store_answer *answer)
{
    answer->recovering = read_int(r) != 0;
    struct reader pools = read_array(r);
    answer->waited = memory_new(left(&pools) + 1, sizeof(*answer->waited));
    while (more(&pools)) {
        read_text(&pools, answer->waited[answer->waited_count++], sizeof(*answer->waited));
    }
    close_array(r, &pools);
}

static void read_pool_row(struct reader *outer, struct store_pool_row *row)
{
    struct reader r = read_array(outer);
    read_text(&r, row->pool, sizeof(row->pool));
    row->limit = (uint32_t)read_int(&r);
    row->in_use = (uint32_t)read_int(&r);
    row->queued = (uint32_t)read_int(&r);
    row->waiting = (uint32_t)read_int(&r);
    row->peak = (uint32_t)read_int(&r);
    row->granted = (uint64_t)read_int(&r);
    row->reused = (uint64_t)read_int(&r);
    row->waived = (uint64_t)read_int(&r);
    row->escalated = (uint64_t)read_int(&r);
    row->refused = (uint64_t)read_int(&r);
    row->notified = (uint64_t)read_int(&r);
    close_array(outer, &r);
}

static void read_pool_rows(struct reader *r, struct store_answer *answer)
{
    struct reader rows = read_array(r);
    answer->pools = memory_new(left(&rows) + 1, sizeof(*answer->pools));
    while (more(&rows)) {
        read_pool_row(&rows, &answer->pools[answer->pools_count++]);
    }
    close_array(r, &rows);
}

static void read_ticked(struct reader *r, struct store_answer *answer)
{
    answer->steps = (uint64_t)read_int(r);
    answer->recovering = read_int(r) != 0;
    answer->latest_ms = read_int(r);
    struct reader orphans = read_array(r);
    answer->orphans = memory_new(left(&orphans) / 2 + 1, sizeof(*answer->orphans));
    while (more(&orphans)) {
        struct pool_count *row = &answer->orphans[answer->orphans_count++];
        read_text(&orphans, row->pool, sizeof(row->pool));
        row->seats = (uint32_t)read_int(&orphans);
    }
    close_array(r, &orphans);
    read_pool_rows(r, answer);
    answer->alive = (uint32_t)read_int(r);
    answer->demo = read_int(r) != 0;
}

/* "processor\nproduction" */
static void read_holder(struct reader *r, struct usage_holder *holder)
{
    char text[sizeof(holder->processor) + sizeof(holder->production)] = "";
    read_text(r, text, sizeof(text));
    char *production = strchr(text, '\n');
    if (r->error == 0 && production == NULL) {
        r->error = -EPROTO;
    }
    if (r->error == 0) {
        *production++ = '\0';
        snprintf(holder->processor, sizeof(holder->processor), "%.*s", NAME_BYTES_MAX, text);
        snprintf(holder->production, sizeof(holder->production), "%.*s", NAME_BYTES_MAX,
                 production);
    }
    holder->granted = (uint64_t)read_int(r);
}

static void read_record(struct reader *outer, struct usage_record *record)
{
    struct reader r = read_array(outer);
    read_text(&r, record->id, sizeof(record->id));
    read_text(&r, record->pool, sizeof(record->pool));
    record->from_ms = read_int(&r);
    record->until_ms = read_int(&r);
    record->limit = (uint32_t)read_int(&r);
    uint64_t *const counts[] = {
        &record->granted,  &record->reused,       &record->waived,          &record->escalated,
        &record->notified, &record->refused_pool, &record->refused_edition, &record->refused_line,
        &record->waited,   &record->wait_ms,      &record->overrun};
    for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
        *counts[i] = (uint64_t)read_int(&r);
    }
    record->peak = (uint32_t)read_int(&r);
    while (more(&r) && record->holders_count < ARRAY_SIZE(record->holders)) {
        read_holder(&r, &record->holders[record->holders_count++]);
    }
    close_array(outer, &r);
}

static void read_records(struct reader *r, struct store_answer *answer)
{
    struct reader rows = read_array(r);
    answer->records = memory_new(left(&rows) + 1, sizeof(*answer->records));
    while (more(&rows)) {
        read_record(&rows, &answer->records[answer->records_count++]);
    }
    close_array(r, &rows);
}

static void read_audit(struct reader *r, struct store_answer *answer)
{
    struct reader rows = read_array(r);
    answer->audit = memory_new(left(&rows) + 1, sizeof(*answer->audit));
    while (more(&rows)) {
        struct audit_entry *entry = &answer->audit[answer->audit_count++];
        struct reader row = read_array(&rows);
        entry->at_ms = read_int(&row);
        read_text(&row, entry->who, sizeof(entry->who));
        read_text(&row, entry->what, sizeof(entry->what));
        read_text(&row, entry->detail, sizeof(entry->detail));
        close_array(&rows, &row);
    }
    close_array(r, &rows);
}

static void read_seat_row(struct reader *outer, struct store_seat_row *row)
{
    struct reader r = read_array(outer);
    char use[16] = "";
    read_text(&r, row->pool, sizeof(row->pool));
    row->number = (uint64_t)read_int(&r);
    read_text(&r, row->state, sizeof(row->state));
    read_text(&r, row->session, sizeof(row->session));
    read_text(&r, row->production, sizeof(row->production));
    read_text(&r, row->request, sizeof(row->request));
    read_text(&r, use, sizeof(use));
    read_text(&r, row->requested, sizeof(row->requested));
    row->since_ms = read_int(&r);
    row->life_left_ms = read_int(&r);
    row->token = (uint64_t)read_int(&r);
    read_text(&r, row->user, sizeof(row->user));
    if (r.error == 0) {
        r.error = seat_use_parse(use, &row->use);
    }
    close_array(outer, &r);
}

static void read_processor_row(struct reader *outer, struct store_processor_row *row)
{
    struct reader r = read_array(outer);
    read_text(&r, row->session, sizeof(row->session));
    read_text(&r, row->name, sizeof(row->name));
    read_text(&r, row->agent, sizeof(row->agent));
    read_text(&r, row->host, sizeof(row->host));
    row->pid = (int32_t)read_int(&r);
    row->slot = (uint32_t)read_int(&r);
    row->lease_left_ms = read_int(&r);
    row->productions = (uint32_t)read_int(&r);
    close_array(outer, &r);
}

static void read_list(struct reader *r, struct store_answer *answer)
{
    read_pool_rows(r, answer);
    struct reader rows = read_array(r);
    answer->seats = memory_new(left(&rows) + 1, sizeof(*answer->seats));
    while (more(&rows)) {
        read_seat_row(&rows, &answer->seats[answer->seats_count++]);
    }
    close_array(r, &rows);
    rows = read_array(r);
    answer->processors = memory_new(left(&rows) + 1, sizeof(*answer->processors));
    while (more(&rows)) {
        read_processor_row(&rows, &answer->processors[answer->processors_count++]);
    }
    close_array(r, &rows);
}

static void read_story(struct reader *r, struct store_story *story)
{
    char reason[32] = "";
    read_text(r, story->word, sizeof(story->word));
    read_text(r, story->name, sizeof(story->name));
    read_text(r, story->pool, sizeof(story->pool));
    read_text(r, story->requested, sizeof(story->requested));
    story->number = (uint64_t)read_int(r);
    story->token = (uint64_t)read_int(r);
    story->at_ms = read_int(r);
    story->in_use = (uint32_t)read_int(r);
    story->limit = (uint32_t)read_int(r);
    story->life_left_ms = read_int(r);
    read_text(r, reason, sizeof(reason));
    if (r->error == 0) {
        r->error = store_reason_parse(reason, &story->reason);
    }
}

static const struct {
    const char *text;
    enum store_word word;
} words[] = {
    {"done", STORE_DONE},     {"hello", STORE_DONE},          {"registered", STORE_REGISTERED},
    {"alive", STORE_ALIVE},   {"released", STORE_RELEASED},   {"ticked", STORE_TICKED},
    {"list", STORE_LISTED},   {"explained", STORE_EXPLAINED}, {"usage", STORE_RECORDS},
    {"audit", STORE_AUDITED}, {"refused", STORE_REFUSED},
};

static void read_word(struct reader *r, enum store_word *ret_word)
{
    char text[16] = "";
    read_text(r, text, sizeof(text));
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (strcmp(text, words[i].text) == 0) {
            *ret_word = words[i].word;
            return;
        }
    }
    r->error = -EPROTO;
}

static void read_handed(struct reader *outer, struct store_answer *answer)
{
    struct reader rows = read_array(outer);
    answer->handed = memory_new(left(&rows) + 1, sizeof(*answer->handed));
    while (more(&rows)) {
        read_grant(&rows, &answer->handed[answer->handed_count++]);
    }
    close_array(outer, &rows);
}

static void read_rest(struct reader *r, struct store_answer *answer)
{
    switch (answer->word) {
    case STORE_DONE:
        answer->recovering = more(r) && read_int(r) != 0;
        return;
    case STORE_REGISTERED:
        read_registered(r, answer);
        return;
    case STORE_ALIVE:
        read_alive(r, answer);
        return;
    case STORE_GRANTED:
    case STORE_WAITING: /* only in a batch: batch_reply.c */
        r->error = -EPROTO;
        return;
    case STORE_RELEASED:
        answer->queued = read_int(r) != 0;
        answer->life_left_ms = read_int(r);
        read_text(r, answer->pool, sizeof(answer->pool));
        answer->held_ms = read_int(r);
        return;
    case STORE_TICKED:
        read_ticked(r, answer);
        return;
    case STORE_LISTED:
        read_list(r, answer);
        return;
    case STORE_EXPLAINED:
        read_story(r, &answer->story);
        return;
    case STORE_RECORDS:
        read_records(r, answer);
        return;
    case STORE_AUDITED:
        read_audit(r, answer);
        return;
    case STORE_REFUSED:
        read_refused(r, answer);
        return;
    }
}

int reply_read(const redisReply *reply, struct store_answer *ret_answer)
{
    memset(ret_answer, 0, sizeof(*ret_answer));
    struct reader r = reader_of(reply);
    ret_answer->op = (uint64_t)read_int(&r);
    ret_answer->now_ms = read_int(&r);
    read_word(&r, &ret_answer->word);
    if (r.error == 0) {
        read_handed(&r, ret_answer);
    }
    if (r.error == 0) {
        read_rest(&r, ret_answer);
    }
    return r.error;
}
