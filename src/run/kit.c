#include "internal.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KIT_MAX (64u << 10)
#define BLANKS  " \t\r\f\v"

/* ---- writing ---- */
/* The other stores of the configuration. The number of them. */
static size_t add_mirrors(struct buf *out, const struct config *c, const char *store_url)
{
    size_t n = 0;
    for (size_t i = 0; c && i < c->store_count; i++) {
        AUTO_CHAR url = config_store_url(&c->stores[i]);
        if (strcmp(url, store_url) == 0)
            continue;
        buf_add_fmt(out, "  mirror      %s\n", url);
        n++;
    }
    return n;
}

static void add_restore(struct buf *out, const char *url, const char *host, const char *source,
                        const char *to)
{
    buf_add_fmt(out,
                "       lifeboat --store '%s' --identity kit.txt \\\n"
                "           restore --host '%s' latest:%s %s --to %s\n",
                url, host, source, source, to);
}

/* A line for each source that is known; of a host without configuration, for one of each kind. */
static void add_restores(struct buf *out, const char *url, const char *host, const struct config *c)
{
    if (!c || c->source_count == 0) {
        add_restore(out, url, host, "uploads", "/srv/uploads");
        add_restore(out, url, host, "app", "'dbname=app'");
    }
    for (size_t i = 0; c && i < c->source_count; i++) {
        const struct config_source *s = &c->sources[i];
        AUTO_CHAR to = s->type == SOURCE_POSTGRES ? xasprintf("'dbname=%s'", s->name)
                                                  : xasprintf("'/srv/back/%s'", s->name);
        add_restore(out, url, host, s->name, to);
    }
}

static void add_commands(struct buf *out, const char *url, const char *host, const struct config *c)
{
    buf_add_fmt(out,
                "\n"
                "To get everything back on a fresh machine:\n"
                "  1. Install lifeboat " LIFEBOAT_VERSION " or newer, and make the store reachable there:\n"
                "     mount its disk; for a bucket, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY\n"
                "     (they are not on this page; a key that may only list and read is enough).\n"
                "  2. Save this page as kit.txt (typed in, the lines from lifeboat-identity to\n"
                "     check, and the lines host and store) and: chmod 600 kit.txt\n"
                "  3. See what there is:\n"
                "       lifeboat --store '%s' --identity kit.txt list\n"
                "  4. Restore, one source after the other:\n",
                url);
    add_restores(out, url, host, c);
    buf_add_fmt(out, "  5. To go on backing up from there: write /etc/lifeboat/lifeboat.conf, then\n"
                     "       lifeboat --identity kit.txt init\n"
                     "To prove on any machine, today, that this page brings everything back:\n"
                     "       lifeboat drill --from-kit kit.txt\n");
}

void run_kit(struct buf *out, const struct identity *id, const char *store_url, const struct config *c,
             const char *host)
{
    char now[40];
    time_format_utc(now, time_now_ns());
    buf_reserve(out, KIT_MAX); /* so that growing leaves no copy of the secret behind */
    buf_add_fmt(out,
                "LIFEBOAT RECOVERY KIT\n"
                "\n"
                "  host        %s\n"
                "  made        %s, by lifeboat " LIFEBOAT_VERSION "\n"
                "  store       %s\n",
                host, now, store_url);
    size_t mirrors = add_mirrors(out, c, store_url);
    buf_add_str(out, "\n"
                     "Keep this on paper or in a password manager, away from the machine and from the\n"
                     "store. With it and the store everything can be read; without it, or another\n"
                     "reader, nothing can.\n"
                     "\n");
    identity_write_paper(id, out);
    add_commands(out, store_url, host, c);
    if (mirrors)
        buf_add_str(out, "A mirror holds the same as the store: where the store is gone, or an object in\n"
                         "it is damaged, put the mirror's address behind --store (also of the drill).\n");
}

/* ---- reading ---- */
/* The rest of the line when it starts with `word` and something follows; NULL otherwise. */
static char *value_of(char *line, const char *word)
{
    size_t n = strlen(word);
    line += strspn(line, BLANKS);
    if (strncasecmp(line, word, n) != 0)
        return NULL;
    char *value = line + n + strspn(line + n, ":" BLANKS);
    size_t used = strlen(value);
    while (used && strchr(BLANKS, value[used - 1]))
        used--;
    return value > line + n && used ? xstrndup(value, used) : NULL;
}

static void take_line(struct run_kit *k, char *line)
{
    char *mirror = value_of(line, "mirror");
    if (!k->store)
        k->store = value_of(line, "store");
    if (!k->host)
        k->host = value_of(line, "host");
    if (mirror)
        strings_add(&k->mirrors, mirror);
    free(mirror);
}

int run_kit_parse(struct bytes text, struct run_kit *out, struct err *e)
{
    char *save = NULL;
    *out = (struct run_kit){0};
    AUTO_PTR(identity) id = identity_parse(text, e);
    if (!id)
        return -1;
    AUTO(buf) copy = BUF_NONE;
    buf_reserve(&copy, text.n + 1);
    buf_add(&copy, text);
    /* The lines stand above the identity; what stands below is prose. */
    for (char *l = strtok_r((char *)buf_cstr(&copy), "\n", &save); l && !strcasestr(l, "lifeboat-identity");
         l = strtok_r(NULL, "\n", &save))
        take_line(out, l);
    buf_wipe(&copy);
    return 0;
}

int run_kit_read(const char *file, struct run_kit *out, struct err *e)
{
    AUTO(buf) text = BUF_NONE;
    *out = (struct run_kit){0};
    if (strcmp(file, "-") == 0)
        return err_set(e, ERR_USAGE, "the kit is wanted in a file here");
    buf_reserve(&text, KIT_MAX + 1);
    if (file_check_private(file, e) || file_read(file, KIT_MAX, &text, e)) {
        e->kind = ERR_USAGE;
        return -1;
    }
    int rc = run_kit_parse(buf_bytes(&text), out, e);
    buf_wipe(&text);
    return rc ? err_wrap(e, "%s", file) : 0;
}

void run_kit_free(struct run_kit *k)
{
    free(k->host);
    free(k->store);
    strings_free(&k->mirrors);
    *k = (struct run_kit){0};
}
