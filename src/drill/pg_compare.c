/* The two comparisons: what is stored with what was backed up, and what was restored with that. */
#include "pg_drill.h"

#include <string.h>

#define NAMES_SHOWN 10

struct telling {
    const struct pg_drill_database *b;
    const char *start; /* of each sentence */
    struct strings respelled;
};

static void tell(void *ctx, const char *sentence)
{
    const struct telling *t = ctx;
    drill_differs(t->b->d->out, "%s%s%s", t->b->prefix, t->start, sentence);
}

static void tell_respelled(void *ctx, const char *object)
{
    struct telling *t = ctx;
    if (t->respelled.n < NAMES_SHOWN)
        strings_add(&t->respelled, object);
}

int pg_compare_stored(const struct pg_drill_database *b, const struct target_postgres_report *report,
                      bool *held, struct err *e)
{
    struct bytes was = buf_bytes(&b->stored), is = buf_bytes(&report->fingerprint);
    struct telling t = {.b = b, .start = "the stored dump is not the one that was made: "};
    struct fingerprint_compare c = {.original = was, .now = is, .differs = tell, .ctx = &t};
    AUTO(fingerprint_result) r = {0};
    *held = false;
    if (fingerprint_compare(&c, &r, e))
        return -1;
    *held = bytes_equal(was, is);
    if (!*held && r.differences == 0)
        tell(&t, "its fingerprint differs");
    return 0;
}

static int make_witness(const struct pg_drill_database *b, struct buf *out, struct err *e)
{
    AUTO(target_counts) counts = {0};
    AUTO(target_postgres_report) report = {0};
    if (pg_drill_restore(b, b->witness_name, true, &counts, &report, e) ||
        pg_redump(b, b->witness_name, true, out, e))
        return err_wrap(e, "the witness of spellings");
    return 0;
}

static void note_respelled(const struct pg_drill_database *b, const struct fingerprint_result *r,
                           const struct strings *some)
{
    AUTO(buf) names = BUF_NONE;
    for (size_t i = 0; i < some->n; i++)
        buf_add_fmt(&names, "%s%s", i ? ", " : "", some->v[i]);
    if (r->respelled)
        drill_note(b->d->out, "%sre-spelled by PostgreSQL on the way, and the same in meaning: %s%s",
                   b->prefix, buf_cstr(&names), r->respelled > some->n ? ", ..." : "");
}

/* What equality does not say. */
static void note_limits(const struct pg_drill_database *b, const struct fingerprint_result *r)
{
    struct drill_result *out = b->d->out;
    const char *prefix = b->prefix;
    if (r->without_rows)
        drill_note(out, "%stables of whose rows the backup has none (exclude-table-data): %llu, such as %s",
                   prefix, (unsigned long long)r->without_rows, r->without_rows_example);
    if (r->subscriptions)
        drill_note(
            out,
            "%snot proven: subscriptions (%llu); they are in the backup, and not restored in drills, which "
            "must not reach their publishers",
            prefix, (unsigned long long)r->subscriptions);
    if (r->foreign_tables)
        drill_note(out, "%sforeign tables (%llu): their rows are elsewhere, in no backup of this database",
                   prefix, (unsigned long long)r->foreign_tables);
    for (size_t i = 0; i + 1 < b->unfilled.n; i += 2)
        drill_note(out,
                   "%snot proven: that materialized view %s.%s can be filled; it reads foreign data, which a "
                   "drill cannot reach",
                   prefix, b->unfilled.v[i], b->unfilled.v[i + 1]);
    if (!b->tablespaces)
        drill_note(out, "%snot proven: which tablespaces things lie in", prefix);
}

/* A witness costs a second: it is made only when something is spelled differently. */
static int compare(const struct pg_drill_database *b, struct fingerprint_compare *c, struct buf *witness,
                   struct fingerprint_result *out, struct err *e)
{
    AUTO(fingerprint_result) first = {0};
    struct fingerprint_compare silent = *c;
    silent.differs = NULL;
    if (fingerprint_compare(&silent, &first, e) || (first.spellings && make_witness(b, witness, e)))
        return -1;
    c->witness = buf_bytes(witness);
    return fingerprint_compare(c, out, e);
}

int pg_compare_restored(const struct pg_drill_database *b, bool *held, struct err *e)
{
    AUTO(buf) now = BUF_NONE;
    AUTO(buf) witness = BUF_NONE;
    AUTO(fingerprint_result) r = {0};
    struct telling t = {.b = b, .start = ""};
    struct fingerprint_compare c = {.original = buf_bytes(&b->stored),
                                    .without_subscriptions = true,
                                    .without_tablespaces = !b->tablespaces,
                                    .unfilled = &b->unfilled,
                                    .differs = tell,
                                    .respelled = tell_respelled,
                                    .ctx = &t};
    if (pg_redump(b, b->scratch_name, false, &now, e))
        return -1;
    c.now = buf_bytes(&now);
    int rc = compare(b, &c, &witness, &r, e);
    *held = rc == 0 && r.differences == 0;
    if (rc == 0) {
        note_respelled(b, &r, &t.respelled);
        note_limits(b, &r);
    }
    strings_free(&t.respelled);
    return rc;
}
