#include "s3_reply.h"

#include "s3_xml.h"

#include <stdlib.h>
#include <string.h>

#define IDLE_PAGES 1000
#define OBJECTS    (16u << 20) /* 256 TiB of full packs; what is known of each is kept in memory */
#define SHOWN      300         /* characters of what a server says that go into a message */

static void entry_free(struct s3_entry *v)
{
    free(v->key);
    free(v->version);
}

void s3_page_free(struct s3_page *p)
{
    for (size_t i = 0; i < p->n; i++)
        entry_free(&p->v[i]);
    free(p->v);
    free(p->next);
    free(p->next_version);
    *p = (struct s3_page)S3_PAGE_NONE;
}

/* ---- numbers and times ---- */
static bool parse_size(const char *text, uint64_t *out)
{
    *out = 0;
    for (const char *c = text; *c; c++) {
        if (*c < '0' || *c > '9' || *out > (UINT64_MAX - 9) / 10)
            return false;
        *out = *out * 10 + (uint64_t)(*c - '0');
    }
    return *text != 0;
}

/* ---- a page ---- */
static void set_text(char **to, const char *text)
{
    free(*to);
    *to = xstrdup(text);
}

static bool is_entry(const struct xml *x)
{
    return xml_is(x, "*/Contents") || xml_is(x, "*/Version") || xml_is(x, "*/DeleteMarker");
}

/* One element inside an entry has ended. */
static bool take_field(struct xml *x, struct s3_entry *o)
{
    const char *text = buf_cstr(&x->text);
    if (strlen(text) != x->text.n) /* no key of ours holds a NUL */
        return false;
    if (xml_is(x, "*/*/Key"))
        set_text(&o->key, text);
    else if (xml_is(x, "*/*/VersionId"))
        set_text(&o->version, text);
    else if (xml_is(x, "*/*/IsLatest"))
        o->latest = strcmp(text, "true") == 0;
    else if (xml_is(x, "*/*/Size"))
        return parse_size(text, &o->size);
    else if (xml_is(x, "*/*/LastModified"))
        return time_parse_utc(text, &o->mtime_ns);
    return true;
}

/* One element below the root has ended. */
static void take_page_field(struct xml *x, struct s3_page *p)
{
    const char *text = buf_cstr(&x->text);
    if (xml_is(x, "*/IsTruncated"))
        p->truncated = strcmp(text, "true") == 0;
    else if (xml_is(x, "*/NextContinuationToken") || xml_is(x, "*/NextKeyMarker"))
        set_text(&p->next, text);
    else if (xml_is(x, "*/NextVersionIdMarker"))
        set_text(&p->next_version, text);
}

void s3_page_add(struct s3_page *p, struct s3_entry *o)
{
    if (p->n == p->cap) {
        p->cap = p->cap ? 2 * p->cap : 64;
        p->v = xrealloc(p->v, p->cap, sizeof *p->v);
    }
    p->v[p->n++] = *o;
    *o = (struct s3_entry){0};
}

int s3_page_each(const struct s3_page *p, const char *prefix, store_each *each, void *ctx, struct err *e)
{
    size_t skip = strlen(prefix);
    int rc = STORE_DONE;
    for (size_t i = 0; i < p->n && rc == STORE_DONE; i++) {
        const struct s3_entry *v = &p->v[i];
        if (strncmp(v->key, prefix, skip) != 0)
            continue;
        const struct store_object o = {.name = v->key + skip, .size = v->size, .mtime_ns = v->mtime_ns};
        rc = each(ctx, &o, e);
    }
    return rc;
}

static bool take_event(struct xml *x, enum xml_event event, struct s3_page *p, struct s3_entry *o)
{
    if (event == XML_OPEN && x->depth == 1)
        return xml_is(x, "ListBucketResult") || xml_is(x, "ListVersionsResult");
    if (event == XML_OPEN && is_entry(x)) {
        entry_free(o);
        *o = (struct s3_entry){.marker = xml_is(x, "*/DeleteMarker")};
        return true;
    }
    if (event == XML_CLOSE && is_entry(x)) {
        if (!o->key)
            return false;
        s3_page_add(p, o);
    }
    if (event == XML_CLOSE && x->depth == 3)
        return take_field(x, o);
    if (event == XML_CLOSE && x->depth == 2)
        take_page_field(x, p);
    return true;
}

bool s3_page_parse(struct bytes document, struct s3_page *out)
{
    AUTO(xml) x = xml_of(document);
    struct s3_entry o = {0};
    enum xml_event event;
    bool good = true;
    while (good && (event = xml_next(&x)) != XML_END)
        good = event != XML_BAD && take_event(&x, event, out, &o);
    entry_free(&o);
    return good;
}

/* ---- from page to page ---- */
int s3_listing_add(struct s3_listing *l, const struct s3_page *p, struct err *e)
{
    const char *last = l->last;
    for (size_t i = 0; i < p->n; i++)
        if (!last || strcmp(p->v[i].key, last) > 0)
            last = p->v[i].key;
    l->idle = last == l->last ? l->idle + 1 : 0;
    l->objects += p->n;
    if (last != l->last)
        set_text(&l->last, last);
    if (l->idle >= IDLE_PAGES)
        return err_set(e, ERR_FAILED,
                       "the listing has no end: %d pages brought no new name, and still there is more: is "
                       "this an S3 endpoint?",
                       IDLE_PAGES);
    if (l->objects > OBJECTS)
        return err_set(e, ERR_FAILED, "the listing has no end: %llu objects, and no repository has as many",
                       (unsigned long long)l->objects);
    return 0;
}

void s3_listing_free(struct s3_listing *l)
{
    free(l->last);
}

/* ---- an error ---- */
static void set_shown(char **to, const struct buf *text)
{
    char *shown = text_printable((const char *)text->p, MIN(text->n, (size_t)SHOWN));
    free(*to);
    *to = xstrndup(shown, SHOWN);
    free(shown);
}

bool s3_error_parse(struct bytes document, struct s3_error_text *out)
{
    AUTO(xml) x = xml_of(document);
    enum xml_event event;
    bool found = false;
    while ((event = xml_next(&x)) == XML_OPEN || event == XML_CLOSE) {
        if (event == XML_OPEN && x.depth == 1 && !xml_is(&x, "Error"))
            return false;
        found = true;
        if (event == XML_OPEN || x.depth != 2)
            continue;
        char **to = xml_is(&x, "Error/Code")       ? &out->code
                    : xml_is(&x, "Error/Message")  ? &out->message
                    : xml_is(&x, "Error/Region")   ? &out->region
                    : xml_is(&x, "Error/Endpoint") ? &out->endpoint
                                                   : NULL;
        if (to && x.text.n)
            set_shown(to, &x.text);
    }
    return found;
}

void s3_error_text_free(struct s3_error_text *t)
{
    free(t->code);
    free(t->message);
    free(t->region);
    free(t->endpoint);
    *t = (struct s3_error_text)S3_ERROR_TEXT_NONE;
}

char *s3_setting_value(struct bytes document, const char *path)
{
    AUTO(xml) x = xml_of(document);
    enum xml_event event;
    AUTO_CHAR found = NULL;
    while ((event = xml_next(&x)) == XML_OPEN || event == XML_CLOSE)
        if (event == XML_CLOSE && xml_is(&x, path))
            set_text(&found, buf_cstr(&x.text));
    return event == XML_END ? STEAL(found) : NULL;
}

bool s3_setting_is(struct bytes document, const char *path, const char *value)
{
    AUTO_CHAR is = s3_setting_value(document, path);
    return is && strcmp(is, value) == 0;
}
