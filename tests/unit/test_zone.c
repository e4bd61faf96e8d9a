/* The calendars of named zones, against glibc's for every zone there is. */
#include "base/zone.h"
#include "testing.h"

#include <time.h>

#define NS 1000000000ll

static const char *const names[] = {"Europe/Berlin",     "America/New_York",  "Australia/Lord_Howe",
                                    "Asia/Kathmandu",    "Europe/Dublin",     "America/Nuuk",
                                    "Africa/Casablanca", "America/Sao_Paulo", "Pacific/Kiritimati",
                                    "Antarctica/Troll",  "Asia/Tehran",       "UTC"};

static struct zone *load(const char *name)
{
    struct err e = ERR_INIT;
    struct zone *z = zone_load(name, &e);
    if (!z)
        fail_msg("%s", e.text);
    return z;
}

static void set_machine_zone(const char *name)
{
    setenv("TZ", name, 1);
    tzset();
}

static void same(const char *name, const struct zone *z, int64_t second)
{
    time_t t = second;
    struct tm tm;
    struct local_time l;
    localtime_r(&t, &tm);
    zone_local(z, second * NS + (second & 1 ? NS - 1 : 0), &l);
    if (l.year != tm.tm_year + 1900 || l.month != (unsigned)tm.tm_mon + 1 || l.mday != (unsigned)tm.tm_mday ||
        l.hour != (unsigned)tm.tm_hour || l.minute != (unsigned)tm.tm_min || l.offset_s != tm.tm_gmtoff)
        fail_msg("%s at %lld: %d-%02u-%02u %02u:%02u %+d; glibc: %d-%02d-%02d %02d:%02d %+ld", name,
                 (long long)second, l.year, l.month, l.mday, l.hour, l.minute, l.offset_s, tm.tm_year + 1900,
                 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_gmtoff);
    assert_int_equal(((l.day + 4) % 7 + 7) % 7, tm.tm_wday);
    assert_int_equal(l.day - day_of_date(l.year, 1, 1), tm.tm_yday);
}

/* From 1902 to 2200, so the rules of footers too; and the machine's own zone, which is glibc's. */
static void test_every_zone_as_glibc_has_it(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        AUTO_PTR(zone) z = load(names[i]);
        set_machine_zone(names[i]);
        for (unsigned k = 0; k < 20000; k++) {
            int64_t second = (int64_t)(test_random(&seed) % 9400000000ull) - 2140000000;
            same(names[i], z, second);
            same("the machine's", NULL, second);
        }
    }
}

/* Each half hour of eight years: no change of the clocks is missed, in years with a table and with a rule. */
static void test_around_changes(void **state)
{
    (void)state;
    static const int years[] = {1996, 2011, 2024, 2026, 2037, 2038, 2096, 2100};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        AUTO_PTR(zone) z = load(names[i]);
        set_machine_zone(names[i]);
        for (size_t k = 0; k < ARRAY_LEN(years); k++) {
            int64_t from = day_of_date(years[k], 1, 1) * 86400;
            for (int64_t at = from; at < from + 366 * 86400; at += 1800) {
                same(names[i], z, at - 1);
                same(names[i], z, at);
            }
        }
    }
}

static void test_dates(void **state)
{
    (void)state;
    int64_t day = day_of_date(1600, 1, 1);
    for (int year = 1600; year <= 2400; year++)
        for (unsigned month = 1; month <= 12; month++) {
            static const unsigned days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
            bool leap = year % 400 == 0 || (year % 4 == 0 && year % 100 != 0);
            for (unsigned mday = 1; mday <= days[month - 1] + (month == 2 && leap); mday++, day++) {
                int y;
                unsigned m, d;
                assert_int_equal(day_of_date(year, month, mday), day);
                date_of_day(day, &y, &m, &d);
                assert_true(y == year && m == month && d == mday);
            }
        }
    assert_int_equal(day_of_date(1970, 1, 1), 0);
}

static void test_unknown_names(void **state)
{
    (void)state;
    static const char *const bad[] = {"",       "Europe/Berlln", "../../../etc/passwd", "/etc/localtime",
                                      "Europe", "tzdata.zi"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err e = ERR_INIT;
        AUTO_PTR(zone) z = zone_load(bad[i], &e);
        assert_null(z);
        assert_int_equal(e.kind, ERR_USAGE);
        assert_text(e, "time zone");
    }
}

static void read_real(const char *name, struct buf *out)
{
    struct err e = ERR_INIT;
    AUTO_CHAR path = xasprintf("/usr/share/zoneinfo/%s", name);
    assert_ok(file_read(path, 1 << 20, out, &e));
}

/* Cut anywhere it is refused, with any byte changed it gives some calendar or is refused. */
static void test_damaged_files(void **state)
{
    (void)state;
    AUTO(buf) real = BUF_NONE;
    read_real("Europe/Dublin", &real);
    uint64_t seed = 2;
    for (size_t n = 0; n < real.n; n++) {
        struct err e = ERR_INIT;
        uint8_t *cut = xcalloc(1, n ? n : 1); /* so that the sanitizer sees its end */
        memcpy(cut, real.p, n);
        AUTO_PTR(zone) z = zone_parse("cut", BYTES(cut, n), &e);
        free(cut);
        assert_null(z);
        assert_text(e, "time zone cut: its file is damaged");
        uint8_t byte = real.p[n];
        real.p[n] ^= (uint8_t)(1 + test_random(&seed) % 255);
        struct err ignored = ERR_INIT;
        AUTO_PTR(zone) odd = zone_parse("odd", buf_bytes(&real), &ignored);
        struct local_time l;
        for (unsigned k = 0; odd && k < 20; k++)
            zone_local(odd, (int64_t)test_random(&seed), &l);
        real.p[n] = byte;
    }
}

/* A footer of its own behind the tables of UTC, which have no changes. */
static struct zone *with_footer(const char *footer)
{
    struct err e = ERR_INIT;
    AUTO(buf) file = BUF_NONE;
    read_real("UTC", &file);
    while (file.n > 1 && file.p[file.n - 2] != '\n')
        file.n--;
    file.n--;
    buf_add_fmt(&file, "%s\n", footer);
    return zone_parse("footer", buf_bytes(&file), &e);
}

static void test_rules(void **state)
{
    (void)state;
    static const char *const good[] = {"CET-1CEST,M3.5.0,M10.5.0/3",  "EST5EDT,J60,J300/1:30",
                                       "AAA3BBB,59/-2,300/26",        "<+0545>-5:45",
                                       "NZST-12NZDT,M9.5.0,M4.1.0/3", "IST-1GMT0,M10.5.0,M3.5.0/1"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        AUTO_PTR(zone) z = with_footer(good[i]);
        if (!z)
            fail_msg("refused: %s", good[i]);
        set_machine_zone(good[i]);
        for (int64_t at = 0; at < 9ll * 366 * 86400; at += 1800)
            same(good[i], z, at);
    }
    static const char *const bad[] = {"C-1",
                                      "CET",
                                      "CET-1CEST",
                                      "CET-1CEST,M3.5.0",
                                      "CET-200",
                                      "CET-1CEST,M13.5.0,M10.5.0",
                                      "CET-1CEST,M3.0.0,M10.5.0",
                                      "CET-1CEST,M3.5.7,M10.5.0",
                                      "CET-1CEST,J0,J5",
                                      "CET-1CEST,J1,366",
                                      "CET-1CEST,J1,J2x",
                                      "<CET-1",
                                      "CET-1:60"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        AUTO_PTR(zone) z = with_footer(bad[i]);
        if (z)
            fail_msg("not refused: %s", bad[i]);
    }
}

/* Of anything that a catalog may say. */
static void test_texts(void **state)
{
    (void)state;
    static const struct {
        int64_t ns;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000Z"},         {1772330584567000000, "2026-03-01T02:03:04.567Z"},
        {-1, "1969-12-31T23:59:59.999Z"},        {INT64_MAX, "2262-04-11T23:47:16.854Z"},
        {INT64_MIN, "1677-09-21T00:12:43.145Z"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[40];
        time_format_utc(text, cases[i].ns);
        assert_string_equal(text, cases[i].text);
    }
}

static void test_sums(void **state)
{
    (void)state;
    assert_int_equal(time_ns(1772330584, 567000000), 1772330584567000000);
    assert_int_equal(time_ns(-1, 999999999), -1);
    assert_int_equal(time_ns(INT64_MAX / 1000000000, 854775807), INT64_MAX);
    assert_int_equal(time_ns(INT64_MAX / 1000000000, 999999999), INT64_MAX); /* a file of 2262 */
    assert_int_equal(time_ns(13569465600, 0), INT64_MAX);                    /* of 2400 */
    assert_int_equal(time_ns(INT64_MIN, 0), INT64_MIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_zone_as_glibc_has_it),
        cmocka_unit_test(test_around_changes),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_unknown_names),
        cmocka_unit_test(test_damaged_files),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_sums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
