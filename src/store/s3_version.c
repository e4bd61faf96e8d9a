/* Buckets that keep versions: a delete without a version only puts a marker on top, and what it hides, or
 * what was overwritten, is still there. */
#include "s3.h"

#include "base/log.h"
#include "codec/digest.h"
#include "s3_reply.h"

#include <stdlib.h>
#include <string.h>

#define LISTING_LIMIT (16u << 20)
#define PAGES_MOST    50 /* of a thousand versions of one object that nobody writes twice on purpose */

/* The versions and markers of one name, newest first: a thousand at most, behind `after` (NULL: from the
 * first). */
static int list_versions(struct s3 *s, const char *name, const char *after, struct s3_page *out,
                         struct err *e)
{
    AUTO(query) q = QUERY_NONE;
    AUTO(buf) xml = BUF_NONE;
    AUTO(s3_reply) reply = S3_REPLY_NONE;
    AUTO_CHAR key = xasprintf("%s%s", s->prefix, name);
    query_add(&q, "versions", "");
    query_add(&q, "prefix", key);
    if (after) {
        query_add(&q, "key-marker", key);
        query_add(&q, "version-id-marker", after);
    }
    const struct s3_request r = {
        .class = STORE_LIST, .method = "GET", .query = &q, .out = &xml, .limit = LISTING_LIMIT};
    int rc = s3_send(s, &r, &reply, e);
    if (rc == STORE_DONE)
        rc = s3_take_page(buf_bytes(&xml), out, e);
    size_t n = 0;
    while (n < out->n && strcmp(out->v[n].key, key) == 0)
        n++;
    out->truncated = out->truncated && n == out->n;
    for (size_t i = n; i < out->n; i++) {
        free(out->v[i].key);
        free(out->v[i].version);
    }
    out->n = n;
    return rc;
}

/* Whether the bucket keeps versions: `learned` from a marker, else asked once. */
static bool keeps_versions(struct s3 *s, bool learned)
{
    pthread_mutex_lock(&s->lock);
    if (learned)
        s->versioned = S3_YES;
    enum s3_known known = s->versioned;
    pthread_mutex_unlock(&s->lock);
    if (known != S3_UNKNOWN)
        return known == S3_YES;
    struct err why = ERR_INIT; /* it does not say, or not to us: the first marker will tell */
    AUTO(buf) xml = BUF_NONE;
    int rc = s3_setting(s, "versioning", &xml, &why);
    if (store_is_again(rc))
        return false;
    if (rc == STORE_DONE)
        known = s3_setting_is(buf_bytes(&xml), "VersioningConfiguration/Status", "Enabled") ||
                        s3_setting_is(buf_bytes(&xml), "VersioningConfiguration/Status", "Suspended")
                    ? S3_YES
                    : S3_NO;
    pthread_mutex_lock(&s->lock);
    s->versioned = known == S3_UNKNOWN ? S3_NO : known;
    pthread_mutex_unlock(&s->lock);
    return known == S3_YES;
}

/* ---- reading ---- */
/* What is damaged may be there whole, and this key must not see it. */
static void tell_refused(struct s3 *s, const char *name, const struct err *why)
{
    pthread_mutex_lock(&s->lock);
    bool tell = !s->refused_told;
    s->refused_told = true;
    pthread_mutex_unlock(&s->lock);
    if (tell)
        log_warn("%s: %s is damaged, and the bucket does not say whether it has older versions of it: %s",
                 s->base.title, name, why->text);
}

/* From page to page: whoever may put or hide can do so any number of times. */
int s3_nth_version(struct s3 *s, const char *name, unsigned nth, char **version, struct err *e)
{
    AUTO_CHAR after = NULL;
    AUTO_CHAR found = NULL;
    size_t seen = 0;
    bool more = true;
    for (unsigned pages = 0; more && pages < PAGES_MOST; pages++) {
        AUTO(s3_page) p = S3_PAGE_NONE;
        int rc = list_versions(s, name, after, &p, e);
        if (rc == STORE_FAILED && nth)
            tell_refused(s, name, e);
        if (rc != STORE_DONE)
            return rc;
        for (size_t i = 0; i < p.n && (!found || nth == STORE_OLDEST); i++)
            if (!p.v[i].marker && p.v[i].version && seen++ >= nth) {
                free(found);
                found = STEAL(p.v[i].version);
            }
        more = (!found || nth == STORE_OLDEST) && p.truncated && p.next_version;
        free(after);
        after = STEAL(p.next_version);
    }
    *version = STEAL(found);
    return *version ? STORE_DONE : STORE_ABSENT;
}

int s3_below_marker(struct s3 *s, const char *name, const struct s3_reply *absent, char **version,
                    struct err *e)
{
    if (!keeps_versions(s, absent->header[S3_DELETE_MARKER] != NULL))
        return STORE_ABSENT;
    int rc = s3_nth_version(s, name, 0, version, e);
    pthread_mutex_lock(&s->lock);
    bool tell = rc == STORE_DONE && !s->hidden_told;
    s->hidden_told |= tell;
    pthread_mutex_unlock(&s->lock);
    if (tell)
        log_warn("%s: %s lies below a delete marker: it is read all the same, but find out who deleted it",
                 s->base.title, name);
    return rc;
}

int s3_get_version(struct store *base, const char *name, unsigned nth, uint64_t limit, struct buf *out,
                   struct err *e)
{
    struct s3 *s = s3_of(base);
    AUTO_CHAR version = NULL;
    AUTO(s3_reply) reply = S3_REPLY_NONE;
    int rc = s3_nth_version(s, name, nth, &version, e);
    return rc == STORE_DONE ? s3_get_whole(s, name, version, limit, out, &reply, e) : rc;
}

static bool matches(const char *name, const struct buf *b)
{
    const char *slash = strrchr(name, '/');
    const char *last = slash ? slash + 1 : name;
    struct sha wanted, is;
    if (!sha_parse(&wanted, last, strlen(last)))
        return true;
    sha_of(buf_bytes(b), &is);
    return sha_equal(&wanted, &is);
}

/* How the object was read this time: `as_it_is`, the newest version, or otherwise. */
static void note(struct s3 *s, const char *name, bool as_it_is)
{
    struct strings *m = &s->mended;
    size_t i = 0;
    pthread_mutex_lock(&s->lock);
    while (i < m->n && strcmp(m->v[i], name) != 0)
        i++;
    if (as_it_is && i < m->n) {
        free(m->v[i]);
        m->v[i] = m->v[--m->n];
    } else if (!as_it_is && i == m->n) {
        strings_add(m, name);
    }
    pthread_mutex_unlock(&s->lock);
}

int s3_mend(struct s3 *s, const char *name, const char *version, int rc, uint64_t limit, struct buf *out,
            struct err *e)
{
    AUTO(s3_reply) reply = S3_REPLY_NONE;
    if (rc != STORE_DONE || !matches(name, out)) {
        out->n = 0;
        rc = s3_get_whole(s, name, version, limit, out, &reply, e);
    }
    if (rc == STORE_DONE && matches(name, out)) {
        note(s, name, version == NULL);
        return rc;
    }
    if (rc != STORE_DONE && (rc != STORE_FAILED || e->kind != ERR_DAMAGED))
        return rc;
    for (unsigned i = 1; i <= STORE_OLDEST; i++) {
        AUTO(buf) older = BUF_NONE;
        struct err why = ERR_INIT; /* no versions here, or none that may be read: what we have must do */
        int got = s3_get_version(&s->base, name, i, limit, &older, &why);
        if (got == STORE_FAILED && why.kind == ERR_DAMAGED)
            continue;
        if (store_is_again(got) && keeps_versions(s, false))
            return *e = why, got;
        if (got != STORE_DONE)
            break;
        if (!matches(name, &older))
            continue;
        log_warn("%s: %s is damaged, an older version of it is whole and was read", s->base.title, name);
        note(s, name, false);
        buf_free(out);
        *out = older;
        older = (struct buf)BUF_NONE;
        *e = (struct err)ERR_INIT; /* what was said of the current one */
        return STORE_DONE;
    }
    return rc;
}

void s3_mended(struct store *base, struct strings *out)
{
    struct s3 *s = s3_of(base);
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->mended.n; i++)
        strings_add(out, s->mended.v[i]);
    pthread_mutex_unlock(&s->lock);
}

/* ---- deleting ---- */
static int delete_one(struct s3 *s, const char *name, const char *version, struct s3_reply *reply,
                      struct err *e)
{
    AUTO(query) q = QUERY_NONE;
    if (version)
        query_add(&q, "versionId", version);
    const struct s3_request r = {.class = STORE_DELETE, .method = "DELETE", .name = name, .query = &q};
    return s3_send(s, &r, reply, e);
}

struct deletion {
    bool retained, refused, marked;
    struct err why; /* of the first refusal */
};

/* One version. What is refused is noted, what may pass is returned. */
static int delete_version(struct s3 *s, const char *name, const struct s3_entry *v, struct deletion *d,
                          struct err *e)
{
    AUTO(s3_reply) reply = S3_REPLY_NONE;
    AUTO(s3_reply) head = S3_REPLY_NONE;
    struct err why = ERR_INIT, ignored = ERR_INIT;
    int rc = delete_one(s, name, v->version, &reply, &why);
    if (rc >= STORE_DONE)
        return STORE_DONE;
    if (rc != STORE_FAILED || reply.status < 400) {
        *e = why;
        return rc;
    }
    if (!v->marker && s3_head(s, name, v->version, &head, &ignored) == STORE_DONE && s3_is_locked(&head)) {
        d->retained = true;
        return STORE_DONE;
    }
    if (!d->refused)
        d->why = why;
    d->refused = true;
    d->marked = d->marked || (v->marker && v->latest);
    return STORE_DONE;
}

/* A page that comes after one whose versions were all deleted begins with another version, and pages end. */
static int check_deleted(const struct s3_page *p, const char *gone, unsigned pages, struct err *e)
{
    if (pages && p->n && p->v[0].version && strcmp(p->v[0].version, gone) == 0)
        return err_set(e, ERR_FAILED, "the server still lists a version that it said it had deleted");
    if (pages == PAGES_MOST)
        return err_set(e, ERR_FAILED, "the server lists versions without end: %u pages of them were deleted",
                       pages);
    return STORE_DONE;
}

static int delete_versions(struct s3 *s, const char *name, struct err *e)
{
    struct deletion d = {0};
    AUTO_CHAR gone = NULL;
    bool more = true;
    size_t seen = 0;
    for (unsigned pages = 0; more && !d.retained && !d.refused; pages++) {
        AUTO(s3_page) p = S3_PAGE_NONE;
        int rc = list_versions(s, name, NULL, &p, e);
        if (rc == STORE_DONE)
            rc = check_deleted(&p, gone ? gone : "", pages, e);
        for (size_t i = 0; i < p.n && rc == STORE_DONE; i++)
            rc = delete_version(s, name, &p.v[i], &d, e);
        if (rc != STORE_DONE)
            return rc;
        more = p.truncated;
        seen += p.n;
        free(gone);
        gone = p.n && p.v[0].version ? xstrdup(p.v[0].version) : NULL;
    }
    if (d.retained)
        return STORE_RETAINED;
    if (!d.refused)
        return seen ? STORE_DONE : STORE_ABSENT;
    AUTO(s3_reply) reply = S3_REPLY_NONE;
    if (d.marked || delete_one(s, name, NULL, &reply, e) == STORE_DONE)
        return STORE_HIDDEN;
    *e = d.why;
    return STORE_FAILED;
}

static int delete_any(struct s3 *s, const char *name, struct err *e)
{
    AUTO(s3_reply) reply = S3_REPLY_NONE;
    if (keeps_versions(s, false))
        return delete_versions(s, name, e);
    int rc = delete_one(s, name, NULL, &reply, e);
    if (rc != STORE_DONE || !reply.header[S3_DELETE_MARKER])
        return rc;
    keeps_versions(s, true);
    return delete_versions(s, name, e);
}

/* The first one that is deleted is looked for: a server may keep what a policy wants kept, and say yes. */
int s3_delete(struct store *base, const char *name, struct err *e)
{
    struct s3 *s = s3_of(base);
    AUTO(s3_reply) head = S3_REPLY_NONE;
    struct err why = ERR_INIT; /* it does not tell us: then so be it */
    int rc = delete_any(s, name, e);
    pthread_mutex_lock(&s->lock);
    bool seen = s->delete_seen;
    pthread_mutex_unlock(&s->lock);
    if (seen || (rc != STORE_DONE && rc != STORE_ABSENT))
        return rc;
    if (s3_head(s, name, NULL, &head, &why) == STORE_DONE) {
        err_set(e, ERR_FAILED, STORE_KEEPS);
        return STORE_AGAIN;
    }
    pthread_mutex_lock(&s->lock);
    s->delete_seen = true;
    pthread_mutex_unlock(&s->lock);
    return rc;
}

/* A lock holds what a name holds, and not the name. */
int s3_hide(struct store *base, const char *name, struct err *e)
{
    AUTO(s3_reply) reply = S3_REPLY_NONE;
    return delete_one(s3_of(base), name, NULL, &reply, e);
}
