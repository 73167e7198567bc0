/*
 * Spans come from GTimeZone's intervals: it numbers them in time order, so the end of one is found
 * by bisection.
 */
#include "producer/zone_database.h"

#include <ctype.h>
#include <errno.h>
#include <glib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/memory.h"

#define ZONE_NAME_BYTES_MAX 64
#define VERSION_BYTES_MAX 32
#define HORIZON_S INT64_C(34560000) /* 400 days: a span is cut there, so that no search is long */
#define SPANS_KNOWN 4
#define DIRECTORY "/usr/share/zoneinfo"

struct database_zone {
    struct zone zone; /* first: the port is cast back to this */
    char name[ZONE_NAME_BYTES_MAX];
    GTimeZone *rules;
    struct zone_span
        known[SPANS_KNOWN]; /* of the last answers: most questions are about the same ones */
    unsigned next_known;
    UT_hash_handle hh;
};

struct zone_database {
    struct database_zone *zones;
    char version[VERSION_BYTES_MAX];
};

/* The first instant after `in` (of interval `number`) that is of another interval, up to `bound`.
 */
static int64_t bisect(GTimeZone *rules, gint number, int64_t in, int64_t bound)
{
    int64_t direction = bound > in ? 1 : -1;
    if (g_time_zone_find_interval(rules, G_TIME_TYPE_UNIVERSAL, bound) == number) {
        return bound;
    }
    int64_t inside = in, outside = bound;
    while (direction * (outside - inside) > 1) {
        int64_t middle = inside + (outside - inside) / 2;
        if (g_time_zone_find_interval(rules, G_TIME_TYPE_UNIVERSAL, middle) == number) {
            inside = middle;
        } else {
            outside = middle;
        }
    }
    return direction > 0 ? outside : inside;
}

static void find_span(const struct zone *zone, int64_t unix_s, struct zone_span *ret_span)
{
    /* What is remembered is no part of what the caller sees as constant. */
    struct database_zone *named = (struct database_zone *)(uintptr_t)zone;
    for (size_t i = 0; i < SPANS_KNOWN; i++) {
        if (unix_s >= named->known[i].from_s && unix_s < named->known[i].until_s) {
            *ret_span = named->known[i];
            return;
        }
    }
    gint number = g_time_zone_find_interval(named->rules, G_TIME_TYPE_UNIVERSAL, unix_s);
    *ret_span =
        (struct zone_span){.from_s = bisect(named->rules, number, unix_s, unix_s - HORIZON_S),
                           .until_s = bisect(named->rules, number, unix_s, unix_s + HORIZON_S),
                           .offset_s = g_time_zone_get_offset(named->rules, number)};
    named->known[named->next_known++ % SPANS_KNOWN] = *ret_span;
}

static void read_version(struct zone_database *database)
{
    snprintf(database->version, sizeof database->version, "unknown");
    FILE *file = fopen(DIRECTORY "/tzdata.zi", "re");
    if (file == NULL) {
        return;
    }
    char line[64];
    if (fgets(line, sizeof line, file) != NULL && !strncmp(line, "# version ", 10)) {
        line[strcspn(line, "\r\n")] = '\0';
        snprintf(database->version, sizeof database->version, "%.*s",
                 (int)sizeof database->version - 1, line + 10);
    }
    fclose(file);
}

struct zone_database *zone_database_new(void)
{
    struct zone_database *database = memory_new(1, sizeof *database);
    read_version(database);
    return database;
}

void zone_database_free(struct zone_database *database)
{
    if (database == NULL) {
        return;
    }
    struct database_zone *zone, *next;
    HASH_ITER (hh, database->zones, zone, next) {
        HASH_DEL(database->zones, zone);
        g_time_zone_unref(zone->rules);
        free(zone);
    }
    free(database);
}

/*
 * GTimeZone also takes offsets, POSIX rules and paths; only a file of the database is a zone here.
 */
static bool is_in_database(const char *name)
{
    char path[sizeof DIRECTORY + 1 + ZONE_NAME_BYTES_MAX], magic[4];
    size_t length = strlen(name);
    if (length == 0 || length >= ZONE_NAME_BYTES_MAX || !isalpha((unsigned char)name[0])) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (!isalnum((unsigned char)name[i]) && strchr("_+-/", name[i]) == NULL) {
            return false;
        }
    }
    snprintf(path, sizeof path, "%s/%s", DIRECTORY, name);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    bool good =
        fread(magic, 1, sizeof magic, file) == sizeof magic && !memcmp(magic, "TZif", sizeof magic);
    fclose(file);
    return good;
}

int zone_database_find(struct zone_database *database, const char *name,
                       const struct zone **ret_zone, struct error *error)
{
    if (name == NULL || name[0] == '\0') {
        *ret_zone = &zone_utc;
        return 0;
    }
    struct database_zone *zone;
    HASH_FIND_STR(database->zones, name, zone);
    if (zone == NULL) {
        GTimeZone *rules = is_in_database(name) ? g_time_zone_new_identifier(name) : NULL;
        if (rules == NULL) {
            return error_set(
                error, -EINVAL,
                "timeZone: '%.64s' is not in the IANA database (%s) of this machine: give a name such as "
                "America/Sao_Paulo",
                name, database->version);
        }
        zone = memory_new(1, sizeof *zone);
        zone->zone.span = find_span;
        snprintf(zone->name, sizeof zone->name, "%s", name);
        zone->rules = rules;
        HASH_ADD_STR(database->zones, name, zone);
    }
    *ret_zone = &zone->zone;
    return 0;
}

const char *zone_database_version(const struct zone_database *database)
{
    return database->version;
}
