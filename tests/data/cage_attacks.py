"""What code in a dump might try from inside a cage. Prints a line each: its name and "done" or what held it.
Run without a cage, as the same user, most of it succeeds: that is tested, too.

cage_attacks.py OUTSIDE TCP_PORT UDP_PORT ABSTRACT VICTIM: OUTSIDE is a folder that anybody may write to, with
the files secret and ours, and the unix sockets stream and datagram; VICTIM a process of the same user.
"""
import ctypes
import errno
import os
import platform
import resource
import signal
import socket
import struct
import sys

outside, tcp_port, udp_port, abstract, victim = sys.argv[1:6]
tcp_port, udp_port, victim = int(tcp_port), int(udp_port), int(victim)
libc = ctypes.CDLL(None, use_errno=True)
attacks = []
NR = {"x86_64": {"socket": 41, "clone": 56, "ptrace": 101, "keyctl": 250, "prlimit64": 302, "process_vm_readv": 310},
      "aarch64": {"socket": 198, "clone": 220, "ptrace": 117, "keyctl": 219, "prlimit64": 261,
                  "process_vm_readv": 270}}[platform.machine()]
NR.update(io_uring_setup=425, pidfd_open=434, clone3=435, pidfd_getfd=438)
NEW_USER = 0x10000000


def attack(f):
    attacks.append(f)
    return f


def checked(rc):
    if rc < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return rc


def call(name, *args):
    nr = NR[name] if isinstance(name, str) else name
    return checked(libc.syscall(nr, *[ctypes.c_long(a) if isinstance(a, int) else a for a in args]))


def raw_socket(family, kind):
    """The system call alone: Python's own class asks more of it."""
    return checked(libc.socket(family, kind, 0))


# ---- connections ----
@attack
def connect_unix():
    socket.socket(socket.AF_UNIX).connect(outside + "/stream")


@attack
def connect_abstract():
    socket.socket(socket.AF_UNIX).connect("\0" + abstract)


@attack
def connect_tcp():
    socket.socket(socket.AF_INET).connect(("127.0.0.1", tcp_port))


@attack
def send_udp():
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", udp_port))


@attack
def send_datagram():
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"x", outside + "/datagram")


@attack
def send_from_pair():
    a, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    a.sendto(b"x", outside + "/datagram")


@attack
def send_to_on_stream():
    a, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    a.sendto(b"x", outside + "/stream")


@attack
def socket_inet6():
    os.close(raw_socket(socket.AF_INET6, socket.SOCK_STREAM))


@attack
def socket_netlink():
    os.close(raw_socket(socket.AF_NETLINK, socket.SOCK_RAW))


@attack
def socket_high_bits():
    """The kernel looks at the lower half of its arguments only."""
    fd = call("socket", (1 << 32) | socket.AF_INET, socket.SOCK_STREAM, 0)
    os.close(fd)


@attack
def socket_vsock():
    os.close(raw_socket(40, socket.SOCK_STREAM))


@attack
def io_uring():
    params = ctypes.create_string_buffer(120)
    os.close(call("io_uring_setup", 4, params))


# ---- files ----
@attack
def read_file():
    open(outside + "/secret", "rb").read()


@attack
def list_folder():
    os.listdir(outside)


@attack
def write_file():
    open(outside + "/ours", "r+b").write(b"x")


@attack
def truncate_file():
    os.truncate(outside + "/ours", 1)


@attack
def make_file():
    open(outside + "/made", "wb").close()
    os.unlink(outside + "/made")


@attack
def link_in():
    os.link(outside + "/ours", "/proc/self/fd/%d/linked" % folder_fd())


@attack
def rename_file():
    os.rename(outside + "/ours", outside + "/renamed")
    os.rename(outside + "/renamed", outside + "/ours")


@attack
def change_mode():
    os.chmod(outside + "/ours", 0o777)


@attack
def climb_out():
    """From the open folder, past whatever stands above it."""
    os.stat(os.path.join("/proc/self/fd/%d" % folder_fd(), *[".."] * 40, outside.lstrip("/"), "secret"))
    fd = os.open("/proc/self/fd/%d/%s" % (folder_fd(), "../" * 40 + outside.lstrip("/") + "/climbed"),
                 os.O_CREAT | os.O_WRONLY)
    os.close(fd)


@attack
def read_root():
    os.listdir("/root")


@attack
def shared_memory():
    open("/dev/shm/lifeboat-attack", "wb").close()
    os.unlink("/dev/shm/lifeboat-attack")


# ---- processes ----
@attack
def signal_victim():
    os.kill(victim, 0)


@attack
def signal_all():
    """Whoever stands above us."""
    os.kill(os.getppid(), signal.SIGKILL if os.getppid() == 1 else 0)
    if os.getppid() == 1:
        raise OSError(errno.EPERM, "the first process lives")


@attack
def ptrace_victim():
    call("ptrace", 16, victim, 0, 0)
    os.waitpid(victim, 0)
    call("ptrace", 17, victim, 0, 0)


@attack
def read_memory():
    found = [p for p in os.listdir("/proc") if p.isdigit() and int(p) != os.getpid() and can_open(p, "mem")]
    if not found:
        raise OSError(errno.EACCES, "no memory of %d processes" % sum(p.isdigit() for p in os.listdir("/proc")))


@attack
def read_environment():
    found = [p for p in os.listdir("/proc") if p.isdigit() and int(p) != os.getpid() and can_open(p, "environ")]
    if not found:
        raise OSError(errno.EACCES, "no environment")


@attack
def vm_read():
    buffer = ctypes.create_string_buffer(8)
    vector = struct.pack("QQ", ctypes.addressof(buffer), 8)
    call("process_vm_readv", victim, vector, 1, vector, 1, 0)


@attack
def limit_victim():
    call("prlimit64", victim, 7, 0, ctypes.create_string_buffer(16))


@attack
def steal_file():
    os.close(call("pidfd_getfd", call("pidfd_open", victim, 0), 0, 0))


# ---- the kernel ----
@attack
def user_namespace():
    pid = os.fork()
    if pid == 0:
        os._exit(0 if libc.unshare(NEW_USER) == 0 else ctypes.get_errno())
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status:
        raise OSError(status, os.strerror(status))


@attack
def clone_namespace():
    pid = call("clone", NEW_USER | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


@attack
def clone3():
    args = struct.pack("11Q", NEW_USER, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, 0)
    pid = call("clone3", args, len(args))
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


@attack
def mount():
    checked(libc.mount(b"none", b"/tmp", b"tmpfs", 0, None))


@attack
def keyring():
    call("keyctl", 0, -4 & 0xFFFFFFFF, 1)


@attack
def unknown_call():
    call(463, 0, 0, 0, 0, 0)


@attack
def foreign_call():
    """getpid() of the x32 ABI, whose numbers the rules do not mean."""
    pid = os.fork()
    if pid == 0:
        libc.syscall(0x40000000 + 39)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status or platform.machine() != "x86_64":
        raise OSError(errno.ENOSYS, "ended by signal %d" % -status)


@attack
def become_root():
    os.setuid(0)


@attack
def raise_limit():
    resource.setrlimit(resource.RLIMIT_CORE, (1, 1))


def can_open(pid, name):
    try:
        with open("/proc/%s/%s" % (pid, name), "rb") as f:
            return name != "environ" or bool(f.read(1))
    except OSError:
        return False


def folder_fd():
    found = [int(n) for n in os.listdir("/proc/self/fd") if int(n) > 2 and is_folder(int(n))]
    if not found:
        raise OSError(errno.EBADF, "no folder is open")
    return found[0]


def is_folder(fd):
    try:
        return os.path.isdir("/proc/self/fd/%d" % fd)
    except OSError:
        return False


def open_files():
    """Beyond the folder listing itself."""
    here = [n for n in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + n)]
    return " ".join(n + ("/" if is_folder(int(n)) else "") for n in sorted(here, key=int))


say = sys.stdout if "--stdout" in sys.argv else sys.stderr
print("files", open_files(), file=say)
print("ids", *os.getresuid(), *os.getresgid(), *os.getgroups(), file=say)
print("environment", *sorted(os.environ), file=say)
for f in attacks:
    try:
        f()
        print(f.__name__, "done", file=say)
    except (OSError, ValueError) as e:
        print(f.__name__, "held:", e, file=say)
print("all tried", file=say)
