/* The archive reader's front door, its stages, and the data items. A block of data is nothing but a piece:
 * rows are found by their newlines, wherever blocks and slices end. */
#include "source/pg_archive_internal.h"

#include <stdlib.h>
#include <string.h>

enum { TYPE_ROWS = 1, TYPE_OBJECTS = 3 };

/* ---- numbers ---- */
int pg_take(struct pg_archive *a, struct bytes *in, size_t n, const uint8_t **p)
{
    if (a->partial_n == 0 && in->n >= n) {
        *p = pg_take_some(in, n).p;
        return PG_READY;
    }
    struct bytes some = pg_take_some(in, n - a->partial_n);
    memcpy(a->partial + a->partial_n, some.p, some.n);
    a->partial_n += some.n;
    if (a->partial_n < n)
        return PG_MORE;
    a->partial_n = 0;
    *p = a->partial;
    return PG_READY;
}

int pg_int(const uint8_t raw[5], int64_t *v, struct err *e)
{
    int64_t n = (int64_t)raw[1] | (int64_t)raw[2] << 8 | (int64_t)raw[3] << 16 | (int64_t)raw[4] << 24;
    if (raw[0] > 1 || n > (int64_t)INT32_MAX + raw[0] || (raw[0] == 1 && n == 0))
        return err_set(e, ERR_DAMAGED, "a number is malformed");
    *v = raw[0] ? -n : n;
    return PG_READY;
}

int pg_take_int_slow(struct pg_archive *a, struct bytes *in, int64_t *v, struct err *e)
{
    const uint8_t *p;
    return pg_take(a, in, 5, &p) == PG_MORE ? PG_MORE : pg_int(p, v, e);
}

/* ---- data items ---- */
char *pg_name(const char *schema, const char *name)
{
    AUTO_CHAR shown_schema = text_printable(schema, strlen(schema));
    AUTO_CHAR shown_name = text_printable(name, strlen(name));
    return xasprintf("%s%s%s", shown_schema, *schema ? "." : "", shown_name);
}

static char *item_name(const struct pg_archive *a, const struct pg_item *item)
{
    if (item->objects)
        return xasprintf("the large objects (entry id %lld)", (long long)item->id);
    AUTO_CHAR name = pg_name(a->tables[item->table].schema, a->tables[item->table].name);
    return xasprintf("the data of table %s", name);
}

static int item_error(const struct pg_archive *a, struct err *e)
{
    AUTO_CHAR name = item_name(a, a->item);
    return err_wrap(e, "%s", name);
}

static int item_damaged(const struct pg_archive *a, const char *text, struct err *e)
{
    err_set(e, ERR_DAMAGED, "%s", text);
    return item_error(a, e);
}

static int read_item_type(struct pg_archive *a, struct bytes *in, struct err *e)
{
    uint8_t type = in->p[0];
    bool all_seen = a->seen_count == a->item_count;
    if (all_seen && type == 0) { /* the sign of the number of entries */
        pg_toc_again(a);
        return 0;
    }
    if (all_seen)
        return err_set(e, ERR_DAMAGED, "goes on after its last data item");
    if (type != TYPE_ROWS && type != TYPE_OBJECTS)
        return err_set(e, ERR_DAMAGED, "where a data item should start stands the byte %u", type);
    pg_take_some(in, 1);
    a->item_type = type;
    a->stage = PG_ITEM_ID;
    return 0;
}

static int by_id(const void *key, const void *item)
{
    int64_t id = *(const int64_t *)key, other = ((const struct pg_item *)item)->id;
    return (id > other) - (id < other);
}

static int read_item_id(struct pg_archive *a, struct bytes *in, struct err *e)
{
    int64_t id = 0;
    int rc = pg_take_int(a, in, &id, e);
    if (rc != PG_READY)
        return rc;
    a->item = a->item_count ? bsearch(&id, a->items, a->item_count, sizeof *a->items, by_id) : NULL;
    if (!a->item)
        return err_set(e, ERR_DAMAGED, "a data item %lld is not in its table of contents", (long long)id);
    if (a->item->seen)
        return item_damaged(a, "come a second time", e);
    if (a->item->objects != (a->item_type == TYPE_OBJECTS))
        return item_damaged(a, "come as another kind than announced", e);
    a->stage = a->item->objects ? PG_OBJECT : PG_BLOCKS;
    if (!a->item->objects)
        pg_rows_begin(a->rows, a->item->columns, a->item->order);
    return 0;
}

static void end_item(struct pg_archive *a)
{
    a->item->seen = true;
    a->seen_count++;
    a->stage = PG_ITEM;
}

/* Object numbers are unsigned, but written as if they were not. */
static int read_object(struct pg_archive *a, struct bytes *in, struct err *e)
{
    int64_t oid = 0;
    int rc = pg_take_int(a, in, &oid, e);
    if (rc != PG_READY)
        return rc;
    if (oid == 0) {
        end_item(a);
        return 0;
    }
    a->oid = (uint32_t)oid;
    a->object_bytes = 0;
    pg_digest_begin(a->object_digest);
    a->stage = PG_BLOCKS;
    return 0;
}

static int end_blocks(struct pg_archive *a, struct err *e)
{
    if (a->item->objects) {
        char hex[PG_DIGEST_HEX];
        pg_digest_end(a->object_digest, hex);
        pg_line_large_object(&a->lines, a->oid, a->object_bytes, hex);
        a->stage = PG_OBJECT;
        return 0;
    }
    if (pg_rows_end(a->rows, &a->item->rows, &a->item->sum, e))
        return item_error(a, e);
    end_item(a);
    return 0;
}

static int read_blocks(struct pg_archive *a, struct bytes *in, struct err *e)
{
    for (;;) {
        if (a->block_left == 0) {
            int64_t n = 0;
            int rc = pg_take_int(a, in, &n, e);
            if (rc == PG_MORE)
                return 0;
            if (rc < 0 || n < 0)
                return item_damaged(a, "a block of them has a length below zero", e);
            if (n == 0)
                return end_blocks(a, e);
            a->block_left = (size_t)n;
        }
        if (in->n == 0)
            return 0;
        struct bytes some = pg_take_some(in, a->block_left);
        a->block_left -= some.n;
        if (a->item->objects) {
            a->object_bytes += some.n;
            pg_digest_add(a->object_digest, some);
        } else if (pg_rows_push(a->rows, some, e))
            return item_error(a, e);
    }
}

/* ---- the front door ---- */
struct pg_archive *pg_archive_new(void)
{
    struct pg_archive *a = xcalloc(1, sizeof *a);
    a->toc = pg_toc_new();
    a->rows = pg_rows_new();
    a->object_digest = pg_digest_new();
    return a;
}

static int step(struct pg_archive *a, struct bytes *in, struct err *e)
{
    switch (a->stage) {
    case PG_HEADER:
        return pg_toc_header(a, in, e);
    case PG_TOC:
        return pg_toc_read(a, in, e);
    case PG_ITEM:
        return read_item_type(a, in, e);
    case PG_ITEM_ID:
        return read_item_id(a, in, e);
    case PG_BLOCKS:
        return read_blocks(a, in, e);
    case PG_OBJECT:
        return read_object(a, in, e);
    default:
        return err_set(e, ERR_DAMAGED, "goes on after the second copy of its table of contents");
    }
}

static int already_broken(const struct pg_archive *a, struct err *e)
{
    return err_set(e, a->broken.kind, "%s", a->broken.text);
}

int pg_archive_write(struct pg_archive *a, struct bytes b, struct err *e)
{
    struct bytes in = b;
    if (err_is_set(&a->broken))
        return already_broken(a, e);
    while (in.n)
        if (step(a, &in, &a->broken) < 0) {
            err_wrap(&a->broken, "pg_dump archive (near byte %llu)",
                     (unsigned long long)a->read + (b.n - in.n));
            return already_broken(a, e);
        }
    a->read += b.n;
    return 0;
}

static int missing_item(const struct pg_archive *a, struct err *e)
{
    const struct pg_item *item = a->items;
    while (item->seen)
        item++;
    AUTO_CHAR name = item_name(a, item);
    return err_set(e, ERR_DAMAGED, "ends without %s (%zu of %zu data items are missing)", name,
                   a->item_count - a->seen_count, a->item_count);
}

static int ends_inside_item(const struct pg_archive *a, struct err *e)
{
    AUTO_CHAR name = item_name(a, a->item);
    if (a->item->objects && a->stage == PG_BLOCKS)
        return err_set(e, ERR_DAMAGED, "ends inside large object %u", a->oid);
    if (a->item->objects)
        return err_set(e, ERR_DAMAGED, "ends inside %s", name);
    return err_set(e, ERR_DAMAGED, "ends inside %s (after %llu rows)", name,
                   (unsigned long long)pg_rows_count(a->rows));
}

static int check_end(const struct pg_archive *a, struct err *e)
{
    switch (a->stage) {
    case PG_HEADER:
    case PG_TOC:
        return pg_toc_ends_early(a, e);
    case PG_ITEM:
        return a->seen_count < a->item_count ? missing_item(a, e) : 0;
    case PG_ITEM_ID:
        return err_set(e, ERR_DAMAGED, "ends where a data item starts");
    case PG_BLOCKS:
    case PG_OBJECT:
        return ends_inside_item(a, e);
    default:
        return 0;
    }
}

int pg_archive_finish(struct pg_archive *a, struct err *e)
{
    if (err_is_set(&a->broken))
        return already_broken(a, e);
    if (a->read == 0)
        return err_set(e, ERR_DAMAGED, "pg_dump archive: empty: pg_dump wrote nothing");
    if (check_end(a, e))
        return err_wrap(e, "incomplete pg_dump archive (%llu bytes)", (unsigned long long)a->read);
    pg_lines_tables(a);
    return 0;
}

const char *pg_archive_server_version(const struct pg_archive *a)
{
    return a->server_version;
}

const char *pg_archive_dump_version(const struct pg_archive *a)
{
    return a->dump_version;
}

const char *pg_archive_database(const struct pg_archive *a)
{
    return a->database;
}

size_t pg_archive_table_count(const struct pg_archive *a)
{
    return a->listed ? a->table_count : 0;
}

struct pg_table pg_archive_table(const struct pg_archive *a, size_t i)
{
    const struct pg_table_entry *t = &a->tables[i];
    bool has_data = t->item != SIZE_MAX;
    return (struct pg_table){.schema = t->schema,
                             .name = t->name,
                             .kind = t->kind,
                             .has_data = has_data,
                             .rows = has_data ? a->items[t->item].rows : 0};
}

void pg_archive_free(struct pg_archive *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < a->table_count; i++) {
        free(a->tables[i].schema);
        free(a->tables[i].name);
    }
    for (size_t i = 0; i < a->item_count; i++) {
        free(a->items[i].head);
        free(a->items[i].order);
    }
    free(a->tables);
    free(a->items);
    buf_free(&a->lines);
    pg_toc_free(a->toc);
    pg_rows_free(a->rows);
    pg_digest_free(a->object_digest);
    free(a->database);
    free(a->server_version);
    free(a->dump_version);
    free(a);
}
