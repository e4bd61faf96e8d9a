#include "message.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char own[] = "{\"event\":\"{{event}}\",\"host\":\"{{host}}\",\"time\":\"{{time}}\","
                          "\"title\":\"{{title}}\",\"text\":\"{{text}}\"}";

/* ---- what is news ---- */
static void add_line(struct message *m, const char *word, const struct problem *p, bool since)
{
    char time[40];
    time_format_local(time, p->since_ns);
    buf_add_fmt(&m->text, "%s%s: %s%s%s: %s", m->text.n ? "\n" : "", word, p->command, *p->about ? " " : "",
                p->about, p->text);
    if (since)
        buf_add_fmt(&m->text, " (since %s)", time);
}

/* Cut between two characters. */
static void limit(struct buf *text)
{
    if (text->n <= MESSAGE_MOST)
        return;
    size_t n = MESSAGE_MOST - 3;
    while (n && (text->p[n] & 0xc0) == 0x80)
        n--;
    text->n = n;
    buf_add_str(text, "...");
}

/* The last run of each command, for a digest. */
static void add_runs(struct message *m, const struct record *r)
{
    for (size_t i = 0; i < r->run_count; i++) {
        char time[40], took[32];
        time_format_local(time, r->runs[i].time_ns);
        duration_format(took, (uint64_t)(r->runs[i].seconds * 1e9));
        buf_add_fmt(&m->text, "%slast %s: %s, exit code %d, in %s", m->text.n ? "\n" : "", r->runs[i].command,
                    time, r->runs[i].code, took);
    }
}

bool message_make(struct message *m, const struct record *r, const char *host, bool digest)
{
    size_t fresh = 0, over = 0, standing = record_standing(r);
    *m = (struct message)MESSAGE_NONE;
    for (size_t i = 0; i < r->problem_count; i++) {
        const struct problem *p = &r->problems[i];
        fresh += !p->told;
        over += p->over;
        if (p->over)
            add_line(m, "over", p, true);
        else if (!p->told || digest)
            add_line(m, "problem", p, p->told);
    }
    if (!fresh && !over && !digest)
        return false;
    if (digest)
        add_runs(m, r);
    limit(&m->text);
    m->event = fresh ? "problem" : over ? "end" : "digest";
    if (fresh)
        m->title = xasprintf("%s: backups have a problem", host);
    else if (standing)
        m->title = xasprintf("%s: %s, %zu stand%s", host,
                             over ? "a problem with backups is over" : "backups, digest", standing,
                             standing == 1 ? "s" : "");
    else
        m->title =
            xasprintf("%s: %s", host, over ? "backups are well again" : "backups, digest: no problem stands");
    return true;
}

void message_free(struct message *m)
{
    free(m->title);
    buf_free(&m->text);
    *m = (struct message)MESSAGE_NONE;
}

/* ---- the template ---- */
struct filling {
    const char *names[5], *values[5];
    struct err *e;
};

static const char *value_of(const struct filling *f, const char *name, size_t n)
{
    for (size_t i = 0; i < ARRAY_LEN(f->names); i++)
        if (strlen(f->names[i]) == n && memcmp(f->names[i], name, n) == 0)
            return f->values[i];
    return NULL;
}

static json_t *fill_string(const struct filling *f, const char *s)
{
    AUTO(buf) out = BUF_NONE;
    for (const char *open; (open = strstr(s, "{{"));) {
        const char *close = strstr(open, "}}");
        const char *value = close ? value_of(f, open + 2, (size_t)(close - open) - 2) : NULL;
        if (!value) {
            err_set(f->e, ERR_USAGE,
                    "\"%.40s\" is none of {{event}}, {{title}}, {{text}}, {{host}}, {{time}}", open);
            return NULL;
        }
        buf_add(&out, BYTES(s, (size_t)(open - s)));
        buf_add_str(&out, value);
        s = close + 2;
    }
    buf_add_str(&out, s);
    return json_stringn((const char *)out.p, out.n);
}

/* A copy with all strings filled; NULL with the error. */
static json_t *fill(const struct filling *f, json_t *from)
{
    json_t *to = json_is_object(from) ? json_object() : json_is_array(from) ? json_array() : NULL;
    if (json_is_string(from))
        return fill_string(f, json_string_value(from));
    if (!to)
        return json_incref(from);
    for (void *at = json_object_iter(from); at; at = json_object_iter_next(from, at))
        json_object_set_new(to, json_object_iter_key(at), fill(f, json_object_iter_value(at)));
    for (size_t i = 0; i < json_array_size(from); i++)
        json_array_append_new(to, fill(f, json_array_get(from, i)));
    return to;
}

int message_fill(const struct message *m, struct bytes template, const char *host, int64_t now_ns,
                 struct buf *out, struct err *e)
{
    char time[40];
    json_error_t where;
    AUTO_CHAR text = xstrndup(m->text.n ? (const char *)m->text.p : "", m->text.n);
    time_format_utc(time, now_ns);
    if (!template.p)
        template = BYTES(own, sizeof own - 1);
    const struct filling f = {.names = {"event", "title", "text", "host", "time"},
                              .values = {m->event, m->title, text, host, time},
                              .e = e};
    json_t *from = json_loadb((const char *)template.p, template.n, JSON_REJECT_DUPLICATES, &where);
    if (!from)
        return err_set(e, ERR_USAGE, "line %d: is no JSON: %s", where.line, where.text);
    json_t *to = fill(&f, from);
    char *dumped = err_is_set(e) ? NULL : json_dumps(to, JSON_COMPACT);
    if (dumped)
        buf_add_str(out, dumped);
    else
        err_set(e, ERR_FAILED, "the message cannot be made");
    free(dumped);
    json_decref(to);
    json_decref(from);
    return err_is_set(e) ? -1 : 0;
}
