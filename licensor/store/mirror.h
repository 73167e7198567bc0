/*
 * What Redis has, as far as ordinary requests need it: told by `state_of` (functions/60-batch.lua),
 * and carried on by ahead.c with what it sends. Pure.
 *
 * A mirror may be behind at any time, for other licensors write too: Redis compares before it
 * believes it.
 */
#ifndef ENGENHO_LICENSOR_STORE_MIRROR_H
#define ENGENHO_LICENSOR_STORE_MIRROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uthash.h>

#include "common/attributes.h"
#include "licensor/store.h"
#include "licensor/store/words.h"

#define MIRROR_COUNTERS 21 /* places in a pool's counters: 10-begin.lua */
#define MIRROR_COUNTERS_BYTES_MAX (MIRROR_COUNTERS * 9)
#define MIRROR_NUMBER_BYTES 24
#define MIRROR_CLOCK_BYTES 72
#define MIRROR_LOG_REQUESTS 4096     /* of a session, whose answers share a log: a log has an end */
#define MIRROR_QUEUED 10000000000ULL /* added to an L-number where it is a member of the queue */

/* A freed seat with life left. */
struct mirror_queued {
    int64_t life_end_ms, freed_ms;
    uint64_t number;
    uint64_t batch;   /* that freed it; an older one: Redis has it */
    uint32_t written; /* its place among what that batch writes */
};

/* What the batch that is being made writes to the queue. */
struct mirror_pushed {
    int64_t life_end_ms, freed_ms;
    uint64_t number;
    bool is_taken; /* within the same batch */
};

struct mirror_pool {
    char name[POOL_BYTES_MAX + 1];
    bool is_plain; /* no line, no reservations, not shared; else nothing of the rest is known */
    uint32_t cap, used;
    uint64_t sequence;
    int64_t counters[MIRROR_COUNTERS];
    /* as Redis has them; "" none */
    char used_text[MIRROR_NUMBER_BYTES];
    uint8_t counters_text[MIRROR_COUNTERS_BYTES_MAX];
    size_t counters_bytes;
    struct mirror_queued
        *queue; /* a heap: soonest to die first, those that die together by number */
    size_t queue_count, queue_room;
    bool is_packed; /* Redis has the queue as one text */
    unsigned calm;  /* small batches in a row that wrote it */
    /* of the batch that is being made */
    bool is_touched, has_dead;
    uint32_t fresh, reused, top;
    uint64_t sequence_was;
    struct words unqueued; /* members that Redis has, and that were taken */
    struct mirror_pushed *pushed;
    size_t pushed_count, pushed_room;
    UT_hash_handle hh;
};

/* A busy seat. */
struct mirror_seat {
    char *request, *production; /* "": not held */
    uint8_t *record;            /* as it stands in the session's hash */
    size_t record_bytes;
    char pool[POOL_BYTES_MAX + 1];
    uint64_t number, token;
    int64_t since_ms, life_end_ms;
    bool is_plain;                  /* nobody else is on it, and its own request is not over */
    bool in_redis;                  /* as a field */
    bool is_fresh;                  /* it is of the batch that is being made */
    LIST_ENTRY(mirror_seat) change; /* among the fresh or the gone ones of its session */
    UT_hash_handle hh;
};
LIST_HEAD(mirror_seats, mirror_seat);

/* Whether a production has a seat. */
struct mirror_hold {
    char *production;
    bool is_held, in_redis;   /* as a field */
    struct mirror_seat *seat; /* that a batch gave it, while that batch is being made */
    bool is_changed;
    LIST_ENTRY(mirror_hold) change;
    UT_hash_handle hh;
};
LIST_HEAD(mirror_holds, mirror_hold);

/* What is to be remembered of a request whose seat went back, until the batch is written. */
struct mirror_memo {
    const char *request; /* borrowed of the batch's request */
    uint8_t *record;     /* the seat's */
    size_t record_bytes;
    int64_t dies_ms, life_left_ms, held_ms;
    STAILQ_ENTRY(mirror_memo) next;
};
STAILQ_HEAD(mirror_memos, mirror_memo);

struct mirror_session {
    char id[SESSION_BYTES_MAX + 1];
    uint32_t waits; /* requests in a line */
    uint32_t productions, productions_was;
    uint64_t top, top_was; /* the highest number of a request that it sent */
    bool has_others;       /* besides seats that are its own: who waits, who is waived */
    bool is_packed;        /* Redis has the seats as one text, not as fields */
    unsigned calm;         /* small batches in a row that wrote it */
    struct mirror_seat *seats;
    struct mirror_hold *holds;
    struct mirror_seats fresh, gone; /* of the batch that is being made */
    struct mirror_holds changed;
    struct mirror_memos memos;
    bool is_touched;
    uint64_t log;        /* which log of its answers was written last */
    int64_t log_dies_ms; /* when Redis forgets that one, as far as we said so */
    LIST_ENTRY(mirror_session) change;
    UT_hash_handle hh;
};
LIST_HEAD(mirror_sessions, mirror_session);

struct mirror {
    bool is_known;
    uint64_t op;
    char op_text[MIRROR_NUMBER_BYTES];
    char clock[MIRROR_CLOCK_BYTES]; /* steps of it that ticks have seen, and the like */
    uint32_t productions;           /* that a session may run at once */
    uint64_t generation;            /* of memos */
    struct mirror_pool *pools;
    struct mirror_session *sessions;
    uint64_t batch; /* the one that is being made */
};

/* Forget everything. */
void mirror_clear(struct mirror *mirror);
/*
 * Take in what Redis told. It is added to what is known when nobody wrote since; else that is
 * forgotten before. Returns 0, or -EPROTO when the text is not what the function tells; then
 * nothing is known.
 */
MUST_CHECK int mirror_learn(struct mirror *mirror, const void *text, size_t bytes);
void mirror_pool_free(struct mirror *mirror, struct mirror_pool *pool);
void mirror_session_free(struct mirror *mirror, struct mirror_session *session);
/* NULL: not known. */
struct mirror_pool *mirror_pool(struct mirror *mirror, const char *name);
struct mirror_session *mirror_session(struct mirror *mirror, const char *id);
struct mirror_seat *mirror_seat(struct mirror_session *session, const char *request);
struct mirror_hold *mirror_hold(struct mirror_session *session, const char *production);
/* New ones, in their tables; the caller fills the rest. */
struct mirror_session *mirror_session_new(struct mirror *mirror, const char *id);
struct mirror_seat *mirror_seat_new(struct mirror_session *session, const char *request,
                                    const char *production);
struct mirror_hold *mirror_hold_new(struct mirror_session *session, const char *production);
/* Not in its table any more. */
void mirror_seat_free(struct mirror_seat *seat);
void mirror_memo_free(struct mirror_memo *memo);
void mirror_hold_free(struct mirror_session *session, struct mirror_hold *hold);

void mirror_push(struct mirror_pool *pool, const struct mirror_queued *queued);
/* The head of a queue that is not empty. */
struct mirror_queued mirror_pop(struct mirror_pool *pool);

#endif
