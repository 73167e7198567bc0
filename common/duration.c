/*
 * Durations and instants as people write them. Every process.
 */
#include "common/duration.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define DAY_US (86400 * SECOND_US)
#define DURATION_US_MAX (INT64_C(36525) * DAY_US) /* 100 years */

struct unit {
    const char *name;
    int64_t us;
};

static const struct unit units[] = {
    {"us", 1},     {"ms", 1000}, {"s", SECOND_US}, {"m", 60 * SECOND_US}, {"h", 3600 * SECOND_US},
    {"d", DAY_US},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/*
 * Reads digits at *at; numbers past what a duration can hold stay at that bound. Returns how many
 * digits there were.
 */
static size_t read_digits(const char **at, int64_t *ret_value)
{
    size_t digits = 0;
    int64_t value = 0;
    while (is_digit(**at)) {
        if (value <= DURATION_US_MAX) {
            value = value * 10 + (**at - '0');
        }
        (*at)++;
        digits++;
    }
    *ret_value = value;
    return digits;
}

/* Reads exactly `digits` digits. */
static bool read_fixed(const char **at, size_t digits, int *ret_value)
{
    int value = 0;
    for (size_t i = 0; i < digits; i++) {
        if (!is_digit((*at)[i])) {
            return false;
        }
        value = value * 10 + ((*at)[i] - '0');
    }
    *at += digits;
    *ret_value = value;
    return true;
}

static bool take(const char **at, char c)
{
    if (**at != c) {
        return false;
    }
    (*at)++;
    return true;
}

/* ddd.hh:mm:ss, after its days were read. */
static int parse_clock_form(const char *at, int64_t days, int64_t *ret_us)
{
    int hours, minutes, seconds;
    if (!take(&at, '.') || !read_fixed(&at, 2, &hours) || !take(&at, ':') ||
        !read_fixed(&at, 2, &minutes) || !take(&at, ':') || !read_fixed(&at, 2, &seconds) || *at ||
        hours > 23 || minutes > 59 || seconds > 59) {
        return -EINVAL;
    }
    if (days > DURATION_US_MAX / DAY_US) {
        return -ERANGE;
    }
    int64_t us = days * DAY_US + (hours * INT64_C(3600) + minutes * 60 + seconds) * SECOND_US;
    if (us > DURATION_US_MAX) {
        return -ERANGE;
    }
    *ret_us = us;
    return 0;
}

int duration_parse(const char *text, int64_t *ret_us)
{
    const char *at = text;
    int64_t value;
    if (!read_digits(&at, &value)) {
        return -EINVAL;
    }
    if (*at == '.') {
        return parse_clock_form(at, value, ret_us);
    }
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        if (!strcmp(at, units[i].name)) {
            if (value > DURATION_US_MAX / units[i].us) {
                return -ERANGE;
            }
            *ret_us = value * units[i].us;
            return 0;
        }
    }
    return -EINVAL;
}

void duration_print(int64_t us, char *text)
{
    char shortest[DURATION_TEXT_BYTES] = "0s";
    for (size_t i = ARRAY_SIZE(units); us && i-- > 0;) {
        char form[DURATION_TEXT_BYTES];
        if (us % units[i].us) {
            continue;
        }
        snprintf(form, sizeof form, "%" PRId64 "%s", us / units[i].us, units[i].name);
        if (!strcmp(shortest, "0s") || strlen(form) < strlen(shortest)) {
            memcpy(shortest, form, sizeof form);
        }
    }
    memcpy(text, shortest, sizeof shortest);
}

/*
 * Days since 1970-01-01 of a date of the proleptic Gregorian calendar; years counted from March, so
 * that a leap day is last.
 */
static int64_t days_of_date(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
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

static bool date_exists(int year, int month, int day)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (month < 1 || month > 12 || day < 1) {
        return false;
    }
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day <= days[month - 1] + (month == 2 && leap);
}

/*
 * hh:mm[:ss[.decimals]] as microseconds of the day. Past six decimals, what is smaller than a
 * microsecond is dropped.
 */
static bool read_time(const char **at, int64_t *ret_us)
{
    int hour, minute, second = 0;
    int64_t fraction_us = 0;
    if (!read_fixed(at, 2, &hour) || !take(at, ':') || !read_fixed(at, 2, &minute)) {
        return false;
    }
    if (take(at, ':')) {
        if (!read_fixed(at, 2, &second)) {
            return false;
        }
        if (take(at, '.')) {
            int64_t scale = SECOND_US / 10;
            if (!is_digit(**at)) {
                return false;
            }
            for (; is_digit(**at); (*at)++) {
                fraction_us += (**at - '0') * scale;
                scale /= 10;
            }
        }
    }
    /* A leap second (60) is counted as the first of the next minute, as POSIX time does. */
    if (hour > 23 || minute > 59 || second > 60) {
        return false;
    }
    *ret_us = (hour * INT64_C(3600) + minute * 60 + second) * SECOND_US + fraction_us;
    return true;
}

/* Z, +hh:mm, -hh:mm, +hhmm, or nothing: UTC. */
static bool read_offset(const char **at, int64_t *ret_us)
{
    *ret_us = 0;
    if (!**at || take(at, 'Z') || take(at, 'z')) {
        return true;
    }
    bool west = **at == '-';
    if (!west && **at != '+') {
        return false;
    }
    (*at)++;
    int hours, minutes;
    if (!read_fixed(at, 2, &hours)) {
        return false;
    }
    take(at, ':');
    if (!read_fixed(at, 2, &minutes) || hours > 23 || minutes > 59) {
        return false;
    }
    *ret_us = (hours * INT64_C(3600) + minutes * 60) * SECOND_US * (west ? -1 : 1);
    return true;
}

int instant_parse(const char *text, int64_t *ret_unix_us)
{
    const char *at = text;
    int year, month, day;
    if (!read_fixed(&at, 4, &year) || !take(&at, '-') || !read_fixed(&at, 2, &month) ||
        !take(&at, '-') || !read_fixed(&at, 2, &day) || !date_exists(year, month, day)) {
        return -EINVAL;
    }
    int64_t time_us = 0, offset_us = 0;
    if (*at) {
        if (!(take(&at, 'T') || take(&at, 't') || take(&at, ' ')) || !read_time(&at, &time_us) ||
            !read_offset(&at, &offset_us) || *at) {
            return -EINVAL;
        }
    }
    *ret_unix_us = days_of_date(year, month, day) * DAY_US + time_us - offset_us;
    return 0;
}

void instant_print(int64_t unix_us, char *text)
{
    int64_t days = unix_us / DAY_US;
    int64_t us = unix_us % DAY_US;
    if (us < 0) {
        us += DAY_US;
        days--;
    }
    int64_t year;
    int month, day;
    date_of_days(days, &year, &month, &day);
    int seconds = (int)(us / SECOND_US);
    int fraction = (int)(us % SECOND_US);
    int length = snprintf(text, INSTANT_TEXT_BYTES, "%04" PRId64 "-%02d-%02dT%02d:%02d:%02d", year,
                          month, day, seconds / 3600, seconds / 60 % 60, seconds % 60);
    size_t left = INSTANT_TEXT_BYTES - (size_t)length;
    if (!fraction) {
        snprintf(text + length, left, "Z");
    } else if (fraction % 1000 == 0) {
        snprintf(text + length, left, ".%03dZ", fraction / 1000);
    } else {
        snprintf(text + length, left, ".%06dZ", fraction);
    }
}
