/* What the entries of a table of contents mean: objects, tables, announced data. */
#include "source/pg_archive_internal.h"

#include <stdlib.h>
#include <string.h>

static void add_table(struct pg_archive *a, const struct pg_entry *t, const char *kind, size_t item)
{
    if (a->table_count == a->table_cap)
        a->tables = xrealloc(a->tables, a->table_cap = a->table_cap * 2 + 16, sizeof *a->tables);
    a->tables[a->table_count++] = (struct pg_table_entry){
        .schema = xstrdup(t->schema), .name = xstrdup(t->tag), .kind = kind, .item = item};
}

static struct pg_item *add_item(struct pg_archive *a, int64_t id, bool objects)
{
    if (a->item_count == a->item_cap)
        a->items = xrealloc(a->items, a->item_cap = a->item_cap * 2 + 16, sizeof *a->items);
    struct pg_item *item = &a->items[a->item_count++];
    *item = (struct pg_item){.id = id, .objects = objects};
    return item;
}

/* ---- rows ---- */
struct column {
    char *name;
    uint16_t at;
};

static int by_column(const void *x, const void *y)
{
    return strcmp(((const struct column *)x)->name, ((const struct column *)y)->name);
}

/* `sorted` has room for all of them. */
static int sort_into(struct column *sorted, struct strings *columns, uint16_t **order, struct err *e)
{
    bool moved = false;
    for (size_t i = 0; i < columns->n; i++)
        sorted[i] = (struct column){.name = columns->v[i], .at = (uint16_t)i};
    qsort(sorted, columns->n, sizeof *sorted, by_column);
    for (size_t i = 0; i < columns->n; i++) {
        if (i > 0 && strcmp(sorted[i - 1].name, sorted[i].name) == 0)
            return err_set(e, ERR_DAMAGED, "its COPY statement names a column twice");
        moved |= sorted[i].at != i;
    }
    if (!moved)
        return 0;
    *order = xcalloc(columns->n, sizeof **order);
    for (size_t i = 0; i < columns->n; i++) {
        columns->v[i] = sorted[i].name;
        (*order)[i] = sorted[i].at;
    }
    return 0;
}

/* Sorts the columns by name; *order says where each was, or NULL when nothing moved. */
static int sort_columns(struct strings *columns, uint16_t **order, struct err *e)
{
    struct column *sorted = xcalloc(columns->n + 1, sizeof *sorted);
    int rc = sort_into(sorted, columns, order, e);
    free(sorted);
    return rc;
}

static int table_data(struct pg_archive *a, const struct pg_entry *t, struct err *e)
{
    AUTO(pg_copy) copy = {0};
    if (!*t->copy)
        return err_set(e, ERR_FAILED,
                       "its data are not COPY text: archives made with --inserts are not supported");
    if (!pg_copy_parse(t->copy, &copy)) {
        AUTO_CHAR shown = text_printable(t->copy, MIN(strlen(t->copy), (size_t)200));
        return err_set(e, ERR_DAMAGED, "its COPY statement is not understood: \"%s\"", shown);
    }
    struct pg_item *item = add_item(a, t->id, false);
    item->columns = copy.columns.n;
    if (sort_columns(&copy.columns, &item->order, e))
        return -1;
    item->head = pg_line_head(copy.schema ? copy.schema : t->schema, copy.name, &copy.columns);
    add_table(a, t, NULL, a->item_count - 1);
    return 0;
}

/* ---- objects ---- */

/* One line for each large object, however the version groups them: its number stands in the tag, or many
 * stand in the definition. */
static int large_objects(struct pg_archive *a, const struct pg_entry *t, const char *numbers, struct err *e)
{
    while (*numbers) {
        size_t n = strspn(numbers, "0123456789");
        if (n == 0 || n > 10 || (numbers[n] && numbers[n] != '\n'))
            return err_set(e, ERR_DAMAGED, "the number of a large object is not one");
        AUTO_CHAR oid = xstrndup(numbers, n);
        struct pg_entry one = {.type = "BLOB", .tag = oid, .schema = "", .owner = t->owner};
        pg_line_object(&a->lines, &one, false);
        numbers += n + (numbers[n] == '\n');
    }
    return 0;
}

static bool is_of_database(const struct pg_entry *t)
{
    static const char *const types[] = {"COMMENT", "ACL", "SECURITY LABEL"};
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (strcmp(t->type, types[i]) == 0)
            return strncmp(t->tag, "DATABASE ", strlen("DATABASE ")) == 0;
    return false;
}

static void other_object(struct pg_archive *a, const struct pg_entry *t)
{
    bool properties = strcmp(t->type, "DATABASE PROPERTIES") == 0,
         of_database = properties || is_of_database(t);
    const char *database = of_database ? a->database : NULL;
    AUTO(buf) tag = BUF_NONE;
    AUTO(buf) definition = BUF_NONE;
    struct pg_entry o = *t;
    if (properties)
        o.tag = ":database";
    else if (of_database) {
        pg_definition(&tag, t->tag, database);
        o.tag = buf_cstr(&tag);
    }
    pg_definition(&definition, t->definition, database);
    o.definition = buf_cstr(&definition);
    pg_line_object(&a->lines, &o, of_database);
}

/* ---- one entry ---- */
static int check_data(const struct pg_entry *t, bool wants_data, struct err *e)
{
    if (t->has_data != wants_data)
        return err_set(e, ERR_DAMAGED,
                       t->has_data ? "it announces data of a kind that is not known"
                                   : "it announces no data");
    if (t->offset_kind == PG_OFFSET_SET)
        return err_set(e, ERR_FAILED, "the offset of its data is filled in: pg_dump must write to a pipe");
    if (t->offset_kind != (wants_data ? PG_OFFSET_NOT_SET : PG_OFFSET_NO_DATA))
        return err_set(e, ERR_DAMAGED, "its offset contradicts whether it has data");
    return 0;
}

static int use(struct pg_archive *a, const struct pg_entry *t, struct err *e)
{
    static const char *const relations[] = {"TABLE", "FOREIGN TABLE", "MATERIALIZED VIEW"};
    bool rows = strcmp(t->type, "TABLE DATA") == 0, objects = strcmp(t->type, "BLOBS") == 0;
    if (check_data(t, rows || objects, e))
        return -1;
    if (rows)
        return table_data(a, t, e);
    if (objects) {
        add_item(a, t->id, true);
        return 0;
    }
    if (strcmp(t->type, "BLOB") == 0)
        return large_objects(a, t, t->tag, e);
    if (strcmp(t->type, "BLOB METADATA") == 0)
        return large_objects(a, t, t->definition, e);
    if (strcmp(t->type, "DATABASE") == 0 || strcmp(t->type, "STATISTICS DATA") == 0)
        return 0; /* where it was made, and what the next ANALYZE changes */
    for (size_t i = 0; i < ARRAY_LEN(relations); i++)
        if (strcmp(t->type, relations[i]) == 0)
            add_table(a, t, relations[i], SIZE_MAX);
    other_object(a, t);
    return 0;
}

int pg_entry_use(struct pg_archive *a, const struct pg_entry *t, struct err *e)
{
    if (use(a, t, e) == 0)
        return 0;
    AUTO_CHAR name = pg_name(t->schema, t->tag);
    AUTO_CHAR type = text_printable(t->type, strlen(t->type));
    return err_wrap(e, "%s %s", type, name);
}

/* ---- after the last one ---- */
static int by_name(const void *x, const void *y)
{
    const struct pg_table_entry *a = x, *b = y;
    int order = strcmp(a->schema, b->schema);
    order = order ? order : strcmp(a->name, b->name);
    return order ? order : (a->kind == NULL) - (b->kind == NULL);
}

static int by_id(const void *x, const void *y)
{
    const struct pg_item *a = x, *b = y;
    return (a->id > b->id) - (a->id < b->id);
}

/* Joins tables with their data, which are entries of their own. */
static void join_tables(struct pg_archive *a)
{
    size_t n = 0;
    if (a->table_count)
        qsort(a->tables, a->table_count, sizeof *a->tables, by_name);
    for (size_t i = 0; i < a->table_count; i++) {
        struct pg_table_entry *t = &a->tables[i], *last = n ? &a->tables[n - 1] : NULL;
        if (last && !t->kind && last->item == SIZE_MAX && strcmp(last->schema, t->schema) == 0 &&
            strcmp(last->name, t->name) == 0) {
            last->item = t->item;
            free(t->schema);
            free(t->name);
        } else
            a->tables[n++] = *t;
    }
    a->table_count = n;
    for (size_t i = 0; i < n; i++)
        if (a->tables[i].item != SIZE_MAX)
            a->items[a->tables[i].item].table = i;
}

int pg_entries_end(struct pg_archive *a, struct err *e)
{
    join_tables(a);
    a->listed = true;
    if (a->item_count)
        qsort(a->items, a->item_count, sizeof *a->items, by_id);
    for (size_t i = 0; i < a->item_count; i++) {
        if (i > 0 && a->items[i].id == a->items[i - 1].id)
            return err_set(e, ERR_DAMAGED, "two entries announce the same data (id %lld)",
                           (long long)a->items[i].id);
        if (!a->items[i].objects)
            a->tables[a->items[i].table].item = i;
    }
    return 0;
}
