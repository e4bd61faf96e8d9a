#include "base/bigmap.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* An entry is 24 bytes; one whose value is EMPTY is free (a new file reads as zeros, so values are kept + 1).
 */
struct entry {
    uint8_t key[BIGMAP_KEY];
    uint64_t value_plus_1;
};
struct bigmap {
    char *dir;
    int fd;
    struct entry *slots;
    uint64_t slot_count; /* a power of two */
    uint64_t count;
    uint64_t seed[2]; /* keys may come from whoever wants them in one place */
};

/* Takes the disk space now: a mapped write to a full disk would be a SIGBUS. */
static int reserve(int fd, size_t size, struct err *e)
{
    errno = posix_fallocate(fd, 0, (off_t)size);
    if (errno == ENOSPC || errno == EDQUOT)
        return err_errno(e, ERR_IO, "make room for a temporary table of %zu bytes", size);
    return errno ? err_errno(e, ERR_IO, "temporary table of %zu bytes", size) : 0;
}

static int map_slots(struct bigmap *m, uint64_t slot_count, struct err *e)
{
    AUTO_FD fd = file_spool(m->dir, e);
    if (fd < 0)
        return -1;
    size_t size = slot_count * sizeof(struct entry);
    if (reserve(fd, size, e))
        return err_wrap(e, "%s", m->dir);
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return err_errno(e, ERR_IO, "%s: map a table of %zu bytes", m->dir, size);
    m->slots = p;
    m->slot_count = slot_count;
    m->fd = fd;
    fd = -1;
    return 0;
}

static uint64_t home(const struct bigmap *m, const uint8_t *key)
{
    uint64_t h[2];
    memcpy(h, key, sizeof h);
    unsigned __int128 product = (unsigned __int128)(h[0] ^ m->seed[0]) * (h[1] ^ m->seed[1]);
    return ((uint64_t)product ^ (uint64_t)(product >> 64)) & (m->slot_count - 1);
}

static void place(struct bigmap *m, const uint8_t *key, uint64_t value_plus_1)
{
    uint64_t i = home(m, key);
    while (m->slots[i].value_plus_1)
        i = (i + 1) & (m->slot_count - 1);
    memcpy(m->slots[i].key, key, BIGMAP_KEY);
    m->slots[i].value_plus_1 = value_plus_1;
}

struct bigmap *bigmap_new(const char *dir, uint64_t expected, struct err *e)
{
    AUTO_PTR(bigmap) m = xcalloc(1, sizeof *m);
    m->dir = xstrdup(dir);
    m->fd = -1;
    random_fill(m->seed, sizeof m->seed);
    uint64_t slots = 1024;
    while (slots / 4 * 3 <= expected)
        slots *= 2;
    if (map_slots(m, slots, e))
        return NULL;
    return STEAL(m);
}

static void unmap(struct entry *slots, uint64_t slot_count, int fd)
{
    if (slots)
        munmap(slots, slot_count * sizeof *slots);
    if (fd >= 0)
        close(fd);
}

static int grow(struct bigmap *m, struct err *e)
{
    struct entry *old = m->slots;
    uint64_t old_count = m->slot_count, first = 0;
    int old_fd = m->fd;
    if (map_slots(m, 2 * old_count, e))
        return -1;
    /* Start after a free slot, so that entries of one key keep the order in which they were added. */
    while (old[first].value_plus_1)
        first++;
    for (uint64_t k = 1; k < old_count; k++) {
        const struct entry *from = &old[(first + k) & (old_count - 1)];
        if (from->value_plus_1)
            place(m, from->key, from->value_plus_1);
    }
    unmap(old, old_count, old_fd);
    return 0;
}

int bigmap_add(struct bigmap *m, const uint8_t key[BIGMAP_KEY], uint64_t value, struct err *e)
{
    if (m->count >= m->slot_count / 4 * 3 && grow(m, e))
        return -1;
    place(m, key, value + 1);
    m->count++;
    return 0;
}

bool bigmap_next(const struct bigmap *m, const uint8_t key[BIGMAP_KEY], uint64_t *at, uint64_t *value)
{
    uint64_t i = *at == BIGMAP_START ? home(m, key) : (*at + 1) & (m->slot_count - 1);
    for (; m->slots[i].value_plus_1; i = (i + 1) & (m->slot_count - 1))
        if (memcmp(m->slots[i].key, key, BIGMAP_KEY) == 0) {
            *at = i;
            *value = m->slots[i].value_plus_1 - 1;
            return true;
        }
    return false;
}

bool bigmap_each(const struct bigmap *m, uint64_t *slot, const uint8_t **key, uint64_t *value)
{
    while (*slot < m->slot_count) {
        const struct entry *s = &m->slots[(*slot)++];
        if (s->value_plus_1) {
            *key = s->key;
            *value = s->value_plus_1 - 1;
            return true;
        }
    }
    return false;
}

uint64_t bigmap_slots(const struct bigmap *m)
{
    return m->slot_count;
}

uint64_t bigmap_count(const struct bigmap *m)
{
    return m->count;
}

void bigmap_free(struct bigmap *m)
{
    if (!m)
        return;
    unmap(m->slots, m->slot_count, m->fd);
    free(m->dir);
    free(m);
}

int bigarray_open(struct bigarray *a, const char *dir, size_t record, struct err *e)
{
    *a = (struct bigarray){.record = record, .fd = file_spool(dir, e)};
    return a->fd < 0 ? -1 : 0;
}

uint64_t bigarray_add(struct bigarray *a, const void *record, struct err *e)
{
    if (a->n == a->cap) {
        uint64_t cap = a->cap ? 2 * a->cap : 1024;
        if (reserve(a->fd, cap * a->record, e))
            return UINT64_MAX;
        void *p = a->p ? mremap(a->p, a->cap * a->record, cap * a->record, MREMAP_MAYMOVE)
                       : mmap(NULL, cap * a->record, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd, 0);
        if (p == MAP_FAILED) {
            err_errno(e, ERR_IO, "map a temporary table of %llu records", (unsigned long long)cap);
            return UINT64_MAX;
        }
        a->p = p;
        a->cap = cap;
    }
    memcpy(a->p + a->n * a->record, record, a->record);
    return a->n++;
}

void bigarray_free(struct bigarray *a)
{
    if (a->p)
        munmap(a->p, a->cap * a->record);
    if (a->fd >= 0)
        close(a->fd);
    *a = (struct bigarray)BIGARRAY_NONE;
}

int bigbits_open(struct bigbits *b, const char *dir, uint64_t n, struct err *e)
{
    *b = (struct bigbits){.n = n, .fd = file_spool(dir, e)};
    size_t size = n / 8 + 1;
    if (b->fd < 0 || reserve(b->fd, size, e))
        return -1;
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, b->fd, 0);
    if (p == MAP_FAILED)
        return err_errno(e, ERR_IO, "%s: map a table of %zu bytes", dir, size);
    b->p = p;
    return 0;
}

void bigbits_free(struct bigbits *b)
{
    if (b->p)
        munmap(b->p, b->n / 8 + 1);
    if (b->fd >= 0)
        close(b->fd);
    *b = (struct bigbits)BIGBITS_NONE;
}
