/*
 * What ahead.c (the rules), ahead_write.c (the command) and ahead_session.c (what it writes of a
 * session) share. Nobody else includes it.
 */
#ifndef ENGENHO_LICENSOR_STORE_AHEAD_PRIVATE_H
#define ENGENHO_LICENSOR_STORE_AHEAD_PRIVATE_H

#include "licensor/store/ahead.h"
#include "licensor/store/batch.h"
#include "licensor/store/commands.h"
#include "licensor/store/mirror.h"
#include "licensor/store/words.h"

/* A new seat begins to live. */
struct ahead_life {
    const char *pool; /* its name; borrowed of the mirror */
    uint64_t number;
    int64_t life_end_ms;
};

struct ahead {
    char *tenant;
    struct mirror mirror;
    bool is_current;         /* no batch is on its way that Redis works out itself */
    int64_t clock_offset_us; /* of Redis's clock to ours: it is not behind that */
    bool has_clock;
    unsigned rights;             /* batches in a row that were as worked out */
    unsigned pause, pauses_left; /* batches that need not tell */
    size_t pack_min;             /* requests in a batch that packs; 0: none does */
    bool may_pack;
    /* the batch that is being made */
    size_t count;            /* requests in it */
    int64_t now_ms, dies_ms; /* when the first seat in question dies */
    struct mirror_sessions touched;
    struct words lives;                          /* life keys of the seats that are re-used */
    struct words memos;                          /* requests and their answers by turns: fields */
    struct ahead_life fresh[BATCH_REQUESTS_MAX]; /* of new seats */
    size_t fresh_count;
};

/* Whether anything may be packed, however small the batch is. */
bool ahead_may_write_packed(const struct ahead *ahead);
/*
 * Whether the batch writes something packed that Redis has so or not; `calm` counts the small
 * batches in a row that wrote it.
 */
bool ahead_packs(const struct ahead *ahead, bool is_packed, unsigned *calm);
/* The session's part of the batch, which ends with it. */
void ahead_write_session(struct ahead *ahead, struct commands *commands, struct commands *texts,
                         struct mirror_session *session);

#endif
