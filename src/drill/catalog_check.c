#include "drill/catalog_check.h"

#include "base/bigmap.h"
#include "drill/tar_entries.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

static void fault(struct catalog_check *c, const char *path, const char *what)
{
    AUTO_CHAR shown = tar_shown_path(path);
    c->fault = true;
    drill_differs(c->out, "catalog: %s: %s", shown, what);
}

static void give_up(struct catalog_check *c, const char *path, const char *what)
{
    c->gave_up = true;
    fault(c, path, what);
}

/* The catalog's own damage is found, not suffered: the rest of the drill goes on without it. */
static int read_failed(struct catalog_check *c, struct err *e)
{
    if (e->kind != ERR_DAMAGED)
        return err_wrap(e, "catalog");
    drill_differs(c->out, "catalog: %s", e->text);
    c->gave_up = c->fault = true;
    *e = (struct err)ERR_INIT;
    return 0;
}

int catalog_check_open(struct catalog_check *c, const struct drill_env *env, const struct stream_info *info,
                       const char *dir, struct drill_result *out, struct err *e)
{
    *c = (struct catalog_check){.out = out, .run_begins = true, .firsts = bigmap_new(dir, 0, e)};
    if (!c->firsts)
        return -1;
    return catalog_cursor_open(&c->cursor, env->repo, info, e) ? read_failed(c, e) : 0;
}

/* ---- the tar stream's word ---- */
static void forget(struct seen_entry *s)
{
    free(s->path);
    free(s->target);
    free(s->link);
    *s = (struct seen_entry){0};
}

static void look_at(struct seen_entry *s, struct archive_entry *ae)
{
    const char *link = archive_entry_hardlink(ae), *target = archive_entry_symlink(ae);
    s->link = link ? tar_clean_path(link) : NULL;
    s->target = target && !link ? xstrdup(target) : NULL;
    s->mode = archive_entry_mode(ae);
    s->size = (uint64_t)archive_entry_size(ae);
    s->uid = archive_entry_uid(ae);
    s->gid = archive_entry_gid(ae);
    s->mtime_ns = time_ns(archive_entry_mtime(ae), archive_entry_mtime_nsec(ae));
    s->has_acl = archive_entry_acl_count(ae, ARCHIVE_ENTRY_ACL_TYPE_ACCESS) > 0;
}

/* ---- the catalog's word ---- */
static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void key_of(const char *path, uint8_t key[BIGMAP_KEY])
{
    XXH128_hash_t h = XXH3_128bits(path, strlen(path));
    memcpy(key, &h, BIGMAP_KEY);
}

bool catalog_check_run_of(const struct catalog_check *c, const char *path, uint64_t *run)
{
    uint8_t key[BIGMAP_KEY];
    uint64_t at = BIGMAP_START;
    key_of(path, key);
    return bigmap_next(c->firsts, key, &at, run);
}

static void compare(struct catalog_check *c, const struct catalog_entry *e)
{
    const struct seen_entry *s = &c->seen;
    /* The tar header of a file with an ACL has the owning group's permissions where stat has the mask. */
    mode_t bits = s->has_acl ? 07707 : 07777;
    if (!same_text(e->link, s->link))
        fault(c, s->path, "another hard link than in the tar stream");
    else if (!s->link && (e->mode & S_IFMT) != (s->mode & S_IFMT))
        fault(c, s->path, "of another kind than in the tar stream");
    else if (!s->link && e->size != s->size)
        fault(c, s->path, "another size than in the tar stream");
    if ((e->mode & bits) != (s->mode & bits) || e->uid != s->uid || e->gid != s->gid)
        fault(c, s->path, "another mode or owner than in the tar stream");
    if (e->mtime_ns != s->mtime_ns)
        fault(c, s->path, "another time than in the tar stream");
    if (!s->link && !same_text(e->target, s->target))
        fault(c, s->path, "another symlink target than in the tar stream");
    if (c->run_begins && s->start != c->run_start)
        fault(c, s->path, "the run that begins with it does not lie where the catalog says");
}

/* Finds, or remembers, in which run content lies. */
static int check_link(struct catalog_check *c, const struct catalog_entry *entry, struct err *e)
{
    uint8_t key[BIGMAP_KEY];
    uint64_t run;
    if (S_ISDIR(entry->mode))
        return 0;
    if (!entry->link) {
        key_of(c->seen.path, key);
        return bigmap_add(c->firsts, key, entry->run, e);
    }
    if (!catalog_check_run_of(c, entry->link, &run) || run != entry->link_run)
        fault(c, c->seen.path, "its content does not lie in the run that the catalog says");
    return 0;
}

/* The entry at hand is complete: what does the catalog say of it? */
static int settle(struct catalog_check *c, struct err *e)
{
    const struct catalog_item *item;
    int rc = 0;
    if (!c->seen.path || c->gave_up)
        return 0;
    while ((rc = catalog_cursor_next(&c->cursor, &item, e)) == 1 && item->is_run) {
        c->run_start = item->offset + item->bytes;
        c->run_begins = true;
    }
    if (rc < 0)
        return read_failed(c, e);
    const char *path = rc ? item->entry.path : "";
    if (rc == 0) {
        give_up(c, c->seen.path, "the catalog ends before it");
    } else if (strcmp(strcmp(path, ".") == 0 ? "" : path, c->seen.path) != 0) {
        give_up(c, path, "the tar stream has another entry there");
    } else {
        compare(c, &item->entry);
        c->run_begins = false;
        return check_link(c, &item->entry, e);
    }
    return 0;
}

int catalog_check_see(struct catalog_check *c, struct archive_entry *ae, uint64_t header, struct err *e)
{
    uint64_t began = time_monotonic_ns(), start = c->slice_offset + header;
    const char *raw = archive_entry_pathname(ae);
    AUTO_CHAR path = raw ? tar_clean_path(raw) : NULL;
    if (!path)
        return 0; /* the comparison will say that it is not restored */
    if (c->seen.path && strcmp(c->seen.path, path) == 0) {
        buf_add(&c->replaced, BYTES(&c->seen.header, sizeof c->seen.header));
        start = c->seen.start;
    } else {
        if (settle(c, e))
            return -1;
        c->entries++;
    }
    forget(&c->seen);
    look_at(&c->seen, ae);
    c->seen.path = STEAL(path);
    c->seen.start = start;
    c->seen.header = header;
    c->spent_ns += time_monotonic_ns() - began;
    return 0;
}

/* ---- from end to end ---- */
void catalog_check_slice(struct catalog_check *c, uint64_t offset)
{
    c->slice_offset = offset;
    c->replaced.n = 0;
}

int catalog_check_slice_end(struct catalog_check *c, struct err *e)
{
    int rc = settle(c, e);
    forget(&c->seen);
    return rc;
}

int catalog_check_end(struct catalog_check *c, uint64_t tar_bytes, uint64_t files, struct err *e)
{
    const struct catalog_item *item;
    int rc = 0;
    while (!c->gave_up && (rc = catalog_cursor_next(&c->cursor, &item, e)) == 1) {
        if (!item->is_run)
            give_up(c, item->entry.path, "is not in the tar stream");
        c->run_start = item->offset + item->bytes;
    }
    if (rc < 0)
        return read_failed(c, e);
    if (c->gave_up)
        return 0;
    if (c->run_start + CATALOG_TAR_END != tar_bytes) {
        c->fault = true;
        drill_differs(c->out, "catalog: its runs end at byte %llu, and the tar stream has %llu bytes",
                      (unsigned long long)c->run_start, (unsigned long long)tar_bytes);
    }
    if (c->entries != files) {
        c->fault = true;
        drill_differs(c->out, "the snapshot counts %llu entries, and the tar stream has %llu",
                      (unsigned long long)files, (unsigned long long)c->entries);
    }
    return 0;
}

void catalog_check_free(struct catalog_check *c)
{
    forget(&c->seen);
    buf_free(&c->replaced);
    catalog_cursor_free(&c->cursor);
    bigmap_free(c->firsts);
    c->firsts = NULL;
}
