/*
 * For tests/integration/test_cron_zones.py: the answers of cron.c and zone_database.c, to compare
 * with an independent implementation. A line `cron<TAB>ZONE<TAB>FIELDS<TAB>FROM<TAB>UNTIL` is
 * answered with the times of [FROM, UNTIL), a line `spans<TAB>ZONE<TAB>FROM<TAB>UNTIL` with
 * start:offset pairs, in seconds, on one line.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "producer/cron.h"
#include "producer/zone_database.h"

static void print_times(const struct zone *zone, const char *fields, int64_t from, int64_t until)
{
    struct cron cron;
    struct error error;
    if (cron_parse(fields, &cron, &error) != 0) {
        printf("error: %s\n", error.text);
        return;
    }
    for (int64_t at = cron_next(&cron, zone, from - 1); at < until;
         at = cron_next(&cron, zone, at)) {
        printf("%" PRId64 " ", at);
    }
    printf("\n");
}

static void print_spans(const struct zone *zone, int64_t from, int64_t until)
{
    struct zone_span span;
    for (int64_t at = from; at < until; at = span.until_s) {
        zone->span(zone, at, &span);
        printf("%" PRId64 ":%d ", at, span.offset_s);
    }
    printf("\n");
}

int main(void)
{
    static char line[1024];
    struct zone_database *database = zone_database_new();
    while (fgets(line, sizeof line, stdin) != NULL) {
        char *rest = line, *word[5] = {NULL};
        line[strcspn(line, "\n")] = '\0';
        for (int i = 0; i < 5; i++) {
            word[i] = strsep(&rest, "\t");
        }
        const struct zone *zone;
        struct error error;
        if (word[3] == NULL || zone_database_find(database, word[1], &zone, &error) != 0) {
            printf("error: %s\n", word[3] == NULL ? "too few words" : error.text);
        } else if (!strcmp(word[0], "spans")) {
            print_spans(zone, strtoll(word[2], NULL, 10), strtoll(word[3], NULL, 10));
        } else if (word[4] != NULL) {
            print_times(zone, word[2], strtoll(word[3], NULL, 10), strtoll(word[4], NULL, 10));
        }
    }
    zone_database_free(database);
    return 0;
}
