#!/usr/bin/python3
"""The volume of the golden repositories: tree.py make FOLDER NIGHT | tree.py manifest FOLDER.

`make` makes a small tree of what is hard to keep; each night's is a little different. `manifest` prints a line for
each entry, in the order of names: all that a restore has to bring back, and so what two trees are compared by."""
import hashlib, os, random, stat, sys

NOISE = random.Random(8).randbytes(30000)


def text(lines, first=0):
    """Long for what it takes: no two chunks of it are the same, and each shrinks to little."""
    return b"".join(b"line %07d of a text that goes on and on and on and on and on and on and on\n" % i
                    for i in range(first, first + lines))


def write(path, data=b"", mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)
    os.chmod(path, mode)


def sparse(path):
    write(path, b"begin")
    with open(path, "r+b") as f:
        f.seek(3 << 20)
        f.write(b"middle")
        f.truncate(5 << 20)


def make(root, night):
    os.umask(0o022)
    write(root + b"/large/text", text(12000) + text(200 * night, 900000))
    write(root + b"/large/noise", NOISE)
    write(root + b"/empty/file")
    write(root + b"/night", b"night %d\n" % night, 0o640)
    for name in (b"latin1-\xe9", b"bytes-\xff\xfe", b"new\nline", b" ", b"-rf *", "nfd-e\u0301".encode(),
                 "\U0001f6f6".encode(), b"n" * 255, b"back\\slash"):
        write(root + b"/names/" + name, b"named " + name)
    write(root + b"/deep/" + b"/".join([b"d" * 60] * 40) + b"/file", b"2400 bytes down\n")
    os.makedirs(root + b"/empty/folder", mode=0o700)
    os.link(root + b"/large/noise", root + b"/names/hard-\xff")
    os.link(root + b"/large/noise", root + b"/z-hard")
    for name, target in ((b"dangling", b"no/such/thing"), (b"bytes", b"\xff/\xfe"), (b"absolute", b"/etc/hostname"),
                         (b"long", b"l" * 1000)):
        os.makedirs(root + b"/links", exist_ok=True)
        os.symlink(target, root + b"/links/" + name)
    os.mkfifo(root + b"/links/fifo", 0o600)
    sparse(root + b"/sparse")
    for mode in (0o400, 0o444, 0o711, 0o1777):
        write(root + b"/modes/%04o" % mode, b"mode", mode)
    write(root + b"/xattrs", b"content")
    os.setxattr(root + b"/xattrs", "user.plain", b"value")
    os.setxattr(root + b"/xattrs", "user.bytes", bytes(range(64)))
    os.chown(root + b"/empty/file", 1000, 1001)
    settle(root, [1_111_111_111_000_000_007])
    for path, ns in ((b"night", -1_000_000_000_123_456_789 // 2), (b"large/text", 1_500_000_000 * 10**9 + night)):
        os.utime(root + b"/" + path, ns=(ns, ns))


def settle(path, clock):
    """Gives everything below a time of its own, so that a restore cannot pass by chance."""
    if os.path.isdir(path) and not os.path.islink(path):
        for name in sorted(os.listdir(path)):
            settle(path + b"/" + name, clock)
    clock[0] += 1_000_003_007
    os.utime(path, ns=(clock[0], clock[0]), follow_symlinks=False)


def escaped(name):
    return "".join(chr(c) if 0x21 <= c < 0x7f and c != 0x5c else f"\\x{c:02x}" for c in name)


def content(path, st):
    if stat.S_ISLNK(st.st_mode):
        return escaped(os.readlink(path))
    if stat.S_ISREG(st.st_mode):
        with open(path, "rb") as f:
            return hashlib.sha256(f.read()).hexdigest()
    return "-"


def entry(path, shown, links):
    st = os.lstat(path)
    if len(shown) > 200:
        shown = f"{shown[:60]}...{hashlib.sha256(shown.encode()).hexdigest()}"
    size = "-" if stat.S_ISDIR(st.st_mode) else st.st_size
    same = "-" if stat.S_ISDIR(st.st_mode) or st.st_nlink == 1 else links.setdefault(st.st_ino, shown)
    named = [] if stat.S_ISLNK(st.st_mode) else sorted(n for n in os.listxattr(path) if n.startswith("user."))
    attributes = ",".join(f"{n}={os.getxattr(path, n).hex()}" for n in named)
    print(shown, oct(st.st_mode)[2:], f"{st.st_uid}:{st.st_gid}", size, st.st_mtime_ns, content(path, st), same,
          attributes or "-")


def manifest(path, shown, links):
    entry(path, shown, links)
    if stat.S_ISDIR(os.lstat(path).st_mode):
        for name in sorted(os.listdir(path)):
            manifest(path + b"/" + name, shown + "/" + escaped(name), links)


folder = os.fsencode(sys.argv[2])
make(folder, int(sys.argv[3])) if sys.argv[1] == "make" else manifest(folder, ".", {})
