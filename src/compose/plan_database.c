/* Sources of databases. Passwords stay where they are: in the container's own environment, which the commands
 * read inside of it. Only one that stands in a command line alone goes into a file of its own. */
#include "plan.h"

#include <stdlib.h>
#include <string.h>

/* The first of the names, NULL-ended, that the container gets, itself or with "_FILE" behind it: as a word
 * for a shell in the container. "": none. Caller frees. */
static char *inner_value(const struct compose_service *s, const char *const *names)
{
    for (; *names; names++) {
        AUTO_CHAR file = xasprintf("%s_FILE", *names);
        if (service_variable(s, file))
            return xasprintf("\"$(cat \"$%s\")\"", file);
        if (service_variable(s, *names))
            return xasprintf("\"$%s\"", *names);
    }
    return xstrdup("");
}

/* Begins a section; what belongs to a profile that is not in use stands there as a comment. */
static void begin(struct planning *p, const struct compose_service *s, const char *type, struct buf *body)
{
    const char *name = plan_source(p, s->name, type, s->enabled);
    struct buf *out = &p->out->text;
    buf_add_fmt(out, "# Service %s, %s%s.\n", s->name, *s->image ? "image " : "an image of the project's own",
                s->image);
    if (!s->enabled)
        buf_add_fmt(
            out,
            "# It starts with the profile %s only. If that is in use here, take the \"#\" away (or set\n"
            "# COMPOSE_PROFILES and make this file again).\n",
            s->profiles.v[0]);
    buf_add_fmt(body, "[source %s]\ntype = %s\n", name, type);
}

static void end(struct planning *p, const struct compose_service *s, struct buf *body)
{
    struct buf *out = &p->out->text;
    const char *line = buf_cstr(body);
    while (*line) {
        size_t n = strcspn(line, "\n");
        buf_add_fmt(out, "%s%.*s\n", s->enabled || *line == '#' ? "" : "#", (int)n, line);
        line += n + (line[n] == '\n');
    }
    buf_add_str(out, "\n");
}

/* " OPTION PORT" when the server is started with --port PORT, else "". Caller frees. */
static char *port_option(const struct compose_service *s, const char *option)
{
    const char *const words[] = {s->command, s->entrypoint};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        const char *at = strstr(words[i], "--port");
        const char *port = at ? at + 6 + strspn(at + 6, " =") : "";
        size_t n = strspn(port, "0123456789");
        if (n && n < 6)
            return xasprintf(" %s %.*s", option, (int)n, port);
    }
    return xstrdup("");
}

static void plan_postgres(struct planning *p, const struct compose_service *s)
{
    AUTO(buf) body = BUF_NONE;
    begin(p, s, "postgres", &body);
    buf_add_str(
        &body,
        "# Address, user, database and password are asked of the running container each time (as `docker\n"
        "# inspect` shows them), so none of them stands here.\n");
    if (s->container)
        buf_add_fmt(&body, "container = %s\n", s->container);
    else
        buf_add_fmt(&body, "compose-service = %s/%s\n", p->c->project, s->name);
    buf_add_str(&body, "# Every database of the server, not only the one that the container was made with:\n"
                       "#database = all\n");
    end(p, s, &body);
}

/* ---- MySQL, MariaDB ---- */
static void plan_mysql(struct planning *p, const struct compose_service *s, bool maria)
{
    static const char *const root[] = {"MARIADB_ROOT_PASSWORD", "MYSQL_ROOT_PASSWORD", NULL};
    static const char *const user[] = {"MARIADB_USER", "MYSQL_USER", NULL};
    static const char *const password[] = {"MARIADB_PASSWORD", "MYSQL_PASSWORD", NULL};
    static const char *const database[] = {"MARIADB_DATABASE", "MYSQL_DATABASE", NULL};
    const char *dump = maria ? "$(command -v mariadb-dump || command -v mysqldump)" : "mysqldump";
    const char *client = maria ? "$(command -v mariadb || command -v mysql)" : "mysql";
    AUTO_CHAR container = container_name(p->c, s);
    AUTO_CHAR root_word = inner_value(s, root);
    AUTO_CHAR user_word = inner_value(s, user);
    AUTO_CHAR password_word = inner_value(s, password);
    AUTO_CHAR database_word = inner_value(s, database);
    bool as_user = !*root_word && *user_word && *database_word;
    const char *secret = as_user ? password_word : root_word;
    AUTO_CHAR who = as_user ? xasprintf("-u%s", user_word) : xstrdup("-uroot");
    AUTO_CHAR with = *secret ? xasprintf("MYSQL_PWD=%s ", secret) : xstrdup("");
    AUTO(buf) body = BUF_NONE;
    begin(p, s, "command", &body);
    buf_add_str(&body, "# The password is the container's own variable, read inside of it.\n");
    buf_add_fmt(
        &body,
        "command = docker exec -i %s sh -c '%s%s %s --single-transaction --quick --routines --triggers "
        "--events --no-tablespaces %s'\n",
        container, with, dump, who, as_user ? database_word : "--all-databases");
    buf_add_fmt(&body,
                "# Writes into the running server and replaces what is there, so drills do not try it.\n"
                "restore-command = docker exec -i %s sh -c '%s%s %s%s%s'\n",
                container, with, client, who, as_user ? " " : "", as_user ? database_word : "");
    end(p, s, &body);
}

/* ---- MongoDB ---- */
static void plan_mongo(struct planning *p, const struct compose_service *s)
{
    static const char *const user[] = {"MONGO_INITDB_ROOT_USERNAME", "MONGODB_ROOT_USER", NULL};
    static const char *const password[] = {"MONGO_INITDB_ROOT_PASSWORD", "MONGODB_ROOT_PASSWORD", NULL};
    AUTO_CHAR container = container_name(p->c, s);
    AUTO_CHAR user_word = inner_value(s, user);
    AUTO_CHAR password_word = inner_value(s, password);
    AUTO_CHAR access = *password_word ? xasprintf(" --authenticationDatabase admin --username %s "
                                                  "--config <(printf \"password: |-\\n  %%s\\n\" %s)",
                                                  *user_word ? user_word : "root", password_word)
                                      : xstrdup("");
    AUTO_CHAR port = port_option(s, "--port");
    AUTO(buf) body = BUF_NONE;
    begin(p, s, "command", &body);
    if (*access)
        buf_add_str(&body,
                    "# The password is the container's own variable, and reaches mongodump as a file.\n");
    buf_add_fmt(&body,
                "command = docker exec -i %s bash -c 'mongodump --quiet --archive%s%s'\n"
                "# Writes into the running server and replaces what is there, so drills do not try it.\n"
                "restore-command = docker exec -i %s bash -c 'mongorestore --quiet --archive --drop%s%s'\n",
                container, port, access, container, port, access);
    end(p, s, &body);
}

/* ---- Redis ---- */
/* The word behind "--requirepass", without quotes; "": none. Caller frees. */
static char *required_password(const char *command)
{
    static const char option[] = "requirepass";
    const char *at = strstr(command, option);
    if (!at)
        return xstrdup("");
    at += sizeof option - 1;
    at += strspn(at, " =");
    if (*at == '"' || *at == '\'')
        return xstrndup(at + 1, strcspn(at + 1, (char[]){*at, 0}));
    return xstrndup(at, strcspn(at, " \"'"));
}

static bool is_plain_name(const char *s)
{
    return *s && s[strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")] == 0;
}

/* How the password reaches redis-cli: inside (a word for the container's shell), or a file on this host. */
struct redis_access {
    char *inside;
    const char *file;
};

static struct redis_access redis_access(struct planning *p, const struct compose_service *s)
{
    static const char *const bitnami[] = {"REDIS_PASSWORD", "VALKEY_PASSWORD", NULL};
    struct redis_access a = {.inside = xstrdup("")};
    AUTO_CHAR password = required_password(s->command);
    const char *name = password + (*password == '$') + (password[0] == '$' && password[1] == '{');
    AUTO_CHAR bare = xstrndup(name, strcspn(name, "}"));
    const char *secret = strstr(s->command, "/run/secrets/");
    AUTO_CHAR secret_name = secret ? xstrndup(secret + 13, strcspn(secret + 13, " \"')")) : xstrdup("");
    char *inside = NULL;
    if (*password == '$' && is_plain_name(bare))
        inside = xasprintf("\"$%s\"", bare);
    else if (*password && is_plain_name(secret_name))
        inside = xasprintf("\"$(cat /run/secrets/%s)\"", secret_name);
    else if (!*password && strstr(s->image, "bitnami"))
        inside = inner_value(s, bitnami);
    for (size_t i = 0; i < s->variable_count && *password && !inside; i++)
        if (s->variables[i].value && strcmp(s->variables[i].value, password) == 0 &&
            is_plain_name(s->variables[i].name))
            inside = xasprintf("\"$%s\"", s->variables[i].name);
    if (inside) {
        free(a.inside);
        a.inside = inside;
    } else if (*password) {
        a.file = plan_secret(p, s->name, password);
    }
    return a;
}

static void plan_redis(struct planning *p, const struct compose_service *s)
{
    bool keeps = false;
    for (size_t i = 0; i < s->mount_count; i++)
        keeps |= mount_is_data(s, SERVICE_REDIS, &s->mounts[i]) && s->mounts[i].kind != MOUNT_ANONYMOUS;
    if (!keeps) {
        AUTO_CHAR what = xasprintf("service %s (%s)", s->name, s->image);
        plan_left_out(p, what, "it has no volume, so it forgets everything with its container: a cache");
        return;
    }
    AUTO_CHAR container = container_name(p->c, s);
    struct redis_access a = redis_access(p, s);
    AUTO_CHAR inside = a.inside;
    AUTO_CHAR port = port_option(s, "-p");
    AUTO(buf) body = BUF_NONE;
    begin(p, s, "command", &body);
    if (a.file) {
        buf_add_fmt(
            &body,
            "# Its password stands in the command line of the service alone, so it was put into a file.\n"
            "command = REDISCLI_AUTH=\"$(cat ");
        add_shell_word(&body, a.file);
        buf_add_fmt(&body, ")\" docker exec -i -e REDISCLI_AUTH %s redis-cli%s --rdb -\n", container, port);
    } else if (*inside) {
        buf_add_fmt(&body,
                    "# The password is the container's own, read inside of it.\n"
                    "command = docker exec -i %s sh -c 'REDISCLI_AUTH=%s redis-cli%s --rdb -'\n",
                    container, inside, port);
    } else {
        buf_add_fmt(&body, "command = docker exec -i %s redis-cli%s --rdb -\n", container, port);
    }
    buf_add_str(
        &body,
        "# To bring it back: stop the container, empty its data volume, put dump.rdb there, start it. A server\n"
        "# with \"appendonly yes\" does not read dump.rdb, begins empty and writes over it: start it with\n"
        "# \"appendonly no\" this once, and say redis-cli CONFIG SET appendonly yes.\n"
        "restore-command = cat > \"$LIFEBOAT_TARGET\"/dump.rdb\n");
    end(p, s, &body);
}

void plan_database(struct planning *p, const struct compose_service *s, enum service_kind kind)
{
    switch (kind) {
    case SERVICE_POSTGRES:
        plan_postgres(p, s);
        break;
    case SERVICE_MYSQL:
    case SERVICE_MARIADB:
        plan_mysql(p, s, kind == SERVICE_MARIADB);
        break;
    case SERVICE_MONGO:
        plan_mongo(p, s);
        break;
    case SERVICE_REDIS:
        plan_redis(p, s);
        break;
    case SERVICE_SEARCH:
        plan_search(p, s);
        break;
    case SERVICE_OTHER:
    case SERVICE_WRITER:
        break;
    }
}
