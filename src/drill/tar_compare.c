#include "drill/tar_compare.h"

#include "base/bigmap.h"
#include "base/child.h"
#include "drill/tar_compare_parts.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

/* ---- what cannot be here ---- */
static void key_of(const char *path, uint8_t key[BIGMAP_KEY])
{
    XXH128_hash_t h = XXH3_128bits(path, strlen(path));
    memcpy(key, &h, BIGMAP_KEY);
}

static int leave_out(struct comparing *c, struct err *e)
{
    uint8_t key[BIGMAP_KEY];
    key_of(c->stored.path, key);
    if (!c->left_out && !(c->left_out = bigmap_new(c->o->place, 0, e)))
        return -1;
    return bigmap_add(c->left_out, key, 0, e);
}

static bool is_left_out(const struct comparing *c, const char *path)
{
    uint8_t key[BIGMAP_KEY];
    uint64_t at = BIGMAP_START, value;
    key_of(path, key);
    return c->left_out && bigmap_next(c->left_out, key, &at, &value);
}

/* ---- saying it ---- */
static void say(struct comparing *c, const char *path, struct findings *f)
{
    AUTO_CHAR shown = tar_shown_path(path);
    if (f->differs.n)
        drill_differs(c->out, "%s: %s", shown, buf_cstr(&f->differs));
    if (f->refused.n)
        drill_unable(c->out,
                     "%s: the file system of %s does not take %s: name a folder on one like the source's as "
                     "[drill] directory",
                     shown, c->o->place, buf_cstr(&f->refused));
}

/* ---- an entry of one stream only ---- */
/* By its owner: the source had to pass it over when it read scratch. */
static bool is_unreadable(const struct comparing *c)
{
    struct archive_entry *ae = c->stored.ae;
    bool is_file = archive_entry_hardlink(ae) || archive_entry_filetype(ae) == AE_IFREG;
    return (c->shut && tar_path_is_below(c->stored.path, c->shut)) ||
           (is_file && !(archive_entry_mode(ae) & S_IRUSR));
}

static bool is_device(struct archive_entry *ae)
{
    return archive_entry_filetype(ae) == AE_IFCHR || archive_entry_filetype(ae) == AE_IFBLK;
}

static int missing(struct comparing *c, struct err *e)
{
    AUTO(findings) f = {0};
    const char *link = archive_entry_hardlink(c->stored.ae);
    if (link && c->o->is_elsewhere && c->o->is_elsewhere(c->o->ctx, link)) {
        c->tally->links++;
        return 0;
    }
    if (link && is_left_out(c, link))
        return leave_out(c, e);
    if (!c->o->is_root && is_device(c->stored.ae)) {
        c->tally->devices++;
        return leave_out(c, e);
    }
    if (!c->o->is_root && is_unreadable(c)) {
        c->tally->unread++;
        return leave_out(c, e);
    }
    probe_make(&c->probe, c->stored.ae, c->stored.path);
    bool refused = find_refused(c, &f, "such an entry", c->probe.made);
    if (!refused)
        tell(&f, "is missing");
    say(c, c->stored.path, &f);
    return refused ? leave_out(c, e) : 0;
}

static void surplus(struct comparing *c)
{
    AUTO(findings) f = {0};
    bool leads_there = c->o->is_elsewhere && c->stored.path &&
                       archive_entry_filetype(c->reread.ae) == AE_IFDIR &&
                       tar_path_is_below(c->stored.path, c->reread.path);
    if (leads_there)
        return;
    tell(&f, "was not there");
    say(c, c->reread.path, &f);
}

/* ---- both streams ---- */
static int next_reread(struct comparing *c, struct err *e)
{
    c->reread_failed = tar_entries_next(&c->reread, e) != 0;
    return c->reread_failed ? -1 : 0;
}

static void note_shut(struct comparing *c)
{
    const mode_t need = S_IRUSR | S_IXUSR;
    if (c->o->is_root || archive_entry_filetype(c->stored.ae) != AE_IFDIR ||
        (archive_entry_mode(c->stored.ae) & need) == need ||
        (c->shut && tar_path_is_below(c->stored.path, c->shut)))
        return;
    free(c->shut);
    c->shut = xstrdup(c->stored.path);
}

static int next_stored(struct comparing *c, struct err *e)
{
    AUTO_CHAR last = xstrdup(c->stored.path);
    bool is_first = !c->stored.ae;
    probe_remove(&c->probe);
    if (tar_entries_next(&c->stored, e))
        return -1;
    if (!c->stored.path)
        return 0;
    AUTO_CHAR shown = tar_shown_path(c->stored.path);
    if (!is_first && tar_path_order(last, c->stored.path) >= 0)
        return err_set(e, ERR_DAMAGED, "%s: stands at the wrong place in the stored stream", shown);
    note_shut(c);
    return 0;
}

static int same_path(struct comparing *c, struct err *e)
{
    AUTO(findings) f = {0};
    const char *link = archive_entry_hardlink(c->stored.ae);
    if (link && is_left_out(c, link)) { /* what was read again has it as the first name, if at all */
        c->tally->unread++;
        return leave_out(c, e) || next_stored(c, e) || next_reread(c, e) ? -1 : 0;
    }
    if (compare_entries(c, &f, e))
        return -1;
    say(c, c->stored.path, &f);
    return next_stored(c, e) || next_reread(c, e) ? -1 : 0;
}

static int compare_all(struct comparing *c, struct err *e)
{
    if (next_stored(c, e) || next_reread(c, e))
        return -1;
    while (c->stored.path || c->reread.path) {
        int order = !c->stored.path   ? 1
                    : !c->reread.path ? -1
                                      : tar_path_order(c->stored.path, c->reread.path);
        if (stop_check(e))
            return -1;
        if (order == 0 && same_path(c, e))
            return -1;
        if (order < 0 && (missing(c, e) || next_stored(c, e)))
            return -1;
        if (order > 0) {
            surplus(c);
            if (next_reread(c, e))
                return -1;
        }
    }
    return 0;
}

int tar_compare(const struct tar_comparison *o, struct tar_tally *tally, bool *reread_failed,
                struct drill_result *out, struct err *e)
{
    struct comparing c = {.o = o, .tally = tally, .out = out, .probe.place = o->place};
    int rc = tar_entries_open(&c.stored, o->stored, e);
    c.stored.skip = o->replaced;
    c.stored.skip_count = o->replaced_count;
    if (rc == 0) {
        rc = tar_entries_open(&c.reread, o->reread, e);
        c.reread_failed = rc != 0;
    }
    if (rc == 0)
        rc = compare_all(&c, e);
    *reread_failed = c.reread_failed;
    probe_remove(&c.probe);
    tar_entries_free(&c.stored);
    tar_entries_free(&c.reread);
    bigmap_free(c.left_out);
    free(c.shut);
    return rc;
}
