/*
 * What a licence allows (SEATS section 1): editions, and several licences added up. Core: pure.
 */
#ifndef ENGENHO_LICENSOR_LIMITS_H
#define ENGENHO_LICENSOR_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/error.h"
#include "common/names.h"
#include "licensor/store.h"

#define LICENCE_POOLS_MAX 32
#define LICENCE_CHAINS_MAX 16
#define LICENCES_MAX 100

enum edition { EDITION_DEMO, EDITION_LITE, EDITION_ENTERPRISE, EDITION_FULL };

/* A chain of pools that stands for the first of them. */
struct licence_chain {
    char name[POOL_BYTES_MAX + 1];
    char pools[CHAIN_POOLS_MAX][POOL_BYTES_MAX + 1];
    size_t count;
};

/* One licence file. */
struct licence {
    char customer[NAME_BYTES_MAX + 1];
    enum edition edition;
    uint32_t keys;
    uint32_t interpreters; /* a processor; 0: the edition's */
    uint32_t productions;  /* at once on a processor; 0: the edition's */
    struct pool_limit pools[LICENCE_POOLS_MAX];
    size_t pools_count;
    struct licence_chain chains[LICENCE_CHAINS_MAX];
    size_t chains_count;
    int64_t valid_from_us, valid_until_us; /* unix */
    uint32_t grace_days;
    char contact[NAME_BYTES_MAX + 1];
    bool upgrade; /* moves all keys to its edition */
    bool strict;
    char signature[96]; /* of the file, base64: the same file twice counts once */
};

/* What all licences allow together. */
struct limits {
    enum edition edition;
    uint32_t keys;                      /* product keys; 0: demo, the first processor only */
    uint32_t processors;                /* how many may register: keys, or 1 */
    uint32_t interpreters, productions; /* of a processor */
    struct pool_limit pools[POOLS_MAX];
    size_t pools_count; /* `productions` and `requests` are always there */
    struct licence_chain chains[LICENCE_CHAINS_MAX];
    size_t chains_count;
    char customer[NAME_BYTES_MAX + 1], contact[NAME_BYTES_MAX + 1];
    int64_t valid_from_us, valid_until_us; /* the earliest end; 0: no licence */
    uint32_t grace_days;
    bool in_grace, strict;
    uint32_t files;
};

const char *edition_word(enum edition edition);
/* Returns 0 or -EINVAL. */
MUST_CHECK int edition_parse(const char *word, enum edition *ret_edition);

/* Without any licence: demo. */
void limits_init(struct limits *limits);
/*
 * When licences are looked at, both unix. Once a time past a licence's end was seen, a clock set
 * back does not make it young again.
 */
struct licence_time {
    int64_t now_us;
    int64_t latest_us; /* the latest time that was ever seen; 0: none */
};

/*
 * Add a licence at this time. `customer`, when not NULL, is for whom this installation is.
 * Returns 0, or with a sentence: -EKEYEXPIRED (before or after its time and grace), -EPERM (for
 * another customer), -EXDEV (of another edition: upgrade needed), -E2BIG (more pools or chains than
 * there is room for, or more seats of a pool reserved than it has agents for); then nothing
 * changed.
 */
MUST_CHECK int limits_add(struct limits *limits, const struct licence *licence,
                          const char *customer, const struct licence_time *time,
                          struct error *error);
/* All were added: the pools that follow from keys and edition get their size. */
void limits_close(struct limits *limits);
/* The demo of a Master: every registered processor gets demo limits. */
void limits_set_demo(struct limits *limits);
/* The chain that a pool's name stands for; NULL: just itself. */
const struct licence_chain *limits_chain(const struct limits *limits, const char *pool);

#endif
