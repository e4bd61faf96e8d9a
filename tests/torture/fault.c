/* fault.so (LD_PRELOAD): counts the calls that a program makes to the world, by kind, and lets one of them
 * fail, or kills the program at it. What shall happen, and what did, is a struct plan in the file that
 * TORTURE_PLAN names: the whole tree of processes counts in it. TORTURE_PROGRAMS: the names of those that are
 * counted. */
#include "crashes.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* faults.py has the same list. CHANGE counts whatever changes a file system, on top of its own kind. */
enum kind {
    WRITE,
    SYNC,
    RENAME,
    OPEN,
    FORK,
    PIPE,
    READ,
    MKDIR,
    UNLINK,
    MMAP,
    ALLOC,
    TRUNCATE,
    POLL,
    NET,
    SQL,
    CURL,
    THREAD,
    STAT,
    ATTRIBUTE,
    RANDOM,
    CHANGE,
    KINDS
};
enum mode { COUNT, FAIL, SHORT, KILL };

struct plan {
    atomic_uint calls[32]; /* of each kind, so far */
    atomic_uint hits;
    uint32_t kind, at, until; /* the calls from number `at` to `until` */
    uint32_t mode, error;
    char what[96];      /* the first call that was hit */
    char crashed[4000]; /* for each frame of a thread that crashed a line: object, offset, a name near it */
};
static struct plan *plan;

/* ---- the plan ---- */
static bool is_counted(void)
{
    const char *all = getenv("TORTURE_PROGRAMS");
    size_t n = strlen(program_invocation_short_name);
    for (const char *at = all ? all : ""; (at = strstr(at, program_invocation_short_name)); at += n)
        if ((at == all || at[-1] == ' ') && (at[n] == 0 || at[n] == ' '))
            return true;
    return false;
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("TORTURE_PLAN");
    int fd = path && is_counted() ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *p = (void *)syscall(SYS_mmap, NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (p == MAP_FAILED)
        return;
    struct plan *mapped = p;
    watch_crashes(mapped->crashed, sizeof mapped->crashed);
    plan = mapped; /* counts from here on */
}

static void note(const char *call, const char *object)
{
    const char *end = plan->what + sizeof plan->what - 1;
    char *to = add(plan->what, end, call);
    if (object)
        add(add(to, end, " "), end, object);
}

static bool hits(enum kind kind, const char *call, const char *object)
{
    unsigned n = ++plan->calls[kind];
    if (plan->mode == COUNT || plan->kind != (uint32_t)kind || n < plan->at || n > plan->until)
        return false;
    if (plan->hits++ == 0)
        note(call, object);
    if (plan->mode == KILL)
        kill(getpid(), SIGKILL);
    errno = (int)plan->error;
    return true;
}

static bool fails(enum kind kind, const char *call, const char *object)
{
    return plan && hits(kind, call, object);
}

static bool change_fails(enum kind kind, const char *call, const char *object)
{
    bool a = fails(CHANGE, call, object);
    return fails(kind, call, object) || a;
}

static bool is_short(void)
{
    return plan && plan->mode == SHORT;
}

#define REAL(name) ((__typeof__(&(name)))real(#name))
static void *real(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

/* ---- files ---- */
static int open_at(int dirfd, const char *path, int flags, mode_t mode)
{
    bool makes = flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE;
    if (makes ? change_fails(OPEN, "create", path) : fails(OPEN, "open", path))
        return -1;
    return (int)syscall(SYS_openat, dirfd, path, flags, mode);
}

#define MODE_OF(flags, mode)                                   \
    if ((flags)&O_CREAT || ((flags)&O_TMPFILE) == O_TMPFILE) { \
        va_list ap;                                            \
        va_start(ap, flags);                                   \
        (mode) = va_arg(ap, mode_t);                           \
        va_end(ap);                                            \
    }

int open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    MODE_OF(flags, mode)
    return open_at(AT_FDCWD, path, flags, mode);
}

int openat(int dirfd, const char *path, int flags, ...)
{
    mode_t mode = 0;
    MODE_OF(flags, mode)
    return open_at(dirfd, path, flags, mode);
}

int __open_2(const char *path, int flags)
{
    return open_at(AT_FDCWD, path, flags, 0);
}

int __openat_2(int dirfd, const char *path, int flags)
{
    return open_at(dirfd, path, flags, 0);
}

ssize_t write(int fd, const void *p, size_t n)
{
    if (change_fails(WRITE, "write", NULL)) {
        if (!is_short() || n < 2)
            return is_short() ? syscall(SYS_write, fd, p, n) : -1;
        n /= 2;
    }
    return syscall(SYS_write, fd, p, n);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t offset)
{
    if (change_fails(WRITE, "pwrite", NULL)) {
        if (!is_short() || n < 2)
            return is_short() ? syscall(SYS_pwrite64, fd, p, n, offset) : -1;
        n /= 2;
    }
    return syscall(SYS_pwrite64, fd, p, n, offset);
}

ssize_t read(int fd, void *p, size_t n)
{
    if (fails(READ, "read", NULL)) {
        if (!is_short())
            return -1;
        n = n > 1 ? n / 2 : n;
    }
    return syscall(SYS_read, fd, p, n);
}

ssize_t pread(int fd, void *p, size_t n, off_t offset)
{
    if (fails(READ, "pread", NULL)) {
        if (!is_short())
            return -1;
        n = n > 1 ? n / 2 : n;
    }
    return syscall(SYS_pread64, fd, p, n, offset);
}

int fsync(int fd)
{
    return change_fails(SYNC, "fsync", NULL) ? -1 : (int)syscall(SYS_fsync, fd);
}

int syncfs(int fd)
{
    return change_fails(SYNC, "syncfs", NULL) ? -1 : (int)syscall(SYS_syncfs, fd);
}

int rename(const char *from, const char *to)
{
    return change_fails(RENAME, "rename", to) ? -1 : (int)syscall(SYS_rename, from, to);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    return change_fails(RENAME, "renameat", to) ? -1 : (int)syscall(SYS_renameat, from_fd, from, to_fd, to);
}

int link(const char *from, const char *to)
{
    return change_fails(RENAME, "link", to) ? -1 : (int)syscall(SYS_link, from, to);
}

int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
    return change_fails(RENAME, "linkat", to) ? -1
                                              : (int)syscall(SYS_linkat, from_fd, from, to_fd, to, flags);
}

int mkdir(const char *path, mode_t mode)
{
    return change_fails(MKDIR, "mkdir", path) ? -1 : (int)syscall(SYS_mkdir, path, mode);
}

int mkdirat(int dirfd, const char *path, mode_t mode)
{
    return change_fails(MKDIR, "mkdirat", path) ? -1 : (int)syscall(SYS_mkdirat, dirfd, path, mode);
}

int unlink(const char *path)
{
    return change_fails(UNLINK, "unlink", path) ? -1 : (int)syscall(SYS_unlink, path);
}

int unlinkat(int dirfd, const char *path, int flags)
{
    return change_fails(UNLINK, "unlinkat", path) ? -1 : (int)syscall(SYS_unlinkat, dirfd, path, flags);
}

int rmdir(const char *path)
{
    return change_fails(UNLINK, "rmdir", path) ? -1 : (int)syscall(SYS_rmdir, path);
}

int ftruncate(int fd, off_t size)
{
    return change_fails(TRUNCATE, "ftruncate", NULL) ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

int posix_fallocate(int fd, off_t offset, off_t size)
{
    if (change_fails(TRUNCATE, "posix_fallocate", NULL))
        return (int)plan->error;
    return REAL(posix_fallocate)(fd, offset, size);
}

int fstat(int fd, struct stat *st)
{
    return fails(STAT, "fstat", NULL) ? -1 : (int)syscall(SYS_fstat, fd, st);
}

int fstatat(int dirfd, const char *path, struct stat *st, int flags)
{
    return fails(STAT, "fstatat", path) ? -1 : (int)syscall(SYS_newfstatat, dirfd, path, st, flags);
}

struct dirent *readdir(DIR *d)
{
    return fails(READ, "readdir", NULL) && !is_short() ? NULL : REAL(readdir)(d);
}

/* ---- what a restore gives its files ---- */
int fchmod(int fd, mode_t mode)
{
    return change_fails(ATTRIBUTE, "fchmod", NULL) ? -1 : (int)syscall(SYS_fchmod, fd, mode);
}

int fchmodat(int dirfd, const char *path, mode_t mode, int flags)
{
    return change_fails(ATTRIBUTE, "fchmodat", path) ? -1 : REAL(fchmodat)(dirfd, path, mode, flags);
}

int fchown(int fd, uid_t user, gid_t group)
{
    return change_fails(ATTRIBUTE, "fchown", NULL) ? -1 : (int)syscall(SYS_fchown, fd, user, group);
}

int fchownat(int dirfd, const char *path, uid_t user, gid_t group, int flags)
{
    return change_fails(ATTRIBUTE, "fchownat", path)
               ? -1
               : (int)syscall(SYS_fchownat, dirfd, path, user, group, flags);
}

int futimens(int fd, const struct timespec times[2])
{
    return change_fails(ATTRIBUTE, "futimens", NULL) ? -1 : (int)syscall(SYS_utimensat, fd, NULL, times, 0);
}

int utimensat(int dirfd, const char *path, const struct timespec times[2], int flags)
{
    return change_fails(ATTRIBUTE, "utimensat", path)
               ? -1
               : (int)syscall(SYS_utimensat, dirfd, path, times, flags);
}

int symlinkat(const char *to, int dirfd, const char *path)
{
    return change_fails(ATTRIBUTE, "symlinkat", path) ? -1 : (int)syscall(SYS_symlinkat, to, dirfd, path);
}

/* ---- processes and threads ---- */
pid_t fork(void)
{
    return fails(FORK, "fork", NULL) ? -1 : REAL(fork)();
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *ctx)
{
    return fails(THREAD, "pthread_create", NULL) ? (int)plan->error
                                                 : REAL(pthread_create)(thread, attributes, run, ctx);
}

int pipe(int fds[2])
{
    return fails(PIPE, "pipe", NULL) ? -1 : (int)syscall(SYS_pipe, fds);
}

int pipe2(int fds[2], int flags)
{
    return fails(PIPE, "pipe2", NULL) ? -1 : (int)syscall(SYS_pipe2, fds, flags);
}

/* ---- memory ---- */
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);

void *malloc(size_t n)
{
    return fails(ALLOC, "malloc", NULL) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    return fails(ALLOC, "calloc", NULL) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    return fails(ALLOC, "realloc", NULL) ? NULL : __libc_realloc(p, n);
}

void *reallocarray(void *p, size_t n, size_t size)
{
    size_t all;
    if (fails(ALLOC, "reallocarray", NULL) || __builtin_mul_overflow(n, size, &all))
        return NULL;
    return __libc_realloc(p, all);
}

void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
    return fails(MMAP, "mmap", NULL) ? MAP_FAILED
                                     : (void *)syscall(SYS_mmap, at, n, protection, flags, fd, offset);
}

ssize_t getrandom(void *p, size_t n, unsigned flags)
{
    return fails(RANDOM, "getrandom", NULL) ? -1 : syscall(SYS_getrandom, p, n, flags);
}

/* ---- the network ---- */
int poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
    return fails(POLL, "poll", NULL) ? -1 : (int)syscall(SYS_poll, fds, n, timeout_ms);
}

int socket(int domain, int type, int protocol)
{
    return fails(NET, "socket", NULL) ? -1 : (int)syscall(SYS_socket, domain, type, protocol);
}

int connect(int fd, const struct sockaddr *to, socklen_t n)
{
    return fails(NET, "connect", NULL) ? -1 : (int)syscall(SYS_connect, fd, to, n);
}

/* The connection is gone, then: whoever waits for an answer gets none. */
static bool breaks(int fd, const char *call)
{
    if (!fails(NET, call, NULL))
        return false;
    shutdown(fd, SHUT_RDWR);
    errno = (int)plan->error;
    return true;
}

ssize_t send(int fd, const void *p, size_t n, int flags)
{
    return breaks(fd, "send") ? -1 : syscall(SYS_sendto, fd, p, n, flags, NULL, 0);
}

ssize_t recv(int fd, void *p, size_t n, int flags)
{
    return breaks(fd, "recv") ? -1 : syscall(SYS_recvfrom, fd, p, n, flags, NULL, NULL);
}

/* libpq: the server goes away just before the call. */
#define SQL_CALL(type, name, parameters, arguments) \
    type name parameters;                           \
    int PQsocket(const void *c);                    \
    type name parameters                            \
    {                                               \
        if (fails(SQL, #name, NULL))                \
            shutdown(PQsocket(c), SHUT_RDWR);       \
        return REAL(name) arguments;                \
    }
SQL_CALL(void *, PQgetResult, (void *c), (c))
SQL_CALL(int, PQconsumeInput, (void *c), (c))
SQL_CALL(int, PQsendQuery, (void *c, const char *text), (c, text))
SQL_CALL(int, PQsendQueryParams,
         (void *c, const char *text, int n, const unsigned *types, const char *const *values,
          const int *lengths, const int *formats, int format),
         (c, text, n, types, values, lengths, formats, format))

void *PQconnectdbParams(const char *const *words, const char *const *values, int expand);
void *PQconnectdbParams(const char *const *words, const char *const *values, int expand)
{
    return fails(SQL, "PQconnectdbParams", NULL) ? NULL : REAL(PQconnectdbParams)(words, values, expand);
}

/* libcurl: 7 is CURLE_COULDNT_CONNECT, 3 CURLM_OUT_OF_MEMORY. */
int curl_easy_perform(void *handle);
int curl_easy_perform(void *handle)
{
    return fails(CURL, "curl_easy_perform", NULL) ? 7 : REAL(curl_easy_perform)(handle);
}

void *curl_easy_init(void);
void *curl_easy_init(void)
{
    return fails(CURL, "curl_easy_init", NULL) ? NULL : REAL(curl_easy_init)();
}

int curl_multi_perform(void *handle, int *running);
int curl_multi_perform(void *handle, int *running)
{
    return fails(CURL, "curl_multi_perform", NULL) ? 3 : REAL(curl_multi_perform)(handle, running);
}
