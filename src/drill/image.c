#include "drill/image.h"

#include "base/file.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ASK_LIMIT_S 60
#define LIST_MOST   (1u << 20)
#define LABEL       "lifeboat.drill"

struct image {
    struct pg_container server; /* owned; `name` is the source's */
    char *folder, *passwd;
    char *maker; /* the name of the container of what does not serve */
    char *label;
    uid_t uid;
    gid_t gid;
};

/* Least first: it runs code that stands in the dump. */
static const char *const locks[] = {"--network=none",  "--cap-drop=ALL", "--security-opt=no-new-privileges",
                                    "--read-only",     "--tmpfs=/tmp",   "--memory=2g",
                                    "--pids-limit=256"};

/* NULL-ended, borrowed texts. Caller frees. */
static const char **as_argv(const struct strings *words)
{
    const char **argv = xcalloc(words->n + 1, sizeof *argv);
    for (size_t i = 0; i < words->n; i++)
        argv[i] = words->v[i];
    return argv;
}

/* ---- asking the engine ---- */
static int run_engine(const struct image *i, const struct strings *words, struct buf *out, struct err *e)
{
    const char **argv = as_argv(words);
    const char *const engine[] = {i->server.engine, "DOCKER_CONTEXT", NULL};
    const struct child_options o = {
        .argv = argv, .setenv = engine, .in = CHILD_NULL, .time_limit_s = ASK_LIMIT_S};
    int rc = child_output(&o, i->server.command, LIST_MOST, out, e);
    free(argv);
    return rc;
}

static void add_words(struct strings *out, const char *const *words)
{
    for (; *words; words++)
        strings_add(out, *words);
}

static int remove_container(const struct image *i, const char *name, struct err *e)
{
    AUTO(strings) words = STRINGS_NONE;
    AUTO(buf) said = BUF_NONE;
    add_words(&words, (const char *const[]){i->server.command, "rm", "-f", "-v", name, NULL});
    return run_engine(i, &words, &said, e);
}

/* Whoever started these is dead: the scratch folder that they name is locked by us. */
static int remove_left_over(const struct image *i, struct err *e)
{
    AUTO(strings) words = STRINGS_NONE;
    AUTO(buf) ids = BUF_NONE;
    char *rest = NULL;
    add_words(&words, (const char *const[]){i->server.command, "ps", "-a", "-q", "--no-trunc", NULL});
    strings_add_fmt(&words, "--filter=label=%s", i->label);
    if (run_engine(i, &words, &ids, e))
        return err_wrap(e, "containers of earlier drills");
    for (char *id = strtok_r((char *)buf_cstr(&ids), "\r\n", &rest); id; id = strtok_r(NULL, "\r\n", &rest)) {
        log_info("removing container %.12s, left over from a drill", id);
        if (remove_container(i, id, e))
            return err_wrap(e, "left over from a drill");
    }
    return 0;
}

/* initdb asks for the name of its user. */
static int write_passwd(const struct image *i, const char *user, struct err *e)
{
    AUTO_CHAR line = xasprintf("%s:x:%u:%u::/tmp:/bin/sh\n", user, (unsigned)i->uid, (unsigned)i->gid);
    if (file_write(i->passwd, BYTES_STR(line), 0644, true, e))
        return -1;
    return chmod(i->passwd, 0644) == 0 ? 0 : err_errno(e, ERR_IO, "%s", i->passwd);
}

static int check_source(const struct pg_container *source, struct err *e)
{
    if (!source->command)
        return err_set(e, ERR_UNPROVEN,
                       "a scratch server from the image of %s takes docker or podman, and neither is in PATH",
                       source->name);
    if (*source->image)
        return 0;
    return err_set(e, ERR_UNPROVEN, "the engine does not say of which image container %s is", source->name);
}

struct image *image_new(const struct pg_container *source, const char *folder, const char *user,
                        struct err *e)
{
    AUTO_PTR(image) i = xcalloc(1, sizeof *i);
    struct stat st;
    if (check_source(source, e))
        return NULL;
    if (stat(folder, &st) != 0) {
        err_errno(e, ERR_IO, "%s", folder);
        return NULL;
    }
    const char *slash = strrchr(folder, '/'), *parent = folder;
    size_t n = (size_t)(slash - parent);
    AUTO_CHAR scratch = xstrndup(parent, n); /* of this drill: in [drill] directory */
    n = (size_t)(strrchr(scratch, '/') - scratch);
    i->label = xasprintf(LABEL "=%.*s", (int)n, scratch);
    i->server = (struct pg_container){.command = xstrdup(source->command),
                                      .engine = xstrdup(source->engine),
                                      .image = xstrdup(source->image),
                                      .id = xasprintf("%s-%s", strrchr(scratch, '/') + 1, slash + 1),
                                      .name = xstrdup(source->name),
                                      .port = xstrdup("5432"),
                                      .socket = xstrdup(folder)};
    i->maker = xasprintf("%s-init", i->server.id);
    i->folder = xstrdup(folder);
    i->passwd = xasprintf("%s.passwd", folder);
    i->uid = st.st_uid;
    i->gid = st.st_gid;
    return remove_left_over(i, e) || write_passwd(i, user, e) ? NULL : STEAL(i);
}

/* ---- containers ---- */
int image_start(const struct image *i, const char *const *argv, bool serves, struct child *child,
                struct err *e)
{
    AUTO(strings) words = STRINGS_NONE;
    const struct pg_container *c = &i->server;
    add_words(&words, (const char *const[]){c->command, "run", "--rm", "-i", NULL});
    strings_add_fmt(&words, "--name=%s", serves ? c->id : i->maker);
    strings_add_fmt(&words, "--label=%s", i->label);
    for (size_t k = 0; k < ARRAY_LEN(locks); k++)
        strings_add(&words, locks[k]);
    if (geteuid() != 0 && strcmp(c->command, "podman") == 0)
        strings_add(&words, "--userns=keep-id"); /* the folder is ours in there, too */
    strings_add_fmt(&words, "--user=%u:%u", (unsigned)i->uid, (unsigned)i->gid);
    strings_add_fmt(&words, "--mount=type=bind,source=%s,target=%s", i->folder, i->folder);
    strings_add_fmt(&words, "--mount=type=bind,source=%s,target=/etc/passwd,readonly", i->passwd);
    add_words(&words, (const char *const[]){"--workdir=/tmp", "--env=LC_ALL=C.UTF-8", "--env=TZ=UTC",
                                            "--entrypoint=sh", c->image, "-c",
                                            serves ? pg_container_guard : "exec \"$@\"", "sh", NULL});
    add_words(&words, argv);
    const char **all = as_argv(&words);
    const char *const engine[] = {c->engine, "DOCKER_CONTEXT", NULL};
    const struct child_options o = {
        .argv = all, .setenv = engine, .in = serves ? CHILD_PIPE : CHILD_NULL, .out = CHILD_NULL};
    int rc = child_start(child, &o, e);
    free(all);
    return rc;
}

const struct pg_container *image_container(const struct image *i)
{
    return &i->server;
}

void image_notes(const struct image *i, struct strings *notes)
{
    strings_add_fmt(notes,
                    "the scratch server ran in a container of the image of %s (%.19s), without a network",
                    i->server.name, i->server.image);
}

void image_stop(const struct image *i)
{
    struct err ignored = ERR_INIT; /* it is gone already, or its own end comes with ours */
    (void)!remove_container(i, i->server.id, &ignored);
    (void)!remove_container(i, i->maker, &ignored);
}

void image_free(struct image *i)
{
    if (!i)
        return;
    if (i->passwd)
        unlink(i->passwd);
    pg_container_free(&i->server);
    free(i->folder);
    free(i->passwd);
    free(i->maker);
    free(i->label);
    free(i);
}
