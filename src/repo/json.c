#include "repo/internal.h"

#include "codec/seal.h"

#include <stdlib.h>

#define SECONDS_MOST 1e9 /* 31 years: as nanoseconds it is far from the end of 64 bits */

json_t *json_read(struct bytes text, const char *advice, struct err *e)
{
    json_error_t why;
    AUTO_JSON o = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES, &why);
    uint32_t format;
    if (!o)
        return err_set(e, ERR_DAMAGED, "is not JSON: %s%s", why.text, advice), NULL;
    if (!json_is_object(o) || !json_u32(o, "format", &format))
        return err_set(e, ERR_DAMAGED, "is JSON without a \"format\"%s", advice), NULL;
    if (format != FORMAT_VERSION)
        return err_set(e, ERR_DAMAGED, "has format %u, this program knows format %u: use a newer lifeboat",
                       format, FORMAT_VERSION),
               NULL;
    return STEAL(o);
}

const char *json_text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

bool json_u64(const json_t *o, const char *key, uint64_t *out)
{
    const json_t *v = json_object_get(o, key);
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return false;
    *out = (uint64_t)json_integer_value(v);
    return true;
}

double json_seconds(const json_t *o, const char *key)
{
    double v = json_number_value(json_object_get(o, key));
    return v > 0 && v < SECONDS_MOST ? v : 0;
}

bool json_u32(const json_t *o, const char *key, uint32_t *out)
{
    uint64_t v;
    if (!json_u64(o, key, &v) || v > UINT32_MAX)
        return false;
    *out = (uint32_t)v;
    return true;
}

void json_write(const json_t *o, struct buf *out)
{
    char *text = json_dumps(o, JSON_COMPACT);
    if (!text)
        die(OUT_OF_MEMORY);
    buf_add_str(out, text);
    free(text);
}

void json_list_read(const json_t *array, struct strings *out)
{
    size_t i;
    json_t *v;
    json_array_foreach(array, i, v)
    {
        if (json_is_string(v))
            strings_add(out, json_string_value(v));
    }
}

json_t *json_list_write(const struct strings *s)
{
    json_t *array = json_array();
    for (size_t i = 0; i < s->n; i++) {
        AUTO_CHAR text = utf8_is_valid(s->v[i], strlen(s->v[i])) ? xstrdup(s->v[i])
                                                                 : text_printable(s->v[i], strlen(s->v[i]));
        json_array_append_new(array, json_string(text));
    }
    return array;
}

json_t *json_list_write_some(const struct strings *all, size_t most)
{
    struct strings some = {.v = all->v, .n = MIN(all->n, most)};
    json_t *list = json_list_write(&some);
    if (all->n > some.n) {
        AUTO_CHAR more = xasprintf("... and %zu more", all->n - some.n);
        json_array_append_new(list, json_string(more));
    }
    return list;
}
