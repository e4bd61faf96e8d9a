#include "drill/cage_parts.h"

#include <assert.h>
#include <errno.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* libseccomp gives the numbers of system calls. Without memory its own filters loop for ever, free twice or
 * crash (2.5.4): the program is put together here, in one piece of memory. */

/* What a database server has no use for, and what reaches out of its processes. Names that this libseccomp or
 * this machine does not know are passed over. */
static const char *const refused[] = {
    /* connections: see also socket() below */
    "connect",
    /* other processes */
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease", "pidfd_open",
    "pidfd_getfd", "kcmp", "move_pages", "migrate_pages", "sched_setaffinity", "sched_setattr",
    "sched_setparam", "sched_setscheduler", "setpriority", "ioprio_set",
    /* large attack surfaces of the kernel, and ways past these filters */
    "io_uring_setup", "io_uring_enter", "io_uring_register", "bpf", "perf_event_open", "userfaultfd",
    "fanotify_init", "modify_ldt", "personality", "vmsplice", "add_key", "keyctl", "request_key", "mq_open",
    "mq_unlink", "name_to_handle_at", "open_by_handle_at",
    /* namespaces and mounts */
    "unshare", "setns", "chroot", "pivot_root", "mount", "umount", "umount2", "mount_setattr", "move_mount",
    "open_tree", "fsopen", "fsconfig", "fsmount", "fspick", "swapon", "swapoff", "quotactl", "quotactl_fd",
    /* the machine */
    "reboot", "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module",
    "create_module", "acct", "syslog", "settimeofday", "stime", "clock_settime", "clock_settime64",
    "clock_adjtime", "clock_adjtime64", "adjtimex", "sethostname", "setdomainname", "iopl", "ioperm",
    "vhangup", "nfsservctl", "lookup_dcookie", "uselib", "_sysctl"};

/* What depends on an argument. The kernel looks at the lower half of these, and so does a filter: an argument
 * counts as `value` when that is what `mask` leaves of it. socket() and socketpair() only make unix stream
 * sockets: a datagram one, of a pair too, could be told with each message where to. */
#define ALL       0xffffffff
#define SOCK_KIND 0xf /* the others of its bits are flags */
#define SPACES                                                                                    \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | \
     CLONE_NEWNET)
enum when { WHEN_IT_IS, UNLESS_IT_IS };
static const struct rule {
    const char *name;
    unsigned argument;
    uint32_t mask;
    enum when refused;
    uint32_t value;
} rules[] = {
    {"socket", 0, ALL, UNLESS_IT_IS, AF_UNIX},
    {"socket", 1, SOCK_KIND, UNLESS_IT_IS, SOCK_STREAM},
    {"socketpair", 0, ALL, UNLESS_IT_IS, AF_UNIX},
    {"socketpair", 1, SOCK_KIND, UNLESS_IT_IS, SOCK_STREAM},
    {"clone", 0, SPACES, UNLESS_IT_IS, 0},
    {"ioctl", 1, ALL, WHEN_IT_IS, TIOCSTI}, /* into a terminal's input */
    {"ioctl", 1, ALL, WHEN_IT_IS, TIOCLINUX},
    {"prlimit64", 0, ALL, UNLESS_IT_IS, 0}, /* of others */
};

#define FOREIGN       0x40000000 /* the calls of the x32 ABI, which have the architecture of ours */
#define FIRST_UNKNOWN 463        /* those younger than this list: Linux 6.10 and later */

#define WORD(field)          (unsigned)offsetof(struct seccomp_data, field)
#define LOWER(n)             (WORD(args) + 8 * (n) + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0))
#define LOAD(at)             BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at)
#define END(action)          BPF_STMT(BPF_RET | BPF_K, action)
#define SKIP_UNLESS_IS(k, n) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, k, 0, n)
#define SKIP_IF_IS(k, n)     BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, k, n, 0)
#define SKIP_BELOW(k, n)     BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, k, 0, n)

#define MOST (16 + 2 * ARRAY_LEN(refused) + 6 * ARRAY_LEN(rules))

static void add(struct sock_fprog *p, const struct sock_filter *part, unsigned short n)
{
    assert(p->len + n <= (unsigned)MOST);
    memcpy(p->filter + p->len, part, n * sizeof *part);
    p->len = (unsigned short)(p->len + n);
}
#define ADD(p, ...)                                       \
    do {                                                  \
        const struct sock_filter part_[] = {__VA_ARGS__}; \
        add(p, part_, ARRAY_LEN(part_));                  \
    } while (0)

/* A negative number: this libseccomp or this machine does not know it. */
static int number_of(const char *name)
{
    return seccomp_syscall_resolve_name(name);
}

static void refuse(struct sock_fprog *p, const char *name, unsigned why)
{
    int nr = number_of(name);
    if (nr >= 0)
        ADD(p, SKIP_UNLESS_IS((unsigned)nr, 1), END(SECCOMP_RET_ERRNO | why));
}

static void add_rule(struct sock_fprog *p, const struct rule *r)
{
    int nr = number_of(r->name);
    const struct sock_filter when = r->refused == WHEN_IT_IS ? (struct sock_filter)SKIP_UNLESS_IS(r->value, 1)
                                                             : (struct sock_filter)SKIP_IF_IS(r->value, 1);
    if (nr >= 0)
        ADD(p, SKIP_UNLESS_IS((unsigned)nr, 5), LOAD(LOWER(r->argument)),
            BPF_STMT(BPF_ALU | BPF_AND | BPF_K, r->mask), when, END(SECCOMP_RET_ERRNO | EPERM),
            LOAD(WORD(nr)));
}

int cage_make_filter(struct sock_fprog *out, struct err *e)
{
    uint32_t action = SECCOMP_RET_KILL_PROCESS;
    if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) != 0)
        return err_errno(e, ERR_UNPROVEN,
                         "the kernel has no seccomp filters, and without nothing is restored here that might "
                         "run code: set [drill] scratch to a server set aside for it");
    if (number_of("connect") < 0) /* a part of socketcall(), whose arguments are out of sight */
        return err_set(e, ERR_UNPROVEN,
                       "no seccomp filter can keep programs of this machine from connections");
    *out = (struct sock_fprog){.filter = xcalloc(MOST, sizeof *out->filter)};
    ADD(out, LOAD(WORD(arch)), SKIP_IF_IS(seccomp_arch_native(), 1), END(SECCOMP_RET_KILL_PROCESS),
        LOAD(WORD(nr)), SKIP_BELOW(FOREIGN, 1), END(SECCOMP_RET_KILL_PROCESS), SKIP_BELOW(FIRST_UNKNOWN, 1),
        END(SECCOMP_RET_ERRNO | ENOSYS));
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        refuse(out, refused[i], EPERM);
    refuse(out, "clone3", ENOSYS); /* its flags are in memory, out of sight; libc then uses clone() */
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        add_rule(out, &rules[i]);
    ADD(out, END(SECCOMP_RET_ALLOW));
    return 0;
}
