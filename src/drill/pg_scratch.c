#include "drill/pg_scratch.h"

#include "base/log.h"
#include "drill/cluster.h"
#include "source/engine.h"
#include "source/pg_client.h"
#include "target/pg_target.h"

#include <stdlib.h>
#include <string.h>

/* One of these. */
struct hold {
    struct pg_cluster *cluster;
    struct pg session; /* of a server set aside; holds the lock that says a drill lives */
};

/* The number of an advisory lock: "lbdrill" in ASCII. */
#define LIVING_DRILLS "30507481040514156"
/* How a drill names its databases there. */
#define DRILL_DATABASES "'^lifeboat_drill_[0-9a-f]{8,32}$'"

static void compare_versions(struct pg_scratch *p, int version, const struct pg_scratch_options *o)
{
    int major = pg_major(version), minor = version % 10000;
    if (major != o->major)
        strings_add_fmt(&p->notes, "the scratch server is PostgreSQL %d, the dump is of %d", major, o->major);
    else if (minor < o->minor)
        strings_add_fmt(&p->notes,
                        "the scratch server is PostgreSQL %d.%d, older than the %d.%d that was dumped: what "
                        "fails there may be for that alone; upgrade postgresql-%d",
                        major, minor, major, o->minor, major);
}

/* ---- private ---- */
static bool runs_in_container(const struct config_source *s)
{
    return s && (s->container || s->compose_service);
}

/* Its own image has what this machine lacks. */
static int choose_image(const struct pg_scratch_options *o, struct pg_container *out, struct err *e)
{
    bool wanted = strcmp(o->scratch, "image") == 0;
    struct err why = ERR_INIT;
    if (wanted && !runs_in_container(o->source))
        return err_set(e, ERR_UNPROVEN,
                       "[drill] scratch = image is for sources in containers (container, compose-service): "
                       "with auto the others are restored into a server of this machine");
    if (!wanted &&
        (strcmp(o->scratch, "auto") != 0 || !runs_in_container(o->source) || pg_cluster_has_server(o->major)))
        return 0;
    if (engine_container(o->source, out, &why) == 0)
        return 0;
    if (wanted)
        return err_set(e, ERR_UNPROVEN, "a scratch server of the source's own image: %s", why.text);
    return err_set(
        e, ERR_UNPROVEN,
        "this machine has no server of PostgreSQL %d to restore the dump into (postgresql-%d), and "
        "the image of the source's container cannot be had: %s",
        o->major, o->major, why.text);
}

static int start_cluster(struct pg_scratch *p, const struct scratch *s, const struct pg_scratch_options *o,
                         struct err *e)
{
    struct hold *h = p->cluster;
    AUTO(pg_container) container = {0};
    if (choose_image(o, &container, e))
        return -1;
    const struct pg_cluster_options c = {.container = container.id ? &container : NULL,
                                         .scratch = scratch_path(s),
                                         .major = o->major,
                                         .encoding = o->encoding,
                                         .locale = o->locale,
                                         .no_namespaces = o->no_namespaces};
    h->cluster = pg_cluster_new(&c, e);
    if (!h->cluster)
        return -1;
    p->connection = xstrdup(pg_cluster_connection(h->cluster));
    p->is_private = true;
    p->is_caged = pg_cluster_is_caged(h->cluster);
    pg_cluster_notes(h->cluster, &p->notes);
    p->container = pg_cluster_container(h->cluster);
    compare_versions(p, pg_cluster_version(h->cluster), o);
    if (pg_major(pg_cluster_version(h->cluster)) < o->major)
        return err_set(e, ERR_UNPROVEN, "the image of %s has PostgreSQL %d now, too old for a dump of %d",
                       container.name, pg_major(pg_cluster_version(h->cluster)), o->major);
    return 0;
}

/* ---- a server set aside ---- */
static char *without_database(const char *connection, struct err *e)
{
    AUTO(buf) out = BUF_NONE;
    PQconninfoOption *all = pg_connection_read(connection, e);
    if (!all)
        return NULL;
    for (const PQconninfoOption *o = all; o->keyword; o++)
        if (o->val && strcmp(o->keyword, "dbname") != 0)
            pg_conninfo_add(&out, o->keyword, o->val);
    PQconninfoFree(all);
    return xstrdup(buf_cstr(&out));
}

static int check_server(struct pg *server, const struct pg_scratch_options *o, struct err *e)
{
    AUTO_CHAR super = pg_query_text(
        server, "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user", NULL, e);
    if (!super)
        return -1;
    if (strcmp(super, "t") != 0)
        return err_set(e, ERR_UNPROVEN,
                       "role %s is no superuser there, and restoring everything takes one: ALTER ROLE ... "
                       "SUPERUSER, or connect as another (user=)",
                       PQuser(server->conn));
    AUTO_CHAR id =
        pg_query_text(server, "SELECT system_identifier FROM pg_catalog.pg_control_system()", NULL, e);
    if (!id)
        return -1;
    if (o->server_ids && strings_has(o->server_ids, id))
        return err_set(e, ERR_USAGE,
                       "this is the server of a source (system identifier %s): a drill needs one that holds "
                       "nothing of value",
                       id);
    if (pg_major(server->version) < o->major)
        return err_set(e, ERR_UNPROVEN,
                       "the server is PostgreSQL %d, too old for a dump of %d: drill with one of %d or newer",
                       pg_major(server->version), o->major, o->major);
    return 0;
}

static void drop_database(struct pg *server, const char *name)
{
    struct err e = ERR_INIT;
    if (pg_database_drop(server, name, &e))
        log_warn("left over from a drill: %s", e.text);
    else
        log_info("dropped database %s, left over from a drill", name);
}

/* A drill shares a lock of this server as long as it lives. Whoever gets it alone knows that all others are
 * dead, and keeps new ones waiting until the dead ones' databases are gone. */
static int join_drills(struct pg *server, struct err *e)
{
    AUTO_CHAR alone =
        pg_query_text(server, "SELECT pg_catalog.pg_try_advisory_lock(" LIVING_DRILLS ")", NULL, e);
    if (!alone)
        return -1;
    if (strcmp(alone, "t") == 0) {
        AUTO_RESULT dead = NULL;
        if (pg_query(server,
                     "SELECT datname FROM pg_catalog.pg_database d WHERE datname ~ " DRILL_DATABASES
                     " AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid)",
                     NULL, &dead, e))
            return -1;
        for (int i = 0; i < PQntuples(dead); i++)
            drop_database(server, pg_value(dead, i, 0));
    }
    return pg_query(server,
                    strcmp(alone, "t") == 0 ? "SELECT pg_catalog.pg_advisory_lock_shared(" LIVING_DRILLS "),"
                                              "       pg_catalog.pg_advisory_unlock(" LIVING_DRILLS ")"
                                            : "SELECT pg_catalog.pg_advisory_lock_shared(" LIVING_DRILLS ")",
                    NULL, NULL, e);
}

static int use_server(struct pg_scratch *p, const struct pg_scratch_options *o, struct err *e)
{
    struct hold *h = p->cluster;
    AUTO_CHAR database = pg_connection_setting(o->scratch, "dbname", e);
    p->connection = without_database(o->scratch, e);
    if (!p->connection || pg_connect(&h->session, p->connection, database ? database : "postgres", e) ||
        pg_without_limits(&h->session, e) || check_server(&h->session, o, e) || join_drills(&h->session, e))
        return err_wrap(e, "[drill] scratch");
    strings_add(&p->notes, "restored into a database of a server set aside, not into a server of its own");
    compare_versions(p, h->session.version, o);
    return 0;
}

int pg_scratch_start(struct pg_scratch *p, struct scratch *s, const struct pg_scratch_options *o,
                     struct err *e)
{
    bool is_private = config_is_private(o->scratch);
    *p = (struct pg_scratch){.cluster = xcalloc(1, sizeof(struct hold))};
    int rc = is_private ? start_cluster(p, s, o, e) : use_server(p, o, e);
    if (rc)
        pg_scratch_free(p);
    return rc;
}

void pg_scratch_free(struct pg_scratch *p)
{
    struct hold *h = p->cluster;
    if (h) {
        pg_cluster_free(h->cluster);
        pg_free(&h->session);
    }
    free(h);
    free(p->connection);
    strings_free(&p->notes);
    *p = (struct pg_scratch){0};
}
