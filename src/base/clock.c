#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NS 1000000000ll

int64_t time_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * NS + t.tv_nsec;
}

uint64_t time_monotonic_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec;
}

int64_t time_ns(int64_t seconds, int64_t ns)
{
    int64_t all;
    if (__builtin_mul_overflow(seconds, NS, &all) || __builtin_add_overflow(all, ns, &all))
        return seconds < 0 ? INT64_MIN : INT64_MAX;
    return all;
}

static time_t seconds_floor(int64_t ns)
{
    return ns / NS - (ns % NS < 0);
}

void time_format_utc(char out[40], int64_t ns)
{
    time_t s = seconds_floor(ns);
    unsigned ms = (unsigned)((ns % NS + NS) % NS / 1000000);
    struct tm tm;
    gmtime_r(&s, &tm);
    size_t n = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, 8, ".%03uZ", ms);
}

bool time_parse_utc(const char *text, int64_t *ns)
{
    struct tm tm = {0};
    int used = 0;
    if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
               &tm.tm_min, &tm.tm_sec, &used) != 6 ||
        used != 19)
        return false;
    if (tm.tm_year < 1970 || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 ||
        tm.tm_hour < 0 || tm.tm_hour > 23 || tm.tm_min < 0 || tm.tm_min > 59 || tm.tm_sec < 0 ||
        tm.tm_sec > 60)
        return false;
    int64_t fraction = 0, unit = NS;
    const char *p = text + used;
    if (*p == '.')
        for (p++; *p >= '0' && *p <= '9' && unit > 1; p++)
            fraction += (*p - '0') * (unit /= 10);
    if (strcmp(p, "Z") != 0)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    if (tm.tm_year > 300) /* 2200: what a signed 64-bit count of nanoseconds holds comfortably */
        return false;
    *ns = timegm(&tm) * NS + fraction;
    return true;
}

void time_format_local(char out[40], int64_t ns)
{
    time_t s = seconds_floor(ns);
    struct tm tm;
    localtime_r(&s, &tm);
    strftime(out, 40, "%Y-%m-%d %H:%M:%S", &tm);
}

void duration_format(char out[32], uint64_t ns)
{
    uint64_t s = ns / NS;
    if (s < 60)
        snprintf(out, 32, "%.1f s", (double)ns / 1e9);
    else if (s < 3600)
        snprintf(out, 32, "%u min %u s", (unsigned)(s / 60), (unsigned)(s % 60));
    else if (s < 48 * 3600)
        snprintf(out, 32, "%u h %u min", (unsigned)(s / 3600), (unsigned)(s % 3600 / 60));
    else
        snprintf(out, 32, "%llu days", (unsigned long long)(s / 86400));
}

bool duration_parse(const char *text, uint64_t *seconds)
{
    if (text[0] < '0' || text[0] > '9')
        return false;
    char *end;
    uint64_t v = strtoull(text, &end, 10), unit = 1;
    switch (*end) {
    case 0:
    case 's':
        break;
    case 'm':
        unit = 60;
        break;
    case 'h':
        unit = 3600;
        break;
    case 'd':
        unit = 86400;
        break;
    case 'w':
        unit = 7 * 86400;
        break;
    case 'y':
        unit = 365 * 86400;
        break;
    default:
        return false;
    }
    if (*end && end[1])
        return false;
    return !__builtin_mul_overflow(v, unit, seconds) && *seconds <= 1000ull * 365 * 86400;
}
