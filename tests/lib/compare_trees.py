#!/usr/bin/env python3
"""Compares two trees from outside: compare_trees.py A B [options]. Shares no code with lifeboat.

Type, mode, owner, size, mtime in ns, extended attributes (ACLs and capabilities are among them), groups of hard
links, symlink targets, device numbers, content, and about how much disk a sparse file takes. Differences are
listed on stdout; exit 0: equal, 1: not, 2: cannot be compared."""
import argparse
import os
import resource
import stat
import sys

BLOCK = 1 << 20
KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "symlink", stat.S_IFIFO: "fifo",
         stat.S_IFCHR: "character device", stat.S_IFBLK: "block device", stat.S_IFSOCK: "socket"}
SLACK = 256 * 1024  # a file system rounds up, and adds blocks for extents and attributes


class Comparison:
    def __init__(self, options):
        self.options = options
        self.differences = 0
        self.entries = 0
        self.links = ({}, {})  # for each tree: (device, inode) -> the first path, in this order, that had it

    def differ(self, path, what, a=None, b=None):
        self.differences += 1
        if self.differences <= self.options.limit:
            shown = os.fsdecode(path).encode("unicode_escape", "surrogateescape").decode("ascii", "replace")
            shown = shown if len(shown) <= 300 else shown[:150] + "..." + shown[-147:]
            values = "" if a is None and b is None else f": {a!r} / {b!r}"
            print(f"{shown}: {what}{values}")

    def xattrs(self, fd, name, is_open):
        path = fd if is_open else f"/proc/self/fd/{fd}/".encode() + name
        follow = is_open
        try:
            names = os.listxattr(path) if follow else os.listxattr(path, follow_symlinks=False)
        except OSError:
            return {}
        found = {}
        for key in names:
            if key.startswith(("security.selinux", "security.ima", "security.evm")):
                continue  # belong to the machine
            found[key] = os.getxattr(path, key) if follow else os.getxattr(path, key, follow_symlinks=False)
        return found

    def content(self, path, fa, fb):
        offset = 0
        while True:
            a, b = os.pread(fa, BLOCK, offset), os.pread(fb, BLOCK, offset)
            if a != b:
                at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
                self.differ(path, f"content differs from byte {offset + at}")
                return
            if not a:
                return
            offset += len(a)
            offset = self.skip_common_hole(fa, fb, offset)

    @staticmethod
    def skip_common_hole(fa, fb, offset):
        ends = []
        for fd in (fa, fb):
            try:
                ends.append(os.lseek(fd, offset, os.SEEK_DATA))
            except OSError:  # no data after offset
                ends.append(os.fstat(fd).st_size)
        return max(offset, min(ends))

    def files(self, path, da, db, name, sa, sb):
        flags = os.O_RDONLY | os.O_NOFOLLOW
        try:
            fa, fb = os.open(name, flags, dir_fd=da), os.open(name, flags, dir_fd=db)
        except OSError as e:
            self.differ(path, f"cannot be read ({e.strerror}), so its content is not compared")
            return
        if sa.st_size == sb.st_size:
            self.content(path, fa, fb)
        os.close(fa)
        os.close(fb)
        if self.options.no_sparse:
            return
        hole = sa.st_size - sa.st_blocks * 512
        if hole > SLACK and sb.st_blocks * 512 > sa.st_blocks * 512 * 1.25 + SLACK:
            self.differ(path, "takes more disk than the sparse original", sa.st_blocks * 512, sb.st_blocks * 512)

    def hard_links(self, path, sa, sb):
        if stat.S_ISDIR(sa.st_mode):
            return
        first = [seen.setdefault((s.st_dev, s.st_ino), path) for seen, s in zip(self.links, (sa, sb))]
        if first[0] != first[1]:
            self.differ(path, "is linked to another name", *first)
        if sa.st_nlink != sb.st_nlink and not self.options.no_nlink:
            self.differ(path, "number of links", sa.st_nlink, sb.st_nlink)

    def attributes(self, path, sa, sb):
        o = self.options
        if stat.S_IMODE(sa.st_mode) != stat.S_IMODE(sb.st_mode):
            self.differ(path, "mode", oct(sa.st_mode), oct(sb.st_mode))
        if not o.no_owner and (sa.st_uid, sa.st_gid) != (sb.st_uid, sb.st_gid):
            self.differ(path, "owner", (sa.st_uid, sa.st_gid), (sb.st_uid, sb.st_gid))
        if not o.no_time and sa.st_mtime_ns != sb.st_mtime_ns:
            self.differ(path, "mtime in ns", sa.st_mtime_ns, sb.st_mtime_ns)
        if stat.S_ISREG(sa.st_mode) and sa.st_size != sb.st_size:
            self.differ(path, "size", sa.st_size, sb.st_size)
        if stat.S_ISCHR(sa.st_mode) or stat.S_ISBLK(sa.st_mode):
            if sa.st_rdev != sb.st_rdev:
                self.differ(path, "device number", sa.st_rdev, sb.st_rdev)

    def entry(self, path, da, db, name):
        self.entries += 1
        sa = os.stat(name, dir_fd=da, follow_symlinks=False)
        sb = os.stat(name, dir_fd=db, follow_symlinks=False)
        ka, kb = stat.S_IFMT(sa.st_mode), stat.S_IFMT(sb.st_mode)
        if ka != kb:
            self.differ(path, "type", KINDS[ka], KINDS[kb])
            return
        self.attributes(path, sa, sb)
        self.hard_links(path, sa, sb)
        xa, xb = self.xattrs(da, name, False), self.xattrs(db, name, False)
        for key in sorted(set(xa) | set(xb)):
            if xa.get(key) != xb.get(key):
                self.differ(path, f"xattr {key}", xa.get(key), xb.get(key))
        if ka == stat.S_IFLNK:
            ta, tb = os.readlink(name, dir_fd=da), os.readlink(name, dir_fd=db)
            if ta != tb:
                self.differ(path, "target", ta, tb)
        elif ka == stat.S_IFREG:
            self.files(path, da, db, name, sa, sb)
        elif ka == stat.S_IFDIR:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
            try:
                fa, fb = os.open(name, flags, dir_fd=da), os.open(name, flags, dir_fd=db)
            except OSError as e:
                self.differ(path, f"cannot be read ({e.strerror}), so it is not compared")
                return
            self.folders(path, fa, fb)
            os.close(fa)
            os.close(fb)

    def folders(self, path, fa, fb):
        names = [{os.fsencode(n) for n in os.listdir(fd)} for fd in (fa, fb)]
        if self.options.no_sockets:
            for fd, found in zip((fa, fb), names):
                found -= {n for n in found
                          if stat.S_ISSOCK(os.stat(n, dir_fd=fd, follow_symlinks=False).st_mode)}
        for name in sorted(names[0] | names[1]):
            below = path + b"/" + name if path else name
            if name not in names[1]:
                self.differ(below, "is missing in the second tree")
            elif name not in names[0]:
                self.differ(below, "is in the second tree only")
            else:
                self.entry(below, fa, fb, name)

    def roots(self, a, b):
        flags = os.O_RDONLY | os.O_DIRECTORY
        fa, fb = os.open(a, flags), os.open(b, flags)
        if not self.options.no_root:
            self.attributes(b".", os.fstat(fa), os.fstat(fb))
            xa, xb = self.xattrs(fa, b"", True), self.xattrs(fb, b"", True)
            if xa != xb:
                self.differ(b".", "xattrs", xa, xb)
        self.folders(b"", fa, fb)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("a")
    p.add_argument("b")
    p.add_argument("--no-owner", action="store_true", help="restored without root")
    p.add_argument("--no-time", action="store_true")
    p.add_argument("--no-nlink", action="store_true", help="a part of a tree: links may lie outside")
    p.add_argument("--no-root", action="store_true", help="do not compare the two top folders themselves")
    p.add_argument("--no-sparse", action="store_true", help="a file system without holes")
    p.add_argument("--no-sockets", action="store_true", help="sockets need not be there")
    p.add_argument("--limit", type=int, default=50, help="differences to list")
    o = p.parse_args()
    sys.setrecursionlimit(100000)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # two descriptors for each level
    c = Comparison(o)
    try:
        c.roots(o.a, o.b)
    except OSError as e:
        print(f"{e.filename}: {e.strerror}", file=sys.stderr)
        return 2
    if c.differences:
        print(f"{c.differences} differences in {c.entries} entries")
        return 1
    print(f"equal: {c.entries} entries")
    return 0


sys.exit(main())
