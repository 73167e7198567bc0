/*
 * What ahead.c (the rules) and ahead_write.c (the command) share. Nobody else includes it.
 */
#ifndef ENGENHO_LICENSOR_STORE_AHEAD_PRIVATE_H
#define ENGENHO_LICENSOR_STORE_AHEAD_PRIVATE_H

#include "licensor/store/ahead.h"
#include "licensor/store/batch.h"
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
    /* the batch that is being made */
    int64_t now_ms, dies_ms; /* when the first seat in question dies */
    struct mirror_sessions touched;
    struct words lives;                          /* life keys of the seats that are re-used */
    struct words memos;                          /* requests and their answers by turns */
    struct ahead_life fresh[BATCH_REQUESTS_MAX]; /* of new seats */
    size_t fresh_count;
};

#endif
