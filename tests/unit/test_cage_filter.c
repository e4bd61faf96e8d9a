/* The seccomp filter of a cage, played: what it says of a call. test_cage has the kernel do it. */
#include "testing.h"

#include "drill/cage_parts.h"

#include <errno.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define REFUSED (SECCOMP_RET_ERRNO | EPERM)
#define UNKNOWN (SECCOMP_RET_ERRNO | ENOSYS)
#define HIGH    (1ull << 32)

static struct sock_fprog filter;

static uint32_t play(const struct seccomp_data *d)
{
    uint32_t a = 0;
    for (unsigned at = 0; at < filter.len;) {
        const struct sock_filter *f = &filter.filter[at++];
        bool is = f->code == (BPF_JMP | BPF_JEQ | BPF_K) ? a == f->k : a >= f->k;
        switch (f->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            memcpy(&a, (const char *)d + f->k, sizeof a);
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= f->k;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
        case BPF_JMP | BPF_JGE | BPF_K:
            at += is ? f->jt : f->jf;
            break;
        case BPF_RET | BPF_K:
            return f->k;
        default:
            fail_msg("instruction %u: code %x", at - 1, f->code);
        }
    }
    fail_msg("it has no end");
    return 0;
}

static uint32_t says(long nr, uint64_t first, uint64_t second)
{
    const struct seccomp_data d = {.nr = (int)nr, .arch = seccomp_arch_native(), .args = {first, second, 3}};
    return play(&d);
}

static void arguments_count(void **state)
{
    (void)state;
    static const long makers[] = {SYS_socket, SYS_socketpair};
    for (size_t i = 0; i < ARRAY_LEN(makers); i++) {
        assert_int_equal(says(makers[i], AF_UNIX, SOCK_STREAM), SECCOMP_RET_ALLOW);
        assert_int_equal(says(makers[i], AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK),
                         SECCOMP_RET_ALLOW);
        for (unsigned type = 0; type < 16; type++)
            assert_int_equal(says(makers[i], AF_UNIX, type | SOCK_CLOEXEC),
                             type == SOCK_STREAM ? SECCOMP_RET_ALLOW : REFUSED);
        for (unsigned family = 0; family < 64; family++)
            assert_int_equal(says(makers[i], family, SOCK_STREAM),
                             family == AF_UNIX ? SECCOMP_RET_ALLOW : REFUSED);
        assert_int_equal(says(makers[i], HIGH | AF_INET, SOCK_STREAM), REFUSED);
        assert_int_equal(says(makers[i], AF_UNIX, HIGH | SOCK_DGRAM), REFUSED);
    }
    assert_int_equal(says(SYS_clone, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_THREAD, 0), SECCOMP_RET_ALLOW);
    static const uint64_t spaces[] = {CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
                                      CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET};
    for (size_t i = 0; i < ARRAY_LEN(spaces); i++)
        assert_int_equal(says(SYS_clone, HIGH | CLONE_VM | spaces[i], 0), REFUSED);
    assert_int_equal(says(SYS_ioctl, 0, TCGETS), SECCOMP_RET_ALLOW);
    assert_int_equal(says(SYS_ioctl, 0, TIOCSTI), REFUSED);
    assert_int_equal(says(SYS_ioctl, 0, HIGH | TIOCSTI), REFUSED);
    assert_int_equal(says(SYS_ioctl, 0, TIOCLINUX), REFUSED);
    assert_int_equal(says(SYS_prlimit64, 0, 7), SECCOMP_RET_ALLOW);
    assert_int_equal(says(SYS_prlimit64, 1, 7), REFUSED);
}

static void what_is_refused_is_the_list(void **state)
{
    (void)state;
    static const long no[] = {SYS_connect, SYS_ptrace, SYS_process_vm_readv, SYS_io_uring_enter, SYS_bpf,
                              SYS_keyctl,  SYS_mount,  SYS_unshare,          SYS_setns,          SYS_reboot,
                              SYS_acct,    SYS_vhangup};
    static const long yes[] = {SYS_read, SYS_write, SYS_execve, SYS_accept4, SYS_sendto, SYS_mmap, SYS_kill};
    for (size_t i = 0; i < ARRAY_LEN(no); i++)
        assert_int_equal(says(no[i], 0, 0), REFUSED);
    for (size_t i = 0; i < ARRAY_LEN(yes); i++)
        assert_int_equal(says(yes[i], 0, 0), SECCOMP_RET_ALLOW);
    assert_int_equal(says(SYS_clone3, 0, 0), UNKNOWN);
}

static void what_is_not_known_is_not_there(void **state)
{
    (void)state;
    assert_int_equal(says(462, 0, 0), SECCOMP_RET_ALLOW); /* the last of Linux 6.9 */
    assert_int_equal(says(463, 0, 0), UNKNOWN);
    assert_int_equal(says(0x3fffffff, 0, 0), UNKNOWN);
    assert_int_equal(says(0x40000000 | SYS_read, 0, 0), SECCOMP_RET_KILL_PROCESS);
    const struct seccomp_data foreign = {.nr = (int)SYS_read, .arch = ~seccomp_arch_native()};
    assert_int_equal(play(&foreign), SECCOMP_RET_KILL_PROCESS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_count),
        cmocka_unit_test(what_is_refused_is_the_list),
        cmocka_unit_test(what_is_not_known_is_not_there),
    };
    struct err e = ERR_INIT;
    if (cage_make_filter(&filter, &e)) {
        printf("skipped: %s\n", e.text);
        return 77;
    }
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    free(filter.filter);
    return rc;
}
