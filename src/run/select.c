/* Which snapshot is meant. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PREFIX_MIN 4
#define LISTED     8

/* ---- narrowing ---- */
/* "YYYY-MM-DD", "YYYY-MM-DD HH:MM", "YYYY-MM-DD HH:MM:SS" in local time; a day means its end. */
static bool parse_local(const char *text, int64_t *ns)
{
    static const char *const shapes[] = {"%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"};
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
        struct tm tm = {.tm_isdst = -1};
        const char *end = strptime(text, shapes[i], &tm);
        if (!end || *end)
            continue;
        if (i == 1)
            tm.tm_sec = 59;
        if (i == 2) {
            tm.tm_hour = 23;
            tm.tm_min = tm.tm_sec = 59;
        }
        struct tm asked = tm;
        time_t t = mktime(&tm);
        if (tm.tm_mday != asked.tm_mday || tm.tm_year < 70 || tm.tm_year > 300)
            return false; /* the 31st of February, or no year of ours: as time_parse_utc() has it */
        *ns = (int64_t)t * 1000000000 + 999999999;
        return true;
    }
    return false;
}

static bool passes(const struct snapshot *s, const struct run_select *select, int64_t at)
{
    return (!select->host || strcmp(s->host, select->host) == 0) &&
           (!select->tag || strings_has(&s->tags, select->tag)) && (!select->at || s->time_ns <= at);
}

int run_narrow(struct snapshots *all, const struct run_select *select, struct err *e)
{
    int64_t at = 0;
    if (select->at && !time_parse_utc(select->at, &at) && !parse_local(select->at, &at))
        return err_set(e, ERR_USAGE,
                       "--at %s: is not a time such as \"2026-03-01 02:03\" (local) or 2026-03-01T02:03:04Z",
                       select->at);
    size_t kept = 0;
    for (size_t i = 0; i < all->n; i++) {
        if (passes(&all->v[i], select, at))
            all->v[kept++] = all->v[i];
        else
            snapshot_free(&all->v[i]);
    }
    all->n = kept;
    return 0;
}

/* ---- latest ---- */
static bool is_candidate(const struct snapshot *s, const char *source)
{
    const struct snapshot_source *found = source ? snapshot_find_source(s, source) : NULL;
    if (!snapshot_counts(s))
        return false;
    return source ? found && found->verdict != VERDICT_FAILED : true;
}

static const struct snapshot *newest_of(const struct snapshots *all, const char *host, const char *source)
{
    for (size_t i = all->n; i-- > 0;)
        if (is_candidate(&all->v[i], source) && (!host || strcmp(all->v[i].host, host) == 0))
            return &all->v[i];
    return NULL;
}

static const struct snapshot *no_snapshot_of(const struct snapshots *all, const char *source, struct err *e)
{
    const char **names = NULL;
    size_t n = 0;
    for (size_t i = 0; i < all->n; i++)
        n += all->v[i].source_count;
    names = xcalloc(n + 1, sizeof *names);
    for (size_t i = 0, at = 0; i < all->n; i++)
        for (size_t k = 0; k < all->v[i].source_count; k++)
            names[at++] = all->v[i].sources[k].name;
    const char *near = nearest_word(source, names);
    bool other = near && strcmp(near, source) != 0;
    err_set(e, ERR_USAGE, "there is no good or degraded snapshot of %s: %s%s%s", source,
            other ? "did you mean latest:" : "`lifeboat list` shows what there is", other ? near : "",
            other ? "?" : "");
    free(names);
    return NULL;
}

static const struct snapshot *pick_latest(const struct snapshots *all, const char *source,
                                          const struct run_select *select, struct err *e)
{
    const struct snapshot *s = newest_of(all, select->this_host, source);
    if (s)
        return s;
    AUTO(strings) hosts = STRINGS_NONE;
    AUTO(buf) list = BUF_NONE;
    for (size_t i = 0; i < all->n; i++)
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): v is there when n is not 0 */
        if (is_candidate(&all->v[i], source) && !strings_has(&hosts, all->v[i].host)) {
            strings_add(&hosts, all->v[i].host);
            buf_add_fmt(&list, "%s%s", list.n ? ", " : "", all->v[i].host);
        }
    if (hosts.n == 1)
        return newest_of(all, NULL, source);
    if (hosts.n > 1)
        err_set(e, ERR_USAGE, "host %s has no snapshot%s%s; choose one of these with --host: %s",
                select->this_host, source ? " of " : "", source ? source : "", buf_cstr(&list));
    else if (all->n == 0 && all->unreadable.n)
        err_set(
            e, ERR_DAMAGED,
            "there is no snapshot%s%s that can be read, and %zu that cannot: `lifeboat check` says what is "
            "damaged",
            source ? " of " : "", source ? source : "", all->unreadable.n);
    else if (source)
        return no_snapshot_of(all, source, e);
    else
        err_set(e, ERR_USAGE, "there is no snapshot%s%s%s%s%s%s: %s", select->host ? " of host " : "",
                select->host ? select->host : "", select->tag ? " with tag " : "",
                select->tag ? select->tag : "", select->at ? " up to " : "", select->at ? select->at : "",
                select->host || select->tag || select->at ? "`lifeboat list` shows what there is"
                                                          : "`lifeboat backup` makes the first");
    return NULL;
}

/* ---- by id ---- */
static bool starts_with(const char *hex, const char *prefix)
{
    return strncasecmp(hex, prefix, strlen(prefix)) == 0;
}

/* A snapshot that is in the store and does not open: said as what it is. */
static int check_unreadable(const struct snapshots *all, const char *word, struct err *e)
{
    for (size_t i = 0; i < all->unreadable.n; i++) {
        const char *slash = strchr(all->unreadable.v[i], '/');
        if (slash && starts_with(slash + 1, word))
            return err_set(e, ERR_DAMAGED, "%s", all->unreadable.v[i]);
    }
    return 0;
}

static const struct snapshot *pick_id(const struct snapshots *all, const char *word, struct err *e)
{
    const struct snapshot *found = NULL;
    AUTO(buf) list = BUF_NONE;
    size_t matches = 0;
    for (size_t i = 0; i < all->n; i++) {
        char hex[SHA_HEX], time[40];
        sha_hex(hex, &all->v[i].id);
        if (!starts_with(hex, word))
            continue;
        found = &all->v[i];
        time_format_local(time, found->time_ns);
        if (matches++ < LISTED)
            buf_add_fmt(&list, "%s%.12s (%s, %s)", list.n ? ", " : "", hex, time, found->host);
    }
    if (matches > 1)
        return err_set(e, ERR_USAGE, "%s: %zu snapshots start so: %s%s", word, matches, buf_cstr(&list),
                       matches > LISTED ? ", ..." : ""),
               NULL;
    if (!found && check_unreadable(all, word, e) == 0)
        err_set(e, ERR_USAGE, "%s: there is no such snapshot: `lifeboat list` shows what there is", word);
    return found;
}

const struct snapshot *run_pick(const struct snapshots *all, const char *word,
                                const struct run_select *select, struct err *e)
{
    if (strcmp(word, "latest") == 0)
        return pick_latest(all, NULL, select, e);
    if (strncmp(word, "latest:", 7) == 0)
        return pick_latest(all, word + 7, select, e);
    size_t n = strlen(word);
    if (strspn(word, "0123456789abcdefABCDEF") != n || n < PREFIX_MIN || n >= SHA_HEX) {
        AUTO_CHAR shown = text_printable(word, n);
        return err_set(e, ERR_USAGE,
                       "\"%s\" is not a snapshot: give at least %d hex digits of its id, or latest, or "
                       "latest:SOURCE",
                       shown, PREFIX_MIN),
               NULL;
    }
    return pick_id(all, word, e);
}
