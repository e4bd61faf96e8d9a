#include "source/pg_settings.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define VALUE_MAX 200 /* bytes of a value that is kept */

/* What stands in a snapshot is from outside: no other may be set from there. As pg_settings has them. */
#define NAMES                                                                                  \
    "{DateStyle,IntervalStyle,TimeZone,timezone_abbreviations,lc_monetary,lc_numeric,lc_time," \
    "default_text_search_config,xmlbinary,xmloption,extra_float_digits}"

/* A dump has what databases say. What roles, and we, say is theirs. */
#define SERVER "('default', 'environment variable', 'configuration file', 'command line', 'global')"

bool pg_setting_gives_meaning(const char *name)
{
    static const char names[] = NAMES;
    size_t length = strlen(name);
    for (const char *p = names + 1; *p; p += strcspn(p, ",}") + 1)
        if (strcspn(p, ",}") == length && strncasecmp(p, name, length) == 0)
            return true;
    return false;
}

static bool is_plain(const char *value)
{
    size_t n = strlen(value);
    for (size_t i = 0; i < n; i++)
        if (value[i] < ' ' || value[i] > '~')
            return false;
    return n <= VALUE_MAX;
}

static bool has_name(const struct strings *settings, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < settings->n; i++)
        if (strncmp(settings->v[i], name, n) == 0 && settings->v[i][n] == '=')
            return true;
    return false;
}

int pg_settings_read(struct pg *p, struct strings *out, struct err *e)
{
    static const char sql[] = "SELECT name, setting FROM pg_catalog.pg_settings"
                              " WHERE name = ANY ('" NAMES "') AND source IN " SERVER " ORDER BY name";
    AUTO_RESULT r = NULL;
    if (pg_query(p, sql, NULL, &r, e))
        return -1;
    for (int i = 0; i < PQntuples(r); i++) {
        const char *name = pg_value(r, i, 0), *value = pg_value(r, i, 1);
        if (is_plain(value) && !has_name(out, name))
            strings_add_fmt(out, "%s=%s", name, value);
    }
    return 0;
}

static int use(struct pg *p, const char *setting, struct strings *set, struct strings *notes, struct err *e)
{
    static const char other[] = "SELECT 1 FROM pg_catalog.pg_settings"
                                " WHERE name = $1 AND setting <> $2 AND source IN " SERVER;
    const char *equals = strchr(setting, '=');
    AUTO_CHAR name = xstrndup(setting, strcspn(setting, "="));
    AUTO_RESULT r = NULL;
    struct err why = ERR_INIT;
    if (!equals || !pg_setting_gives_meaning(name) || !is_plain(equals + 1))
        return 0;
    const char *const params[] = {name, equals + 1, NULL};
    if (pg_query(p, other, params, &r, e))
        return -1;
    if (PQntuples(r) == 0)
        return 0;
    if (pg_query(p, "SELECT pg_catalog.set_config($1, $2, false)", params, NULL, &why) == 0)
        strings_add(set, setting);
    else if (!*p->sqlstate)
        return err_set(e, why.kind, "%s", why.text);
    else
        strings_add_fmt(notes,
                        "its server had %s, which cannot be set here (%s): what the restore fills and checks "
                        "goes by the setting here",
                        setting, why.text);
    return 0;
}

int pg_settings_use(struct pg *p, const struct strings *settings, struct strings *set, struct strings *notes,
                    struct err *e)
{
    for (size_t i = 0; i < settings->n; i++)
        if (use(p, settings->v[i], set, notes, e))
            return -1;
    return 0;
}
