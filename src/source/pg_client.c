#include "source/pg_client.h"

#include "base/log.h"
#include "config/config.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CONNECT_TIMEOUT_S "15"
#define PATIENCE_S        120
#define LAST_PATIENCE_S   5 /* with what is to be given up */
#define POLL_MS           250
#define RESULTS_MOST      100000 /* of one query */

/* ---- connecting ---- */

#define BLOCKED "somebody has held a lock for more than 60 s: look into pg_stat_activity and pg_locks"

/* What goes wrong most often, in the words of libpq and the server, and what helps. The first that matches.
 */
static const struct {
    const char *sign, *advice;
} advices[] = {
    {"No such file or directory", "nothing listens on that socket: is the server running (systemctl status "
                                  "postgresql), and is host= the folder of its socket (ls -a "
                                  "/run/postgresql)?"},
    {"Connection refused", "nothing listens there: is the server running (systemctl status postgresql), and "
                           "are host and port right?"},
    {"Permission denied", "this user may not use that socket"},
    {"no password supplied",
     "put one into the passfile (~/.pgpass, mode 0600), PGPASSWORD or a service file"},
    {"password authentication failed",
     "check the password in the passfile (~/.pgpass, mode 0600), PGPASSWORD or the service file"},
    {"Peer authentication failed", "the server trusts only the system user of that name: connect as another "
                                   "role, or map this user in pg_ident.conf"},
    {"no pg_hba.conf entry", "the server has to allow this in pg_hba.conf"},
    {"timeout expired", "the server does not answer: is it stopped, overloaded, or behind a firewall?"},
    {"could not translate host name", "is the host name right, and does DNS work?"},
    {"permission denied to create database",
     "make the empty database first (createdb), or give this role CREATEDB, or name another role with user="},
    {"permission denied for database", "GRANT CONNECT ON DATABASE to this role"},
    {"permission denied for",
     "this role lacks a right; one that backs up needs pg_read_all_data and SELECT on each "
     "large object"},
    {"row-level security", "a role that backs up needs BYPASSRLS"},
    {"lock timeout", BLOCKED},
    {"statement timeout", BLOCKED}, /* so pg_dump waits for locks; it has no other */
    {"unsupported startup parameter", "this is a pooler: connect to the server itself"},
    {"connection slots are reserved", "max_connections is used up: look into pg_stat_activity"},
    {"too many clients", "max_connections is used up: look into pg_stat_activity"},
    {"already exists", NULL},
    {"invalid locale name", "the server's machine does not have that locale: dpkg-reconfigure locales, then "
                            "restart the server"},
    {"role \"", "create the role, or connect as another (user=)"},
    {"database \"", "`psql -l` lists the databases there are"},
};

const char *pg_advice(const char *message)
{
    for (size_t i = 0; i < ARRAY_LEN(advices); i++)
        if (strstr(message, advices[i].sign))
            return advices[i].advice;
    return NULL;
}

/* A message of libpq in one line, safe to show, without the hints that libpq indents. Caller frees. */
static char *one_line(const char *message)
{
    AUTO(buf) line = BUF_NONE;
    const char *hint = strstr(message, "\n\tIs the server");
    for (const char *c = message; *c && c != hint; c++) {
        if (*c != '\n' && *c != '\t')
            buf_add_u8(&line, (uint8_t)*c);
        else if (c[1] && c[1] != '\n' && line.n && line.p[line.n - 1] != ' ')
            buf_add_u8(&line, ' ');
    }
    return text_printable(buf_cstr(&line), line.n);
}

static void hear_notice(void *ctx, const char *message)
{
    (void)ctx;
    AUTO_CHAR line = one_line(message);
    log_debug("PostgreSQL: %s", line);
}

struct settings {
    const char *keyword[64], *value[64]; /* libpq 15 knows 45 */
    size_t n;
};

static void set(struct settings *s, const char *keyword, const char *value)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->keyword[i], keyword) == 0) {
            s->value[i] = value;
            return;
        }
    if (s->n + 1 < ARRAY_LEN(s->keyword)) {
        s->keyword[s->n] = keyword;
        s->value[s->n++] = value;
    }
}

/* A server that is gone without a word (power cut, dropped firewall state) is noticed within two minutes. */
static const char *const defaults[][2] = {{"connect_timeout", CONNECT_TIMEOUT_S},
                                          {"keepalives_idle", "60"},
                                          {"keepalives_interval", "15"},
                                          {"keepalives_count", "4"},
                                          {"fallback_application_name", "lifeboat"}};

PQconninfoOption *pg_connection_read(const char *connection, struct err *e)
{
    char *why = NULL;
    PQconninfoOption *o = PQconninfoParse(connection ? connection : "", &why);
    if (!o) {
        if (!why || strcmp(why, LIBPQ_OUT_OF_MEMORY) == 0)
            die(OUT_OF_MEMORY);
        AUTO_CHAR line = one_line(why);
        err_set(e, ERR_USAGE, "the connection is neither a libpq string nor a URI: %s", line);
        PQfreemem(why);
    }
    return o;
}

char *pg_connection_setting(const char *connection, const char *keyword, struct err *e)
{
    char *value = NULL;
    PQconninfoOption *all = pg_connection_read(connection, e);
    for (PQconninfoOption *o = all; o && o->keyword; o++)
        if (strcmp(o->keyword, keyword) == 0 && o->val && *o->val)
            value = xstrdup(o->val);
    PQconninfoFree(all);
    return value;
}

/* As PQconnectdbParams(), and what a server says while it is connected to goes to our log, too: libpq prints
 * it as it comes. A connection has a notice processor from its start on; PQreset() starts it anew and keeps
 * that, and the time limit for each of several hosts, which PQconnectPoll() would not. */
static PGconn *connect_quietly(const struct settings *s)
{
    PGconn *c = PQconnectStartParams(s->keyword, s->value, 0);
    if (!c)
        die(OUT_OF_MEMORY);
    PQsetNoticeProcessor(c, hear_notice, NULL);
    if (PQstatus(c) != CONNECTION_BAD)
        PQreset(c);
    return c;
}

/* Unlike PQsetClientEncoding(), this does not wait without end. */
static int set_encoding(struct pg *p, const char *name, struct err *e)
{
    const char *const params[] = {name, NULL};
    AUTO_CHAR shown = text_printable(name, strnlen(name, 60));
    return pg_query(p, "SELECT pg_catalog.set_config('client_encoding', $1, false)", params, NULL, e)
               ? err_wrap(e, "client encoding %s", shown)
               : 0;
}

int pg_connect(struct pg *p, const char *connection, const char *database, struct err *e)
{
    *p = (struct pg){.patience_s = PATIENCE_S};
    PQconninfoOption *given = pg_connection_read(connection, e);
    if (!given)
        return -1;
    struct settings s = {.n = 0};
    for (size_t i = 0; i < ARRAY_LEN(defaults); i++)
        if (i > 0 || !getenv("PGCONNECT_TIMEOUT"))
            set(&s, defaults[i][0], defaults[i][1]);
    for (PQconninfoOption *o = given; o->keyword; o++)
        if (o->val)
            set(&s, o->keyword, o->val);
    if (database)
        set(&s, "dbname", database);
    s.keyword[s.n] = s.value[s.n] = NULL;
    p->conn = connect_quietly(&s);
    PQconninfoFree(given);
    if (PQstatus(p->conn) != CONNECTION_OK) {
        if (stop_check(e)) /* libpq waited on, up to its time-out */
            return -1;
        AUTO_CHAR line = one_line(PQerrorMessage(p->conn));
        const char *advice = pg_advice(line);
        return err_set(e, ERR_NET, "%s%s%s", line, advice ? "; " : "", advice ? advice : "");
    }
    p->version = PQserverVersion(p->conn);
    const char *encoding = PQparameterStatus(p->conn, "server_encoding");
    return encoding ? set_encoding(p, encoding, e) : 0;
}

void pg_free(struct pg *p)
{
    PQfinish(p->conn);
    *p = (struct pg)PG_NONE;
}

/* ---- queries ---- */

static int wait_result(struct pg *p, struct err *e)
{
    uint64_t start = time_monotonic_ns();
    while (PQisBusy(p->conn)) {
        struct pollfd socket = {.fd = PQsocket(p->conn), .events = POLLIN};
        if (poll(&socket, 1, POLL_MS) > 0 && !PQconsumeInput(p->conn))
            return 0; /* PQgetResult() says what it was */
        if (!p->ignores_stop && stop_check(e))
            return -1;
        if (p->patience_s && time_monotonic_ns() - start > p->patience_s * 1000000000ull)
            return err_set(e, ERR_NET, "the server has not answered for %u s", p->patience_s);
    }
    return 0;
}

/* Rows are to be moved, and libpq says the same again and again until that was done. */
static bool is_copy(ExecStatusType status)
{
    return status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
}

static void *cancel(void *c)
{
    char why[256];
    PQcancel(c, why, sizeof why);
    PQfreeCancel(c);
    return NULL;
}

/* PQcancel() waits for a server's answer without end, and who hangs as a whole gives none: it is waited for
 * in a thread, which is left to itself then. */
static void cancel_query(PGconn *conn)
{
    pthread_t thread;
    struct timespec end;
    PGcancel *c = PQgetCancel(conn);
    if (!c || pthread_create(&thread, NULL, cancel, c) != 0) {
        PQfreeCancel(c);
        return;
    }
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += LAST_PATIENCE_S;
    if (pthread_timedjoin_np(thread, NULL, &end) != 0)
        pthread_detach(thread);
}

/* Leaves the connection usable when the server still answers; otherwise only pg_free() is left to do. */
static void give_up(struct pg *p)
{
    struct err ignored = ERR_INIT;
    struct pg last = {.conn = p->conn, .patience_s = LAST_PATIENCE_S, .ignores_stop = true};
    uint64_t end = time_monotonic_ns() + LAST_PATIENCE_S * 1000000000ull;
    cancel_query(p->conn);
    while (time_monotonic_ns() < end && wait_result(&last, &ignored) == 0) {
        PGresult *r = PQgetResult(p->conn);
        bool more = r && !is_copy(PQresultStatus(r));
        PQclear(r);
        if (!more)
            return;
    }
}

static int query_error(struct pg *p, const PGresult *r, struct err *e)
{
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    const char *primary = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(r, PG_DIAG_MESSAGE_DETAIL);
    AUTO_CHAR line = one_line(primary ? primary : PQerrorMessage(p->conn));
    AUTO_CHAR more = one_line(detail ? detail : "");
    snprintf(p->sqlstate, sizeof p->sqlstate, "%s", state ? state : "");
    return err_set(e, PQstatus(p->conn) == CONNECTION_BAD ? ERR_NET : ERR_FAILED, "%s%s%s%s", line,
                   *more ? " (" : "", more, *more ? ")" : "");
}

int pg_query(struct pg *p, const char *sql, const char *const *params, PGresult **out, struct err *e)
{
    int n = 0, sent;
    while (params && params[n])
        n++;
    p->sqlstate[0] = 0;
    if (out)
        *out = NULL;
    sent = n ? PQsendQueryParams(p->conn, sql, n, NULL, params, NULL, NULL, 0) : PQsendQuery(p->conn, sql);
    if (!sent) {
        AUTO_CHAR line = one_line(PQerrorMessage(p->conn));
        return err_set(e, ERR_NET, "%s", line);
    }
    int rc = 0;
    for (unsigned results = 0;; results++) {
        if (results > RESULTS_MOST || wait_result(p, e)) {
            give_up(p);
            rc = results > RESULTS_MOST ? err_set(e, ERR_NET, "the server's answer does not end") : -1;
            break;
        }
        PGresult *r = PQgetResult(p->conn);
        if (!r)
            break;
        ExecStatusType status = PQresultStatus(r);
        if (is_copy(status)) {
            PQclear(r);
            rc = err_set(e, ERR_FAILED, "COPY from or to this program is not for here");
            break;
        }
        if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY && rc == 0)
            rc = query_error(p, r, e);
        if (out && status == PGRES_TUPLES_OK && rc == 0) {
            PQclear(*out);
            *out = r;
        } else {
            PQclear(r);
        }
    }
    if (out && rc) {
        PQclear(*out);
        *out = NULL;
    }
    return rc;
}

const char *pg_value(const PGresult *r, int row, int column)
{
    const char *value = PQgetvalue(r, row, column);
    return value ? value : "";
}

char *pg_query_text(struct pg *p, const char *sql, const char *const *params, struct err *e)
{
    AUTO_RESULT r = NULL;
    if (pg_query(p, sql, params, &r, e))
        return NULL;
    if (!r || PQntuples(r) < 1) {
        err_set(e, ERR_FAILED, "no answer to: %s", sql);
        return NULL;
    }
    return xstrdup(pg_value(r, 0, 0));
}

char *pg_system_identifier(struct pg *p)
{
    struct err ignored = ERR_INIT;
    return pg_query_text(p, "SELECT system_identifier FROM pg_catalog.pg_control_system()", NULL, &ignored);
}

char *pg_quote_name(const char *name)
{
    AUTO(buf) out = BUF_NONE;
    buf_add_u8(&out, '"');
    for (; *name; name++) {
        if (*name == '"')
            buf_add_u8(&out, '"');
        buf_add_u8(&out, (uint8_t)*name);
    }
    buf_add_u8(&out, '"');
    return xstrdup(buf_cstr(&out));
}

/* Of those there are in the server's version. */
int pg_without_limits(struct pg *p, struct err *e)
{
    return pg_query(
        p,
        "SELECT pg_catalog.set_config(name, CASE vartype WHEN 'bool' THEN 'off' ELSE '0' END, false)"
        "  FROM pg_catalog.pg_settings WHERE name IN ('statement_timeout', 'lock_timeout',"
        "       'idle_in_transaction_session_timeout', 'idle_session_timeout',"
        "       'transaction_timeout', 'default_transaction_read_only')",
        NULL, NULL, e);
}
