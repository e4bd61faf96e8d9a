#include "links.h"

#include "base/bigmap.h"
#include "base/file.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#define FORGOTTEN (UINT64_MAX - 1) /* in place of an offset */
#define WHAT      "temporary list of hard links"

/* What stands in the file, before the path. What is read back wrong would leave the content of a file out. */
struct first {
    uint64_t run;
    uint64_t length;
    uint64_t check; /* of the two, and of the path */
};

static uint64_t check_of(const struct first *f, const char *path)
{
    return XXH3_64bits_withSeed(path, f->length, XXH3_64bits(f, offsetof(struct first, check)));
}

/* Names of one file say the same of it. With its number alone, a file that got the number of one that was
 * deleted meanwhile, or files of which a file system has no number, would be taken for names of another, and
 * their content would be lost. Not the ctime: making and removing links changes it. */
static void key_of(const struct stat *st, uint8_t key[BIGMAP_KEY])
{
    const uint64_t file[] = {st->st_dev,
                             st->st_ino,
                             st->st_mode,
                             (uint64_t)st->st_uid << 32 | st->st_gid,
                             (uint64_t)st->st_size,
                             (uint64_t)st->st_mtim.tv_sec,
                             (uint64_t)st->st_mtim.tv_nsec,
                             st->st_rdev};
    XXH128_hash_t h = XXH3_128bits(file, sizeof file);
    memcpy(key, &h, BIGMAP_KEY);
}

/* Where the first link stands, or FORGOTTEN: what was added last counts. */
static uint64_t find(const struct links *l, const uint8_t key[BIGMAP_KEY])
{
    uint64_t at = BIGMAP_START, found = FORGOTTEN;
    while (bigmap_next(l->map, key, &at, &found))
        ;
    return found;
}

static int start(struct links *l, struct err *e)
{
    if (l->map)
        return 0;
    l->fd = file_spool(l->dir, e);
    if (l->fd < 0)
        return -1;
    l->map = bigmap_new(l->dir, 0, e);
    return l->map ? 0 : -1;
}

static int add(struct links *l, const uint8_t key[BIGMAP_KEY], const char *path, uint64_t run, struct err *e)
{
    struct first head = {.run = run, .length = strlen(path)};
    head.check = check_of(&head, path);
    if (fd_pwrite_all(l->fd, BYTES(&head, sizeof head), l->end, WHAT, e) ||
        fd_pwrite_all(l->fd, BYTES_STR(path), l->end + sizeof head, WHAT, e) ||
        bigmap_add(l->map, key, l->end, e))
        return -1;
    l->end += sizeof head + head.length;
    return 0;
}

static int read_first(const struct links *l, uint64_t at, char **path, uint64_t *run, struct err *e)
{
    struct first head;
    if (fd_pread_all(l->fd, &head, sizeof head, at, WHAT, e))
        return -1;
    AUTO_CHAR first = head.length <= l->end ? xcalloc(head.length + 1, 1) : NULL;
    if (first && fd_pread_all(l->fd, first, head.length, at + sizeof head, WHAT, e))
        return -1;
    if (!first || head.check != check_of(&head, first))
        return err_set(e, ERR_IO,
                       "%s: %s gives back other bytes than were written there: does its disk fail?", WHAT,
                       l->dir);
    *path = STEAL(first);
    *run = head.run;
    return 0;
}

int links_meet(struct links *l, const struct stat *st, const char *path, uint64_t run, char **link_to,
               uint64_t *link_run, struct err *e)
{
    uint8_t key[BIGMAP_KEY];
    *link_to = NULL;
    if (start(l, e))
        return -1;
    key_of(st, key);
    uint64_t at = find(l, key);
    if (at == FORGOTTEN)
        return add(l, key, path, run, e);
    return read_first(l, at, link_to, link_run, e);
}

int links_forget(struct links *l, const struct stat *st, struct err *e)
{
    uint8_t key[BIGMAP_KEY];
    key_of(st, key);
    return l->map ? bigmap_add(l->map, key, FORGOTTEN, e) : 0;
}

void links_free(struct links *l)
{
    bigmap_free(l->map);
    fd_auto(&l->fd);
    l->map = NULL;
    l->end = 0;
    l->fd = -1;
}
