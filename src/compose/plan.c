/* The configuration: databases first, then what lies in folders, then what was left out, and why. */
#include "plan.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MOST    50
#define COMMAND_MOST 12000 /* a line of a configuration may have 16,000 bytes */

/* ---- parts ---- */
static bool is_taken(const struct compose_plan *out, const char *name)
{
    for (size_t i = 0; i < out->source_count; i++)
        if (strcmp(out->sources[i].name, name) == 0)
            return true;
    return false;
}

const char *plan_source(struct planning *p, const char *name, const char *type, bool active)
{
    AUTO(buf) bare = BUF_NONE;
    for (; *name && bare.n < NAME_MOST; name++) {
        int c = tolower((unsigned char)*name);
        bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (letter || (bare.n && c && strchr("_.-", c)))
            buf_add_u8(&bare, (uint8_t)c);
        else if (bare.n)
            buf_add_u8(&bare, '-');
    }
    if (!bare.n)
        buf_add_str(&bare, "data");
    char *free_name = xstrdup(buf_cstr(&bare));
    for (unsigned i = 2; is_taken(p->out, free_name); i++) {
        free(free_name);
        free_name = xasprintf("%s-%u", buf_cstr(&bare), i);
    }
    struct compose_plan *o = p->out;
    o->sources = xrealloc(o->sources, o->source_count + 1, sizeof *o->sources);
    o->sources[o->source_count++] =
        (struct compose_plan_source){.name = free_name, .type = xstrdup(type), .active = active};
    return free_name;
}

void plan_left_out(struct planning *p, const char *what, const char *why)
{
    struct compose_plan *o = p->out;
    o->left_out = xrealloc(o->left_out, o->left_out_count + 1, sizeof *o->left_out);
    o->left_out[o->left_out_count++] = (struct compose_left_out){xstrdup(what), xstrdup(why)};
}

const char *plan_secret(struct planning *p, const char *name, const char *password)
{
    struct compose_plan *o = p->out;
    o->files = xrealloc(o->files, o->file_count + 1, sizeof *o->files);
    struct compose_secret_file *f = &o->files[o->file_count++];
    *f = (struct compose_secret_file){.path = xasprintf("%s/%s.password", p->folder, name)};
    buf_add_fmt(&f->text, "%s\n", password);
    return f->path;
}

char *container_name(const struct compose *c, const struct compose_service *s)
{
    return s->container ? xstrdup(s->container) : xasprintf("%s-%s-1", c->project, s->name);
}

void add_shell_word(struct buf *out, const char *word)
{
    buf_add_u8(out, '\'');
    for (; *word; word++)
        if (*word == '\'')
            buf_add_str(out, "'\\''");
        else
            buf_add_u8(out, (uint8_t)*word);
    buf_add_u8(out, '\'');
}

/* ---- places ---- */
static const char *place_name(const struct place *p)
{
    return p->volume ? p->volume->name : p->path;
}

/* "tutor_uploads (backend: /app/uploads, nginx: /srv)". Caller frees. */
static char *place_title(const struct place *p)
{
    AUTO(buf) out = BUF_NONE;
    buf_add_fmt(&out, "%s (", place_name(p));
    for (size_t i = 0; i < MIN(p->n, 3); i++)
        buf_add_fmt(&out, "%s%s: %s", i ? ", " : "", p->users[i]->name, p->mounts[i]->target);
    buf_add_str(&out, p->n > 3 ? ", ...)" : ")");
    return xstrdup(buf_cstr(&out));
}

static bool is_enabled(const struct place *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->users[i]->enabled)
            return true;
    return false;
}

static const struct compose_service *writer_of(const struct place *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (service_kind(p->users[i]) == SERVICE_WRITER && !p->mounts[i]->read_only)
            return p->users[i];
    return NULL;
}

/* The service that puts its own snapshots there, or NULL. */
static const struct compose_service *searcher_of(const struct place *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (search_snapshots(p->users[i]) == p->mounts[i])
            return p->users[i];
    return NULL;
}

static void plan_sqlite(struct planning *p, const struct place *place, const char *off)
{
    const char *base = strrchr(place->path, '/') + 1, *name = plan_source(p, base, "command", !*off);
    struct buf *out = &p->out->text;
    buf_add_fmt(out,
                "# An SQLite database, by its name. Wants the program sqlite3 on this host.\n%s[source %s]\n",
                off, name);
    buf_add_fmt(out, "%stype = command\n%scommand = sqlite3 -readonly ", off, off);
    add_shell_word(out, place->path);
    buf_add_fmt(out, " .dump\n%srestore-command = sqlite3 \"$LIFEBOAT_TARGET\"/", off);
    add_shell_word(out, base);
    buf_add_str(out, "\n\n");
}

static void plan_folder(struct planning *p, const struct place *place, const char *off)
{
    struct buf *out = &p->out->text;
    const struct compose_service *writer = writer_of(place), *searcher = searcher_of(place);
    const char *base = place->path ? strrchr(place->path, '/') + 1 : place->volume->key;
    const char *name = plan_source(p, base, "volume", !*off);
    if (writer)
        buf_add_fmt(
            out,
            "# %s writes here while it runs, and files copied meanwhile may not fit together. Where a short\n"
            "# pause does no harm, take the \"#\" of the hooks away; or use its own export as a command source.\n",
            writer->name);
    buf_add_fmt(out, "%s[source %s]\n%stype = volume\n", off, name, off);
    if (place->path || place->volume->device)
        buf_add_fmt(out, "%spath = %s\n", off, place->path ? place->path : place->volume->device);
    else
        buf_add_fmt(out, "%sdocker-volume = %s\n", off, place->volume->name);
    if (searcher) {
        AUTO_CHAR hook = search_hook(p->c, searcher);
        buf_add_fmt(out, "%sbefore = %s\n", off, hook);
    }
    if (writer) {
        AUTO_CHAR container = container_name(p->c, writer);
        buf_add_fmt(out, "#before = docker stop %s\n#after = docker start %s\n", container, container);
    }
    buf_add_str(out, "\n");
}

static void plan_place(struct planning *p, const struct place *place)
{
    struct buf *out = &p->out->text;
    AUTO_CHAR title = place_title(place);
    AUTO_CHAR why = place_why_not(p->c, place);
    if (why) {
        plan_left_out(p, title, why);
        return;
    }
    bool enabled = is_enabled(place);
    const char *off = enabled ? "" : "#";
    buf_add_fmt(out, "# %s\n", title);
    if (!enabled)
        buf_add_fmt(out, "# In use with the profile %s only: take the \"#\" away if that is started here.\n",
                    place->users[0]->profiles.v[0]);
    if (place->path && path_is_sqlite(place->path))
        plan_sqlite(p, place, off);
    else
        plan_folder(p, place, off);
}

/* ---- the whole ---- */
static void plan_head(struct planning *p)
{
    struct buf *out = &p->out->text;
    buf_add_str(out, "# lifeboat.conf, made by `lifeboat init --compose` from:\n");
    for (size_t i = 0; i < p->c->files.n; i++)
        buf_add_fmt(out, "#   %s\n", p->c->files.v[i]);
    buf_add_fmt(
        out,
        "# Look it through, then: lifeboat init, lifeboat backup, lifeboat drill. lifeboat.conf(5) explains each\n"
        "# key. The project's name is taken to be \"%s\" (`docker compose ls` shows it).\n\n"
        "# Where backups are kept. It should lie on another disk than the containers; a mirror in a bucket\n"
        "# protects from the loss of the machine.\n"
        "[store main]\nurl = file:///var/backups/lifeboat\n\n"
        "#[store away]\n#url = s3://BUCKET/PREFIX\n#endpoint = https://s3.us-west-004.backblazeb2.com\n"
        "#credentials = %s/away.credentials\n\n"
        "[keys]\nwriter = %s/writer.key\n"
        "# Without the next line this host can back up, and not read what it stored.\n"
        "identity = %s/identity.key\n\n"
        "# ---- what is backed up ----\n\n",
        p->c->project, p->folder, p->folder, p->folder);
}

/* The files that describe the containers, for a machine that starts from nothing. */
static void plan_files(struct planning *p)
{
    AUTO(buf) words = BUF_NONE;
    for (size_t i = 0; i < p->c->files.n; i++) {
        if (strstr(p->c->files.v[i], " ;"))
            continue;
        buf_add_str(&words, " ");
        add_shell_word(&words, p->c->files.v[i] + 1);
    }
    if (words.n > COMMAND_MOST || !words.n) {
        plan_left_out(p, "the compose files", "their names are too long for one line: make a command source");
        return;
    }
    const char *name = plan_source(p, "compose-files", "command", true);
    buf_add_fmt(
        &p->out->text,
        "# The compose files and environment files themselves, passwords included: without them nothing\n"
        "# starts on a new machine. (They are encrypted like everything else.)\n"
        "[source %s]\ntype = command\ncommand = tar -C / -cf -%s\n"
        "restore-command = tar -C \"$LIFEBOAT_TARGET\" -xf -\n\n",
        name, buf_cstr(&words));
}

static void plan_tail(struct planning *p)
{
    struct buf *out = &p->out->text;
    buf_add_str(out, "# ---- what is kept: everything of 30 days, then one a month for a year ----\n"
                     "[retention]\nkeep-within = 30d\nkeep-monthly = 12\n\n"
                     "# ---- how snapshots are proven ----\n[drill]\n"
                     "# A query that must be true in each restored database, for instance:\n");
    for (size_t i = 0; i < p->out->source_count; i++)
        if (strcmp(p->out->sources[i].type, "postgres") == 0)
            buf_add_fmt(out, "#assert %s = SELECT count(*) > 0 FROM users\n", p->out->sources[i].name);
    buf_add_str(out, "scratch = auto\n");
    if (p->out->left_out_count)
        buf_add_str(out, "\n# ---- left out, and why ----\n");
    for (size_t i = 0; i < p->out->left_out_count; i++)
        buf_add_fmt(out, "# %s:\n#     %s\n", p->out->left_out[i].what, p->out->left_out[i].why);
}

static int check_nothing_found(const struct planning *p, struct err *e)
{
    for (size_t i = 0; i < p->out->source_count; i++)
        if (p->out->sources[i].active)
            return 0;
    return p->out->source_count || p->out->left_out_count
               ? 0
               : err_set(e, ERR_USAGE,
                         "%s: its services have no database and no volume: there is nothing to back up",
                         p->c->files.v[0]);
}

int compose_plan(const struct compose *c, const char *folder, struct compose_plan *out, struct err *e)
{
    *out = (struct compose_plan){0};
    struct planning p = {.c = c, .folder = folder, .out = out};
    AUTO(places) places = {0};
    plan_head(&p);
    for (size_t i = 0; i < c->service_count; i++)
        plan_database(&p, &c->services[i], service_kind(&c->services[i]));
    places_find(c, &places);
    for (size_t i = 0; i < places.n; i++)
        plan_place(&p, &places.v[i]);
    int rc = check_nothing_found(&p, e);
    if (rc) {
        compose_plan_free(out);
        return rc;
    }
    plan_files(&p);
    plan_tail(&p);
    return 0;
}

void compose_plan_free(struct compose_plan *p)
{
    for (size_t i = 0; i < p->source_count; i++) {
        free(p->sources[i].name);
        free(p->sources[i].type);
    }
    for (size_t i = 0; i < p->left_out_count; i++) {
        free(p->left_out[i].what);
        free(p->left_out[i].why);
    }
    for (size_t i = 0; i < p->file_count; i++) {
        free(p->files[i].path);
        buf_free(&p->files[i].text);
    }
    free(p->sources);
    free(p->left_out);
    free(p->files);
    buf_free(&p->text);
    *p = (struct compose_plan){0};
}
