#include "runs.h"

#include "tar_writer.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

static bool has_content(const struct entry *e)
{
    return S_ISREG(e->st.st_mode) && !e->link_to;
}

bool run_wants_alone(const struct entry *e)
{
    return has_content(e) && e->st.st_size > (off_t)RUN_LARGE;
}

static uint64_t weight_of(const struct entry *e)
{
    return ENTRY_WEIGHT + strlen(e->path) + (e->target ? strlen(e->target) : 0) +
           (e->link_to ? strlen(e->link_to) : 0) + (has_content(e) ? (uint64_t)e->st.st_size : 0);
}

/* With a chance of weight in RUN_AIM. */
static bool is_picked(const struct entry *e, uint64_t weight, const uint8_t cut_key[RUN_CUT_KEY])
{
    uint8_t h[crypto_shorthash_BYTES];
    _Static_assert(crypto_shorthash_KEYBYTES <= RUN_CUT_KEY, "the first half of the key");
    crypto_shorthash(h, (const uint8_t *)e->path, strlen(e->path), cut_key);
    struct cursor c = cursor_of(BYTES(h, sizeof h));
    return weight >= RUN_AIM || cursor_u64(&c) < UINT64_MAX / RUN_AIM * weight;
}

bool run_add(struct run *r, struct entry *e, const uint8_t cut_key[RUN_CUT_KEY])
{
    assert(r->n < RUN_ENTRIES);
    uint64_t weight = weight_of(e);
    r->entries[r->n++] = e;
    r->weight += weight;
    return r->weight >= RUN_MAX || is_picked(e, weight, cut_key);
}

void run_clear(struct run *r)
{
    for (size_t i = 0; i < r->n; i++)
        entry_free(r->entries[i]);
    r->n = 0;
    r->weight = 0;
}

static void add_time(struct buf *b, const struct timespec *t)
{
    buf_add_u64(b, (uint64_t)t->tv_sec);
    buf_add_u32(b, (uint32_t)t->tv_nsec);
}

static void add_text(struct buf *b, const char *s)
{
    buf_add_u32(b, s ? (uint32_t)strlen(s) : UINT32_MAX);
    if (s)
        buf_add_str(b, s);
}

static void add_entry(struct buf *b, const struct entry *e)
{
    add_text(b, e->path);
    buf_add_u32(b, e->st.st_mode);
    buf_add_u32(b, e->st.st_uid);
    buf_add_u32(b, e->st.st_gid);
    buf_add_u64(b, has_content(e) ? (uint64_t)e->st.st_size : 0);
    add_time(b, &e->st.st_mtim);
    add_time(b, &e->st.st_ctim);
    buf_add_u64(b, e->folder->fs.stable_inodes ? e->st.st_ino : 0);
    buf_add_u64(b, S_ISCHR(e->st.st_mode) || S_ISBLK(e->st.st_mode) ? e->st.st_rdev : 0);
    add_text(b, e->target);
    add_text(b, e->link_to);
}

void run_key(const struct run *r, const struct chunk_params *params, const uint8_t cut_key[RUN_CUT_KEY],
             uint8_t out[RUN_KEY])
{
    AUTO(buf) b = BUF_NONE;
    buf_add_u32(&b, TAR_WRITER_VERSION);
    buf_add_u32(&b, params->min);
    buf_add_u32(&b, params->mean);
    buf_add_u32(&b, params->max);
    for (size_t i = 0; i < r->n; i++)
        add_entry(&b, r->entries[i]);
    crypto_generichash(out, RUN_KEY, b.p, b.n, cut_key, RUN_CUT_KEY);
}
