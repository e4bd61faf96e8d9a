/* The header and the table of contents of an archive: fields one after another, some only in some versions.
 * Nothing is allocated for a length or a count that the bytes claim: texts grow as their bytes arrive. */
#include "source/pg_archive_internal.h"

#include <stdlib.h>
#include <string.h>

#define MAGIC_BYTES 11
#define ENTRY_LIMIT (1 << 26)
#define SQL_LIMIT   (1 << 30) /* PostgreSQL's own limit for one text */
#define NAME_LIMIT  (1 << 20) /* the longest tag is a function with its 100 argument types */

enum field_kind { BYTE, INT, TEXT, TEXTS, OFFSET };
enum { N_COMPRESSION, N_COUNT, N_ID, N_HAS_DATA, N_IGNORED, N_NUMBERS };
enum {
    T_DATABASE,
    T_SERVER,
    T_DUMP,
    T_TAG,
    T_TYPE,
    T_DEFINITION,
    T_COPY,
    T_SCHEMA,
    T_TABLESPACE,
    T_ACCESS_METHOD,
    T_OWNER,
    T_IGNORED,
    T_TEXTS
};

/* What stands in minor versions `since` to `until` (0: no limit). */
static const struct field {
    uint8_t kind, since, until, slot;
} fields[] = {
    {INT, 0, 14, N_COMPRESSION},  /* a level of zlib */
    {BYTE, 15, 0, N_COMPRESSION}, /* an algorithm */
    {INT, 0, 0, N_IGNORED},       /* when it was made: second */
    {INT, 0, 0, N_IGNORED},       /* minute */
    {INT, 0, 0, N_IGNORED},       /* hour */
    {INT, 0, 0, N_IGNORED},       /* day */
    {INT, 0, 0, N_IGNORED},       /* month */
    {INT, 0, 0, N_IGNORED},       /* year */
    {INT, 0, 0, N_IGNORED},       /* daylight saving */
    {TEXT, 0, 0, T_DATABASE},     /* its name */
    {TEXT, 0, 0, T_SERVER},       /* its version */
    {TEXT, 0, 0, T_DUMP},         /* pg_dump's version */
    {INT, 0, 0, N_COUNT},         /* how many entries; the rest comes once for each */
    {INT, 0, 0, N_ID},            /* dump id */
    {INT, 0, 0, N_HAS_DATA},      /* 1: a data item with this id follows */
    {TEXT, 0, 0, T_IGNORED},      /* oid of the catalog */
    {TEXT, 0, 0, T_IGNORED},      /* oid */
    {TEXT, 0, 0, T_TAG},          /* its name */
    {TEXT, 0, 0, T_TYPE},         /* "TABLE", "TABLE DATA", "ACL" ... */
    {INT, 0, 0, N_IGNORED},       /* section */
    {TEXT, 0, 0, T_DEFINITION},   /* SQL */
    {TEXT, 0, 0, T_IGNORED},      /* SQL that drops it */
    {TEXT, 0, 0, T_COPY},         /* of TABLE DATA: the COPY statement */
    {TEXT, 0, 0, T_SCHEMA},
    {TEXT, 0, 0, T_TABLESPACE},
    {TEXT, 14, 0, T_ACCESS_METHOD},
    {INT, 16, 0, N_IGNORED}, /* kind of relation */
    {TEXT, 0, 0, T_OWNER},
    {TEXT, 0, 0, T_IGNORED},  /* "false": with oids */
    {TEXTS, 0, 0, T_IGNORED}, /* dump ids that it depends on, up to a NULL */
    {OFFSET, 0, 0, 0},        /* where its data are: a kind and 8 bytes */
};
enum { FIELD_COUNT = 12, FIELD_ENTRY = 13, FIELD_LAST = ARRAY_LEN(fields) - 1 };

struct pg_toc {
    uint8_t magic[MAGIC_BYTES];
    unsigned magic_n;
    unsigned version; /* 12 to 16 */
    size_t field;
    bool in_text, is_null;
    size_t text_left;
    struct buf text[T_TEXTS];
    int64_t number[N_NUMBERS];
    uint8_t offset_kind; /* 1 not set, 2 set, 3 no data; 0: to be read */
    int64_t entry;       /* the one being read, from 0 */
    bool again;
    struct pg_digest *digest; /* of what two copies must share: all but the offsets */
    char first_digest[PG_DIGEST_HEX];
};

struct pg_toc *pg_toc_new(void)
{
    struct pg_toc *t = xcalloc(1, sizeof *t);
    t->digest = pg_digest_new();
    pg_digest_begin(t->digest);
    return t;
}

static void forget_texts(struct pg_toc *t)
{
    for (size_t i = 0; i < T_TEXTS; i++)
        buf_free(&t->text[i]);
}

void pg_toc_free(struct pg_toc *t)
{
    if (!t)
        return;
    forget_texts(t);
    pg_digest_free(t->digest);
    free(t);
}

/* ---- the first bytes ---- */
static int check_magic(struct pg_toc *t, struct err *e)
{
    const uint8_t *m = t->magic;
    if (memcmp(m, "PGDMP", 5) != 0) {
        AUTO_CHAR start = text_printable((const char *)m, MAGIC_BYTES);
        return err_set(e, ERR_DAMAGED,
                       "this is not what pg_dump --format=custom writes: it starts with \"%s\"", start);
    }
    t->version = m[6];
    if (m[5] != 1 || m[6] < 12)
        return err_set(e, ERR_FAILED, "archive format %u.%u is too old: 1.12 to 1.16 are understood", m[5],
                       m[6]);
    if (m[6] > 16)
        return err_set(
            e, ERR_FAILED,
            "archive format %u.%u is not known (1.12 to 1.16 are): pg_dump is newer than this program", m[5],
            m[6]);
    if (m[8] != 4 || m[9] != 8)
        return err_set(e, ERR_FAILED, "numbers of %u and offsets of %u bytes are not supported (4 and 8 are)",
                       m[8], m[9]);
    if (m[10] != 1)
        return err_set(e, ERR_FAILED, "archive kind %u is not the custom format", m[10]);
    return 0;
}

int pg_toc_header(struct pg_archive *a, struct bytes *in, struct err *e)
{
    struct pg_toc *t = a->toc;
    struct bytes some = pg_take_some(in, MAGIC_BYTES - t->magic_n);
    memcpy(t->magic + t->magic_n, some.p, some.n);
    t->magic_n += (unsigned)some.n;
    if (t->magic_n < MAGIC_BYTES)
        return 0;
    if (check_magic(t, e))
        return -1;
    t->field = t->version < 15 ? 0 : 1;
    a->stage = PG_TOC;
    return 0;
}

/* ---- one field ---- */
static int take_text(struct pg_archive *a, struct bytes *in, size_t slot, struct err *e)
{
    struct pg_toc *t = a->toc;
    struct buf *text = &t->text[slot];
    if (!t->in_text) {
        int64_t n;
        int rc = pg_take_int(a, in, &n, e);
        if (rc != PG_READY)
            return rc;
        bool sql = slot == T_DEFINITION || slot == T_COPY || slot == T_IGNORED;
        if (n < -1 || n > (sql ? SQL_LIMIT : NAME_LIMIT))
            return err_set(e, ERR_DAMAGED, "a text of %lld bytes cannot be", (long long)n);
        t->in_text = true;
        t->is_null = n < 0;
        t->text_left = n < 0 ? 0 : (size_t)n;
        text->n = 0;
    }
    struct bytes some = pg_take_some(in, t->text_left);
    if (slot != T_IGNORED) {
        if (some.n && memchr(some.p, 0, some.n))
            return err_set(e, ERR_DAMAGED, "a text holds a zero byte");
        buf_add(text, some);
    }
    t->text_left -= some.n;
    if (t->text_left)
        return PG_MORE;
    t->in_text = false;
    return PG_READY;
}

static int take_offset(struct pg_archive *a, struct bytes *in, struct err *e)
{
    struct pg_toc *t = a->toc;
    const uint8_t *p;
    if (t->offset_kind == 0) {
        if (pg_take(a, in, 1, &p) == PG_MORE)
            return PG_MORE;
        if (*p < 1 || *p > 3)
            return err_set(e, ERR_DAMAGED, "an offset is of kind %u", *p);
        t->offset_kind = *p;
    }
    return pg_take(a, in, 8, &p);
}

static int take_field(struct pg_archive *a, struct bytes *in, struct err *e)
{
    struct pg_toc *t = a->toc;
    const struct field *f = &fields[t->field];
    const uint8_t *p;
    int rc;
    switch (f->kind) {
    case BYTE:
        rc = pg_take(a, in, 1, &p);
        if (rc == PG_READY)
            t->number[f->slot] = *p;
        return rc;
    case INT:
        return pg_take_int(a, in, &t->number[f->slot], e);
    case TEXT:
        return take_text(a, in, f->slot, e);
    case TEXTS:
        do
            rc = take_text(a, in, f->slot, e);
        while (rc == PG_READY && !t->is_null);
        return rc;
    default:
        return take_offset(a, in, e);
    }
}

static const char *text_of(struct pg_toc *t, size_t slot)
{
    return buf_cstr(&t->text[slot]);
}

static int end_entry(struct pg_archive *a, struct err *e)
{
    struct pg_toc *t = a->toc;
    struct pg_entry entry = {.id = t->number[N_ID],
                             .has_data = t->number[N_HAS_DATA],
                             .offset_kind = t->offset_kind,
                             .tag = text_of(t, T_TAG),
                             .type = text_of(t, T_TYPE),
                             .definition = text_of(t, T_DEFINITION),
                             .copy = text_of(t, T_COPY),
                             .schema = text_of(t, T_SCHEMA),
                             .tablespace = text_of(t, T_TABLESPACE),
                             .access_method = text_of(t, T_ACCESS_METHOD),
                             .owner = text_of(t, T_OWNER)};
    if (!t->again && pg_entry_use(a, &entry, e))
        return err_wrap(e, "entry %lld", (long long)t->entry + 1);
    t->offset_kind = 0;
    t->entry++;
    return 0;
}

/* ---- the whole ---- */
static int end_first(struct pg_archive *a, struct err *e)
{
    if (pg_entries_end(a, e))
        return -1;
    pg_digest_end(a->toc->digest, a->toc->first_digest);
    forget_texts(a->toc);
    a->stage = PG_ITEM;
    return 0;
}

static int end_second(struct pg_archive *a, struct err *e)
{
    char hex[PG_DIGEST_HEX];
    pg_digest_end(a->toc->digest, hex);
    if (strcmp(hex, a->toc->first_digest) != 0)
        return err_set(e, ERR_DAMAGED, "the second copy of its table of contents differs from the first");
    forget_texts(a->toc);
    a->stage = PG_DONE;
    return 0;
}

static char *take_header_text(struct pg_toc *t, size_t slot)
{
    return t->text[slot].n ? xstrdup(text_of(t, slot)) : NULL;
}

static int use_count(struct pg_archive *a, struct err *e)
{
    struct pg_toc *t = a->toc;
    int64_t count = t->number[N_COUNT];
    if (count < 0 || count > ENTRY_LIMIT)
        return err_set(e, ERR_DAMAGED, "a table of contents of %lld entries cannot be", (long long)count);
    if (t->again)
        return 0;
    a->database = take_header_text(t, T_DATABASE);
    a->server_version = take_header_text(t, T_SERVER);
    a->dump_version = take_header_text(t, T_DUMP);
    if (t->number[N_COMPRESSION] != 0)
        return err_set(e, ERR_FAILED, "the archive is compressed: pg_dump must be run with -Z0");
    return 0;
}

static int next_field(struct pg_archive *a, struct err *e)
{
    struct pg_toc *t = a->toc;
    if (t->field == FIELD_COUNT && use_count(a, e))
        return -1;
    if (t->field == FIELD_LAST && end_entry(a, e))
        return -1;
    do
        t->field = t->field < FIELD_LAST ? t->field + 1 : FIELD_ENTRY;
    while (t->version < fields[t->field].since ||
           (fields[t->field].until && t->version > fields[t->field].until));
    if (t->field != FIELD_ENTRY || t->entry < t->number[N_COUNT])
        return 0;
    return t->again ? end_second(a, e) : end_first(a, e);
}

int pg_toc_read(struct pg_archive *a, struct bytes *in, struct err *e)
{
    struct pg_toc *t = a->toc;
    while (in->n && a->stage == PG_TOC) {
        const uint8_t *from = in->p;
        size_t field = t->field;
        int rc = take_field(a, in, e);
        if (field >= FIELD_COUNT && fields[field].kind != OFFSET)
            pg_digest_add(t->digest, BYTES(from, (size_t)(in->p - from)));
        if (rc < 0 || (rc == PG_READY && next_field(a, e)))
            return -1;
    }
    return 0;
}

void pg_toc_again(struct pg_archive *a)
{
    struct pg_toc *t = a->toc;
    t->again = true;
    t->entry = 0;
    t->field = FIELD_COUNT;
    pg_digest_begin(t->digest);
    a->stage = PG_TOC;
}

int pg_toc_ends_early(const struct pg_archive *a, struct err *e)
{
    const struct pg_toc *t = a->toc;
    if (a->stage == PG_HEADER || (!t->again && t->field <= FIELD_COUNT))
        return err_set(e, ERR_DAMAGED, "ends inside its header");
    return err_set(e, ERR_DAMAGED, "ends inside %s (entry %lld of %lld)",
                   t->again ? "the second copy of its table of contents" : "its table of contents",
                   (long long)t->entry + 1, (long long)t->number[N_COUNT]);
}
