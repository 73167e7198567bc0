/*
 * A record that takes the worker itself down must not do so for ever (PITFALLS, Delivery): after
 * the second unclean start at the same offset, what the last owner may have been running is run
 * again one at a time in the whole worker, each named in the commit metadata first; the one that is
 * named when the worker ends again has had an attempt.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "worker/commit_metadata.h"
#include "worker/engine_parts.h"

#define UNCLEAN_STARTS_MAX 2
#define WINDOW_RECORDS 64 /* past it normal work goes on; a later crash is at a later offset */

int lane_restore(struct lane *lane, int64_t position, const char *text, size_t length,
                 uint32_t *ret_slot)
{
    offsets_release(&lane->input);
    offsets_init(&lane->input, position);
    lane->unclean_at = lane->committed = position;
    if (text == NULL || length == 0) {
        return -ENOENT;
    }
    Engenho__CommitMetadata *metadata = commit_metadata_parse(text, length);
    if (metadata == NULL) {
        return -EBADMSG;
    }
    int result = offsets_restore(&lane->input, metadata->done.data, metadata->done.len);
    *ret_slot = metadata->slot;
    if (metadata->life != 0 && metadata->life == lane->engine->options.life) {
        /* We gave up ourselves, for the broker's or the licensor's sake: no record did it. */
        lane->unclean_starts = metadata->unclean_starts;
    } else if (!metadata->clean) {
        lane->unclean_starts = metadata->unclean_starts + 1;
        if (metadata->one_by_one) {
            lane->crashed_offset = metadata->suspect_offset;
            lane->crashed_later_offset = metadata->suspect_later - 1;
        }
    }
    engenho__commit_metadata__free_unpacked(metadata, NULL);
    return result == 0 ? 0 : -EBADMSG;
}

/* A retry that is not due yet is not waited for. */
static bool is_pending(const struct lane *lane)
{
    if (lane->suspect != NULL || offsets_position(&lane->input) < lane->alone_until) {
        return true;
    }
    const struct record *first = lane->due_count > 0 ? lane->due[0] : NULL;
    return first != NULL && first->due_us <= lane->engine->now_unix_us &&
           first->offset < lane->later_alone_until;
}

uint32_t isolation_unclean_starts(const struct lane *lane, int64_t position)
{
    bool moved =
        position != lane->unclean_at &&
        (lane->later_unclean_at < 0 || offsets_position(&lane->later) != lane->later_unclean_at);
    return moved ? 0 : lane->unclean_starts;
}

void isolation_begin(struct lane *lane, int64_t input_end)
{
    struct engine *engine = lane->engine;
    lane->later_unclean_at = lane->later.cursor > lane->later.base ? lane->later.base : -1;
    if (!engine->options.isolate || lane->unclean_starts < UNCLEAN_STARTS_MAX) {
        return;
    }
    int64_t until = lane->input.base + WINDOW_RECORDS,
            later_until = lane->later.base + WINDOW_RECORDS;
    lane->alone_until = until < input_end ? until : input_end;
    lane->later_alone_until = later_until < lane->later.cursor ? later_until : lane->later.cursor;
    lane->one_by_one = is_pending(lane);
    engine->isolating += lane->one_by_one;
}

void isolation_check(struct lane *lane)
{
    if (lane->one_by_one && (lane->state == LANE_CLOSED || !is_pending(lane))) {
        lane->one_by_one = false;
        lane->engine->isolating--;
    }
}

void isolation_forget(struct lane *lane)
{
    if (lane->one_by_one) {
        lane->one_by_one = false;
        lane->engine->isolating--;
    }
}

bool isolation_allows(const struct lane *lane)
{
    const struct engine *engine = lane->engine;
    if (engine->isolating == 0) {
        return true;
    }
    return lane->one_by_one && engine->suspect == NULL && engine->running_count == 0 &&
           lane->open == lane->due_count;
}

bool isolation_marks(struct record *record)
{
    struct lane *lane = record->lane;
    if (!lane->one_by_one) {
        return false;
    }
    assert(lane->suspect == NULL && lane->engine->suspect == NULL);
    lane->suspect = lane->engine->suspect = record;
    lane->suspect_committed = false;
    lane->dirty = lane->urgent = true;
    return true;
}

void isolation_end(struct record *record)
{
    struct lane *lane = record->lane;
    if (lane != NULL && lane->suspect == record) {
        lane->suspect = lane->engine->suspect = NULL;
        lane->suspect_committed = false;
    }
}
