/* Reading marks, and what follows from all of them together. */
#include "repo/marks.h"

#include "base/log.h"
#include "repo/internal.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const kind_names[] = {"pin",    "unpin",   "forget", "undo",
                                         "broken", "condemn", "swept",  "damaged"};

const char *mark_kind_name(enum mark_kind kind)
{
    return kind_names[kind];
}

/* ---- sets of names ---- */
void sha_set_add(struct sha_set *s, const struct sha *sha)
{
    if (s->n == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 8;
        s->v = xrealloc(s->v, s->cap, sizeof *s->v);
    }
    s->v[s->n++] = *sha;
}

static int by_name(const void *a, const void *b)
{
    return memcmp(a, b, SHA_SIZE);
}

void sha_set_sort(struct sha_set *s)
{
    if (s->n)
        qsort(s->v, s->n, sizeof *s->v, by_name);
}

bool sha_set_has(const struct sha_set *s, const struct sha *sha)
{
    return s->n && bsearch(sha, s->v, s->n, sizeof *s->v, by_name);
}

void sha_set_free(struct sha_set *s)
{
    free(s->v);
    *s = (struct sha_set){0};
}

/* ---- one mark ---- */
static bool add_hex(struct sha_set *s, const char *hex)
{
    struct sha sha;
    if (!sha_parse(&sha, hex, strlen(hex)))
        return false;
    sha_set_add(s, &sha);
    return true;
}

static bool add_list(struct sha_set *s, const json_t *list)
{
    size_t i;
    json_t *v;
    json_array_foreach(list, i, v)
    {
        if (!json_is_string(v) || !add_hex(s, json_string_value(v)))
            return false;
    }
    sha_set_sort(s);
    return json_is_array(list);
}

static bool parse(const json_t *o, struct mark *m)
{
    const char *snapshot = json_text(o, "snapshot");
    bool has_snapshot = sha_parse(&m->snapshot, snapshot, strlen(snapshot));
    if (strcmp(json_text(o, "kind"), mark_kind_name(m->kind)) != 0)
        return false;
    switch (m->kind) {
    case MARK_PIN:
        m->reason = xstrdup(json_text(o, "reason"));
        return has_snapshot;
    case MARK_UNPIN:
        return add_hex(&m->names, json_text(o, "mark"));
    case MARK_FORGET:
    case MARK_BROKEN:
        return has_snapshot && add_list(&m->names, json_object_get(o, "undos"));
    case MARK_UNDO:
        return has_snapshot && add_list(&m->names, json_object_get(o, "marks"));
    case MARK_CONDEMN:
    case MARK_SWEPT:
        return add_list(&m->names, json_object_get(o, "packs"));
    case MARK_DAMAGED:
        return add_hex(&m->names, json_text(o, "pack"));
    case MARK_KINDS:
        break;
    }
    return false;
}

static void mark_free(struct mark *m)
{
    sha_set_free(&m->names);
    free(m->reason);
}

/* ---- all of them ---- */
struct mark_listing {
    struct marks *out;
    unsigned kinds;
};

static int add_mark(void *ctx, const struct store_object *o, struct err *e)
{
    struct mark_listing *l = ctx;
    struct mark m = {.mtime_ns = o->mtime_ns};
    (void)e;
    if (!name_sha(o->name, &m.name))
        return 0;
    for (unsigned k = 0; k < MARK_KINDS; k++) {
        char name[NAME_SIZE];
        mark_name(name, (enum mark_kind)k, &m.name);
        if (!(l->kinds & MARK_BIT(k)) || strcmp(name, o->name) != 0)
            continue;
        m.kind = (enum mark_kind)k;
        l->out->v = xrealloc(l->out->v, l->out->n + 1, sizeof *l->out->v);
        l->out->v[l->out->n++] = m;
    }
    return 0;
}

static int by_kind_and_age(const void *a, const void *b)
{
    const struct mark *x = a, *y = b;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    if (x->mtime_ns != y->mtime_ns)
        return x->mtime_ns < y->mtime_ns ? -1 : 1;
    return by_name(&x->name, &y->name);
}

/* 1: read; 0: to be left out, *unreadable (free()) says why if that is the mark's fault; -1: *e. */
static int read_mark(struct repo *r, struct mark *m, char **unreadable, struct err *e)
{
    char name[NAME_SIZE];
    mark_name(name, m->kind, &m->name);
    AUTO(buf) text = BUF_NONE;
    struct err bad = ERR_INIT;
    int rc = object_get(r, name, OBJECT_MARK, METADATA_MAX, &text, &bad);
    if (rc == STORE_ABSENT)
        return 0;
    if (rc == STORE_FAILED && bad.kind != ERR_DAMAGED && bad.kind != ERR_FAILED)
        return *e = bad, -1;
    AUTO_JSON o = rc == STORE_DONE ? json_read(buf_bytes(&text), NO_LIFEBOATS, &bad) : NULL;
    if (o && parse(o, m)) {
        if (m->kind != MARK_DAMAGED || mark_signature_holds(r, o))
            return 1;
        log_warn("%s: its signature does not hold: counts for nothing", name);
        return 0;
    }
    if (rc == STORE_FAILED)
        *unreadable = xstrdup(bad.text);
    else
        *unreadable = xasprintf(
            "%s: %s", name,
            err_is_set(&bad) ? bad.text : "is not a mark that this program understands" NO_LIFEBOATS);
    return 0;
}

struct reading {
    struct repo *repo;
    struct mark *v;
    struct answer {
        bool is_read;
        char *unreadable;
    } * answers;
};

static int read_one(void *ctx, size_t i, struct err *e)
{
    const struct reading *x = ctx;
    int rc = read_mark(x->repo, &x->v[i], &x->answers[i].unreadable, e);
    x->answers[i].is_read = rc > 0;
    return rc < 0 ? -1 : 0;
}

/* Keeps those that can be read, in their order. */
static int read_all(struct repo *r, struct marks *all, struct err *e)
{
    struct reading x = {.repo = r, .v = all->v, .answers = xcalloc(all->n, sizeof *x.answers)};
    int rc = gather(all->n, read_one, &x, e);
    size_t kept = 0;
    for (size_t i = 0; i < all->n; i++) {
        struct mark m = all->v[i];
        all->v[i] = (struct mark){0};
        if (x.answers[i].is_read)
            all->v[kept++] = m;
        else
            mark_free(&m);
        if (x.answers[i].unreadable)
            strings_add(&all->unreadable, x.answers[i].unreadable);
        free(x.answers[i].unreadable);
    }
    free(x.answers);
    all->n = kept;
    return rc;
}

int marks_load(struct repo *r, unsigned kinds, struct marks *out, struct err *e)
{
    *out = (struct marks){0};
    struct mark_listing l = {.out = out, .kinds = kinds};
    if (list_own(r, "marks/", add_mark, &l, kinds & MARKS_NO_CLOCK ? NULL : &out->now_ns, e) < 0)
        return marks_free(out), -1;
    if (out->n)
        qsort(out->v, out->n, sizeof *out->v, by_kind_and_age);
    return out->n && read_all(r, out, e) ? (marks_free(out), -1) : 0;
}

void marks_free(struct marks *m)
{
    for (size_t i = 0; i < m->n; i++)
        mark_free(&m->v[i]);
    free(m->v);
    strings_free(&m->unreadable);
    *m = (struct marks){0};
}

/* ---- what follows ---- */
/* What is broken stays so, whatever was undone. */
static bool counts(const struct marks *all, const struct mark *forget)
{
    for (size_t i = 0; i < all->n && forget->kind != MARK_BROKEN; i++)
        if (all->v[i].kind == MARK_UNDO && sha_equal(&all->v[i].snapshot, &forget->snapshot) &&
            !sha_set_has(&forget->names, &all->v[i].name))
            return false;
    return true;
}

const struct mark *marks_forget_of(const struct marks *m, const struct sha *snapshot)
{
    const struct mark *found = NULL;
    for (size_t i = 0; i < m->n; i++) {
        const struct mark *f = &m->v[i];
        if ((f->kind == MARK_FORGET || f->kind == MARK_BROKEN) && sha_equal(&f->snapshot, snapshot) &&
            (!found || f->mtime_ns < found->mtime_ns) && counts(m, f))
            found = f;
    }
    return found;
}

bool marks_pin_stands(const struct marks *m, const struct mark *pin)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->v[i].kind == MARK_UNPIN && sha_set_has(&m->v[i].names, &pin->name))
            return false;
    return true;
}

static struct snapshot *find_snapshot(struct snapshots *all, const struct sha *id)
{
    for (size_t i = 0; i < all->n; i++)
        if (sha_equal(&all->v[i].id, id))
            return &all->v[i];
    return NULL;
}

static void add_name(struct strings *to, const struct sha *name)
{
    char hex[SHA_HEX];
    sha_hex(hex, name);
    strings_add(to, hex);
}

void marks_apply(const struct marks *m, struct snapshots *all)
{
    for (size_t i = 0; i < m->n; i++) {
        const struct mark *k = &m->v[i];
        bool forgets = k->kind == MARK_FORGET || k->kind == MARK_BROKEN;
        struct snapshot *s = forgets || k->kind == MARK_PIN ? find_snapshot(all, &k->snapshot) : NULL;
        if (!s && forgets && counts(m, k))
            add_name(&all->let_go, &k->snapshot);
        if (!s)
            continue;
        if (k->kind == MARK_PIN && marks_pin_stands(m, k))
            strings_add(&s->pins, k->reason);
        if (!forgets || !counts(m, k))
            continue;
        s->broken |= k->kind == MARK_BROKEN;
        if (!s->forgotten_ns || k->mtime_ns < s->forgotten_ns)
            s->forgotten_ns = k->mtime_ns;
    }
}
