/*
 * Who was granted seats. See the header.
 */
#include "licensor/holders.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/memory.h"

struct holder {
    char pool[POOL_BYTES_MAX + 1];
    char processor[NAME_BYTES_MAX + 1], production[NAME_BYTES_MAX + 1];
    char key[POOL_BYTES_MAX + 2 * NAME_BYTES_MAX + 3];
    uint64_t granted;
    UT_hash_handle hh;
};

struct asked {
    char pool[POOL_BYTES_MAX + 1];
    int64_t minute;
    UT_hash_handle hh;
};

struct holders {
    struct holder *all;  /* by key */
    struct asked *asked; /* by pool: no more than a licence has */
    struct store_holder *rows;
};

struct holders *holders_new(void)
{
    return memory_new(1, sizeof(struct holders));
}

void holders_free(struct holders *holders)
{
    if (holders != NULL) {
        struct asked *asked, *next;
        holders_clear(holders);
        HASH_ITER (hh, holders->asked, asked, next) {
            HASH_DEL(holders->asked, asked);
            free(asked);
        }
        free(holders->rows);
        free(holders);
    }
}

static struct holder *find(const struct holders *holders, const char *key)
{
    struct holder *holder;
    HASH_FIND_STR(holders->all, key, holder);
    return holder;
}

static struct holder *find_or_make(struct holders *holders, const char *pool, const char *processor,
                                   const char *production)
{
    struct holder named = {.granted = 0};
    /* No name holds a line end. */
    snprintf(named.key, sizeof(named.key), "%s\n%s\n%s", pool, processor, production);
    struct holder *holder = find(holders, named.key);
    if (holder == NULL && HASH_COUNT(holders->all) >= HOLDERS_MAX) {
        processor = production = "";
        snprintf(named.key, sizeof(named.key), "%s\n\n", pool);
        holder = find(holders, named.key);
    }
    if (holder == NULL) {
        holder = memory_copy(&named, sizeof(named));
        snprintf(holder->pool, sizeof(holder->pool), "%s", pool);
        snprintf(holder->processor, sizeof(holder->processor), "%s", processor);
        snprintf(holder->production, sizeof(holder->production), "%s", production);
        HASH_ADD_STR(holders->all, key, holder);
    }
    return holder;
}

void holders_add(struct holders *holders, const char *pool, const char *processor,
                 const char *production)
{
    find_or_make(holders, pool, processor, production)->granted++;
}

void holders_note(struct holders *holders, const char *pool, const char *processor,
                  const char *production)
{
    (void)find_or_make(holders, pool, processor, production);
}

bool holders_ask(struct holders *holders, const char *pool, int64_t minute)
{
    struct asked *asked;
    HASH_FIND_STR(holders->asked, pool, asked);
    if (asked != NULL && asked->minute == minute) {
        return false;
    }
    if (asked == NULL) {
        asked = memory_new(1, sizeof(*asked));
        snprintf(asked->pool, sizeof(asked->pool), "%s", pool);
        HASH_ADD_STR(holders->asked, pool, asked);
    }
    asked->minute = minute;
    return true;
}

const struct store_holder *holders_rows(struct holders *holders, size_t *ret_count)
{
    struct holder *holder, *next;
    size_t count = 0;
    holders->rows =
        memory_resize(holders->rows, HASH_COUNT(holders->all) + 1, sizeof(*holders->rows));
    HASH_ITER (hh, holders->all, holder, next) {
        holders->rows[count++] = (struct store_holder){.pool = holder->pool,
                                                       .processor = holder->processor,
                                                       .production = holder->production,
                                                       .granted = holder->granted};
    }
    *ret_count = count;
    return holders->rows;
}

void holders_clear(struct holders *holders)
{
    struct holder *holder, *next;
    HASH_ITER (hh, holders->all, holder, next) {
        HASH_DEL(holders->all, holder);
        free(holder);
    }
}
