#include "drill/slices.h"

#include <stdlib.h>
#include <sys/stat.h>

int slicer_open(struct slicer *s, struct repo *r, const struct stream_info *catalog, uint64_t limit,
                struct err *e)
{
    *s = (struct slicer){.limit = limit};
    return catalog_cursor_open(&s->catalog, r, catalog, e);
}

static void keep_largest(struct slicer *s, const struct catalog_entry *entry, uint64_t *size)
{
    if (s->largest && entry->size <= *size)
        return;
    free(s->largest);
    s->largest = xstrdup(entry->path);
    *size = entry->size;
}

/* 1: the next run, with what it takes. A sparse file takes no more than its bytes in the stream. */
static int next_run(struct slicer *s, struct slice *out, struct err *e)
{
    const struct catalog_item *item;
    uint64_t content = 0, entries = 0, largest = 0;
    int rc;
    free(STEAL(s->largest));
    while ((rc = catalog_cursor_next(&s->catalog, &item, e)) == 1 && !item->is_run) {
        entries++;
        keep_largest(s, &item->entry, &largest);
        if (S_ISREG(item->entry.mode) && !item->entry.link)
            content += MIN(item->entry.size, (uint64_t)INT64_MAX - content);
    }
    if (rc == 1)
        *out = (struct slice){.offset = item->offset,
                              .length = item->bytes,
                              .first_run = s->run++,
                              .room = MIN(content, item->bytes) + entries * SLICE_ENTRY_ROOM};
    return rc;
}

int slicer_next(struct slicer *s, struct slice *out, struct err *e)
{
    int rc = s->has_next ? 1 : next_run(s, &s->next, e);
    if (rc != 1)
        return rc;
    *out = s->next;
    s->has_next = false;
    if (out->room > s->limit)
        return 1;
    while ((rc = next_run(s, &s->next, e)) == 1) {
        if (s->next.room > s->limit - out->room) {
            s->has_next = true;
            return 1;
        }
        out->length += s->next.length;
        out->room += s->next.room;
    }
    return rc < 0 ? -1 : 1;
}

void slicer_free(struct slicer *s)
{
    catalog_cursor_free(&s->catalog);
    free(s->largest);
    s->largest = NULL;
}
