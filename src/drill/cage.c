#include "drill/cage_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* getpwnam(3): what errno is when there is no such user. */
static bool is_absence(int number)
{
    return number == 0 || number == ENOENT || number == ESRCH || number == EBADF || number == EPERM;
}

const struct passwd *cage_find_user(struct err *e)
{
    errno = 0;
    const struct passwd *user = geteuid() == 0 ? getpwnam(CAGE_USER) : getpwuid(geteuid());
    if (!user && !is_absence(errno)) {
        die_without_memory();
        err_errno(e, ERR_FAILED, "looking up the user of scratch servers");
    }
    return user;
}

static int choose_user(struct cage *c, struct err *e)
{
    c->own_user = geteuid() == 0;
    const struct passwd *user = cage_find_user(e);
    if (err_is_set(e))
        return -1;
    if (!c->own_user) {
        c->uid = geteuid();
        c->gid = getegid();
        c->user = user ? xstrdup(user->pw_name) : NULL;
        return 0;
    }
    if (!user)
        return err_set(e, ERR_UNPROVEN,
                       "there is no system user " CAGE_USER ", as which a drill runs its server: useradd "
                       "--system --user-group --no-create-home --home-dir /nonexistent --shell "
                       "/usr/sbin/nologin " CAGE_USER);
    if (user->pw_uid == 0 || user->pw_gid == 0)
        return err_set(e, ERR_UNPROVEN,
                       "the system user " CAGE_USER
                       " is root, or in root's group: it must be one of its own");
    c->uid = user->pw_uid;
    c->gid = user->pw_gid;
    c->user = xstrdup(user->pw_name);
    return 0;
}

struct cage *cage_new(const struct cage_options *o, struct err *e)
{
    AUTO_PTR(cage) c = xcalloc(1, sizeof *c);
    c->folder = -1;
    c->no_namespaces = o->no_namespaces;
    c->report = mmap(NULL, sizeof *c->report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (c->report == MAP_FAILED)
        die(OUT_OF_MEMORY);
    snprintf(c->uid_map, sizeof c->uid_map, "%u %u 1", (unsigned)geteuid(), (unsigned)geteuid());
    snprintf(c->gid_map, sizeof c->gid_map, "%u %u 1", (unsigned)getegid(), (unsigned)getegid());
    if (choose_user(c, e) || cage_make_filter(&c->filter, e))
        return NULL;
    return STEAL(c);
}

int cage_make_folder(struct cage *c, const char *path, struct err *e)
{
    if (mkdir(path, 0700) != 0 || (c->own_user && lchown(path, c->uid, c->gid) != 0) ||
        (c->folder = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)
        return err_errno(e, ERR_IO, "%s", path);
    c->path = xstrdup(path);
    snprintf(c->inside, sizeof c->inside, "/proc/self/fd/%d", c->folder);
    return 0;
}

const char *cage_folder(const struct cage *c)
{
    return c->inside;
}

/* TZ spares initdb a search through all zones. */
static const char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/nonexistent",
                                          "LC_ALL=C.UTF-8", "TZ=UTC"};

/* Without any name of ours: passwords and keys may be among them. */
static void clean_environment(struct strings *out)
{
    for (char **v = environ; *v; v++)
        strings_add_fmt(out, "%.*s", (int)strcspn(*v, "="), *v);
    for (size_t i = 0; i < ARRAY_LEN(environment); i++)
        strings_add(out, environment[i]);
}

int cage_start(struct cage *c, const char *const *argv, struct child *child, struct err *e)
{
    AUTO(strings) names = STRINGS_NONE;
    clean_environment(&names);
    const char **env = xcalloc(names.n + 1, sizeof *env);
    memcpy(env, names.v, names.n * sizeof *env);
    const struct child_options o = {.argv = argv,
                                    .setenv = env,
                                    .directory = "/",
                                    .in = CHILD_NULL,
                                    .out = CHILD_NULL,
                                    .prepare = cage_enter,
                                    .prepare_ctx = c};
    struct err why = ERR_INIT;
    c->parent = getpid();
    *c->report = (struct cage_report){.step = "start"};
    int rc = child_start(child, &o, &why);
    free(env);
    return rc ? err_set(e, ERR_UNPROVEN, "locking it up (%s): %s", c->report->step, why.text) : 0;
}

const char *cage_user(const struct cage *c)
{
    return c->user;
}

bool cage_is_complete(const struct cage *c)
{
    return c->own_user && c->report->landlock;
}

void cage_notes(const struct cage *c, struct strings *notes)
{
    if (c->own_user)
        strings_add_fmt(notes, "the scratch server ran as user %s", c->user);
    else
        strings_add_fmt(notes,
                        "the scratch server ran as user %s, as lifeboat did: only root can give it a user of "
                        "its own",
                        c->user ? c->user : "without a name");
    if (!c->report->landlock)
        strings_add(notes, "the kernel has no Landlock: only file permissions kept the scratch server from "
                           "other files");
    if (!c->report->in_namespaces)
        strings_add_fmt(notes, "the kernel allowed no namespaces: the scratch server was locked up without%s",
                        c->own_user
                            ? ""
                            : ", so code in the dump could have changed the modes of this user's files, "
                              "and on an older kernel ended its processes");
}

void cage_free(struct cage *c)
{
    if (!c)
        return;
    free(c->filter.filter);
    if (c->folder >= 0)
        close(c->folder);
    munmap(c->report, sizeof *c->report);
    free(c->user);
    free(c->path);
    free(c);
}
