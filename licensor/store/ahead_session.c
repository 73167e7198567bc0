/*
 * What a batch that was worked out ahead writes of a session: its seats, as fields of their own or
 * all of them as one text (mirror_pack.h); and the answers to remember, behind those that are
 * there.
 *
 * The text costs Redis a value, the fields one for each seat and each of its ends; but the text is
 * written whole. So large batches, in which many seats of a session change, write the text, and a
 * session whose batches have become small goes back to fields.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "licensor/store/ahead_private.h"
#include "licensor/store/mirror_pack.h"
#include "licensor/store/packed.h"

#define MEMO_BYTES_MAX 4096
#define MEMO_GRANTED 2 /* the first byte */
#define TIME_BYTES 6
#define LOG_BYTES_MAX (BATCH_REQUESTS_MAX * MEMO_BYTES_MAX)

/* Fields --------------------------------------------------------------------------------------- */

static void add_hold(struct words *words, const char *production)
{
    char field[NAME_BYTES_MAX + 3];
    snprintf(field, sizeof(field), "h %s", production);
    words_add(words, field);
}

/* Everything is to be written, for Redis has none of it as a field. */
static void change_all(struct mirror_session *session)
{
    for (struct mirror_seat *seat = session->seats; seat != NULL; seat = seat->hh.next) {
        if (!seat->is_fresh) {
            seat->is_fresh = true;
            LIST_INSERT_HEAD(&session->fresh, seat, change);
        }
        struct mirror_hold *hold =
            seat->production[0] != '\0' ? mirror_hold(session, seat->production) : NULL;
        if (hold != NULL) {
            hold->seat = seat;
            if (!hold->is_changed) {
                hold->is_changed = true;
                LIST_INSERT_HEAD(&session->changed, hold, change);
            }
        }
    }
}

/* Fields of the session and their values. */
static void add_set(const struct mirror_session *session, struct words *words)
{
    if (session->top != session->top_was || session->is_packed) {
        words_add(words, "is top");
        words_add_int(words, (int64_t)session->top);
    }
    if (session->productions != session->productions_was || session->is_packed) {
        words_add(words, "is prod");
        words_add_int(words, session->productions);
    }
    const struct mirror_seat *seat;
    LIST_FOREACH (seat, &session->fresh, change) {
        words_add(words, seat->request);
        words_add_bytes(words, seat->record, seat->record_bytes);
    }
    const struct mirror_hold *hold;
    LIST_FOREACH (hold, &session->changed, change) {
        if (hold->is_held) {
            add_hold(words, hold->production);
            words_add(words, hold->seat->request);
        }
    }
}

static void add_unset(const struct mirror_session *session, struct words *words)
{
    const struct mirror_seat *seat;
    LIST_FOREACH (seat, &session->gone, change) {
        words_add(words, seat->request);
    }
    const struct mirror_hold *hold;
    LIST_FOREACH (hold, &session->changed, change) {
        if (!hold->is_held && hold->in_redis) {
            add_hold(words, hold->production);
        }
    }
    if (session->is_packed) {
        words_add(words, "is packed");
    }
}

/* What Redis has as fields, whether it has changed or not. */
static void add_unset_all(const struct mirror_session *session, struct words *words)
{
    const struct mirror_seat *seat;
    LIST_FOREACH (seat, &session->gone, change) {
        words_add(words, seat->request);
    }
    for (seat = session->seats; seat != NULL; seat = seat->hh.next) {
        if (seat->in_redis) {
            words_add(words, seat->request);
        }
    }
    for (const struct mirror_hold *hold = session->holds; hold != NULL; hold = hold->hh.next) {
        if (hold->in_redis) {
            add_hold(words, hold->production);
        }
    }
}

/* Commands ------------------------------------------------------------------------------------- */

/* HSET or HDEL of the session, when there are any fields. */
static void write_fields(struct commands *commands, const struct mirror_session *session,
                         const char *command,
                         void (*add)(const struct mirror_session *session, struct words *words))
{
    char name[SESSION_BYTES_MAX + 3];
    snprintf(name, sizeof(name), "w:%s", session->id);
    struct words fields;
    words_init_packed(&fields);
    add(session, &fields);
    if (fields.count > 0) {
        commands_begin(commands, command, name, "");
        words_add_all(&commands->words, &fields);
    }
    words_release(&fields);
}

static void write_packed(struct commands *texts, const struct mirror_session *session)
{
    char name[SESSION_BYTES_MAX + 3];
    snprintf(name, sizeof(name), "w:%s", session->id);
    struct buf packed;
    buf_init(&packed, PACKED_SEATS_BYTES_MAX);
    int rc = mirror_pack_session(session, &packed);
    commands_begin(texts, "HSET", name, "");
    words_add(&texts->words, "is packed");
    commands_add_text(texts, packed.data, packed.length);
    texts->error = texts->error != 0 ? texts->error : rc;
    buf_release(&packed);
}

/* Memos ---------------------------------------------------------------------------------------- */

/* Answers to remember become fields of all sessions' memos: functions/10-begin.lua, GIVEN. */
static void write_memos(struct ahead *ahead, const struct mirror_session *session)
{
    const struct mirror_memo *memo;
    STAILQ_FOREACH (memo, &session->memos, next) {
        struct buf given;
        buf_init(&given, MEMO_BYTES_MAX);
        int rc = pack_fixed(&given, MEMO_GRANTED, 1);
        rc = rc != 0 ? rc : pack_fixed(&given, 0, 1); /* not waived */
        rc = rc != 0 ? rc : pack_fixed(&given, (uint64_t)memo->dies_ms, TIME_BYTES);
        rc = rc != 0 ? rc : pack_fixed(&given, (uint64_t)memo->life_left_ms, TIME_BYTES);
        rc = rc != 0 ? rc : pack_fixed(&given, (uint64_t)memo->held_ms, TIME_BYTES);
        rc = rc != 0 ? rc : buf_append(&given, session->id, strlen(session->id) + 1);
        rc = rc != 0 ? rc : buf_append(&given, memo->record, memo->record_bytes);
        words_add(&ahead->memos, memo->request);
        words_add_bytes(&ahead->memos, given.data, given.length);
        ahead->memos.error = ahead->memos.error != 0 ? ahead->memos.error : rc;
        buf_release(&given);
    }
}

/* The end of one log, and when Redis may forget that log. */
static void append_log(const struct ahead *ahead, struct commands *commands, struct commands *texts,
                       struct mirror_session *session, const struct buf *log)
{
    char name[SESSION_BYTES_MAX + 2 * MIRROR_NUMBER_BYTES + 8];
    snprintf(name, sizeof(name), "memo:%" PRIu64 ":%s:%" PRIu64, ahead->mirror.generation,
             session->id, session->log);
    commands_begin(texts, "APPEND", name, "");
    commands_add_text(texts, log->data, log->length);
    int64_t dies_ms = STAILQ_FIRST(&session->memos)->dies_ms; /* all of a batch die together */
    if (session->log_dies_ms < dies_ms) {
        session->log_dies_ms = dies_ms + 2 * (dies_ms - ahead->now_ms);
        commands_begin(commands, "PEXPIREAT", name, "");
        words_add_int(&commands->words, session->log_dies_ms);
    }
}

/* ... or go to the ends of the session's logs of them, by the requests' numbers. */
static void write_log(const struct ahead *ahead, struct commands *commands, struct commands *texts,
                      struct mirror_session *session)
{
    struct buf log;
    buf_init(&log, LOG_BYTES_MAX);
    int rc = 0;
    const struct mirror_memo *memo;
    STAILQ_FOREACH (memo, &session->memos, next) {
        uint64_t its = batch_number_of(session->id, memo->request) / MIRROR_LOG_REQUESTS;
        if (its != session->log && log.length > 0) {
            append_log(ahead, commands, texts, session, &log);
            buf_clear(&log);
        }
        if (its != session->log) {
            session->log = its;
            session->log_dies_ms = 0;
        }
        rc = rc != 0 ? rc : mirror_pack_memo(session, memo, &log);
    }
    if (log.length > 0) {
        append_log(ahead, commands, texts, session, &log);
    }
    texts->error = texts->error != 0 ? texts->error : rc;
    buf_release(&log);
}

/* Redis has it now. */
static void end_session(struct mirror_session *session, bool is_packed)
{
    struct mirror_seat *seat;
    while ((seat = LIST_FIRST(&session->fresh)) != NULL) {
        LIST_REMOVE(seat, change);
        seat->is_fresh = false;
        seat->in_redis = !is_packed;
    }
    while ((seat = LIST_FIRST(&session->gone)) != NULL) {
        LIST_REMOVE(seat, change);
        mirror_seat_free(seat);
    }
    struct mirror_memo *memo;
    while ((memo = STAILQ_FIRST(&session->memos)) != NULL) {
        STAILQ_REMOVE_HEAD(&session->memos, next);
        mirror_memo_free(memo);
    }
    struct mirror_hold *hold, *next_hold;
    while ((hold = LIST_FIRST(&session->changed)) != NULL) {
        LIST_REMOVE(hold, change);
        hold->is_changed = false;
        hold->in_redis = hold->is_held && !is_packed;
        hold->seat = NULL;
        if (!hold->is_held) {
            mirror_hold_free(session, hold);
        }
    }
    if (is_packed && !session->is_packed) {
        for (seat = session->seats; seat != NULL; seat = seat->hh.next) {
            seat->in_redis = false;
        }
        HASH_ITER (hh, session->holds, hold, next_hold) {
            hold->in_redis = false;
        }
    }
    session->is_packed = is_packed;
    session->top_was = session->top;
    session->productions_was = session->productions;
    session->is_touched = false;
}

void ahead_write_session(struct ahead *ahead, struct commands *commands, struct commands *texts,
                         struct mirror_session *session)
{
    bool packs =
        ahead_packs(ahead, session->is_packed, &session->calm) && mirror_pack_fits_session(session);
    if (packs) {
        write_packed(texts, session);
        if (!session->is_packed) {
            write_fields(commands, session, "HDEL", add_unset_all);
        }
    } else {
        if (session->is_packed) {
            change_all(session);
        }
        write_fields(commands, session, "HSET", add_set);
        write_fields(commands, session, "HDEL", add_unset);
    }
    if (ahead_may_write_packed(ahead) && mirror_pack_fits_memos(session)) {
        write_log(ahead, commands, texts, session);
    } else {
        write_memos(ahead, session);
    }
    end_session(session, packs);
}
