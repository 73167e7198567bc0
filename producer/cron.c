#include "producer/cron.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define DAY_S INT64_C(86400)
/* Local time has never been set back by more than this (a repeated day, at the date line). */
#define SET_BACK_S_MAX (2 * DAY_S)
#define FIELDS_MAX 6

enum field { FIELD_SECONDS, FIELD_MINUTES, FIELD_HOURS, FIELD_DAYS, FIELD_MONTHS, FIELD_WEEKDAYS };

static const struct field_desc {
    const char *name;
    int min, max;
    const char *takes;
    const char *const *names; /* of the values from min on; NULL: none */
} fields[FIELDS_MAX] = {
    [FIELD_SECONDS] = {"seconds", 0, 59, "0 to 59", NULL},
    [FIELD_MINUTES] = {"minutes", 0, 59, "0 to 59", NULL},
    [FIELD_HOURS] = {"hours", 0, 23, "0 to 23", NULL},
    [FIELD_DAYS] = {"day of month", 1, 31, "1 to 31, or L for the last day", NULL},
    [FIELD_MONTHS] = {"month", 1, 12, "1 to 12, or JAN to DEC",
                      (const char *const[]){"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG",
                                            "SEP", "OCT", "NOV", "DEC", NULL}},
    [FIELD_WEEKDAYS] = {"day of week", 0, 7, "0 to 7 (0 and 7 are Sunday), or SUN to SAT",
                        (const char *const[]){"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT",
                                              NULL}},
};

static int refuse(const struct field_desc *field, const char *text, size_t length,
                  struct error *error)
{
    return error_set(
        error, -EINVAL,
        "cron: '%.*s' is not right for %s: it takes %s, with lists (1,5), ranges (1-5), * and steps (*/5)",
        (int)length, text, field->name, field->takes);
}

/* One value at *text, a number or a name; moves *text behind it. Returns it, or -1. */
static int parse_value(const struct field_desc *field, const char **text, const char *end)
{
    const char *at = *text;
    int value = 0;
    if (at < end && isdigit((unsigned char)*at)) {
        while (at < end && isdigit((unsigned char)*at)) {
            value = 10 * value + (*at++ - '0');
            if (value > field->max) {
                return -1;
            }
        }
        *text = at;
        return value >= field->min ? value : -1;
    }
    for (int i = 0; field->names != NULL && field->names[i] != NULL; i++) {
        if (end - at >= 3 && !strncasecmp(at, field->names[i], 3) &&
            (end - at == 3 || !isalpha((unsigned char)at[3]))) {
            *text = at + 3;
            return field->min + i;
        }
    }
    return -1;
}

static bool parse_step(const char *text, const char *end, int max, int *ret_step)
{
    int step = 0;
    if (text == end) {
        return false;
    }
    for (; text < end; text++) {
        if (!isdigit((unsigned char)*text)) {
            return false;
        }
        step = 10 * step + (*text - '0');
        if (step > max + 1) {
            return false;
        }
    }
    *ret_step = step;
    return step > 0;
}

/* One item of a list: `*`, a value or a range, with or without a step. */
static int parse_item(const struct field_desc *field, const char *text, size_t length,
                      uint64_t *set, struct error *error)
{
    const char *end = text + length, *at = text;
    int from = field->min, to = field->max, step = 1;
    bool single = false;
    if (at < end && *at == '*') {
        at++;
        to = field == &fields[FIELD_WEEKDAYS] ? 6 : to;
    } else {
        from = parse_value(field, &at, end);
        single = true;
        to = from;
        if (from >= 0 && at < end && *at == '-') {
            at++;
            to = parse_value(field, &at, end);
            single = false;
        }
    }
    if (from < 0 || to < from) {
        return refuse(field, text, length, error);
    }
    if (at < end) {
        if (*at != '/' || !parse_step(at + 1, end, field->max, &step)) {
            return refuse(field, text, length, error);
        }
        to = single ? field->max : to;
    }
    for (int value = from; value <= to; value += step) {
        *set |= UINT64_C(1) << value;
    }
    return 0;
}

static int parse_field(enum field number, const char *text, size_t length, struct cron *cron,
                       uint64_t *ret_set, struct error *error)
{
    const struct field_desc *field = &fields[number];
    uint64_t set = 0;
    size_t start = 0;
    for (size_t i = 0; i <= length; i++) {
        if (i < length && text[i] != ',') {
            continue;
        }
        if (number == FIELD_DAYS && i - start == 1 && toupper((unsigned char)text[start]) == 'L') {
            cron->last_day = true;
        } else {
            int result = parse_item(field, text + start, i - start, &set, error);
            if (result != 0) {
                return result;
            }
        }
        start = i + 1;
    }
    *ret_set = set;
    return 0;
}

/* Where each field starts and how long it is; returns their number, or FIELDS_MAX + 1 for too many.
 */
static size_t split(const char *text, const char **starts, size_t *lengths)
{
    size_t count = 0;
    while (*text != '\0') {
        while (*text == ' ' || *text == '\t') {
            text++;
        }
        if (*text == '\0') {
            break;
        }
        if (count == FIELDS_MAX) {
            return FIELDS_MAX + 1;
        }
        starts[count] = text;
        while (*text != '\0' && *text != ' ' && *text != '\t') {
            text++;
        }
        lengths[count] = (size_t)(text - starts[count]);
        count++;
    }
    return count;
}

static int days_of_month(int64_t year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

/* Whether a day of month that is asked for exists in a month that is asked for, in some year. */
static bool comes_ever(const struct cron *cron)
{
    if (cron->last_day || cron->any_day || !cron->any_weekday) {
        return true;
    }
    for (int month = 1; month <= 12; month++) {
        uint32_t possible = (UINT32_C(2) << days_of_month(2000, month)) - 1;
        if ((cron->months >> month & 1) && (cron->days & possible)) {
            return true;
        }
    }
    return false;
}

int cron_parse(const char *text, struct cron *ret_cron, struct error *error)
{
    const char *starts[FIELDS_MAX];
    size_t lengths[FIELDS_MAX];
    uint64_t sets[FIELDS_MAX] = {[FIELD_SECONDS] = 1};
    struct cron cron = {0};
    if (strnlen(text, CRON_BYTES_MAX + 1) > CRON_BYTES_MAX) {
        return error_set(error, -EINVAL, "cron: longer than %d bytes", CRON_BYTES_MAX);
    }
    size_t count = split(text, starts, lengths);
    if (count != FIELDS_MAX && count != FIELDS_MAX - 1) {
        return error_set(
            error, -EINVAL,
            "cron: '%s' has %s%zu fields: it takes five (minutes, hours, day of month, month, day of week), or six "
            "with seconds first",
            text, count > FIELDS_MAX ? "at least " : "", count);
    }
    size_t first = FIELDS_MAX - count;
    for (size_t i = 0; i < count; i++) {
        int result = parse_field((enum field)(first + i), starts[i], lengths[i], &cron,
                                 &sets[first + i], error);
        if (result != 0) {
            return result;
        }
    }
    cron.seconds = sets[FIELD_SECONDS];
    cron.minutes = sets[FIELD_MINUTES];
    cron.hours = (uint32_t)sets[FIELD_HOURS];
    cron.days = (uint32_t)sets[FIELD_DAYS];
    cron.months = (uint32_t)sets[FIELD_MONTHS];
    cron.weekdays = (uint32_t)((sets[FIELD_WEEKDAYS] | sets[FIELD_WEEKDAYS] >> 7) & 0x7f);
    cron.any_day = *starts[FIELD_DAYS - first] == '*';
    cron.any_weekday = *starts[FIELD_WEEKDAYS - first] == '*';
    cron.fixed = memchr(starts[FIELD_HOURS - first], '*', lengths[FIELD_HOURS - first]) == NULL &&
                 memchr(starts[FIELD_HOURS - first], '/', lengths[FIELD_HOURS - first]) == NULL;
    if (!comes_ever(&cron)) {
        return error_set(error, -EINVAL,
                         "cron: '%s' never comes: no month that it names has such a day", text);
    }
    *ret_cron = cron;
    return 0;
}

/* Days since 1970-01-01 of a date of the Gregorian calendar, and back. Years are counted from
 * March, so that a leap day comes last. */
static int64_t days_of_date(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

static void date_of_days(int64_t days, int64_t *ret_year, int *ret_month, int *ret_day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153;
    *ret_day = (int)(day_of_year - (153 * month + 2) / 5 + 1);
    *ret_month = (int)(month < 10 ? month + 3 : month - 9);
    *ret_year = year_of_era + era * 400 + (*ret_month <= 2);
}

static bool is_day_meant(const struct cron *cron, int64_t days, int64_t year, int month, int day)
{
    int weekday = (int)(((days % 7) + 11) % 7); /* 1970-01-01 was a Thursday */
    bool by_day = (cron->days >> day & 1) || (cron->last_day && day == days_of_month(year, month));
    bool by_weekday = cron->weekdays >> weekday & 1;
    return cron->any_day || cron->any_weekday ? by_day && by_weekday : by_day || by_weekday;
}

/* The first bit of `set` from `from` on, or -1. */
static int next_bit(uint64_t set, int from)
{
    set = from > 63 ? 0 : set & ~((UINT64_C(1) << from) - 1);
    return set == 0 ? -1 : __builtin_ctzll(set);
}

/* The first time of a day that is meant, from second `from` of the day on; -1: none. */
static int64_t next_in_day(const struct cron *cron, int from)
{
    int hour = from / 3600, minute = from / 60 % 60, second = from % 60;
    int got = next_bit(cron->hours, hour);
    if (got != hour) {
        minute = second = 0;
    }
    for (hour = got; hour >= 0; hour = next_bit(cron->hours, hour + 1), minute = second = 0) {
        got = next_bit(cron->minutes, minute);
        if (got != minute) {
            second = 0;
        }
        for (minute = got; minute >= 0; minute = next_bit(cron->minutes, minute + 1), second = 0) {
            second = next_bit(cron->seconds, second);
            if (second >= 0) {
                return hour * 3600 + minute * 60 + second;
            }
        }
    }
    return -1;
}

/* The first local time (seconds since 1970 as if UTC) that is meant, from <= it < until;
 * CRON_NEVER: none. */
static int64_t next_local(const struct cron *cron, int64_t from, int64_t until)
{
    if (from >= until) {
        return CRON_NEVER;
    }
    int64_t days = (from >= 0 ? from : from - (DAY_S - 1)) / DAY_S;
    int second_of_day = (int)(from - days * DAY_S);
    while (days * DAY_S < until) {
        int64_t year;
        int month, day;
        date_of_days(days, &year, &month, &day);
        if (!(cron->months >> month & 1)) {
            days = month == 12 ? days_of_date(year + 1, 1, 1) : days_of_date(year, month + 1, 1);
            second_of_day = 0;
            continue;
        }
        if (is_day_meant(cron, days, year, month, day)) {
            int64_t second = next_in_day(cron, second_of_day);
            if (second >= 0) {
                int64_t local = days * DAY_S + second;
                return local < until ? local : CRON_NEVER;
            }
        }
        days++;
        second_of_day = 0;
    }
    return CRON_NEVER;
}

/* The latest local time that was reached before `span`: what lies below it has been there already.
 * INT64_MIN before 1970. */
static int64_t reached_before(const struct zone *zone, const struct zone_span *span)
{
    struct zone_span earlier = *span;
    int64_t reached = INT64_MIN, oldest = span->from_s - SET_BACK_S_MAX;
    while (earlier.from_s > oldest && earlier.from_s > 0) {
        zone->span(zone, earlier.from_s - 1, &earlier);
        int64_t end = earlier.until_s + earlier.offset_s;
        reached = end > reached ? end : reached;
    }
    return reached;
}

/*
 * A fixed time fires at the first instant at which the local clock has reached it: in its place, or
 * at the end of the gap that it fell into, and not again when the clock was set back.
 */
static int64_t next_fixed(const struct cron *cron, const struct zone *zone,
                          const struct zone_span *span, int64_t start)
{
    int64_t until = span->until_s + span->offset_s, local = start + span->offset_s;
    int64_t reached = reached_before(zone, span);
    if (start == span->from_s && reached != INT64_MIN && reached < local &&
        next_local(cron, reached, local) != CRON_NEVER) {
        return start;
    }
    int64_t found = next_local(cron, reached > local ? reached : local, until);
    return found == CRON_NEVER ? CRON_NEVER : found - span->offset_s;
}

int64_t cron_next(const struct cron *cron, const struct zone *zone, int64_t after_s)
{
    int64_t start = after_s + 1;
    while (start < ZONE_END_S) {
        struct zone_span span;
        zone->span(zone, start, &span);
        int64_t until = span.until_s < ZONE_END_S ? span.until_s : ZONE_END_S;
        int64_t found;
        span.until_s = until;
        if (cron->fixed) {
            found = next_fixed(cron, zone, &span, start);
        } else {
            found = next_local(cron, start + span.offset_s, until + span.offset_s);
            found = found == CRON_NEVER ? CRON_NEVER : found - span.offset_s;
        }
        if (found != CRON_NEVER) {
            return found;
        }
        start = until;
    }
    return CRON_NEVER;
}
