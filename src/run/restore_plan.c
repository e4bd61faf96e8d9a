/* What goes where: decided, and every contradiction said, before anything is written. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_connection(const char *to)
{
    return strncmp(to, "postgres://", 11) == 0 || strncmp(to, "postgresql://", 13) == 0 ||
           (strchr(to, '=') && to[0] != '/' && to[0] != '.');
}

static int check_form(const struct snapshot_source *s, const char *to, struct err *e)
{
    bool database = strcmp(s->type, "postgres") == 0;
    if (strcmp(to, "-") == 0 || database == is_connection(to))
        return 0;
    if (database)
        return err_set(e, ERR_USAGE,
                       "%s is a database: --to takes a libpq string that names the database to make, such as "
                       "'host=/run/postgresql dbname=%s', or a URI, or - for standard output",
                       s->name, s->name);
    return err_set(e, ERR_USAGE, "%s is a %s: --to takes a folder, or - for standard output", s->name,
                   s->type);
}

/* Options that do not fit what is restored are errors, not passed over. */
static int check_options(const struct restore_item *i, const struct run_restore_options *o, struct err *e)
{
    const struct {
        bool given;
        const char *name;
        unsigned kinds;
    } options[] = {
        {o->paths->n != 0, "--path", 1u << RESTORE_FOLDER},
        {o->tables->n != 0, "--table", 1u << RESTORE_DATABASE},
        {o->overwrite, "--overwrite", 1u << RESTORE_FOLDER | 1u << RESTORE_COMMAND},
        {o->clean, "--clean", 1u << RESTORE_DATABASE},
        {o->globals, "--globals", 1u << RESTORE_DATABASE},
        {o->jobs != 0, "--jobs", 1u << RESTORE_DATABASE},
    };
    for (size_t k = 0; k < ARRAY_LEN(options); k++)
        if (options[k].given && !(options[k].kinds & 1u << i->kind))
            return err_set(e, ERR_USAGE, "%s means nothing for %s, a %s%s", options[k].name, i->source->name,
                           i->source->type, i->kind == RESTORE_FD ? " that goes to standard output" : "");
    if (o->globals && !snapshot_find_stream(i->source, "globals"))
        return err_set(e, ERR_USAGE, "--globals: %s was backed up without its roles", i->source->name);
    return 0;
}

static int set_kind(struct restore_item *i, const struct run_restore_options *o, struct err *e)
{
    if (strcmp(o->to, "-") == 0) {
        i->kind = RESTORE_FD;
        return 0;
    }
    if (strcmp(i->source->type, "postgres") == 0) {
        i->kind = RESTORE_DATABASE;
        return 0;
    }
    if (strcmp(i->source->type, "volume") == 0) {
        i->kind = RESTORE_FOLDER;
        return strcmp(i->stream->name, "data") == 0
                   ? 0
                   : err_set(e, ERR_USAGE, "%s/%s: is not a tree of files: `lifeboat cat` prints it",
                             i->source->name, i->stream->name);
    }
    i->kind = RESTORE_COMMAND;
    i->config = o->config ? config_find_source(o->config, i->source->name) : NULL;
    if (i->config && i->config->restore_command)
        return 0;
    return err_set(
        e, ERR_USAGE,
        "%s: a command's output is restored by its restore-command, and the configuration has none for "
        "it: restore it with --to - into a program or a file",
        i->source->name);
}

static int add_item(const struct snapshot *s, const char *word, const struct run_restore_options *o,
                    struct restore_plan *out, struct err *e)
{
    struct restore_item *i = &out->v[out->n];
    i->stream = find_stream(s, word, &i->source, e);
    if (!i->stream || check_form(i->source, o->to, e) || set_kind(i, o, e) || check_options(i, o, e))
        return -1;
    out->n++;
    return 0;
}

/* --to 'container=NAME dbname=...' or 'compose-service=PROJECT/SERVICE dbname=...': the engine says where
 * that server is, and how to come in. */
static int find_server(const char *to, struct engine_source *out, struct err *e)
{
    static const char container[] = "container=", service[] = "compose-service=";
    bool is_service = strncmp(to, service, strlen(service)) == 0;
    struct config_source s = {.type = SOURCE_POSTGRES, .connection = (char *)to};
    if (!is_service && strncmp(to, container, strlen(container)) != 0)
        return engine_resolve(&s, out, e);
    const char *start = to + strlen(is_service ? service : container);
    AUTO_CHAR name = xstrndup(start, strcspn(start, " "));
    if (!config_is_container(name, is_service))
        return err_set(e, ERR_USAGE, "--to %.*s=: \"%s\" is no %s", (int)strcspn(to, "="), to, name,
                       is_service ? "PROJECT/SERVICE" : "name of a container");
    s.connection = (char *)start + strlen(name);
    *(is_service ? &s.compose_service : &s.container) = name;
    int rc = engine_resolve(&s, out, e);
    out->source.container = out->source.compose_service = NULL; /* gone with the name */
    return rc;
}

/* Several sources share a folder: each gets its own in it. */
static int set_targets(const struct run_restore_options *o, struct restore_plan *p, struct err *e)
{
    for (size_t i = 0; i < p->n; i++) {
        struct restore_item *item = &p->v[i];
        if (p->n > 1 && (item->kind == RESTORE_FD || item->kind == RESTORE_DATABASE))
            return err_set(e, ERR_USAGE, "restore %s alone: %s takes one source at a time",
                           item->source->name, item->kind == RESTORE_FD ? "--to -" : "a database");
        item->target = p->n > 1 ? xasprintf("%s/%s", o->to, item->source->name) : xstrdup(o->to);
        if (item->kind == RESTORE_DATABASE && find_server(item->target, &item->server, e))
            return -1;
    }
    return 0;
}

/* Without SOURCE everything is meant; a database cannot go where folders go, so it must be named. */
static int refuse_mixture(const struct snapshot *s, const struct run_restore_options *o, struct err *e)
{
    AUTO(buf) list = BUF_NONE;
    size_t n = 0;
    for (size_t i = 0; i < s->source_count; i++, n++)
        buf_add_fmt(&list, "%s%s (%s)", i ? ", " : "", s->sources[i].name, s->sources[i].type);
    if (n < 2)
        return 0;
    for (size_t i = 0; i < s->source_count; i++)
        if ((strcmp(s->sources[i].type, "postgres") == 0) != is_connection(o->to) || strcmp(o->to, "-") == 0)
            return err_set(e, ERR_USAGE,
                           "this snapshot holds several sources, and not all of them fit into %s; name those "
                           "that are meant: %s",
                           strcmp(o->to, "-") == 0 ? "standard output" : o->to, buf_cstr(&list));
    return 0;
}

int restore_plan_make(const struct snapshot *s, const struct run_restore_options *o, struct restore_plan *out,
                      struct err *e)
{
    size_t n = o->sources->n ? o->sources->n : s->source_count;
    *out = (struct restore_plan){.v = xcalloc(n, sizeof *out->v)};
    if (o->sources->n == 0 && refuse_mixture(s, o, e))
        return -1;
    for (size_t i = 0; i < n; i++) {
        const char *word = o->sources->n ? o->sources->v[i] : s->sources[i].name;
        for (size_t k = 0; k < i && o->sources->n; k++)
            if (strcmp(word, o->sources->v[k]) == 0)
                return err_set(e, ERR_USAGE, "%s: is named twice", word);
        if (add_item(s, word, o, out, e))
            return -1;
    }
    return set_targets(o, out, e);
}

void restore_plan_free(struct restore_plan *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free(p->v[i].target);
        engine_source_free(&p->v[i].server);
    }
    free(p->v);
    *p = (struct restore_plan){0};
}
