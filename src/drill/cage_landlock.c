/* Landlock by its system calls; the kernel's header of the day may be older than the kernel. Documented in
 * the kernel's userspace-api/landlock.rst; the numbers are ABI. */
#include "drill/cage_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct ruleset {
    uint64_t files, net, scoped; /* the first of ABI 1, the second of 4, the third of 6 */
};
#define ACCESS_REFER     (1ull << 13) /* ABI 2; without, a rename between folders is refused */
#define ACCESS_TRUNCATE  (1ull << 14) /* ABI 3 */
#define ACCESS_IOCTL_DEV (1ull << 15) /* ABI 5 */
#define NET_BIND_CONNECT 3ull         /* TCP */
#define SCOPED_ALL       3ull         /* abstract unix sockets, signals */
#define READ             (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define RUN              (READ | LANDLOCK_ACCESS_FS_EXECUTE)
#define ON_FILES                                                                                 \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE | \
     ACCESS_TRUNCATE | ACCESS_IOCTL_DEV)
#define USE_DEVICE (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE)
#define WORK                                                                                                 \
    (READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | \
     LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |              \
     LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM | ACCESS_REFER | ACCESS_TRUNCATE)

/* Of /etc only what programs look at, as keys may lie there, too. Debian keeps the dictionaries of full text
 * search, which are linked to from /usr/share, in /var/cache. */
static const struct {
    const char *path;
    uint64_t access;
} rules[] = {
    {"/usr", RUN},
    {"/bin", RUN},
    {"/sbin", RUN},
    {"/lib", RUN},
    {"/lib32", RUN},
    {"/lib64", RUN},
    {"/libx32", RUN},
    {"/proc", READ},
    {"/dev/null", USE_DEVICE},
    {"/dev/zero", USE_DEVICE},
    {"/dev/urandom", LANDLOCK_ACCESS_FS_READ_FILE},
    {"/etc/alternatives", READ},
    {"/etc/group", READ},
    {"/etc/ld.so.cache", READ},
    {"/etc/ld.so.preload", READ},
    {"/etc/locale.alias", READ},
    {"/etc/localtime", READ},
    {"/etc/nsswitch.conf", READ},
    {"/etc/passwd", READ},
    {"/etc/perl", READ},
    {"/etc/ssl/openssl.cnf", READ},
    {"/etc/timezone", READ},
    {"/var/cache/postgresql/dicts", READ},
};

static int add_rule(int ruleset, int fd, uint64_t access)
{
    struct stat st;
    if (fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode))
        access &= ON_FILES;
    const struct landlock_path_beneath_attr attr = {.allowed_access = access, .parent_fd = fd};
    return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &attr, 0) == 0 ? 0 : errno;
}

static int add_rules(int ruleset, int folder, uint64_t known)
{
    int rc = add_rule(ruleset, folder, WORK & known);
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(rules); i++) {
        int fd = open(rules[i].path, O_PATH | O_CLOEXEC);
        if (fd < 0)
            continue; /* not on this machine */
        rc = add_rule(ruleset, fd, rules[i].access & known);
        close(fd);
    }
    return rc;
}

int cage_lock_files(struct cage *c)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 1) /* not built in, or turned off when the machine was booted */
        return 0;
    /* All rights that this ABI knows: the first 13, then one more each in 2, 3, and 5. */
    const uint64_t known = (1ull << (13 + (abi >= 2) + (abi >= 3) + (abi >= 5))) - 1;
    const struct ruleset attr = {
        .files = known, .net = abi >= 4 ? NET_BIND_CONNECT : 0, .scoped = abi >= 6 ? SCOPED_ALL : 0};
    size_t size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
    int fd = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
    if (fd < 0)
        return errno;
    int rc = add_rules(fd, c->folder, known);
    if (rc == 0 && syscall(SYS_landlock_restrict_self, fd, 0) != 0)
        rc = errno;
    close(fd);
    if (rc == 0)
        c->report->landlock = (int)abi;
    return rc;
}
