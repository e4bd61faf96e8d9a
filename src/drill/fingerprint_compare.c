/* Two sorted lists, walked side by side: what only one has, and what both have under the same key. Several
 * lines may share a key (default privileges, a table dumped with two sets of columns); they are compared as a
 * multiset. */
#include "drill/fingerprint.h"
#include "fingerprint_line.h"

#include <stdlib.h>
#include <string.h>

/* The lines of one key. */
struct group {
    struct fingerprint_line *v;
    size_t n, cap;
};

struct side {
    struct fingerprint_lines lines;
    struct group group;
    struct fingerprint_line ahead; /* the first of the next group */
    bool has_ahead, is_original;
};

struct comparing {
    const struct fingerprint_compare *c;
    struct fingerprint_result *out;
    struct side original, now, witness;
};

/* ---- reading ---- */
/* "SUBSCRIPTION name", as the tags of comments and labels on subscriptions read. */
static bool is_about_subscription(const struct fingerprint_line *l)
{
    static const char start[] = "\"SUBSCRIPTION ";
    return (fingerprint_is(l->type, "COMMENT") || fingerprint_is(l->type, "SECURITY LABEL")) &&
           l->name.n >= sizeof start - 1 && memcmp(l->name.p, start, sizeof start - 1) == 0;
}

static bool is_left_out(struct comparing *x, const struct side *s, const struct fingerprint_line *l)
{
    if (l->kind != FINGERPRINT_OBJECT)
        return false;
    if (l->of_database && x->c->without_database)
        return true;
    if (!s->is_original || !x->c->without_subscriptions)
        return false;
    bool subscription = fingerprint_is(l->type, "SUBSCRIPTION");
    x->out->subscriptions += subscription;
    return subscription || is_about_subscription(l);
}

static int read_ahead(struct comparing *x, struct side *s, struct err *e)
{
    int more;
    do
        more = fingerprint_lines_next(&s->lines, &s->ahead, e);
    while (more > 0 && is_left_out(x, s, &s->ahead));
    s->has_ahead = more > 0;
    return more < 0 ? -1 : 0;
}

static int read_group(struct comparing *x, struct side *s, struct err *e)
{
    struct group *g = &s->group;
    g->n = 0;
    while (s->has_ahead && (g->n == 0 || fingerprint_same(g->v[0].key, s->ahead.key))) {
        if (g->n == g->cap)
            g->v = xrealloc(g->v, g->cap = g->cap * 2 + 4, sizeof *g->v);
        g->v[g->n++] = s->ahead;
        if (read_ahead(x, s, e))
            return -1;
    }
    return 0;
}

static int open_side(struct comparing *x, struct side *s, struct bytes b, const char *what, struct err *e)
{
    return fingerprint_lines_open(&s->lines, b, what, e) || read_ahead(x, s, e) || read_group(x, s, e) ? -1
                                                                                                       : 0;
}

/* ---- telling ---- */
static void tell(struct comparing *x, char *sentence)
{
    x->out->differences++;
    if (x->c->differs)
        x->c->differs(x->c->ctx, sentence);
    free(sentence);
}

static void tell_respelled(struct comparing *x, const struct fingerprint_line *l)
{
    AUTO_CHAR name = fingerprint_shown(l);
    x->out->respelled++;
    if (x->c->respelled)
        x->c->respelled(x->c->ctx, name);
}

/* ---- one line and another, of the same key ---- */
static int order_but_digest(const struct comparing *x, const struct fingerprint_line *a,
                            const struct fingerprint_line *b)
{
    int order = fingerprint_order(a->columns, b->columns);
    order = order ? order : fingerprint_order(a->owner, b->owner);
    if (order == 0 && !x->c->without_tablespaces)
        order = fingerprint_order(a->tablespace, b->tablespace);
    order = order ? order : fingerprint_order(a->access_method, b->access_method);
    return order ? order : (a->count > b->count) - (a->count < b->count);
}

static int order_of(const struct comparing *x, const struct fingerprint_line *a,
                    const struct fingerprint_line *b)
{
    int order = order_but_digest(x, a, b);
    return order ? order : fingerprint_order(a->digest, b->digest);
}

static int order_in_group(const void *a, const void *b, void *x)
{
    return order_of(x, a, b);
}

static void sort_group(struct comparing *x, struct group *g)
{
    if (g->n > 1)
        qsort_r(g->v, g->n, sizeof *g->v, order_in_group, x);
}

/* Leaves in both what the other has not. */
static void drop_equal(struct comparing *x, struct group *a, struct group *b)
{
    size_t i = 0, k = 0, left_a = 0, left_b = 0;
    while (i < a->n && k < b->n) {
        int order = order_of(x, &a->v[i], &b->v[k]);
        if (order == 0) {
            i++;
            k++;
        } else if (order < 0)
            a->v[left_a++] = a->v[i++];
        else
            b->v[left_b++] = b->v[k++];
    }
    while (i < a->n)
        a->v[left_a++] = a->v[i++];
    while (k < b->n)
        b->v[left_b++] = b->v[k++];
    a->n = left_a;
    b->n = left_b;
}

/* ---- groups ---- */
static uint64_t rows_of(const struct group *g)
{
    uint64_t rows = 0;
    for (size_t i = 0; i < g->n; i++)
        rows += g->v[i].count;
    return rows;
}

static void count_tables(struct comparing *x, const struct group *g)
{
    x->out->foreign_tables += fingerprint_is(g->v[0].type, "FOREIGN TABLE");
    if (g->v[0].kind != FINGERPRINT_TABLE)
        return;
    x->out->tables++;
    x->out->rows += rows_of(g);
}

static bool may_be_unfilled(const struct comparing *x, const struct fingerprint_line *l)
{
    const struct strings *v = x->c->unfilled;
    AUTO(buf) schema = BUF_NONE;
    AUTO(buf) name = BUF_NONE;
    if (!v || !v->n || !fingerprint_is(l->type, "MATERIALIZED VIEW DATA"))
        return false;
    fingerprint_text(l->schema, &schema);
    fingerprint_text(l->name, &name);
    for (size_t i = 0; i + 1 < v->n; i += 2)
        if (strcmp(v->v[i], buf_cstr(&schema)) == 0 && strcmp(v->v[i + 1], buf_cstr(&name)) == 0)
            return true;
    return false;
}

static void only_original(struct comparing *x)
{
    const struct group *g = &x->original.group;
    if (g->v[0].kind == FINGERPRINT_TABLE) { /* without rows it is the same as none */
        if (rows_of(g))
            tell(x, fingerprint_rows_changed(&g->v[0], rows_of(g), 0, false));
        return;
    }
    for (size_t i = 0; i < g->n; i++)
        if (!may_be_unfilled(x, &g->v[i]))
            tell(x, fingerprint_missing(&g->v[i]));
}

/* Rows that were excluded from the dump come back as none, and values of excluded sequences as they start:
 * the original does not say what they were. */
static void only_now(struct comparing *x)
{
    const struct group *g = &x->now.group;
    if (g->v[0].kind == FINGERPRINT_TABLE) {
        if (rows_of(g)) {
            tell(x, fingerprint_rows_changed(&g->v[0], 0, rows_of(g), false));
            return;
        }
        x->out->without_rows++;
        if (!x->out->without_rows_example)
            x->out->without_rows_example = fingerprint_shown(&g->v[0]);
        return;
    }
    for (size_t i = 0; i < g->n; i++)
        if (!fingerprint_is(g->v[i].type, "SEQUENCE SET"))
            tell(x, fingerprint_extra(&g->v[i]));
}

/* Whether the witness, whose groups are sorted, spells it the same. */
static bool witness_has(struct comparing *x, const struct fingerprint_line *l)
{
    const struct group *w = &x->witness.group;
    size_t low = 0, high = w->n && fingerprint_same(w->v[0].key, l->key) ? w->n : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = order_of(x, &w->v[middle], l);
        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static void compare_pair(struct comparing *x, const struct fingerprint_line *was,
                         const struct fingerprint_line *is)
{
    bool spelling = was->kind == FINGERPRINT_OBJECT && order_but_digest(x, was, is) == 0;
    if (spelling && witness_has(x, is)) {
        tell_respelled(x, was);
        return;
    }
    x->out->spellings += spelling;
    tell(x, fingerprint_changed(was, is, !x->c->without_tablespaces));
}

static void compare_rows(struct comparing *x, const struct group *a, const struct group *b)
{
    bool other_columns = !a->n || !b->n || !fingerprint_same(a->v[0].columns, b->v[0].columns);
    const struct fingerprint_line *l = a->n ? &a->v[0] : &b->v[0];
    if (rows_of(a) || rows_of(b))
        tell(x, fingerprint_rows_changed(l, rows_of(a), rows_of(b), other_columns));
}

static int both(struct comparing *x, struct err *e)
{
    struct group *a = &x->original.group, *b = &x->now.group, *w = &x->witness.group;
    while (w->n && fingerprint_order(w->v[0].key, a->v[0].key) < 0)
        if (read_group(x, &x->witness, e))
            return -1;
    sort_group(x, a);
    sort_group(x, b);
    drop_equal(x, a, b);
    if (a->n + b->n == 0)
        return 0;
    sort_group(x, w);
    if ((a->n ? a : b)->v[0].kind == FINGERPRINT_TABLE) {
        compare_rows(x, a, b);
        return 0;
    }
    for (size_t i = 0; i < MIN(a->n, b->n); i++)
        compare_pair(x, &a->v[i], &b->v[i]);
    for (size_t i = b->n; i < a->n; i++)
        tell(x, fingerprint_missing(&a->v[i]));
    for (size_t i = a->n; i < b->n; i++)
        tell(x, fingerprint_extra(&b->v[i]));
    return 0;
}

/* ---- the whole ---- */
static int walk(struct comparing *x, struct err *e)
{
    struct group *a = &x->original.group, *b = &x->now.group;
    while (a->n || b->n) {
        int order = !a->n ? 1 : !b->n ? -1 : fingerprint_order(a->v[0].key, b->v[0].key);
        if (order <= 0)
            count_tables(x, a);
        if (order < 0)
            only_original(x);
        else if (order > 0)
            only_now(x);
        else if (both(x, e))
            return -1;
        if ((order <= 0 && read_group(x, &x->original, e)) || (order >= 0 && read_group(x, &x->now, e)))
            return -1;
    }
    return 0;
}

int fingerprint_compare(const struct fingerprint_compare *c, struct fingerprint_result *out, struct err *e)
{
    *out = (struct fingerprint_result){0};
    struct comparing x = {.c = c, .out = out, .original = {.is_original = true}};
    int rc = open_side(&x, &x.original, c->original, "the fingerprint of the backup", e) ||
             open_side(&x, &x.now, c->now, "the fingerprint of what was restored", e) ||
             (c->witness.n && open_side(&x, &x.witness, c->witness, "the fingerprint of the witness", e)) ||
             walk(&x, e);
    free(x.original.group.v);
    free(x.now.group.v);
    free(x.witness.group.v);
    return rc ? -1 : 0;
}

void fingerprint_result_free(struct fingerprint_result *r)
{
    free(r->without_rows_example);
    *r = (struct fingerprint_result){0};
}

/* ---- names ---- */
static int by_bytes(const void *a, const void *b)
{
    return fingerprint_order(*(const struct bytes *)a, *(const struct bytes *)b);
}

static void add_each_once(struct bytes *v, size_t n, struct strings *out)
{
    if (n)
        qsort(v, n, sizeof *v, by_bytes);
    for (size_t i = 0; i < n; i++) {
        AUTO(buf) name = BUF_NONE;
        if (i > 0 && fingerprint_same(v[i - 1], v[i]))
            continue;
        fingerprint_text(v[i], &name);
        strings_add(out, buf_cstr(&name));
    }
}

static int collect(struct bytes fingerprint, const char *type, bool owners, struct strings *out,
                   struct err *e)
{
    struct fingerprint_lines lines;
    struct fingerprint_line l;
    struct bytes *v = NULL;
    size_t n = 0, cap = 0;
    int more = fingerprint_lines_open(&lines, fingerprint, "the fingerprint of the backup", e) ? -1 : 1;
    while (more > 0 && (more = fingerprint_lines_next(&lines, &l, e)) > 0) {
        struct bytes text = owners ? l.owner : l.tablespace;
        if (!text.n || (type && !fingerprint_is(l.type, type)))
            continue;
        if (n == cap)
            v = xrealloc(v, cap = cap * 2 + 64, sizeof *v);
        v[n++] = text;
    }
    if (more == 0)
        add_each_once(v, n, out);
    free(v);
    return more;
}

int fingerprint_owners(struct bytes fingerprint, const char *type, struct strings *out, struct err *e)
{
    return collect(fingerprint, type, true, out, e);
}

int fingerprint_tablespaces(struct bytes fingerprint, struct strings *out, struct err *e)
{
    return collect(fingerprint, NULL, false, out, e);
}
