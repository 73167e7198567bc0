/*
 * Which productions of a session run, and on which held seats.
 */
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "licensor/store/memory_state.h"

static struct holding *find(const struct member *member, const char *production)
{
    struct holding *holding;
    HASH_FIND_STR(member->holdings, production, holding);
    return holding;
}

static void forget(struct member *member, struct holding *holding)
{
    HASH_DEL(member->holdings, holding);
    free(holding->production);
    free(holding);
}

struct seat *hold_of_production(const struct member *member, const char *production)
{
    const struct holding *holding = find(member, production);
    return holding != NULL ? holding->seat : NULL;
}

struct seat *hold_of_pool(const struct member *member, const struct pool *pool)
{
    for (struct seat *seat = member->seats; seat != NULL; seat = seat->hh.next) {
        if (seat->shared && seat->pool == pool) {
            return seat;
        }
    }
    return NULL;
}

uint32_t hold_productions(const struct member *member)
{
    return HASH_COUNT(member->holdings);
}

void hold_begin(struct member *member, struct seat *seat, const char *production)
{
    struct holding *holding = find(member, production);
    if (holding == NULL) {
        holding = memory_new(1, sizeof(*holding));
        holding->production = memory_copy_text(production);
        holding->seat = seat;
        HASH_ADD_KEYPTR(hh, member->holdings, holding->production, strlen(production), holding);
    }
    holding->requests++;
}

void hold_end(struct member *member, const struct seat *seat, const char *production)
{
    struct holding *holding = find(member, production);
    if (seat->use == SEAT_HELD && holding != NULL && --holding->requests == 0) {
        forget(member, holding);
    }
}

void hold_end_all(struct member *member, const struct seat *seat)
{
    struct holding *holding, *next;
    HASH_ITER (hh, member->holdings, holding, next) {
        if (holding->seat == seat) {
            forget(member, holding);
        }
    }
}
