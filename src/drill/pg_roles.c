/* Roles for scratch: names, memberships and BYPASSRLS as they are at home, and nothing that lets anybody in.
 * A dump needs them for owners, privileges, policies, and values of type regrole. Without the globals they
 * are known from the owners in the fingerprint, and from what the server misses in a trial. */
#include "pg_drill.h"

#include "base/log.h"
#include "target/pg_target.h"

#include <stdlib.h>
#include <string.h>

/* The mark of those that we made in a server which is not ours. */
#define MARK "made by a drill of lifeboat"

#define TRIALS           20 /* each shows at least one role more */
#define DUPLICATE_OBJECT "42710"

struct stubs {
    struct pg_drill_database *b;
    struct pg p;
    struct strings made;
    struct strings powerful; /* own something that only a superuser may own */
};

/* A token of SQL as a name: "quoted", or in lower case. */
static char *name_of(struct bytes token)
{
    AUTO(buf) out = BUF_NONE;
    if (token.n < 2 || token.p[0] != '"')
        return xstrndup((const char *)token.p, token.n);
    for (size_t i = 1; i + 1 < token.n; i++) {
        i += token.p[i] == '"'; /* doubled */
        buf_add_u8(&out, token.p[i]);
    }
    return xstrdup(buf_cstr(&out));
}

static int run(struct pg *p, const char *sql, struct err *e)
{
    struct err why = ERR_INIT;
    if (pg_query(p, sql, NULL, NULL, &why) == 0)
        return 0;
    if (!*p->sqlstate)
        return err_set(e, why.kind, "roles for scratch: %s", why.text);
    log_debug("roles for scratch: %s: %s", sql, why.text);
    return 1;
}

/* 0: made; 1: it is there already, or may not be; -1: *e. */
static int make_role(struct pg *p, const char *name, bool superuser, bool bypass, struct err *e)
{
    AUTO_CHAR quoted = pg_quote_name(name);
    AUTO_CHAR sql =
        xasprintf("CREATE ROLE %s NOLOGIN NOREPLICATION %s %s; COMMENT ON ROLE %s IS '" MARK "'", quoted,
                  superuser ? "SUPERUSER" : "NOSUPERUSER", bypass ? "BYPASSRLS" : "", quoted);
    return run(p, sql, e);
}

/* Inside the folder of the cluster, when that is ours. Servers before 15 may not know how. */
static int make_tablespace(struct stubs *s, const char *name, struct err *e)
{
    AUTO_CHAR quoted = pg_quote_name(name);
    AUTO_CHAR sql = xasprintf("CREATE TABLESPACE %s LOCATION ''", quoted);
    int allowed = run(&s->p, "SET allow_in_place_tablespaces = on", e);
    int made = allowed < 0 ? -1 : run(&s->p, sql, e);
    if (made > 0 && strcmp(s->p.sqlstate, DUPLICATE_OBJECT) != 0)
        s->b->tablespaces = false;
    return made < 0 ? -1 : 0;
}

/* ---- from the globals ---- */
static bool has_word(const char *p, const char *end, const char *word)
{
    struct bytes t;
    while (pg_script_token(&p, end, &t))
        if (pg_script_is(t, word))
            return true;
    return false;
}

/* "ALTER ROLE name WITH NOSUPERUSER ... BYPASSRLS" comes after CREATE ROLE and has what is to be known. */
static int alter_role(struct stubs *s, const char *p, const char *end, struct err *e)
{
    struct bytes t;
    if (!pg_script_token(&p, end, &t))
        return 0;
    AUTO_CHAR name = name_of(t);
    if (!pg_script_token(&p, end, &t) || !pg_script_is(t, "WITH"))
        return 0;
    bool superuser = has_word(p, end, "SUPERUSER") && strings_has(&s->powerful, name);
    int rc = make_role(&s->p, name, superuser, has_word(p, end, "BYPASSRLS"), e);
    if (rc == 0)
        strings_add(&s->made, name);
    return rc < 0 ? -1 : 0;
}

/* "GRANT role TO member [WITH ...] [GRANTED BY grantor]": members that were there before keep what they had.
 * What is granted ON something of the server is not needed, and would keep the role from being dropped. */
static int grant(struct stubs *s, struct bytes statement, struct err *e)
{
    const char *start = (const char *)statement.p, *end = start + statement.n, *p = start;
    struct bytes t, member = BYTES(NULL, 0), last = BYTES(NULL, 0);
    while (pg_script_token(&p, end, &t)) {
        if (pg_script_is(t, "ON"))
            return 0;
        if (pg_script_is(t, "GRANTED"))
            end = (const char *)t.p;
        else if (pg_script_is(last, "TO") && !member.n)
            member = t;
        last = t;
    }
    if (!member.n)
        return 0;
    AUTO_CHAR name = name_of(member);
    AUTO_CHAR sql = xstrndup(start, (size_t)(end - start));
    return strings_has(&s->made, name) && run(&s->p, sql, e) < 0 ? -1 : 0;
}

static int use_statement(struct stubs *s, struct bytes statement, bool grants, struct err *e)
{
    const char *p = (const char *)statement.p, *end = p + statement.n;
    struct bytes first, second, third;
    if (!pg_script_token(&p, end, &first) || !pg_script_token(&p, end, &second))
        return 0;
    if (!grants && pg_script_is(first, "ALTER") && pg_script_is(second, "ROLE"))
        return alter_role(s, p, end, e);
    if (!grants && pg_script_is(first, "CREATE") && pg_script_is(second, "TABLESPACE") &&
        pg_script_token(&p, end, &third)) {
        AUTO_CHAR name = name_of(third);
        return s->b->d->server.is_private ? make_tablespace(s, name, e) : 0;
    }
    return grants && pg_script_is(first, "GRANT") ? grant(s, statement, e) : 0;
}

static int use_globals(struct stubs *s, struct err *e)
{
    for (int grants = 0; grants < 2; grants++) {
        struct pg_script script = pg_script_of(&s->b->d->globals);
        struct bytes statement;
        int more;
        while ((more = pg_script_next(&script, &statement, e)) > 0)
            if (use_statement(s, statement, grants, e))
                return -1;
        if (more < 0)
            return err_wrap(e, "the globals");
    }
    return 0;
}

/* ---- from the fingerprint ---- */
static int find_powerful(struct stubs *s, struct err *e)
{
    static const char *const types[] = {"EVENT TRIGGER", "FOREIGN DATA WRAPPER", "PUBLICATION"};
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (fingerprint_owners(buf_bytes(&s->b->stored), types[i], &s->powerful, e))
            return -1;
    return 0;
}

static int use_owners(struct stubs *s, struct err *e)
{
    AUTO(strings) owners = STRINGS_NONE;
    if (fingerprint_owners(buf_bytes(&s->b->stored), NULL, &owners, e))
        return -1;
    for (size_t i = 0; i < owners.n; i++)
        if (make_role(&s->p, owners.v[i], !s->b->d->has_globals && strings_has(&s->powerful, owners.v[i]),
                      false, e) < 0)
            return -1;
    return 0;
}

static int use_tablespaces(struct stubs *s, struct err *e)
{
    AUTO(strings) names = STRINGS_NONE;
    if (fingerprint_tablespaces(buf_bytes(&s->b->stored), &names, e))
        return -1;
    s->b->tablespaces &= names.n == 0 || s->b->d->server.is_private;
    for (size_t i = 0; i < names.n && s->b->tablespaces; i++)
        if (strncmp(names.v[i], "pg_", 3) != 0 && make_tablespace(s, names.v[i], e)) /* these are there */
            return -1;
    return 0;
}

/* ---- by trial ---- */
static bool make_missing(struct pg *p, const char *text)
{
    static const char start[] = "role \"", end[] = "\" does not exist";
    const char *from = strstr(text, start), *to = from ? strstr(from, end) : NULL;
    struct err ignored = ERR_INIT;
    if (!to)
        return false;
    from += strlen(start);
    AUTO_CHAR name = xstrndup(from, (size_t)(to - from));
    return make_role(p, name, false, false, &ignored) == 0;
}

/* Without globals: what scratch misses is found out by restores of the definitions alone. */
static int try_roles(struct stubs *s, struct err *e)
{
    bool found = !s->b->d->has_globals;
    for (unsigned trial = 0; found && trial < TRIALS; trial++) {
        AUTO(target_counts) counts = {0};
        AUTO(target_postgres_report) report = {0};
        found = false;
        if (pg_drill_restore(s->b, s->b->witness_name, true, &counts, &report, e) ||
            pg_database_drop(&s->p, s->b->witness_name, e))
            return -1;
        for (size_t i = 0; i < report.n; i++)
            found |= make_missing(&s->p, report.v[i].text);
    }
    return 0;
}

/* ---- where to make them ---- */
/* A fingerprint has texts of other encodings in base64. */
static bool all_is_ascii(const struct pg_drill_database *b)
{
    static const char other[] = "{\"b64\":";
    return bytes_are_ascii(buf_bytes(&b->d->globals)) && bytes_are_ascii(buf_bytes(&b->stored)) &&
           !(b->stored.n && memmem(b->stored.p, b->stored.n, other, strlen(other)));
}

/* Names of roles are bytes that each database reads in its own encoding: other bytes than ASCII are said
 * where none is checked, in a database of no encoding. */
static int make(struct stubs *s, struct err *e)
{
    struct pg_drill_database *b = s->b;
    char room[64];
    AUTO(pg) p = PG_NONE;
    struct err ignored = ERR_INIT;
    pg_side_name(room, "drill");
    AUTO_CHAR sql = xasprintf("CREATE DATABASE %s TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' "
                              "LC_CTYPE 'C'",
                              room);
    if (pg_drill_connect(b->d, &p, "template1", e))
        return -1;
    int made = all_is_ascii(b) ? 1 : run(&p, sql, e);
    int rc = made < 0 || pg_drill_connect(b->d, &s->p, made ? "template1" : room, e) || find_powerful(s, e) ||
             use_globals(s, e) || use_owners(s, e) || use_tablespaces(s, e) || try_roles(s, e);
    pg_free(&s->p);
    if (made == 0 && pg_database_drop(&p, room, rc ? &ignored : e))
        rc = -1;
    return rc ? -1 : 0;
}

int pg_roles_make(struct pg_drill_database *b, struct err *e)
{
    struct stubs s = {.b = b};
    b->tablespaces = true;
    int rc = make(&s, e);
    strings_free(&s.made);
    strings_free(&s.powerful);
    return rc ? -1 : 0;
}

void pg_roles_drop(const struct pg_drill *d)
{
    AUTO(pg) p = PG_NONE;
    AUTO_RESULT r = NULL;
    struct err ignored = ERR_INIT;
    if (d->server.is_private || pg_drill_connect(d, &p, "template1", &ignored))
        return;
    p.ignores_stop = true;
    if (pg_query(&p,
                 "SELECT rolname FROM pg_catalog.pg_roles"
                 " WHERE pg_catalog.shobj_description(oid, 'pg_authid') = '" MARK "'",
                 NULL, &r, &ignored))
        return;
    for (int i = 0; i < PQntuples(r); i++) {
        AUTO_CHAR quoted = pg_quote_name(pg_value(r, i, 0));
        AUTO_CHAR sql = xasprintf("DROP ROLE %s", quoted);
        (void)run(&p, sql, &ignored);
    }
}
