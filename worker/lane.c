/*
 * A lane: what of its records is in memory, what is due later, and what it remembers for the
 * scripts.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "proto/lane.pb-c.h"
#include "worker/commit_metadata.h"
#include "worker/engine_parts.h"

#define WINDOW_MARGIN 65536
#define SEATLESS_PART 16 /* of open_max: how many wait for seats of their own in memory */
/* Past it no more records are dispatched: 75 % of what the metadata can say. */
#define DONE_BYTES_SOFT (COMMIT_METADATA_DONE_MAX / 4 * 3)
/* With room for the runs that one record more can make. */
#define DONE_BYTES_HARD (COMMIT_METADATA_DONE_MAX - 16)

struct lane *engine_add_lane(struct engine *engine, const char *topic, bool is_triggers,
                             int32_t partition)
{
    struct lane *lane = memory_new(1, sizeof *lane);
    lane->engine = engine;
    lane->topic = memory_copy_text(topic);
    lane->is_triggers = is_triggers;
    lane->partition = partition;
    lane->crashed_offset = lane->crashed_later_offset = -1;
    LIST_INIT(&lane->records);
    STAILQ_INIT(&lane->unknown);
    STAILQ_INIT(&lane->held);
    TAILQ_INIT(&lane->seatless);
    lane->park_us = INT64_MAX;
    offsets_init(&lane->input, 0);
    offsets_init(&lane->later, 0);
    TAILQ_INSERT_TAIL(&engine->lanes, lane, next);
    return lane;
}

void engine_claim_lane(struct engine *engine, struct lane *lane, int64_t input_end)
{
    assert(lane->state == LANE_TAKING);
    (void)engine;
    lane->state = LANE_CLAIMING;
    isolation_begin(lane, input_end);
    lane->dirty = lane->urgent = true;
}

void engine_close_lane(struct engine *engine, struct lane *lane)
{
    switch (lane->state) {
    case LANE_TAKING:
        lane->state = LANE_CLOSED;
        engine->port.lane_closed(engine->port.context, lane);
        break;
    case LANE_CLAIMING:
        lane->close_wanted = true;
        break;
    case LANE_RUNNING:
        lane->state = LANE_CLOSING;
        dispatch_close_lane(lane);
        lane->dirty = lane->urgent = true;
        break;
    default:
        break;
    }
}

void engine_cut_lane(struct engine *engine, struct lane *lane)
{
    (void)engine;
    dispatch_orphan(lane);
    lane->dirty = lane->urgent = true;
}

/* Who waits for a record to be over: another record, or the line that would make one wait. */
struct follower {
    struct record *record; /* NULL: a line */
    struct line *line;
    struct follower *next;
};

void record_free(struct engine *engine, struct record *record)
{
    struct lane *lane = record->lane;
    struct emit *emit;
    struct follower *follower;
    while ((follower = record->followers) != NULL) {
        record->followers = follower->next;
        free(follower);
    }
    while ((emit = STAILQ_FIRST(&record->emits)) != NULL) {
        STAILQ_REMOVE_HEAD(&record->emits, next);
        emit_free(emit);
    }
    if (lane != NULL) {
        LIST_REMOVE(record, all);
        isolation_end(record);
        isolation_check(lane);
    }
    if (record->trigger != NULL) {
        engenho__trigger__free_unpacked(record->trigger, NULL);
    }
    free(record->event_owned);
    if (record->message != NULL) {
        engine->port.message_free(engine->port.context, record->message);
    }
    free(record);
}

void engine_drop_lane(struct engine *engine, struct lane *lane)
{
    assert(!lane->touched[0] && !lane->touched[1]);
    isolation_forget(lane);
    dispatch_drop_lane(lane);
    publisher_drop_lane(engine, lane);
    while (!LIST_EMPTY(&lane->records)) {
        record_free(engine, LIST_FIRST(&lane->records));
    }
    struct cache *cache, *next_cache;
    HASH_ITER (hh, lane->caches, cache, next_cache) {
        HASH_DEL(lane->caches, cache);
        free(cache->user_cache_json);
        free(cache->last_executed_json);
        free(cache);
    }
    parking_drop_lane(lane);
    offsets_release(&lane->input);
    offsets_release(&lane->later);
    TAILQ_REMOVE(&engine->lanes, lane, next);
    free(lane->due);
    free(lane->topic);
    free(lane);
}

struct cache *lane_cache(struct lane *lane, const char *key, size_t key_bytes, bool make)
{
    struct cache *cache;
    HASH_FIND(hh, lane->caches, key, key_bytes, cache);
    if (cache == NULL && make) {
        cache = memory_new(1, sizeof *cache + key_bytes + 1);
        memcpy(cache->key, key, key_bytes);
        cache->key_bytes = key_bytes;
        HASH_ADD_KEYPTR(hh, lane->caches, cache->key, cache->key_bytes, cache);
    }
    return cache;
}

static int take_lane_state(struct lane *lane, const void *value, size_t bytes)
{
    Engenho__LaneState *state = engenho__lane_state__unpack(NULL, bytes, value);
    if (state == NULL) {
        return -EBADMSG;
    }
    offsets_release(&lane->later);
    offsets_init(&lane->later, state->later_position);
    int result = offsets_restore(&lane->later, state->later_done.data, state->later_done.len);
    engenho__lane_state__free_unpacked(state, NULL);
    return result == 0 ? 0 : -EBADMSG;
}

int lane_take_state(struct lane *lane, const char *key, size_t key_bytes, const void *value,
                    size_t bytes)
{
    if (key_bytes == 4 && !memcmp(key, "lane", 4)) {
        return value == NULL ? 0 : take_lane_state(lane, value, bytes);
    }
    if (key_bytes < 6 || memcmp(key, "cache/", 6) != 0) {
        return -EBADMSG;
    }
    Engenho__CacheState *state =
        value == NULL ? NULL : engenho__cache_state__unpack(NULL, bytes, value);
    if (state == NULL && value != NULL) {
        return -EBADMSG;
    }
    struct cache *cache = lane_cache(lane, key, key_bytes, true);
    free(cache->user_cache_json);
    free(cache->last_executed_json);
    cache->user_cache_json = cache->last_executed_json = NULL;
    cache->newest_event_us = state ? state->newest_event_us : 0;
    if (state != NULL && state->user_cache_json[0] != '\0') {
        cache->user_cache_json = memory_copy_text(state->user_cache_json);
    }
    if (state != NULL && state->last_executed_json[0] != '\0') {
        cache->last_executed_json = memory_copy_text(state->last_executed_json);
    }
    if (state != NULL) {
        engenho__cache_state__free_unpacked(state, NULL);
    }
    return 0;
}

bool lane_has_room(const struct lane *lane)
{
    return lane->state == LANE_RUNNING && isolation_allows(lane) &&
           lane->open - lane->due_count < lane->engine->options.open_max &&
           STAILQ_EMPTY(&lane->held) && lane->undecided == 0 &&
           lane->input.end - lane->input.base < OFFSETS_WINDOW_MAX - WINDOW_MARGIN &&
           offsets_encoded_bytes(&lane->input, DONE_BYTES_SOFT) <= DONE_BYTES_SOFT;
}

bool lane_has_later_room(const struct lane *lane)
{
    if (lane->state == LANE_TAKING) {
        return true; /* the lane starts when all of it was seen */
    }
    return lane->state <= LANE_RUNNING && lane->due_count < lane->engine->options.due_max &&
           lane->open - lane->due_count < 2 * (size_t)lane->engine->options.open_max &&
           lane->later.end - lane->later.base < OFFSETS_WINDOW_MAX - WINDOW_MARGIN;
}

static bool due_before(const struct record *a, const struct record *b)
{
    return a->due_us < b->due_us || (a->due_us == b->due_us && a->offset < b->offset);
}

static void push_due(struct lane *lane, struct record *record)
{
    if (lane->due_count == lane->due_capacity) {
        lane->due_capacity = lane->due_capacity ? 2 * lane->due_capacity : 16;
        lane->due = memory_resize(lane->due, lane->due_capacity, sizeof(struct record *));
    }
    size_t at = lane->due_count++;
    for (; at > 0 && due_before(record, lane->due[(at - 1) / 2]); at = (at - 1) / 2) {
        lane->due[at] = lane->due[(at - 1) / 2];
    }
    lane->due[at] = record;
}

static struct record *pop_due(struct lane *lane)
{
    struct record *first = lane->due[0], *last = lane->due[--lane->due_count];
    size_t at = 0, child;
    while ((child = 2 * at + 1) < lane->due_count) {
        if (child + 1 < lane->due_count && due_before(lane->due[child + 1], lane->due[child])) {
            child++;
        }
        if (!due_before(lane->due[child], last)) {
            break;
        }
        lane->due[at] = lane->due[child];
        at = child;
    }
    lane->due[at] = last;
    return first;
}

/* Parked records that wait for their turn in memory go. */
static void unload_parked(struct lane *lane)
{
    struct record **due = lane->due, *suspect = lane->suspect;
    size_t count = lane->due_count;
    lane->due = NULL;
    lane->due_count = lane->due_capacity = 0;
    for (size_t i = 0; i < count; i++) {
        if (intake_is_parked(due[i])) {
            offsets_unload(&lane->later, due[i]->offset);
            lane->open--;
            record_free(lane->engine, due[i]);
        } else {
            push_due(lane, due[i]);
        }
    }
    free(due);
    /* The one that waits to run alone comes again too: this one is dropped when its mark is
     * committed. */
    if (suspect != NULL && suspect->from_later && !lane->suspect_committed && !suspect->stale &&
        intake_is_parked(suspect)) {
        offsets_unload(&lane->later, suspect->offset);
        suspect->stale = true;
    }
}

void lane_recall(struct lane *lane)
{
    lane->passed_over = lane->later_unseen = false;
    unload_parked(lane);
    offsets_rewind(&lane->later);
    lane->engine->port.rewind_later(lane->engine->port.context, lane);
}

static unsigned seatless_max(const struct lane *lane)
{
    return lane->engine->options.open_max / SEATLESS_PART + 1;
}

bool lane_seats_full(const struct lane *lane)
{
    return lane->seatless_count >= seatless_max(lane);
}

/* Whether the map of `later` has room for this offset. An empty one moves, however far. */
static bool is_in_window(const struct lane *lane, int64_t offset)
{
    return lane->later.base == lane->later.end ||
           offset - lane->later.base < OFFSETS_WINDOW_MAX - WINDOW_MARGIN;
}

/* Whether there is room again for what was left in `later`. */
static bool may_recall(const struct lane *lane)
{
    return lane->passed_over && (!lane->later_unseen || is_in_window(lane, lane->unseen_offset)) &&
           lane->state == LANE_RUNNING && lane->seatless_count <= seatless_max(lane) / 2 &&
           lane->due_count <= lane->engine->options.due_max / 2 &&
           lane->open - lane->due_count <= lane->engine->options.open_max;
}

struct record *lane_record(struct lane *lane, const struct record_view *view, bool from_later)
{
    struct record *record = memory_new(1, sizeof *record);
    record->lane = lane;
    record->from_later = from_later;
    record->offset = view->offset;
    record->timestamp_us = view->timestamp_us;
    record->key = view->key;
    record->key_bytes = view->key_bytes;
    record->value = view->value;
    record->value_bytes = view->value_bytes;
    record->message = view->message;
    record->event = record->event_owned = view->event;
    record->event_bytes = view->event_bytes;
    record->undecodable = view->undecodable;
    record->known_until_us = lane->engine->now_us + lane->engine->options.catalog_wait_us;
    STAILQ_INIT(&record->emits);
    LIST_INSERT_HEAD(&lane->records, record, all);
    lane->open++;
    return record;
}

static void give_message_back(struct lane *lane, const struct record_view *view)
{
    free(view->event);
    lane->engine->port.message_free(lane->engine->port.context, view->message);
}

void lane_take(struct lane *lane, const struct record_view *view)
{
    enum offsets_seen seen;
    int result = offsets_see(&lane->input, view->offset, &seen);
    /* lane_has_room leaves a margin; a wider hole is only met by an empty window */
    assert(result == 0);
    (void)result;
    lane->dirty = true;
    if (seen == OFFSETS_SEEN_BEFORE) {
        give_message_back(lane, view);
        isolation_check(lane);
        return;
    }
    struct record *record = lane_record(lane, view, false);
    if (!isolation_marks(record)) {
        intake_record(record);
    }
}

/* It stays in `later`, and is read again when there is room. */
static void pass_over(struct record *record)
{
    struct lane *lane = record->lane;
    lane->passed_over = true;
    lane->open--;
    record_free(lane->engine, record);
}

/* It can be counted, and no more; nor can what follows it, until `later` is read again. */
static void see_past_window(struct lane *lane, const struct record_view *view)
{
    struct record *record = lane_record(lane, view, true);
    if (!lane->later_unseen) {
        lane->later_unseen = true;
        lane->unseen_offset = view->offset;
    }
    intake_count_parked(record);
    pass_over(record);
}

void lane_take_later(struct lane *lane, const struct record_view *view)
{
    enum offsets_seen seen;
    if (lane->later_unseen || !is_in_window(lane, view->offset)) {
        see_past_window(lane, view);
        return;
    }
    int result = offsets_see(&lane->later, view->offset, &seen);
    assert(result == 0);
    (void)result;
    if (seen == OFFSETS_SEEN_BEFORE) {
        give_message_back(lane, view);
        return;
    }
    struct record *record = lane_record(lane, view, true);
    intake_count_parked(record);
    if (lane->state == LANE_TAKING && lane->due_count >= lane->engine->options.due_max) {
        offsets_unload(&lane->later, record->offset);
        pass_over(record);
        return;
    }
    /* What was parked goes first, in its order; so does what is no trigger. */
    record->due_us = record->trigger != NULL ? record->trigger->due_us : 0;
    push_due(lane, record);
}

void lane_wait_again(struct record *record, int64_t due_us)
{
    record->due_us = due_us;
    push_due(record->lane, record);
    isolation_end(record);
    isolation_check(record->lane);
}

bool lane_map_fits(const struct lane *lane)
{
    return offsets_encoded_bytes(&lane->input, DONE_BYTES_HARD) <= DONE_BYTES_HARD;
}

void lane_see_end(struct lane *lane, int64_t offset)
{
    if (offset > lane->input.cursor && offsets_see_end(&lane->input, offset) == 0) {
        lane->dirty = true;
        isolation_check(lane);
    }
}

void lane_see_later_end(struct lane *lane, int64_t offset)
{
    if (!lane->later_unseen && offset > lane->later.cursor &&
        offsets_see_end(&lane->later, offset) == 0) {
        lane->later_dirty = true;
    }
}

static void follow(struct record *before, struct record *record, struct line *line)
{
    struct follower *follower = memory_new(1, sizeof *follower);
    follower->record = record;
    follower->line = line;
    follower->next = before->followers;
    before->followers = follower;
}

/*
 * A record's outcomes go out when it has all of them, so that of a later event might overtake it.
 * It waits for the one before it in its line; of two events always the later one waits, so that
 * they can't wait for each other.
 */
void lane_order(struct execution *execution)
{
    struct record *record = execution->record;
    struct line *line = execution->line;
    if (!line->ordered) {
        return;
    }
    struct record *before = line->last;
    if (before != NULL && before != record &&
        (before->from_later || record->from_later || before->offset < record->offset)) {
        record->open++;
        follow(before, record, NULL);
    }
    if (record->open > 1 && line->last != record) {
        line->last = record;
        line->kept++;
        follow(record, NULL, line);
    }
}

static void forget_lines(const struct record *record, const struct follower *followers)
{
    for (const struct follower *follower = followers; follower != NULL; follower = follower->next) {
        if (follower->line != NULL) {
            follower->line->kept--;
            if (follower->line->last == record) {
                follower->line->last = NULL;
            }
            dispatch_free_line(follower->line);
        }
    }
}

/* In the order in which they came. */
static void settle_followers(struct follower *followers)
{
    struct follower *turned = NULL, *following;
    for (; followers != NULL; followers = following) {
        following = followers->next;
        followers->next = turned;
        turned = followers;
    }
    for (; turned != NULL; turned = following) {
        following = turned->next;
        if (turned->record != NULL) {
            lane_settle_one(turned->record);
        }
        free(turned);
    }
}

void lane_settle_one(struct record *record)
{
    struct lane *lane = record->lane;
    struct engine *engine = lane->engine;
    assert(record->open > 0);
    if (--record->open > 0) {
        return;
    }
    lane->open--;
    struct follower *followers = record->followers;
    record->followers = NULL;
    forget_lines(record, followers);
    if (STAILQ_EMPTY(&record->emits) && record != lane->suspect && lane_map_fits(lane)) {
        /* Nobody wanted it: its place in the map is all there is to say. */
        struct offsets *offsets = record->from_later ? &lane->later : &lane->input;
        offsets_fill(offsets, record->offset);
        offsets_settle(offsets, record->offset);
        lane->dirty = true;
        lane->later_dirty = lane->later_dirty || record->from_later;
        record_free(engine, record);
    } else {
        publisher_add(engine, record);
    }
    settle_followers(followers);
}

static int64_t tick(struct engine *engine, struct lane *lane)
{
    while (lane->state == LANE_RUNNING && lane->due_count > 0 && isolation_allows(lane)) {
        struct record *record = lane->due[0];
        if (record->due_us > engine->now_unix_us) {
            return engine->now_us + (record->due_us - engine->now_unix_us);
        }
        pop_due(lane);
        if (!isolation_marks(record)) {
            intake_record(record);
        }
    }
    return INT64_MAX;
}

int64_t lanes_tick(struct engine *engine)
{
    int64_t next_us = INT64_MAX;
    struct lane *lane;
    TAILQ_FOREACH (lane, &engine->lanes, next) {
        if (may_recall(lane)) {
            lane_recall(lane);
        }
        int64_t lane_us = tick(engine, lane);
        next_us = lane_us < next_us ? lane_us : next_us;
        struct record *record = STAILQ_FIRST(&lane->unknown);
        if (record != NULL && lane->state == LANE_RUNNING && record->known_until_us < next_us) {
            next_us = record->known_until_us;
        }
    }
    return next_us;
}
