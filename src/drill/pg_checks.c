/* What the user asks of a restored database. */
#include "pg_drill.h"

#include "source/pg_settings.h"

#include <stdlib.h>
#include <string.h>

#define AFTER_RESTORE_LIMIT_S 3600
#define ASSERT_LIMIT          "10min"
#define ASSERT_PATIENCE_S     660 /* when the server does not keep to it */
#define SHOWN                 300

/* ---- after-restore ---- */

/* A command of the user's with the way to scratch in its environment. */
static int run_command(const struct pg_drill_database *b, const struct strings *variables, struct err *e)
{
    AUTO(child) c = CHILD_NONE;
    const char **setenv = xcalloc(variables->n + 1, sizeof *setenv);
    for (size_t i = 0; i < variables->n; i++)
        setenv[i] = variables->v[i];
    const struct child_options run = {.shell = b->d->env->settings->after_restore,
                                      .setenv = setenv,
                                      .in = CHILD_NULL,
                                      .out = CHILD_NULL,
                                      .time_limit_s = AFTER_RESTORE_LIMIT_S};
    int rc = child_start(&c, &run, e) ? -1 : child_wait(&c, "after-restore", NULL, e);
    free(setenv);
    return rc;
}

/* To the database, with the settings that its server had. *set, when not NULL, gets those that it needs. */
static int connect_as_home(const struct pg_drill_database *b, struct pg *p, struct strings *set,
                           struct err *e)
{
    AUTO(strings) notes = STRINGS_NONE; /* the restore said them */
    AUTO(strings) used = STRINGS_NONE;
    return pg_drill_connect(b->d, p, b->scratch_name, e) ||
                   pg_settings_use(p, &b->d->env->source->server_settings, set ? set : &used, &notes, e)
               ? -1
               : 0;
}

int pg_after_restore(const struct pg_drill_database *b, bool *held, struct err *e)
{
    AUTO(pg) p = PG_NONE;
    AUTO(strings) variables = STRINGS_NONE;
    AUTO(strings) set = STRINGS_NONE;
    struct err why = ERR_INIT;
    if (connect_as_home(b, &p, &set, e) || pg_variables(&p, b->scratch_name, &set, &variables, e))
        return -1;
    strings_add_fmt(&variables, "LIFEBOAT_SOURCE=%s", b->d->env->source->name);
    *held = run_command(b, &variables, &why) == 0;
    if (*held)
        return 0;
    if (stop_check(e))
        return -1;
    for (char *c = why.text; *c; c++)
        *c = *c == '\n' ? ' ' : *c;
    drill_differs(b->d->out, "%s%s", b->prefix, why.text);
    return 0;
}

/* ---- asserts ---- */

/* "NAME", when there is one database, or "NAME/DATABASE". */
static bool is_about(const struct pg_drill *d, const struct config_assert *a, const char *database)
{
    const char *source = d->env->source->name;
    size_t n = strlen(source);
    if (strncmp(a->source, source, n) != 0)
        return false;
    if (a->source[n] == 0)
        return !database || !d->many;
    return a->source[n] == '/' && (!database || strcmp(a->source + n + 1, database) == 0);
}

bool pg_has_asserts(const struct pg_drill *d)
{
    for (size_t i = 0; i < d->env->settings->assert_count; i++)
        if (is_about(d, &d->env->settings->asserts[i], NULL))
            return true;
    return false;
}

static bool is_true(const char *value)
{
    char *end;
    double number = strtod(value, &end);
    bool is_number = end != value && *end == 0;
    return strcmp(value, "t") == 0 || strcmp(value, "true") == 0 ||
           (is_number && (number < 0 || number > 0)); /* NaN is neither */
}

/* NULL: it holds. Otherwise why not; the caller frees. */
static char *why_not(const PGresult *r)
{
    if (!r || PQnfields(r) == 0)
        return xstrdup("it gives no value: an assert is a query whose first value is true");
    if (PQntuples(r) == 0)
        return xstrdup("it gives no row");
    if (PQgetisnull(r, 0, 0))
        return xstrdup("it gives null");
    const char *value = pg_value(r, 0, 0);
    if (is_true(value))
        return NULL;
    AUTO_CHAR shown = text_printable(value, MIN(strlen(value), (size_t)SHOWN));
    return xasprintf("it gives %s", shown);
}

/* 1: it holds; 0: it does not; -1: *e. */
static int check(const struct pg_drill_database *b, const struct config_assert *a, struct err *e)
{
    AUTO(pg) p = PG_NONE; /* each its own: what one sets does not help the next */
    AUTO_RESULT r = NULL;
    AUTO_CHAR shown = text_printable(a->sql, MIN(strlen(a->sql), (size_t)SHOWN));
    struct err why = ERR_INIT;
    if (connect_as_home(b, &p, NULL, e) ||
        pg_query(&p, "SET statement_timeout = '" ASSERT_LIMIT "'", NULL, NULL, e))
        return -1;
    p.patience_s = ASSERT_PATIENCE_S;
    int rc = pg_query(&p, a->sql, NULL, &r, &why);
    if (why.kind == ERR_STOPPED || (rc && PQstatus(p.conn) != CONNECTION_OK))
        return err_set(e, why.kind, "%s", why.text);
    AUTO_CHAR reason = rc ? xstrdup(why.text) : why_not(r);
    if (reason)
        drill_differs(b->d->out, "%sassert \"%s\": %s", b->prefix, shown, reason);
    return !reason;
}

int pg_asserts(const struct pg_drill_database *b, bool *held, struct err *e)
{
    const struct config_drill *settings = b->d->env->settings;
    *held = true;
    for (size_t i = 0; i < settings->assert_count; i++) {
        if (!is_about(b->d, &settings->asserts[i], b->name))
            continue;
        int holds = check(b, &settings->asserts[i], e);
        if (holds < 0)
            return -1;
        *held &= holds > 0;
    }
    return 0;
}

void pg_asserts_left(struct pg_drill *d)
{
    const struct config_drill *settings = d->env->settings;
    for (size_t i = 0; i < settings->assert_count; i++) {
        const struct config_assert *a = &settings->asserts[i];
        const char *slash = strchr(a->source, '/');
        if (!is_about(d, a, NULL))
            continue;
        if (!slash && d->many)
            drill_unable(d->out,
                         "assert \"%s\": this backup has several databases: say which, as in "
                         "`assert %s/DATABASE = ...`",
                         a->sql, a->source);
        else if (slash && !strings_has(&d->databases, slash + 1))
            drill_differs(d->out, "assert \"%s\": there is no database %s in this backup", a->sql, slash + 1);
    }
}
