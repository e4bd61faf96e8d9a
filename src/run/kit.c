#include "internal.h"

#include "base/file.h"

#include <sodium.h>
#include <string.h>

#define GROUP   4
#define KIT_MAX (64u << 10)
#define BLANKS  " \t\r"

/* "name  1234 5678 ...": to be copied by hand from paper. */
static void add_groups(struct buf *out, const char *name, struct bytes value)
{
    char hex[2 * KEY_SIZE + 1];
    hex_encode(hex, value);
    buf_add_fmt(out, "  %-10s ", name);
    for (size_t i = 0; hex[i]; i += GROUP)
        buf_add_fmt(out, " %.*s", GROUP, hex + i);
    buf_add_u8(out, '\n');
    sodium_memzero(hex, sizeof hex);
}

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

void run_kit(struct buf *out, const struct identity *id, const char *store_url, const struct config *c,
             const char *host)
{
    char now[40];
    time_format_utc(now, time_now_ns());
    buf_reserve(out, 8192); /* so that growing leaves no copy of the secret behind */
    buf_add_fmt(out,
                "LIFEBOAT RECOVERY KIT\n"
                "\n"
                "  host        %s\n"
                "  made        %s\n"
                "  store       %s\n",
                host, now, store_url);
    size_t mirrors = add_mirrors(out, c, store_url);
    buf_add_str(
        out,
        "\n"
        "Keep this on paper or in a password manager, away from the machine and from the store. With it\n"
        "and the store everything can be read; without it, or another reader, nothing can.\n"
        "\n"
        "  lifeboat-identity 1\n");
    add_groups(out, "repository", BYTES(id->repository_id, REPOSITORY_ID_SIZE));
    add_groups(out, "recipient", BYTES(id->recipient, KEY_SIZE));
    add_groups(out, "secret", BYTES(id->secret, KEY_SIZE));
    buf_add_fmt(
        out,
        "\n"
        "To get everything back on a fresh machine:\n"
        "  1. install lifeboat and make the store reachable there (mount its disk; for a bucket, put its keys\n"
        "     into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY);\n"
        "  2. save this page as kit.txt (the four lines above will do) and: chmod 600 kit.txt\n"
        "  3. see what there is:\n"
        "       lifeboat --store '%s' --identity kit.txt list\n"
        "  4. restore, one source after the other:\n"
        "       lifeboat --store '%s' --identity kit.txt restore latest:uploads uploads --to /srv/uploads\n"
        "       lifeboat --store '%s' --identity kit.txt restore latest:app app --to 'dbname=app'\n"
        "  5. to go on backing up from there: write a configuration, then\n"
        "       lifeboat --identity kit.txt init\n",
        store_url, store_url, store_url);
    if (mirrors)
        buf_add_str(
            out,
            "A mirror holds the same as the store: where the store is gone, or an object in it is damaged, "
            "put the\nmirror's address behind --store.\n");
}

int run_kit_store(const char *file, char **url, struct err *e)
{
    AUTO(buf) text = BUF_NONE;
    char *save = NULL;
    if (strcmp(file, "-") == 0)
        return err_set(e, ERR_USAGE, "the kit is wanted in a file here");
    buf_reserve(&text, KIT_MAX + 1);
    if (file_check_private(file, e) || file_read(file, KIT_MAX, &text, e)) {
        e->kind = ERR_USAGE;
        return -1;
    }
    for (char *l = strtok_r((char *)buf_cstr(&text), "\n", &save); l && !*url;
         l = strtok_r(NULL, "\n", &save)) {
        l += strspn(l, BLANKS);
        if (strncmp(l, "store", 5) != 0)
            continue;
        const char *value = l + 5 + strspn(l + 5, BLANKS);
        if (value > l + 5 && *value)
            *url = xstrndup(value, strcspn(value, BLANKS));
    }
    buf_wipe(&text);
    return *url ? 0 : err_set(e, ERR_USAGE, "%s: names no store: say where it is with --store URL", file);
}
