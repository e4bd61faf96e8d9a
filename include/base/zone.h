/* zone.h - the calendar of a named time zone, without touching the TZ of the process: a TZif file (RFC 8536)
 * is read once, the rest is pure. Safe from any thread. */
#ifndef LIFEBOAT_BASE_ZONE_H
#define LIFEBOAT_BASE_ZONE_H

#include "base/base.h"

struct zone; /* NULL stands for the zone of the machine (TZ, /etc/localtime), here and below */

/* "Europe/Berlin", from /usr/share/zoneinfo. NULL with *e, ERR_USAGE: there is no such zone. */
struct zone *zone_load(const char *name, struct err *e) MUST_CHECK;
/* From the bytes of a TZif file; `name` is for messages. */
struct zone *zone_parse(const char *name, struct bytes file, struct err *e) MUST_CHECK;
void zone_free(struct zone *z);
AUTO_PTR_FOR(zone)

struct local_time {
    int64_t day; /* of the local date, since 1970-01-01 (a Thursday) */
    int year;
    unsigned month, mday, hour, minute; /* month and mday from 1 */
    int32_t offset_s;                   /* east of UTC */
};
void zone_local(const struct zone *z, int64_t ns, struct local_time *out);

/* Days since 1970-01-01 of a date in the Gregorian calendar, and back. */
int64_t day_of_date(int year, unsigned month, unsigned mday);
void date_of_day(int64_t day, int *year, unsigned *month, unsigned *mday);

#endif
