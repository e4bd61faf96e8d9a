#include "drill/cage_parts.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What a database server has no use for, and what reaches out of its processes. Names that this libseccomp or
 * this machine does not know are passed over. */
static const char *const refused[] = {
    /* connections: see also the rules of socket() below */
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

/* System calls that are younger than this list: Linux 6.10 and later. */
#define FIRST_UNKNOWN 463

#define CANNOT_BE_MADE "the seccomp filter cannot be made"

static int refuse(scmp_filter_ctx ctx, const char *name, int why, unsigned count, struct scmp_arg_cmp cmp)
{
    int nr = seccomp_syscall_resolve_name(name);
    return nr == __NR_SCMP_ERROR ? 0 : seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO(why), nr, count, &cmp);
}

static int refuse_when(scmp_filter_ctx ctx, const char *name, struct scmp_arg_cmp cmp)
{
    return refuse(ctx, name, EPERM, 1, cmp);
}

/* socket() and socketpair() only make unix stream sockets. A datagram one, of a pair too, could be told with
 * each message where to. */
static int add_socket_rules(scmp_filter_ctx ctx, const char *name)
{
    int rc = refuse_when(ctx, name, SCMP_A0_64(SCMP_CMP_NE, AF_UNIX, 0));
    for (unsigned type = 0; type <= 0xf; type++) /* the others of its bits are flags */
        if (type != SOCK_STREAM)
            rc = rc ? rc : refuse_when(ctx, name, SCMP_A1_64(SCMP_CMP_MASKED_EQ, 0xf, type));
    return rc;
}

static int add_rules(scmp_filter_ctx ctx)
{
    static const uint32_t spaces[] = {CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
                                      CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET};
    static const uint32_t typing[] = {TIOCSTI, TIOCLINUX}; /* into a terminal's input */
    const struct scmp_arg_cmp any = {0};
    int rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        rc = rc ? rc : refuse(ctx, refused[i], EPERM, 0, any);
    rc = rc ? rc : add_socket_rules(ctx, "socket");
    rc = rc ? rc : add_socket_rules(ctx, "socketpair");
    for (size_t i = 0; i < ARRAY_LEN(spaces); i++)
        rc = rc ? rc : refuse_when(ctx, "clone", SCMP_A0_64(SCMP_CMP_MASKED_EQ, spaces[i], spaces[i]));
    /* Its flags are in memory, out of sight; libc then uses clone(). */
    rc = rc ? rc : refuse(ctx, "clone3", ENOSYS, 0, any);
    for (size_t i = 0; i < ARRAY_LEN(typing); i++)
        rc = rc ? rc : refuse_when(ctx, "ioctl", SCMP_A1_64(SCMP_CMP_MASKED_EQ, 0xffffffff, typing[i]));
    /* of others */
    return rc ? rc : refuse_when(ctx, "prlimit64", SCMP_A0_64(SCMP_CMP_NE, 0, 0));
}

/* Whether the program ends and no jump leads over its end: then what runs of it is all there. */
static bool is_whole(const struct sock_fprog *p)
{
    for (unsigned i = 0; i < p->len; i++) {
        const struct sock_filter *f = &p->filter[i];
        uint64_t furthest = BPF_OP(f->code) == BPF_JA ? f->k : MAX(f->jt, f->jf);
        if (BPF_CLASS(f->code) == BPF_JMP && i + 1 + furthest >= p->len)
            return false;
    }
    return p->len && BPF_CLASS(p->filter[p->len - 1].code) == BPF_RET;
}

/* This version of libseccomp gives the program to a descriptor only, and takes a short write for a good one.
 */
static int export(scmp_filter_ctx ctx, struct sock_fprog *out, struct err *e)
{
    struct stat st;
    AUTO_FD fd = memfd_create("filter", MFD_CLOEXEC);
    if (fd < 0 || seccomp_export_bpf(ctx, fd) != 0 || fstat(fd, &st) != 0)
        return err_errno(e, ERR_UNPROVEN, CANNOT_BE_MADE);
    size_t n = (size_t)st.st_size;
    *out = (struct sock_fprog){.len = (unsigned short)(n / sizeof *out->filter), .filter = xcalloc(1, n + 1)};
    ssize_t got = pread(fd, out->filter, n, 0);
    if (got < 0)
        return err_errno(e, ERR_UNPROVEN, CANNOT_BE_MADE);
    return got == st.st_size && is_whole(out)
               ? 0
               : err_set(e, ERR_UNPROVEN, CANNOT_BE_MADE ": short write: it ends at byte %zd", got);
}

static void make_unknown_filter(struct sock_fprog *out)
{
    static const struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, FIRST_UNKNOWN, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    *out = (struct sock_fprog){.len = ARRAY_LEN(program), .filter = xcalloc(1, sizeof program)};
    memcpy(out->filter, program, sizeof program);
}

int cage_make_filters(struct sock_fprog filters[2], struct err *e)
{
    uint32_t action = SECCOMP_RET_KILL_PROCESS;
    if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) != 0)
        return err_errno(e, ERR_UNPROVEN,
                         "the kernel has no seccomp filters, and without nothing is restored here that might "
                         "run code: set [drill] scratch to a server set aside for it");
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    int rc = ctx ? add_rules(ctx) : -ENOMEM;
    if (rc)
        err_set(e, ERR_UNPROVEN, CANNOT_BE_MADE ": %s", strerror(-rc));
    else
        rc = export(ctx, &filters[0], e);
    if (ctx)
        seccomp_release(ctx);
    if (rc)
        return -1;
    make_unknown_filter(&filters[1]);
    return 0;
}
