/*
 * Editions, and licences that add up.
 */
#include "licensor/limits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/duration.h"

#define DAY_US (INT64_C(86400) * SECOND_US)

static const struct {
    const char *word;
    uint32_t interpreters, productions;
} editions[] = {
    [EDITION_DEMO] = {"demo", 4, 10},
    [EDITION_LITE] = {"lite", 1, 100},
    [EDITION_ENTERPRISE] = {"enterprise", 4, 1000},
    [EDITION_FULL] = {"full", 4, 1000},
};

const char *edition_word(enum edition edition)
{
    return editions[edition].word;
}

int edition_parse(const char *word, enum edition *ret_edition)
{
    for (size_t i = 0; i < ARRAY_SIZE(editions); i++) {
        if (strcmp(word, editions[i].word) == 0) {
            *ret_edition = (enum edition)i;
            return 0;
        }
    }
    return -EINVAL;
}

static void take_edition(struct limits *limits, enum edition edition)
{
    limits->edition = edition;
    limits->interpreters = editions[edition].interpreters;
    limits->productions = editions[edition].productions;
}

void limits_init(struct limits *limits)
{
    memset(limits, 0, sizeof(*limits));
    take_edition(limits, EDITION_DEMO);
}

/* The time that counts for the licence's end: the latest one, when that was past it. */
static int64_t time_of_end(const struct licence *licence, const struct licence_time *time)
{
    return time->latest_us >= licence->valid_until_us && time->latest_us > time->now_us
               ? time->latest_us
               : time->now_us;
}

static int check_time(const struct licence *licence, const struct licence_time *time,
                      struct error *error)
{
    char text[INSTANT_TEXT_BYTES];
    if (time->now_us < licence->valid_from_us) {
        instant_print(licence->valid_from_us, text);
        return error_set(
            error, -EKEYEXPIRED,
            "the licence is valid from %s on; install it then, or check this machine's clock",
            text);
    }
    if (time_of_end(licence, time) >= licence->valid_until_us + licence->grace_days * DAY_US) {
        instant_print(licence->valid_until_us, text);
        return error_set(error, -EKEYEXPIRED, "the licence expired at %s%s; ask %s for a new one",
                         text, licence->grace_days > 0 ? ", and its grace is over" : "",
                         licence->contact[0] != '\0' ? licence->contact : "who sold it");
    }
    return 0;
}

/* Only Lite and Enterprise have fixed figures; Full and Demo take the licence's. */
static void take_figures(struct limits *limits, const struct licence *licence)
{
    bool open = licence->edition == EDITION_FULL || licence->edition == EDITION_DEMO;
    if (open && licence->interpreters > 0) {
        limits->interpreters = licence->interpreters;
    }
    if (licence->edition == EDITION_FULL && licence->productions > 0) {
        limits->productions = licence->productions;
    }
}

static struct pool_limit *find_pool(struct limits *limits, const char *pool)
{
    for (size_t i = 0; i < limits->pools_count; i++) {
        if (strcmp(limits->pools[i].pool, pool) == 0) {
            return &limits->pools[i];
        }
    }
    return NULL;
}

static struct reservation *find_reservation(struct pool_limit *row, const char *agent)
{
    for (size_t i = 0; i < row->reserved_count; i++) {
        if (strcmp(row->reserved[i].agent, agent) == 0) {
            return &row->reserved[i];
        }
    }
    return NULL;
}

static uint32_t plus(uint32_t a, uint32_t b)
{
    return UINT32_MAX - a < b ? UINT32_MAX : a + b;
}

static void add_pool(struct limits *limits, const char *pool, uint32_t cap)
{
    struct pool_limit *row = find_pool(limits, pool);
    if (row == NULL) {
        row = &limits->pools[limits->pools_count++];
        snprintf(row->pool, sizeof(row->pool), "%s", pool);
        row->cap = 0;
    }
    row->cap = plus(row->cap, cap);
}

/* Seats add up, and so do reservations; one licence that shares seats is enough. */
static void add_rules(struct pool_limit *row, const struct pool_limit *more)
{
    row->shared = row->shared || more->shared;
    for (size_t i = 0; i < more->reserved_count; i++) {
        struct reservation *reserved = find_reservation(row, more->reserved[i].agent);
        if (reserved == NULL) {
            row->reserved[row->reserved_count++] = more->reserved[i];
        } else {
            reserved->seats = plus(reserved->seats, more->reserved[i].seats);
        }
    }
}

static int check_room(struct limits *limits, const struct licence *licence, struct error *error)
{
    size_t pools = limits->pools_count + 2, chains = limits->chains_count;
    for (size_t i = 0; i < licence->pools_count; i++) {
        struct pool_limit *row = find_pool(limits, licence->pools[i].pool);
        size_t agents = row != NULL ? row->reserved_count : 0;
        pools += row == NULL;
        for (size_t n = 0; n < licence->pools[i].reserved_count; n++) {
            agents +=
                row == NULL || find_reservation(row, licence->pools[i].reserved[n].agent) == NULL;
        }
        if (agents > RESERVATIONS_MAX) {
            return error_set(
                error, -E2BIG,
                "the licences together reserve seats of pool %s for more than %d agents",
                licence->pools[i].pool, RESERVATIONS_MAX);
        }
    }
    for (size_t i = 0; i < licence->chains_count; i++) {
        chains += limits_chain(limits, licence->chains[i].name) == NULL;
    }
    if (pools > POOLS_MAX || chains > LICENCE_CHAINS_MAX) {
        return error_set(error, -E2BIG,
                         "the licences together name more than %d pools or %d chains", POOLS_MAX,
                         LICENCE_CHAINS_MAX);
    }
    return 0;
}

static int check_edition(struct limits *limits, const struct licence *licence, struct error *error)
{
    if (limits->files > 0 && limits->edition != licence->edition && !licence->upgrade) {
        return error_set(
            error, -EXDEV,
            "upgrade needed: this licence is %s and the installed ones are %s; all keys have one edition, so ask "
            "for a licence that upgrades them",
            edition_word(licence->edition), edition_word(limits->edition));
    }
    return 0;
}

/* For whom it is, when it holds, and whether it fits beside the others. */
static int check_all(struct limits *limits, const struct licence *licence, const char *customer,
                     const struct licence_time *time, struct error *error)
{
    const char *ours = customer != NULL    ? customer
                       : limits->files > 0 ? limits->customer
                                           : licence->customer;
    if (strcmp(ours, licence->customer) != 0) {
        return error_set(error, -EPERM,
                         "the licence is for %s, and this installation is for %s; use your own",
                         licence->customer, ours);
    }
    int rc = check_time(licence, time, error);
    if (rc == 0) {
        rc = check_edition(limits, licence, error);
    }
    if (rc == 0) {
        rc = check_room(limits, licence, error);
    }
    return rc;
}

static void add_pools(struct limits *limits, const struct licence *licence)
{
    for (size_t i = 0; i < licence->pools_count; i++) {
        add_pool(limits, licence->pools[i].pool, licence->pools[i].cap);
        add_rules(find_pool(limits, licence->pools[i].pool), &licence->pools[i]);
    }
    for (size_t i = 0; i < licence->chains_count; i++) {
        if (limits_chain(limits, licence->chains[i].name) == NULL) {
            limits->chains[limits->chains_count++] = licence->chains[i];
        }
    }
}

int limits_add(struct limits *limits, const struct licence *licence, const char *customer,
               const struct licence_time *time, struct error *error)
{
    int rc = check_all(limits, licence, customer, time, error);
    if (rc != 0) {
        return rc;
    }
    if (limits->files == 0 || limits->edition != licence->edition) {
        take_edition(limits, licence->edition);
    }
    take_figures(limits, licence);
    limits->keys = plus(limits->keys, licence->keys);
    add_pools(limits, licence);
    snprintf(limits->customer, sizeof(limits->customer), "%s", licence->customer);
    if (licence->contact[0] != '\0') {
        snprintf(limits->contact, sizeof(limits->contact), "%s", licence->contact);
    }
    if (limits->files == 0 || licence->valid_until_us < limits->valid_until_us) {
        limits->valid_until_us = licence->valid_until_us;
        limits->valid_from_us = licence->valid_from_us;
        limits->grace_days = licence->grace_days;
    }
    limits->in_grace = limits->in_grace || time_of_end(licence, time) >= licence->valid_until_us;
    limits->strict = limits->strict || licence->strict;
    limits->files++;
    return 0;
}

static uint32_t times(uint32_t a, uint32_t b)
{
    uint64_t product = (uint64_t)a * b;
    return product > UINT32_MAX ? UINT32_MAX : (uint32_t)product;
}

void limits_close(struct limits *limits)
{
    if (limits->keys == 0) {
        take_edition(limits, EDITION_DEMO);
    }
    limits->processors = limits->keys > 0 ? limits->keys : 1;
    if (find_pool(limits, "productions") == NULL) {
        add_pool(limits, "productions", times(limits->processors, limits->productions));
    }
    if (find_pool(limits, "requests") == NULL) {
        add_pool(limits, "requests", times(limits->processors, limits->interpreters));
    }
}

void limits_set_demo(struct limits *limits)
{
    take_edition(limits, EDITION_DEMO);
}

const struct licence_chain *limits_chain(const struct limits *limits, const char *pool)
{
    for (size_t i = 0; i < limits->chains_count; i++) {
        if (strcmp(limits->chains[i].name, pool) == 0) {
            return &limits->chains[i];
        }
    }
    return NULL;
}
