#!/usr/bin/env python3
"""Makes a tree with everything in it that a backup gets wrong: make_tree.py FOLDER [options].

The same seed and options give the same tree. What this user or this file system cannot make is said on
stderr, one line each ("not made: ..."), and left out. Everything is made relative to open folders, so paths
may be longer than PATH_MAX."""
import argparse
import os
import random
import socket
import stat
import struct
import sys

KIB = 1024
IS_ROOT = os.geteuid() == 0


def not_made(what, why):
    print(f"not made: {what}: {why}", file=sys.stderr)


class Tree:
    def __init__(self, root, seed):
        os.makedirs(root, exist_ok=True)
        if os.listdir(root):
            sys.exit(f"{root}: is not empty")
        self.fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        self.random = random.Random(seed)

    def parent(self, path):
        """An open folder and the last name; folders on the way are made."""
        *folders, name = path if isinstance(path, list) else os.fsencode(path).split(b"/")
        fd = os.dup(self.fd)
        for part in folders:
            try:
                os.mkdir(part, 0o755, dir_fd=fd)
            except FileExistsError:
                pass
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
            os.close(fd)
            fd = below
        return fd, name

    def at(self, path, action, what=None):
        """Runs action(dir_fd, name); an OSError is reported, not raised."""
        fd, name = self.parent(path)
        try:
            return action(fd, name)
        except OSError as e:
            not_made(what or repr(path), e.strerror)
            return None
        finally:
            os.close(fd)

    def file(self, path, data=b"", mode=0o644, then=None, size=None, holes=()):
        def action(dir_fd, name):
            fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode, dir_fd=dir_fd)
            try:
                if data:
                    os.pwrite(fd, data, 0)
                for offset, piece in holes:
                    os.pwrite(fd, piece, offset)
                if size is not None:
                    os.ftruncate(fd, size)
                os.fchmod(fd, mode)
                if then:
                    then(fd)
            finally:
                os.close(fd)
        self.at(path, action)

    def folder(self, path, mode=0o755, then=None):
        def action(dir_fd, name):
            os.mkdir(name, 0o755, dir_fd=dir_fd)
            fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=dir_fd)
            try:
                if then:
                    then(fd)
                os.fchmod(fd, mode)
            finally:
                os.close(fd)
        self.at(path, action)

    def symlink(self, path, target):
        self.at(path, lambda fd, name: os.symlink(target, name, dir_fd=fd))

    def link(self, old, new):
        old_fd, old_name = self.parent(old)
        self.at(new, lambda fd, name: os.link(old_name, name, src_dir_fd=old_fd, dst_dir_fd=fd,
                                              follow_symlinks=False))
        os.close(old_fd)

    def node(self, path, mode, device=0):
        def action(fd, name):
            os.mknod(name, mode, device, dir_fd=fd)
            os.chmod(name, stat.S_IMODE(mode), dir_fd=fd)
        self.at(path, action)

    def time(self, path, ns):
        self.at(path, lambda fd, name: os.utime(name, ns=(ns, ns), dir_fd=fd, follow_symlinks=False))

    def owner(self, path, uid, gid):
        self.at(path, lambda fd, name: os.chown(name, uid, gid, dir_fd=fd, follow_symlinks=False))


def make_contents(t, scale):
    word = b"the quick brown fox jumps over the lazy dog 0123456789\n"
    for around in (1, 512, 4 * KIB, 64 * KIB, 256 * KIB, 512 * KIB, 1024 * KIB):
        for size in sorted({max(around - 1, 0), around, around + 1}):
            t.file(f"sizes/{size:07}", t.random.randbytes(size))
    t.file("contents/text", word * (20000 * scale))
    t.file("contents/random", t.random.randbytes(1024 * KIB * scale))
    t.file("contents/zeros-written", b"\0" * (300 * KIB))
    t.file("contents/half", word * 5000 + t.random.randbytes(300 * KIB))
    t.file("contents/twin-a", b"twin" * 50000)
    t.file("contents/twin-b", b"twin" * 50000)


def make_small_files(t, count):
    for i in range(count):
        size = min(int(t.random.paretovariate(0.7) * 60), 40000)
        body = (b"%08d small " % i) * (size // 15 + 1) if i % 2 else t.random.randbytes(size)
        t.file(f"small/{i // 1000:03}/{i // 100 % 10}/{i:06}.dat", body[:size])


def make_sparse(t, huge):
    mib = 1024 * KIB
    data = t.random.randbytes(64 * KIB)
    t.file("sparse/all", size=16 * mib)
    t.file("sparse/start", holes=[(8 * mib, data)])
    t.file("sparse/middle", data, holes=[(8 * mib, data)])
    t.file("sparse/end", data, size=8 * mib)
    t.file("sparse/many", holes=[(i * 128 * KIB, data[:4096]) for i in range(1, 200)], size=32 * mib)
    t.file("sparse/odd", b"x", holes=[(1000003, b"y")], size=2000003)
    t.file("sparse/one-byte-hole-file", size=1)
    t.file("sparse/" + "n" * 200, data, size=mib)
    t.file(["sparse".encode(), b"not-utf8-\xff\xfe"], data, size=mib)
    if huge:
        t.file("sparse/5gib", b"first", holes=[(3 << 30, b"middle"), ((5 << 30) - 4, b"last")])


def make_links(t):
    t.file("links/first", b"one file, many names\n", 0o640)
    for name in ("links/second", "links/deeper/third", "a-link-before", "z-link-after"):
        t.link("links/first", name)
    t.file("links/empty")
    t.link("links/empty", "links/empty-too")
    t.symlink("links/symlink", "first")
    t.link("links/symlink", "links/symlink-hard")
    t.node("links/fifo", stat.S_IFIFO | 0o600)
    t.link("links/fifo", "links/fifo-hard")
    t.file([b"links", b"first-\xff"], b"bytes")
    t.link([b"links", b"first-\xff"], [b"links", b"second-\xff"])
    for name, target in (("dangling", "no/such/thing"), ("absolute", "/etc/hostname"), ("to-folder", "deeper"),
                         ("loop-a", "loop-b"), ("loop-b", "loop-a"), ("self", "self"), ("up", "../.."),
                         ("space", " "), ("newline", "a\nb"), ("long", "l" * 4095),
                         ("long-path", "/".join(["d" * 99] * 40))):
        t.symlink(f"symlinks/{name}", target)
    t.symlink("symlinks/bytes", b"\xff\xfe/\xc3\xa9")
    t.symlink("symlinks/nfd", "e\u0301".encode())
    t.symlink(b"symlinks/\xe9", b"plain")


def make_special(t, sockets):
    t.node("special/fifo", stat.S_IFIFO | 0o644)
    t.node("special/fifo-0000", stat.S_IFIFO | 0)
    for name, kind, major, minor in (("null", stat.S_IFCHR, 1, 3), ("loop", stat.S_IFBLK, 7, 200),
                                     ("large", stat.S_IFCHR, 4095, 1048575)):
        t.node(f"special/{name}", kind | 0o640, os.makedev(major, minor))
    if sockets:
        def listen(fd, name):
            s = socket.socket(socket.AF_UNIX)
            s.bind(f"/proc/self/fd/{fd}/".encode() + name)
            s.close()
        t.at("special/socket", listen)


def make_modes(t):
    for mode in (0o0, 0o111, 0o222, 0o400, 0o444, 0o600, 0o755, 0o777, 0o1644, 0o2755, 0o4755, 0o6711, 0o7777):
        t.file(f"modes/file-{mode:04o}", b"mode", mode)
    for mode in (0o0, 0o111, 0o300, 0o500, 0o555, 0o700, 0o1777, 0o2775, 0o4755, 0o7777):
        path = f"modes/folder-{mode:04o}"
        def fill(fd):
            os.close(os.open("inside", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=fd))
        t.folder(path, mode, fill)
    t.folder("modes/empty")
    t.folder("modes/empty-0000", 0)


def make_owners(t):
    if not IS_ROOT:
        not_made("other owners", "needs root")
        return
    for name, uid, gid in (("user", 1000, 1000), ("nobody", 65534, 65534), ("large", 4294967294, 4294967294),
                           ("above-int", 3000000000, 2147483648), ("octal-limit", 2097152, 2097151)):
        t.file(f"owners/{name}", b"owned")
        t.owner(f"owners/{name}", uid, gid)
        t.folder(f"owners/{name}-folder")
        t.owner(f"owners/{name}-folder", uid, gid)
        t.symlink(f"owners/{name}-symlink", name)
        t.owner(f"owners/{name}-symlink", uid, gid)
    t.file("owners/setuid", b"#!", 0o600)
    t.owner("owners/setuid", 1000, 1000)
    t.at("owners/setuid", lambda fd, name: os.chmod(name, 0o6755, dir_fd=fd))


def xattrs(pairs, what):
    def then(fd):
        for name, value in pairs:
            try:
                os.setxattr(fd, name, value)
            except OSError as e:
                not_made(f"{what} {name[:40]}", e.strerror)
    return then


def make_xattrs(t):
    simple = [("user.plain", b"value"), ("user.empty", b""), ("user.binary", bytes(range(256))),
              ("user.newline", b"a\nb=c\0d"), ("user.na\u0308me=with%signs", b"x"), ("user." + "n" * 200, b"y")]
    t.file("xattrs/simple", b"content", then=xattrs(simple, "xattr"))
    t.file("xattrs/large", b"content", then=xattrs([("user.large", t.random.randbytes(3000))], "xattr"))
    t.file("xattrs/many", b"content",
           then=xattrs([(f"user.n{i:03}", b"v" * (i % 20)) for i in range(60)], "xattr"))
    t.file("xattrs/read-only", b"content", 0o444, then=xattrs(simple[:2], "xattr"))
    t.folder("xattrs/folder", then=xattrs(simple[:3], "xattr"))
    t.folder("xattrs/folder-0500", 0o500, xattrs(simple[:1], "xattr"))
    if not IS_ROOT:
        not_made("trusted xattrs and capabilities", "need root")
        return
    t.file("xattrs/trusted", b"content", then=xattrs([("trusted.lifeboat", b"root only")], "xattr"))
    t.symlink("xattrs/symlink", "simple")
    t.at("xattrs/symlink", lambda fd, name: os.setxattr(
        f"/proc/self/fd/{fd}/".encode() + name, "trusted.link", b"on a symlink", follow_symlinks=False))
    # VFS_CAP_REVISION_2 with the effective bit: cap_net_bind_service (bit 10), cap_net_raw (bit 13)
    capability = struct.pack("<IIIII", 0x02000001, 1 << 10 | 1 << 13, 0, 0, 0)
    t.file("capabilities/ping", b"\x7fELF", 0o755, then=xattrs([("security.capability", capability)], "xattr"))
    t.file("capabilities/owned", b"\x7fELF", 0o755)
    t.owner("capabilities/owned", 1000, 1000)
    t.at("capabilities/owned", lambda fd, name: os.setxattr(
        f"/proc/self/fd/{fd}/".encode() + name, "security.capability", capability))


def acl(*entries):
    tags = {"u": 0x01, "U": 0x02, "g": 0x04, "G": 0x08, "m": 0x10, "o": 0x20}
    return struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", tags[tag], perm, ident) for tag, perm, ident in entries)


def make_acls(t):
    none = 0xffffffff
    access = acl(("u", 6, none), ("U", 4, 1000), ("U", 7, 1001), ("g", 4, none), ("G", 6, 33), ("m", 6, none),
                 ("o", 0, none))
    masked = acl(("u", 7, none), ("U", 7, 65534), ("g", 7, none), ("m", 1, none), ("o", 4, none))
    bare_mask = acl(("u", 6, none), ("g", 6, none), ("m", 4, none), ("o", 0, none))
    default = acl(("u", 7, none), ("U", 5, 1000), ("g", 5, none), ("G", 7, 33), ("m", 7, none), ("o", 0, none))
    plain_default = acl(("u", 7, none), ("g", 5, none), ("o", 5, none))
    a, d = "system.posix_acl_access", "system.posix_acl_default"
    t.file("acls/access", b"a", then=xattrs([(a, access)], "ACL"))
    t.file("acls/masked", b"a", then=xattrs([(a, masked)], "ACL"))
    t.file("acls/bare-mask", b"a", then=xattrs([(a, bare_mask)], "ACL"))
    t.file([b"acls", b"bytes-\xff"], b"a", then=xattrs([(a, access)], "ACL"))
    for name, pairs in (("default", [(d, default)]), ("both", [(a, access), (d, default)]),
                        ("plain-default", [(d, plain_default)])):
        def fill(fd, pairs=pairs): # what is in it before has no ACL, what comes after inherits one
            os.close(os.open("before", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=fd))
            for key, value in pairs:
                try:
                    os.setxattr(fd, key, value)
                except OSError as e:
                    not_made(f"ACL {key}", e.strerror)
            try:
                os.close(os.open("after", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=fd))
                os.mkdir("folder", 0o755, dir_fd=fd)
            except PermissionError as e: # one of the ACLs closes the folder to its owner
                not_made("what inherits an ACL", e.strerror)
        fd, name = t.parent(f"acls/{name}")
        os.mkdir(name, 0o755, dir_fd=fd)
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        fill(inner)
        os.close(inner)
        os.close(fd)


def make_names(t):
    names = [b"n" * 255, b"\xff\xfe\xfd", b"latin1-\xe9", "nfc-\u00e9".encode(), "nfd-e\u0301".encode(),
             "\u65e5\u672c\u8a9e".encode(), "\U0001f6f6".encode(), b"new\nline", b"tab\there", b"cr\rhere", b" ",
             b" leading", b"trailing ", b"quote\"double", b"quote'single", b"back\\slash", b"-dash", b"--help",
             b"-rf *", b"$HOME", b"`id`", b"a;b|c&d", b"star*", b"quest?", b"[set]", b"~", b"#hash", b"%41",
             b"...", b"..a", b".hidden", b"._appledouble", b"@LongLink", b"./x"[2:], b"bell\x07", b"esc\x1b[31m",
             b"del\x7f", b"\x01", "\u00e9".encode() * 127, b"\xc3", b"mixed-\xc3\xa9-\xff", b"=", b"path=x",
             b"PaxHeader", b"GNUSparseFile.0", b"a" * 100, b"a" * 101, b"a" * 99 + b"\xc3\xa9"]
    for name in names:
        t.file([b"names", name], b"named " + name)
        t.folder([b"names", b"folders", name])
        t.file([b"names", b"folders", name, b"inside"], b"in")
    for first, second in ((b"b", b"b.c"), (b"b-", b"b/x"), (b"order", b"order!"), (b"order0", b"order/y")):
        for path in (first, second):
            if b"/" not in path:
                t.folder([b"sorting", path])
    t.file("sorting/b/x", b"1")
    t.file("sorting/b.c/x", b"2")


def make_deep(t, depth):
    """A path of 4,000 bytes in long names, one deeper than PATH_MAX, and one of very many short names."""
    t.file([b"deep"] + [b"d" * 199] * 19 + [b"f" * (4000 - 5 - 19 * 200)], b"at 4000 bytes")
    t.file([b"deeper"] + [b"D" * 250] * 24 + [b"file"], b"beyond PATH_MAX")
    t.file([b"levels"] + [b"l"] * depth + [b"file"], b"many levels down")
    t.file([b"levels"] + [b"l"] * (depth // 2) + [b"m", b"file"], b"half-way")


def make_times(t):
    for name, ns in (("zero", 0), ("one-ns", 1), ("before-1970", -86400 * 10**9), ("minus-half", -500000000),
                     ("minus-one-ns", -1), ("before-1970-ns", -1234567890123456789), ("2038", 2147483648 * 10**9),
                     ("2100", 4102444800 * 10**9 + 123456789), ("now-ns", 1700000000987654321),
                     ("1901", -2147483648 * 10**9)):
        t.file(f"times/{name}", b"tick")
        t.folder(f"times/{name}-folder")
        t.file(f"times/{name}-folder/inside")
        t.symlink(f"times/{name}-symlink", name)
        for suffix in ("", "-folder", "-symlink"):
            t.time(f"times/{name}{suffix}", ns)


def settle_times(fd, clock):
    """Gives everything else a time of its own, so that a restore cannot pass by chance."""
    for entry in sorted(os.scandir(fd), key=lambda e: os.fsencode(e.name)):
        name = entry.name
        st = os.stat(name, dir_fd=fd, follow_symlinks=False)
        if stat.S_ISDIR(st.st_mode) and name != "times":
            below = None
            try:
                below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
                settle_times(below, clock)
            except PermissionError:
                pass
            finally:
                if below is not None:
                    os.close(below)
        if name != "times" or not stat.S_ISDIR(st.st_mode):
            clock[0] += 1_000_003_007
            os.utime(name, ns=(clock[0], clock[0]), dir_fd=fd, follow_symlinks=False)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--scale", type=int, default=1, help="size of the larger files, in about 2 MiB")
    p.add_argument("--small", type=int, default=300, help="how many small files")
    p.add_argument("--depth", type=int, default=300, help="levels of the deepest path")
    p.add_argument("--huge", action="store_true", help="a sparse file of 5 GiB")
    p.add_argument("--sockets", action="store_true", help="a socket, which backups pass over")
    o = p.parse_args()
    sys.setrecursionlimit(20 * o.depth + 10000)
    try:
        import resource
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard)) # a descriptor for each level of settle_times()
    except (ImportError, ValueError, OSError):
        pass
    os.umask(0o022)
    t = Tree(o.folder, o.seed)
    make_contents(t, o.scale)
    make_small_files(t, o.small)
    make_sparse(t, o.huge)
    make_links(t)
    make_special(t, o.sockets)
    make_modes(t)
    make_owners(t)
    make_xattrs(t)
    make_acls(t)
    make_names(t)
    make_deep(t, o.depth)
    make_times(t)
    settle_times(t.fd, [1_500_000_000_000_000_000])
    os.utime(t.fd, ns=(1_400_000_000_000_000_007,) * 2)


main()
