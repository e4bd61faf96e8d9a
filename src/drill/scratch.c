#include "drill/scratch.h"

#include "base/child.h"
#include "base/file.h"
#include "base/log.h"
#include "drill/scratch_parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define PREFIX          "lifeboat-drill-"
#define RANDOM_SIZE     8
#define LOCK            "lock"
#define LEFT_FREE       (256ull << 20)
#define LOCK_TRIES      100 /* every 10 ms: processes of a drill that was just killed are about to end, too */
#define REMOVE_TRIES    50
#define REMOVE_PAUSE_NS 100000000

struct scratch {
    int lock;
    char *path;
    char *temporary; /* the folder that goes with it; or NULL */
    struct stat st;
};

/* ---- where it may be ---- */

/* Opens the folder, or the one nearest above that exists. */
static int open_nearest(const char *path, struct err *e)
{
    AUTO_CHAR at = xstrdup(path);
    for (;;) {
        int fd = open(*at ? at : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0)
            return fd;
        char *slash = strrchr(at, '/');
        if (errno != ENOENT || !*at || strcmp(at, "/") == 0)
            return err_errno(e, ERR_IO, "%s", at);
        if (slash)
            slash[slash == at] = 0; /* "/x" is below "/" */
        else
            *at = 0;
    }
}

static int check_apart(const char *directory, int fd, bool exists, const char *other, struct err *e)
{
    struct stat here, there;
    AUTO_FD other_fd = open(other, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (other_fd < 0 || fstat(other_fd, &there) != 0 || fstat(fd, &here) != 0)
        return 0; /* nothing there to be in the way of */
    if (folder_is_in(fd, &there))
        return err_set(e, ERR_USAGE,
                       "[drill] directory %s lies in %s, which is a source or a store: choose a folder apart "
                       "from those",
                       directory, other);
    if (exists && folder_is_in(other_fd, &here))
        return err_set(e, ERR_USAGE,
                       "[drill] directory %s has %s in it, which is a source or a store: choose a folder "
                       "apart from those",
                       directory, other);
    return 0;
}

static int check_place(const struct scratch_options *o, struct err *e)
{
    struct statfs fs;
    AUTO_FD fd = open_nearest(o->directory, e);
    if (fd < 0)
        return -1;
    if (fstatfs(fd, &fs) != 0)
        return err_errno(e, ERR_IO, "%s", o->directory);
    if (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC)
        return err_set(e, ERR_USAGE,
                       "[drill] directory %s is on a file system in memory: choose a folder on a disk",
                       o->directory);
    bool exists = access(o->directory, F_OK) == 0;
    for (size_t i = 0; o->keep_out && i < o->keep_out->n; i++)
        if (check_apart(o->directory, fd, exists, o->keep_out->v[i], e))
            return -1;
    return 0;
}

static int take_lock(int dirfd, const char *directory, struct err *e)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    AUTO_FD fd = openat(dirfd, LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno(e, ERR_IO, "%s/" LOCK, directory);
    for (unsigned tries = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; tries++) {
        if (errno != EWOULDBLOCK)
            return err_errno(e, ERR_IO, "%s/" LOCK ": lock", directory);
        if (tries == LOCK_TRIES)
            return err_set(e, ERR_UNPROVEN, "another drill is running in %s: wait for its end", directory);
        nanosleep(&pause, NULL);
    }
    int taken = fd;
    fd = -1;
    return taken;
}

/* In a folder such as /var/tmp anybody may have made it before us. */
static int check_ours(int dirfd, const char *directory, struct err *e)
{
    struct stat st, named;
    if (fstat(dirfd, &st) != 0 || lstat(directory, &named) != 0)
        return err_errno(e, ERR_IO, "%s", directory);
    if (st.st_uid == geteuid() && (st.st_mode & 077) == 0 && st.st_ino == named.st_ino)
        return 0;
    return err_set(e, ERR_USAGE,
                   "%s: is there already, and not a folder of this user alone: remove it, or give another "
                   "place with --directory DIR",
                   directory);
}

/* Opens and locks the folder; a temporary one may go while we do, with whoever had it before. */
static int open_locked(const struct scratch_options *o, struct scratch *s, struct err *e)
{
    for (unsigned tries = 0; tries < LOCK_TRIES && !err_is_set(e); tries++) {
        struct stat st;
        if (dir_make(o->directory, 0700, e))
            return -1;
        AUTO_FD dirfd = open(o->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dirfd < 0 && !(o->temporary && errno == ENOENT))
            return err_errno(e, ERR_IO, "%s", o->directory);
        if (dirfd < 0)
            continue;
        if (o->temporary && check_ours(dirfd, o->directory, e))
            return -1;
        s->lock = take_lock(dirfd, o->directory, e);
        if (s->lock < 0)
            return -1;
        if (fstat(s->lock, &st) == 0 && st.st_nlink > 0) {
            int opened = dirfd;
            dirfd = -1;
            return opened;
        }
        close(s->lock);
        s->lock = -1;
    }
    return err_is_set(e) ? -1 : err_set(e, ERR_UNPROVEN, "%s: comes and goes: try again", o->directory);
}

/* ---- what dead drills left ---- */

static bool is_ours(const char *name)
{
    uint8_t random[RANDOM_SIZE];
    const size_t n = strlen(PREFIX);
    return strncmp(name, PREFIX, n) == 0 && hex_decode(random, sizeof random, name + n, strlen(name + n));
}

/* Code in a dump may have made folders in folders by the thousand, more than files can be open. */
static int remove_deep(const char *path, struct err *e)
{
    struct err why = ERR_INIT;
    AUTO(child) c = CHILD_NONE;
    const char *const argv[] = {"rm", "-rf", "--one-file-system", "--", path, NULL};
    const struct child_options o = {.argv = argv, .in = CHILD_NULL, .out = CHILD_NULL};
    if (child_start(&c, &o, &why) || child_wait(&c, "rm", NULL, &why))
        return err_wrap(e, "%s", why.text);
    return 0;
}

/* The keeper of a drill that was killed gives a server two seconds to end (cage_keeper.c): until then it may
 * put files into its folder, from wherever it works. */
static void remove_folder(const char *path, const struct stat *st)
{
    const struct timespec pause = {.tv_nsec = REMOVE_PAUSE_NS};
    struct err e;
    for (unsigned tries = 0; tries < REMOVE_TRIES; tries++) {
        e = (struct err)ERR_INIT;
        sweep_folder(st);
        if (dir_remove(path, &e) == 0 || remove_deep(path, &e) == 0)
            return;
        nanosleep(&pause, NULL);
    }
    log_warn("left over from a drill: %s", e.text);
}

/* We hold the lock: whoever made these is dead. */
static void remove_left_over(int dirfd, const char *directory)
{
    sweep_user();
    DIR *d = fdopendir(fcntl(dirfd, F_DUPFD_CLOEXEC, 3));
    for (struct dirent *entry; d && (entry = readdir(d));) {
        struct stat st;
        if (!is_ours(entry->d_name) || fstatat(dirfd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISDIR(st.st_mode))
            continue;
        AUTO_CHAR path = xasprintf("%s/%s", directory, entry->d_name);
        log_info("removing %s, left over from a drill", path);
        remove_folder(path, &st);
    }
    if (d)
        closedir(d);
}

static int make_folder(struct scratch *s, const char *directory, struct err *e)
{
    char hex[2 * RANDOM_SIZE + 1];
    random_hex(hex, RANDOM_SIZE);
    AUTO_CHAR real = realpath(directory, NULL);
    AUTO_CHAR path = xasprintf("%s/" PREFIX "%s", real ? real : directory, hex);
    if (mkdir(path, 0700) != 0 || stat(path, &s->st) != 0)
        return err_errno(e, ERR_IO, "%s", path);
    s->path = STEAL(path);
    return 0;
}

struct scratch *scratch_new(const struct scratch_options *o, struct err *e)
{
    AUTO_PTR(scratch) s = xcalloc(1, sizeof *s);
    s->lock = -1;
    if (check_place(o, e))
        return NULL;
    AUTO_FD dirfd = open_locked(o, s, e);
    if (dirfd < 0)
        return NULL;
    s->temporary = o->temporary ? xstrdup(o->directory) : NULL;
    remove_left_over(dirfd, o->directory);
    return make_folder(s, o->directory, e) ? NULL : STEAL(s);
}

const char *scratch_path(const struct scratch *s)
{
    return s->path;
}

uint64_t scratch_room(const struct scratch *s)
{
    struct statvfs fs;
    if (statvfs(s->path, &fs) != 0)
        return 0;
    uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize;
    return room > LEFT_FREE ? room - LEFT_FREE : 0;
}

void scratch_free(struct scratch *s)
{
    if (!s)
        return;
    if (s->path)
        remove_folder(s->path, &s->st);
    if (s->temporary) {
        AUTO_CHAR lock = xasprintf("%s/" LOCK, s->temporary);
        unlink(lock);
        rmdir(s->temporary); /* unless another drill has begun there */
    }
    if (s->lock >= 0)
        close(s->lock);
    free(s->temporary);
    free(s->path);
    free(s);
}
