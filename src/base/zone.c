/* A TZif file (RFC 8536): the times at which a zone changed its clocks, and in its footer the rule (POSIX TZ)
 * for all times after the last of them. */
#include "base/zone.h"

#include "base/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FOLDER       "/usr/share/zoneinfo/"
#define FILE_MAX     (1u << 20)
#define HEADER_BYTES 44
#define TYPE_BYTES   6
#define DAY_S        86400
#define NS           1000000000ll

/* When clocks change in a year: the `week`th (5: last) `weekday` (0: Sunday) of a month; or a day of the
 * year, from 0, which counts February 29 or not. `time_s` is the local time in force before. */
struct change {
    enum { BY_WEEKDAY, BY_DAY, BY_DAY_WITHOUT_LEAP } kind;
    unsigned month, week, weekday, day;
    int32_t time_s;
};
struct rule {
    bool is_set, has_summer;
    int32_t standard_s, summer_s; /* east of UTC */
    struct change to_summer, to_standard;
};
struct zone {
    size_t n;
    int64_t *at;       /* when, in seconds since 1970, ascending */
    int32_t *offset_s; /* what holds from then on */
    int32_t first_s;   /* what holds before */
    struct rule after;
};

/* ---- dates: the algorithms of Howard Hinnant's "chrono-compatible low-level date algorithms" ---- */
int64_t day_of_date(int year, unsigned month, unsigned mday)
{
    int64_t y = (int64_t)year - (month <= 2);
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + (int64_t)mday - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

void date_of_day(int64_t day, int *year, unsigned *month, unsigned *mday)
{
    day += 719468;
    int64_t era = (day >= 0 ? day : day - 146096) / 146097;
    int64_t d = day - era * 146097;
    int64_t y = (d - d / 1460 + d / 36524 - d / 146096) / 365;
    int64_t day_of_year = d - (365 * y + y / 4 - y / 100);
    int64_t m = (5 * day_of_year + 2) / 153;
    *mday = (unsigned)(day_of_year - (153 * m + 2) / 5 + 1);
    *month = (unsigned)(m < 10 ? m + 3 : m - 9);
    *year = (int)(y + era * 400 + (*month <= 2));
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static bool is_leap(int year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* ---- the rule in the footer ---- */
static bool read_number(const char **p, int most, int *out)
{
    int v = 0;
    const char *start = *p;
    for (; **p >= '0' && **p <= '9' && v <= most; (*p)++)
        v = v * 10 + (**p - '0');
    *out = v;
    return *p > start && v <= most;
}

/* [+-]hh[:mm[:ss]], up to a week */
static bool read_time(const char **p, int32_t *out)
{
    int sign = **p == '-' ? -1 : 1, h, m = 0, s = 0;
    if (**p == '-' || **p == '+')
        (*p)++;
    if (!read_number(p, 167, &h))
        return false;
    if (**p == ':' && (++*p, !read_number(p, 59, &m)))
        return false;
    if (**p == ':' && (++*p, !read_number(p, 59, &s)))
        return false;
    *out = sign * (h * 3600 + m * 60 + s);
    return true;
}

static bool read_change(const char **p, struct change *c)
{
    int month, week, weekday, day;
    *c = (struct change){.time_s = 2 * 3600};
    if (**p == 'M') {
        ++*p;
        if (!read_number(p, 12, &month) || *(*p)++ != '.' || !read_number(p, 5, &week) || *(*p)++ != '.' ||
            !read_number(p, 6, &weekday) || month < 1 || week < 1)
            return false;
        c->month = (unsigned)month;
        c->week = (unsigned)week;
        c->weekday = (unsigned)weekday;
    } else {
        c->kind = **p == 'J' ? BY_DAY_WITHOUT_LEAP : BY_DAY;
        *p += **p == 'J';
        if (!read_number(p, 365, &day) || (c->kind == BY_DAY_WITHOUT_LEAP && day < 1))
            return false;
        c->day = (unsigned)(c->kind == BY_DAY ? day : day - 1);
    }
    return **p != '/' || (++*p, read_time(p, &c->time_s));
}

static bool skip_name(const char **p)
{
    size_t n = **p == '<' ? strcspn(*p, ">") + 1
                          : strspn(*p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
    if (n < 3 || strlen(*p) < n)
        return false;
    *p += n;
    return true;
}

/* "CET-1CEST,M3.5.0,M10.5.0/3": offsets count west of Greenwich. */
static bool read_rule(const char *p, struct rule *r)
{
    int32_t west;
    if (!skip_name(&p) || !read_time(&p, &west))
        return false;
    *r = (struct rule){.is_set = true, .standard_s = -west, .summer_s = 3600 - west};
    if (!*p)
        return true;
    r->has_summer = true;
    if (!skip_name(&p))
        return false;
    if (*p != ',') {
        if (!read_time(&p, &west))
            return false;
        r->summer_s = -west;
    }
    return *p++ == ',' && read_change(&p, &r->to_summer) && *p++ == ',' && read_change(&p, &r->to_standard) &&
           !*p;
}

static int64_t change_day(const struct change *c, int year)
{
    if (c->kind != BY_WEEKDAY)
        return day_of_date(year, 1, 1) + c->day +
               (c->kind == BY_DAY_WITHOUT_LEAP && is_leap(year) && c->day >= 59);
    int64_t first = day_of_date(year, c->month, 1);
    int64_t next = c->month == 12 ? day_of_date(year + 1, 1, 1) : day_of_date(year, c->month + 1, 1);
    int64_t weekday = ((first + 4) % 7 + 7) % 7; /* 1970-01-01 was a Thursday */
    int64_t day = first + (c->weekday - weekday + 7) % 7 + 7 * (c->week - 1);
    while (day >= next)
        day -= 7;
    return day;
}

static int32_t rule_offset(const struct rule *r, int64_t at)
{
    if (!r->has_summer)
        return r->standard_s;
    int year;
    unsigned month, mday;
    date_of_day(floor_div(at + r->standard_s, DAY_S), &year, &month, &mday);
    int64_t start = change_day(&r->to_summer, year) * DAY_S + r->to_summer.time_s - r->standard_s;
    int64_t end = change_day(&r->to_standard, year) * DAY_S + r->to_standard.time_s - r->summer_s;
    bool summer = start < end ? at >= start && at < end : at >= start || at < end;
    return summer ? r->summer_s : r->standard_s;
}

/* ---- the file: big-endian; a part with 32-bit times, one with 64-bit times, the footer ---- */
static uint64_t big_endian(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

struct part {
    uint32_t times, types; /* counts */
    size_t bytes;          /* of what follows the header */
};
static bool read_header(struct bytes file, size_t at, size_t time_bytes, struct part *out)
{
    if (file.n < at + HEADER_BYTES || memcmp(file.p + at, "TZif", 4) != 0 || file.p[at + 4] < '2')
        return false;
    uint64_t count[6]; /* UT indicators, standard indicators, leap seconds, times, types, characters */
    for (size_t i = 0; i < ARRAY_LEN(count); i++)
        count[i] = big_endian(file.p + at + 20 + 4 * i, 4);
    uint64_t bytes = count[3] * (time_bytes + 1) + count[4] * TYPE_BYTES + count[5] +
                     count[2] * (time_bytes + 4) + count[1] + count[0];
    *out = (struct part){.times = (uint32_t)count[3], .types = (uint32_t)count[4], .bytes = bytes};
    return count[4] > 0 && bytes <= file.n - at - HEADER_BYTES;
}

static bool read_times(struct zone *z, const uint8_t *p, const struct part *part)
{
    const uint8_t *index = p + (size_t)8 * part->times, *types = index + part->times;
    z->n = part->times;
    z->at = xcalloc(z->n + 1, sizeof *z->at);
    z->offset_s = xcalloc(z->n + 1, sizeof *z->offset_s);
    z->first_s = (int32_t)big_endian(types, 4);
    for (size_t i = 0; i < z->n; i++) {
        z->at[i] = (int64_t)big_endian(p + 8 * i, 8);
        if (index[i] >= part->types || (i && z->at[i] <= z->at[i - 1]))
            return false;
        z->offset_s[i] = (int32_t)big_endian(types + (size_t)TYPE_BYTES * index[i], 4);
    }
    return true;
}

static bool read_zone(struct zone *z, struct bytes file)
{
    struct part old, part;
    if (!read_header(file, 0, 4, &old))
        return false;
    size_t at = HEADER_BYTES + old.bytes;
    if (!read_header(file, at, 8, &part) || !read_times(z, file.p + at + HEADER_BYTES, &part))
        return false;
    at += HEADER_BYTES + part.bytes;
    const uint8_t *end = at < file.n ? memchr(file.p + at + 1, '\n', file.n - at - 1) : NULL;
    if (!end || file.p[at] != '\n')
        return false;
    AUTO_CHAR footer = xstrndup((const char *)file.p + at + 1, (size_t)(end - file.p) - at - 1);
    return !*footer || read_rule(footer, &z->after);
}

struct zone *zone_parse(const char *name, struct bytes file, struct err *e)
{
    AUTO_PTR(zone) z = xcalloc(1, sizeof *z);
    if (!read_zone(z, file))
        return err_set(e, ERR_USAGE, "time zone %s: its file is damaged, or no time zone", name), NULL;
    return STEAL(z);
}

struct zone *zone_load(const char *name, struct err *e)
{
    AUTO_CHAR path = xasprintf(FOLDER "%s", name);
    AUTO(buf) file = BUF_NONE;
    struct err why = ERR_INIT;
    if (!*name || *name == '/' || strstr(name, "..") || file_read(path, FILE_MAX, &file, &why))
        return err_set(e, ERR_USAGE,
                       "time zone %s: there is none of that name in " FOLDER
                       " (the package tzdata brings them; `timedatectl list-timezones` shows them)",
                       name),
               NULL;
    return zone_parse(name, buf_bytes(&file), e);
}

void zone_free(struct zone *z)
{
    if (!z)
        return;
    free(z->at);
    free(z->offset_s);
    free(z);
}

/* ---- the calendar ---- */
static int32_t zone_offset(const struct zone *z, int64_t at)
{
    size_t low = 0, high = z->n; /* the first change after `at` */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (z->at[middle] <= at)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == z->n && z->after.is_set)
        return rule_offset(&z->after, at);
    return low ? z->offset_s[low - 1] : z->first_s;
}

static int32_t machine_offset(int64_t at)
{
    time_t t = at;
    struct tm tm = {0};
    localtime_r(&t, &tm);
    return (int32_t)tm.tm_gmtoff;
}

void zone_local(const struct zone *z, int64_t ns, struct local_time *out)
{
    int64_t at = floor_div(ns, NS);
    out->offset_s = z ? zone_offset(z, at) : machine_offset(at);
    int64_t local = at + out->offset_s;
    out->day = floor_div(local, DAY_S);
    unsigned second = (unsigned)(local - out->day * DAY_S);
    out->hour = second / 3600;
    out->minute = second / 60 % 60;
    date_of_day(out->day, &out->year, &out->month, &out->mday);
}
