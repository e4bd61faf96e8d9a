#include "repo/transfer.h"

#include "base/child.h"
#include "base/file.h"

#include <stdlib.h>
#include <sys/mman.h>

#define SLICE (1u << 20) /* of a pack, in memory */

/* ---- a worker's part ---- */
/* A reply that ends early, a bad sector: this object cannot be had. Anything else concerns the whole store.
 */
static bool is_of_object(const struct err *e)
{
    return e->kind == ERR_DAMAGED || e->kind == ERR_IO;
}

static int refuse(struct transfer *t, const char *why)
{
    t->bad = true;
    return err_set(&t->error, ERR_DAMAGED, "%s: %s: %s", store_title(t->all->from->store), t->name, why);
}

static int took(struct transfer *t, int rc)
{
    if (rc == STORE_ABSENT) {
        refuse(t, "is not there any more");
        return STORE_ABSENT;
    }
    t->bad = rc != STORE_DONE && is_of_object(&t->error);
    return rc == STORE_DONE ? 0 : -1;
}

static int compare(struct transfer *t, const struct sha *have)
{
    return sha_equal(have, &t->sha) ? 0
                                    : refuse(t, "its bytes are not those it was named by (SHA-256): damaged");
}

static void send_small(struct transfer *t)
{
    AUTO(buf) bytes = BUF_NONE;
    struct sha have;
    struct store *to = t->all->to->store;
    if (took(t, store_get(t->all->from->store, t->name, INDEX_MAX, &bytes, &t->error)))
        return;
    t->size = bytes.n;
    sha_of(buf_bytes(&bytes), &have);
    if (compare(t, &have))
        return;
    (void)!(t->replace ? store_replace(to, t->name, buf_bytes(&bytes), &t->error)
                       : store_put(to, t->name, buf_bytes(&bytes), &t->error));
}

/* Slice by slice into an unnamed file. STORE_ABSENT: there is no such version. */
static int fetch_version(struct transfer *t, int fd, unsigned nth)
{
    struct store *from = t->all->from->store;
    AUTO(buf) slice = BUF_NONE;
    struct sha_stream sha;
    struct sha have;
    buf_reserve(&slice, SLICE);
    sha_begin(&sha);
    for (uint64_t at = 0; at < t->size; at += slice.n) {
        slice.n = 0;
        size_t n = (size_t)MIN((uint64_t)SLICE, t->size - at);
        if (stop_check(&t->error))
            return STORE_FAILED;
        int rc = took(t, nth ? store_get_older(from, t->name, nth, at, slice.p, n, &t->error)
                             : store_get_range(from, t->name, at, slice.p, n, &t->error));
        if (rc)
            return rc;
        slice.n = n;
        sha_add(&sha, buf_bytes(&slice));
        if (fd_pwrite_all(fd, buf_bytes(&slice), at, "temporary file", &t->error))
            return -1;
    }
    sha_end(&sha, &have);
    return compare(t, &have);
}

/* Of a damaged one, what a bucket with versions has as an older one. */
static int fetch_pack(struct transfer *t, int fd)
{
    int rc = fetch_version(t, fd, 0);
    const bool bad = t->bad;
    const struct err why = t->error;
    for (unsigned nth = 1; rc == STORE_FAILED && t->bad && nth <= STORE_OLDEST; nth++) {
        t->bad = false;
        t->error = (struct err)ERR_INIT;
        rc = fetch_version(t, fd, nth);
    }
    if (rc && bad && t->error.kind != ERR_STOPPED) { /* also where older ones may not be read */
        t->bad = true;
        t->error = why;
    }
    return rc;
}

/* One that does not open (a later format, another generation) travels all the same. */
static int read_table(struct transfer *t, int fd)
{
    uint8_t footer[PACK_FOOTER];
    uint64_t offset, length;
    struct err why = ERR_INIT;
    AUTO(buf) sealed = BUF_NONE;
    const struct keyring *keys = t->all->to->keys;
    if (fd_pread_all(fd, footer, PACK_FOOTER, t->size - PACK_FOOTER, "temporary file", &t->error))
        return -1;
    if (pack_open_footer(keys, BYTES(footer, PACK_FOOTER), t->size, &offset, &length, &why))
        return 0;
    struct cursor c = cursor_of(BYTES(footer, PACK_FOOTER));
    cursor_u32(&c);
    uint32_t generation = cursor_u32(&c);
    buf_reserve(&sealed, length);
    if (fd_pread_all(fd, sealed.p, length, offset, "temporary file", &t->error))
        return -1;
    if (pack_open_table(keys, BYTES(sealed.p, length), generation, &t->table, &why))
        t->table.n = 0;
    return 0;
}

/* Only a whole object can replace one; the mapping keeps it out of the heap. */
static int replace_pack(struct transfer *t, int fd)
{
    void *p = mmap(NULL, t->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
        return err_errno(&t->error, ERR_IO, "temporary file: mmap");
    int rc = store_replace(t->all->to->store, t->name, BYTES(p, t->size), &t->error);
    munmap(p, t->size);
    return rc;
}

static void send_pack(struct transfer *t)
{
    if (t->size < PACK_FOOTER || t->size > PACK_MAX) {
        (void)!refuse(t, "has no size of a pack");
        return;
    }
    AUTO_FD fd = store_tempfile(t->all->to->store, &t->error);
    if (fd < 0 || fetch_pack(t, fd) || read_table(t, fd))
        return;
    (void)!(t->replace ? replace_pack(t, fd)
                       : store_put_file(t->all->to->store, t->name, fd, t->size, &t->error));
}

static void run(struct job *job, unsigned worker)
{
    (void)worker;
    struct transfer *t = CONTAINER(job, struct transfer, job);
    if (t->is_pack)
        send_pack(t);
    else
        send_small(t);
}

/* ---- the driver's ---- */
static int take(struct transfers *all, struct transfer *t, struct err *e)
{
    if (!t->busy)
        return 0;
    pool_wait(all->to->pool, &t->job);
    t->busy = false;
    if (err_is_set(&t->error) && !t->bad)
        return *e = t->error, -1;
    return all->done(all->ctx, t, e);
}

static unsigned in_flight(const struct transfers *all)
{
    return MIN(pool_threads(all->to->pool), TRANSFERS);
}

int transfers_add(struct transfers *all, const char *name, uint64_t size, bool replace, struct err *e)
{
    struct transfer *t = &all->v[all->started % in_flight(all)];
    if (stop_check(e) || take(all, t, e))
        return -1;
    buf_free(&t->table);
    *t = (struct transfer){.job.run = run,
                           .all = all,
                           .busy = true,
                           .size = size,
                           .is_pack = strncmp(name, "packs/", 6) == 0,
                           .replace = replace};
    size_t n = strlen(name);
    if (n >= sizeof t->name || !name_sha(name, &t->sha)) {
        t->busy = false;
        return err_set(e, ERR_FAILED, "%s: is no name of an object", name);
    }
    memcpy(t->name, name, n + 1);
    all->started++;
    pool_submit(all->to->pool, &t->job);
    return 0;
}

int transfers_finish(struct transfers *all, struct err *e)
{
    unsigned n = in_flight(all);
    for (unsigned i = 0; i < n; i++)
        if (take(all, &all->v[(all->started + i) % n], e))
            return -1;
    return 0;
}

void transfers_free(struct transfers *all)
{
    for (size_t i = 0; i < TRANSFERS; i++) {
        if (all->v[i].busy)
            pool_wait(all->to->pool, &all->v[i].job);
        buf_free(&all->v[i].table);
    }
    all->started = 0;
}
