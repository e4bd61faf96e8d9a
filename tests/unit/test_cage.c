/* The cage: what code inside tries (tests/data/cage_attacks.py), with each lock that a machine may lack. */
#include "testing.h"

#include "drill/cage.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_S 60
#define NOBODY     65534

struct way {
    const char *name;
    bool as_nobody, no_namespaces;
};
static const struct way ways[] = {{"our user", false, false},
                                  {"our user, no namespaces", false, true},
                                  {"nobody", true, false},
                                  {"nobody, no namespaces", true, true}};
static long landlock;

/* ---- what there is to attack ---- */
static struct {
    char *folder; /* anybody may write in it */
    int listeners[5];
    unsigned tcp_port, udp_port;
    char *abstract;
} outside;

static int bound(int type, const void *address, size_t size)
{
    int fd = socket(((const struct sockaddr *)address)->sa_family, type | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, address, (socklen_t)size) != 0 || (type == SOCK_STREAM && listen(fd, 16) != 0))
        fail_msg("a listener: %s", strerror(errno));
    return fd;
}

static int bound_unix(int type, const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    AUTO_CHAR path = xasprintf("%s/%s", outside.folder, name);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    int fd = bound(type, &a, sizeof a);
    assert_int_equal(chmod(path, 0777), 0);
    return fd;
}

static int bound_inet(int type, unsigned *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = bound(type, &a, sizeof a);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static int bound_abstract(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    outside.abstract = xasprintf("lifeboat-test-%ld", (long)getpid());
    memcpy(a.sun_path + 1, outside.abstract, strlen(outside.abstract));
    return bound(SOCK_STREAM, &a, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(outside.abstract));
}

static int set_up(void **state)
{
    struct err e = ERR_INIT;
    (void)state;
    outside.folder = xstrdup("/var/tmp/lifeboat-test-XXXXXX"); /* the cage has a /tmp of its own */
    assert_non_null(mkdtemp(outside.folder));
    assert_int_equal(chmod(outside.folder, 0777), 0);
    AUTO_CHAR secret = xasprintf("%s/secret", outside.folder);
    assert_ok(file_write(secret, BYTES_STR("s3cret"), 0666, true, &e));
    outside.listeners[0] = bound_unix(SOCK_STREAM, "stream");
    outside.listeners[1] = bound_unix(SOCK_DGRAM, "datagram");
    outside.listeners[2] = bound_inet(SOCK_STREAM, &outside.tcp_port);
    outside.listeners[3] = bound_inet(SOCK_DGRAM, &outside.udp_port);
    outside.listeners[4] = bound_abstract();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(outside.listeners); i++)
        close(outside.listeners[i]);
    free(outside.abstract);
    test_remove(outside.folder);
    return 0;
}

/* ---- who runs what ---- */
static bool is_root(void)
{
    return geteuid() == 0;
}

/* As whom the program in the cage runs. */
static uid_t program_uid(const struct way *w)
{
    const struct passwd *user = getpwnam(CAGE_USER);
    return w->as_nobody ? NOBODY : is_root() && user ? user->pw_uid : geteuid();
}

/* In a chroot "/" is no mount, so nothing is read-only, and /proc shows each process under a second number.
 */
static bool root_is_mounted(void)
{
    struct err e = ERR_INIT;
    AUTO(buf) mounts = BUF_NONE;
    assert_ok(file_read("/proc/self/mountinfo", 1 << 20, &mounts, &e));
    for (char *rest = (char *)buf_cstr(&mounts), *line; (line = strsep(&rest, "\n"));) {
        char at[4] = "";
        if (sscanf(line, "%*s %*s %*s %*s %3s", at) == 1 && strcmp(at, "/") == 0)
            return true;
    }
    return false;
}

static bool can_be(const struct way *w)
{
    if (w->as_nobody && !is_root())
        printf("skipped: %s: only root can become that\n", w->name);
    if (!w->no_namespaces && !root_is_mounted())
        printf("skipped: %s: nothing can be mounted in a chroot\n", w->name);
    return (is_root() || !w->as_nobody) && (w->no_namespaces || root_is_mounted());
}

static void become(uid_t uid)
{
    if (uid != geteuid() &&
        (setgroups(0, NULL) != 0 || setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0))
        _exit(99);
}

/* Collects what a forked process says and waits for its end. */
static char *hear(int fd, pid_t pid)
{
    struct err e = ERR_INIT;
    struct buf said = BUF_NONE;
    int status;
    for (ssize_t n = 1; n > 0; said.n += n > 0 ? (size_t)n : 0)
        n = fd_read(fd, buf_reserve(&said, 65536), 65536, "pipe", &e);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(fd);
    if (status)
        fail_msg("status %x: %s", (unsigned)status, buf_cstr(&said));
    buf_cstr(&said);
    return (char *)said.p;
}

/* Makes a process of that user that waits for its end; others of it may look into it. */
static pid_t start_victim(uid_t uid)
{
    int ready[2];
    char byte = 0;
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        become(uid);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prctl(PR_SET_DUMPABLE, 1);
        prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0,
              0); /* also where Yama asks for that (ptrace_scope = 1) */
        (void)!write(ready[1], "x", 1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static void end_victim(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

struct attack_args {
    char tcp[16], udp[16], victim[16];
    const char *argv[10];
};

static void fill_args(struct attack_args *a, pid_t victim)
{
    static char script[65536];
    AUTO_CHAR path = xasprintf("%s/data/cage_attacks.py", tests_folder());
    AUTO(buf) text = BUF_NONE;
    struct err e = ERR_INIT;
    assert_ok(file_read(path, sizeof script - 1, &text, &e));
    snprintf(script, sizeof script, "%s", buf_cstr(&text));
    snprintf(a->tcp, sizeof a->tcp, "%u", outside.tcp_port);
    snprintf(a->udp, sizeof a->udp, "%u", outside.udp_port);
    snprintf(a->victim, sizeof a->victim, "%ld", (long)victim);
    const char *const argv[] = {"/usr/bin/python3", "-c",      script, outside.folder, a->tcp, a->udp,
                                outside.abstract,   a->victim, NULL};
    memcpy(a->argv, argv, sizeof argv);
}

/* In a forked process that has become who lifeboat runs as: what the program in a cage said. */
static void run_caged(const struct way *w, const char *const *argv, const char *path)
{
    struct err e = ERR_INIT;
    const struct cage_options o = {.no_namespaces = w->no_namespaces};
    AUTO(child) c = CHILD_NONE;
    AUTO(strings) notes = STRINGS_NONE;
    struct cage *cage = cage_new(&o, &e);
    if (!cage || cage_make_folder(cage, path, &e) || cage_start(cage, argv, &c, &e) ||
        child_wait(&c, argv[0], NULL, &e))
        dprintf(1, "error: %s\n", e.text);
    cage_notes(cage, &notes);
    for (size_t i = 0; i < notes.n; i++)
        dprintf(1, "note: %s\n", notes.v[i]);
    dprintf(1, "%s", buf_cstr(&c.err_text));
    cage_free(cage);
}

/* Runs all attacks; the text that they printed. `caged`: or simply as the user that it would have there. */
static char *attack(const struct way *w, bool caged)
{
    struct attack_args args;
    int said[2];
    pid_t victim = start_victim(program_uid(w));
    AUTO_CHAR parent = test_folder();
    AUTO_CHAR path = xasprintf("%s/c", parent);
    AUTO_CHAR ours = xasprintf("%s/ours", outside.folder);
    struct err e = ERR_INIT;
    assert_ok(file_write(ours, BYTES_STR("ours"), 0666, false, &e));
    if (is_root()) {
        assert_int_equal(chown(ours, program_uid(w), (gid_t)-1), 0);
        assert_int_equal(w->as_nobody ? chown(parent, NOBODY, NOBODY) : 0, 0);
    }
    fill_args(&args, victim);
    assert_int_equal(pipe2(said, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(said[1], 1);
        if (is_root() && setgroups(1, &(gid_t){NOBODY}) != 0) /* one to get rid of */
            _exit(99);
        become(caged ? (w->as_nobody ? NOBODY : geteuid()) : program_uid(w));
        if (caged) {
            run_caged(w, args.argv, path);
        } else {
            dup2(said[1], 2);
            execv(args.argv[0], (char *const *)args.argv);
        }
        _exit(caged ? 0 : 98);
    }
    close(said[1]);
    char *text = hear(said[0], pid);
    end_victim(victim);
    assert_ok(dir_remove(parent, &e));
    return text;
}

/* cmocka's messages are short. */
#define fail_with(text, ...)   \
    do {                       \
        fputs(text, stderr);   \
        fail_msg(__VA_ARGS__); \
    } while (0)

static bool says(const char *text, const char *line)
{
    AUTO_CHAR at_start = xasprintf("\n%s", line);
    return strncmp(text, line, strlen(line)) == 0 || strstr(text, at_start);
}

/* ---- attacks ---- */

static bool had_no_namespaces(const char *text)
{
    return says(text, "note: the kernel allowed no namespaces");
}

/* What only Landlock holds there, if the kernel's is new enough. */
static bool is_known_to_work(const struct way *w, const char *name, bool no_namespaces)
{
    bool own_user = is_root() && !w->as_nobody;
    if (!no_namespaces)
        return false;
    return strcmp(name, "change_mode") == 0 || (strcmp(name, "truncate_file") == 0 && landlock < 3) ||
           (strcmp(name, "signal_victim") == 0 && landlock < 6) ||
           (strcmp(name, "signal_all") == 0 && landlock < 6 && !own_user);
}

static void check_held(const struct way *w, char *text)
{
    AUTO_CHAR all = xstrdup(text);
    for (char *rest = all, *line; (line = strsep(&rest, "\n"));) {
        char *done = strstr(line, " done");
        if (!done || done[5])
            continue;
        *done = 0;
        if (!is_known_to_work(w, line, had_no_namespaces(text)))
            fail_with(text, "%s: %s works", w->name, line);
    }
    if (!says(text, "all tried") || says(text, "error: "))
        fail_with(text, "%s: it did not come to all attacks", w->name);
}

static void nothing_gets_out(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        const struct way *w = &ways[i];
        if (!can_be(w))
            continue;
        AUTO_CHAR text = attack(w, true);
        check_held(w, text);
        assert_true(had_no_namespaces(text) || !w->no_namespaces);
        if (had_no_namespaces(text) && !w->no_namespaces)
            printf("skipped: %s: no namespaces here\n", w->name);
        bool own_user = is_root() && !w->as_nobody;
        assert_int_equal(says(text, own_user ? "note: the scratch server ran as user " CAGE_USER "\n"
                                             : "note: the scratch server ran as user "),
                         1);
        const struct passwd *user = getpwuid(program_uid(w));
        AUTO_CHAR ids = xasprintf("ids %1$u %1$u %1$u %2$u %2$u %2$u%3$s", (unsigned)user->pw_uid,
                                  (unsigned)user->pw_gid, is_root() ? "\n" : ""); /* and no group besides */
        assert_true(says(text, ids));
        assert_true(says(text, "environment HOME LC_ALL PATH TZ\n"));
    }
}

/* 0 to 2 and the folder. */
static void no_file_is_left_open(void **state)
{
    (void)state;
    AUTO_FD other = open("/", O_RDONLY); /* not to be closed by exec: somebody forgot */
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        if (!can_be(&ways[i]))
            continue;
        AUTO_CHAR text = attack(&ways[i], true);
        const char *files = strstr(text, "files 0 1 2 ");
        assert_non_null(files);
        const char *folder = files + strlen("files 0 1 2 ");
        folder += strspn(folder, "0123456789");
        if (strncmp(folder, "/\n", 2) != 0)
            fail_with(text, "%s", ways[i].name);
    }
    assert_true(other >= 0);
}

/* The attacks are real: without the cage, the same user gets through. */
static void without_a_cage_it_gets_out(void **state)
{
    static const char *const work[] = {"connect_unix",  "connect_abstract", "connect_tcp",    "send_udp",
                                       "send_datagram", "send_from_pair",   "socket_netlink", "read_file",
                                       "list_folder",   "write_file",       "truncate_file",  "make_file",
                                       "rename_file",   "change_mode",      "shared_memory",  "signal_victim",
                                       "read_memory",   "read_environment"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        if (!can_be(&ways[i]) || ways[i].no_namespaces)
            continue;
        AUTO_CHAR text = attack(&ways[i], false);
        for (size_t k = 0; k < ARRAY_LEN(work); k++) {
            AUTO_CHAR line = xasprintf("%s done\n", work[k]);
            if (!says(text, line))
                fail_with(text, "%s: without a cage, no %s", ways[i].name, work[k]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_gets_out),
        cmocka_unit_test(no_file_is_left_open),
        cmocka_unit_test(without_a_cage_it_gets_out),
    };
    struct err e = ERR_INIT;
    const struct cage_options o = {0};
    AUTO_PTR(cage) cage = cage_new(&o, &e);
    landlock = syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
    if (!cage || landlock < 1 || access("/usr/bin/python3", X_OK) != 0) {
        printf("skipped: %s\n", !cage          ? e.text
                                : landlock < 1 ? "the kernel has no Landlock"
                                               : "/usr/bin/python3 is not installed");
        return 77;
    }
    alarm(PATIENCE_S * 5);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_NAME, CAGE_KEEPER); /* or a drill elsewhere takes our victims for left over */
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
