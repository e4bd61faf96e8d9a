/* Reference lists: a stream of any depth whose lists say anything. The input is text: the depth, and
 * how many chunks the snapshot says there are, if not very many; then a line for each list, the last
 * one being the roots. "@N" refers to the Nth line, "@N+M" and "@N-M" with a length that is wrong by M, "xN"
 * to a chunk of N bytes, "+N" are N bytes that refer to nothing. What the walk gives is compared with a walk
 * over the lines. */
#include "repo/tree.h"
#include "world.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LINES 32
#define REFS  600  /* of a line */
#define STEPS 2000 /* of a walk: lists that refer to each other multiply */

struct lines {
    size_t n;
    struct buf list[LINES];
    struct ref ref[LINES]; /* what is true of it */
};

static void read_word(const struct lines *l, const char *word, struct buf *out)
{
    char *end;
    unsigned long n = strtoul(word + 1, &end, 10);
    struct ref ref = {.length = (uint32_t)n};
    if (*word == '+') {
        static const uint8_t bytes[TABLE_CHUNK_SIZE];
        buf_add(out, BYTES(bytes, n % TABLE_CHUNK_SIZE));
        return;
    }
    memset(ref.id.b, 'x', ID_SIZE);
    ref.id.b[0] = (uint8_t)n;
    if (*word == '@' && n < l->n) {
        ref = l->ref[n];
        ref.length += (uint32_t)strtol(end, NULL, 10);
    }
    add_chunk(out, &ref);
}

static void read_line(struct lines *l, char *line)
{
    char *save = NULL;
    struct buf *list = &l->list[l->n];
    size_t n = 0;
    for (char *w = strtok_r(line, " ", &save); w && n < REFS; w = strtok_r(NULL, " ", &save), n++)
        read_word(l, w, list);
    if (!list->n)
        return;
    id_of(&keyring_current(fuzz_keys())->tree_ids, buf_bytes(list), &l->ref[l->n].id);
    l->ref[l->n++].length = (uint32_t)list->n;
}

/* A pack with all lists in one tree frame. */
static void put_lists(struct fuzz_repo *f, const struct lines *l)
{
    struct err e = ERR_INIT;
    struct slot slot;
    struct sha sha;
    uint8_t key[SLOT_KEY];
    char name[NAME_SIZE];
    AUTO(table) t = {0};
    AUTO(buf) raw = BUF_NONE, chunks = BUF_NONE, pack = BUF_NONE, plain = BUF_NONE;
    slot_new(fuzz_keys(), SLOT_TREE, &slot, key);
    table_add_slot(&t, &slot);
    for (size_t i = 0; i < l->n; i++) {
        buf_add(&raw, buf_bytes(&l->list[i]));
        add_chunk(&chunks, &l->ref[i]);
    }
    const struct frame_facts facts = {.kind = SLOT_TREE, .generation = 1, .raw_length = (uint32_t)raw.n};
    const struct frame_entry entry = {.sealed_length = (uint32_t)raw.n + SEAL_TAG,
                                      .raw_length = (uint32_t)raw.n};
    table_add_frame(&t, &entry, buf_bytes(&chunks));
    frame_seal(fuzz_keys(), key, &facts, buf_bytes(&raw), buf_reserve(&pack, raw.n + SEAL_TAG));
    pack.n = raw.n + SEAL_TAG;
    pack_seal_tail(fuzz_keys(), &t, pack.n, &plain, &pack);
    sha_of(buf_bytes(&pack), &sha);
    pack_name(name, &sha);
    HOLDS(store_put(f->store, name, buf_bytes(&pack), &e) == STORE_DONE && repo_load(f->repo, &e) == 0);
}

/* ---- the same walk over the lines ---- */
struct model {
    const struct lines *l;
    uint64_t refs, bytes, steps;
    uint64_t most; /* chunks, by the snapshot */
    bool broken;   /* ends at a list that is none, at a chunk of no bytes, or of too many */
};

static const struct buf *find_list(const struct lines *l, const struct ref *ref)
{
    for (size_t i = 0; i < l->n; i++)
        if (memcmp(&l->ref[i], ref, sizeof *ref) == 0 && ref->length <= LIST_MAX * TABLE_CHUNK_SIZE &&
            ref->length % TABLE_CHUNK_SIZE == 0)
            return &l->list[i];
    return NULL;
}

/* false: it ends there, broken or because it is long. */
static bool expand(struct model *m, const struct buf *list, unsigned depth)
{
    for (size_t i = 0; i < list->n / TABLE_CHUNK_SIZE; i++) {
        struct ref ref = chunk_at(buf_bytes(list), i);
        if (m->steps++ == STEPS)
            return false;
        m->broken |= ref.length == 0 || (depth == 0 && m->refs == m->most);
        if (m->broken)
            return false;
        if (depth == 0) {
            m->refs++;
            m->bytes += ref.length;
            continue;
        }
        const struct buf *below = find_list(m->l, &ref);
        m->broken |= !below;
        if (!below || !expand(m, below, depth - 1))
            return false;
    }
    return true;
}

static void walk(struct fuzz_repo *f, const struct stream_info *info, const struct model *m)
{
    struct err e = ERR_INIT;
    struct ref ref;
    uint64_t refs = 0, bytes = 0;
    int rc = 1;
    struct ref_walk *w = ref_walk_new(f->repo, info);
    while (rc > 0 && refs <= STEPS) {
        rc = ref_walk_next(w, &ref, &e);
        refs += rc > 0;
        bytes += rc > 0 ? ref.length : 0;
    }
    HOLDS((rc < 0) == err_is_set(&e) && (rc >= 0 || e.kind == ERR_DAMAGED));
    if (m->steps <= STEPS)
        HOLDS((rc < 0) == m->broken && refs == m->refs && bytes == m->bytes);
    ref_walk_free(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lines l = {0};
    struct stream_info info = {0};
    AUTO_CHAR text = xstrndup((const char *)data, size);
    char *save = NULL, *depth = strtok_r(text, "\n", &save);
    for (char *line = strtok_r(NULL, "\n", &save); line && l.n < LINES; line = strtok_r(NULL, "\n", &save))
        read_line(&l, line);
    if (depth && l.n) {
        struct buf *roots = &l.list[l.n - 1];
        AUTO(fuzz_repo) f;
        info.depth = (uint32_t)strtoul(depth, &depth, 10) % TREE_LEVELS;
        roots->n = MIN(roots->n, (size_t)STREAM_ROOTS * TABLE_CHUNK_SIZE);
        info.root_count = (uint32_t)(roots->n / TABLE_CHUNK_SIZE);
        for (uint32_t i = 0; i < info.root_count; i++)
            info.roots[i] = chunk_at(buf_bytes(roots), i);
        struct model m = {.l = &l, .most = *depth == ' ' ? strtoul(depth, NULL, 10) : UINT32_MAX};
        l.n--; /* the roots stand in the snapshot */
        fuzz_repo_new(&f);
        if (l.n)
            put_lists(&f, &l);
        else
            HOLDS(repo_load(f.repo, &(struct err)ERR_INIT) == 0);
        (void)!expand(&m, roots, info.depth);
        info.chunks = m.most;
        walk(&f, &info, &m);
        l.n++;
    }
    for (size_t i = 0; i < LINES; i++)
        buf_free(&l.list[i]);
    return 0;
}
