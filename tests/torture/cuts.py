"""The power is cut. record.c wrote down what runs changed; here each prefix of that is replayed onto a file system that kept
only what it had promised: a file's data since its last fsync may be lost, torn or zeros; a name, since its folder's last
fsync, may be missing or be the old one, in any combination; a rename happens or does not."""
import copy
import hashlib
import os
import random
import re
import shutil
import struct

import scenes
from world import BUILD, ROUNDS, SEED, Case, Failed, must, read_json

DATA, SIZE, SYNC, NAME, GONE, RENAMED, FOLDER, SYMLINK = range(1, 9)  # record.c
ENTRY = struct.Struct("<4I 4Q")
WAYS = ("lost", "empty", "zeros", "torn", "kept", "mixed", "mixed", "mixed", "mixed", "mixed")


class Link(bytes):
    """What a symbolic link has for data: where it leads to."""


class File:
    """Its bytes that are on the disk, and what was written since."""

    def __init__(self, data=b"", mtime_ns=None):
        self.data, self.since, self.mtime_ns = data, [], mtime_ns

    @staticmethod
    def apply(data, change):
        kind, offset, more = change
        if kind == SIZE:
            return data[:offset].ljust(offset, b"\0")
        return data[:offset].ljust(offset, b"\0") + more + data[offset + len(more):]

    def now(self, way, rng):
        if way == "mixed":
            way = rng.choice(("empty", "zeros", "torn", "kept", "some"))
        data = self.data
        for n, change in enumerate(self.since):
            kind, offset, more = change
            last = n == len(self.since) - 1
            if way in ("empty", "lost") or (way == "some" and rng.random() < 0.5):
                continue
            if way == "zeros":
                change = (kind, offset, bytes(len(more)))
            elif way == "torn" and last:
                change = (kind, offset, more[:len(more) // 2])
            data = self.apply(data, change)
        return data

    def sync(self):
        for change in self.since:
            self.data = self.apply(self.data, change)
        self.since = []


class Change:
    """Of one name. `after`: only together with that one (the two halves of a rename)."""

    def __init__(self, folder, name, inode, after=None):
        self.folder, self.name, self.inode, self.after, self.kept = folder, name, inode, after, False


class Disk:
    """Inodes: a File, or a folder's dictionary of what is on the disk. `changes`: of names, since."""

    def __init__(self, root):
        self.inodes, self.changes = {}, []
        self.root = self.take(root)

    def take(self, path):
        st = os.lstat(path)
        if os.path.islink(path):
            self.inodes[st.st_ino] = File(Link(os.fsencode(os.readlink(path))))
        elif os.path.isdir(path):
            self.inodes[st.st_ino] = {name: self.take("%s/%s" % (path, name)) for name in os.listdir(path)}
        else:
            with open(path, "rb") as f:
                self.inodes[st.st_ino] = File(f.read(), st.st_mtime_ns)
        return st.st_ino

    def play(self, kind, inode, folder, folder2, offset, name, data):
        if kind in (DATA, SIZE):
            self.inodes.setdefault(inode, File()).since.append((kind, offset, data))
        elif kind == SYNC and isinstance(self.inodes.get(inode), dict):
            for c in self.changes:
                if c.folder == inode:
                    self.keep(c)
            self.changes = [c for c in self.changes if not c.kept]
        elif kind == SYNC:
            self.inodes.setdefault(inode, File()).sync()
        elif kind == RENAMED:
            old, new = name.split("/")
            self.changes.append(Change(folder2, new, inode))
            self.changes.append(Change(folder, old, None, self.changes[-1]))
        else:
            if kind == FOLDER:
                self.inodes[inode] = {}
            elif kind == NAME:
                self.inodes.setdefault(inode, File())
            elif kind == SYMLINK:
                self.inodes[inode] = File(Link(data))
            self.changes.append(Change(folder, name, inode if kind != GONE else None))

    def keep(self, c):
        if c.after and not c.after.kept:
            self.keep(c.after)
        c.kept = True
        self.put(self.inodes[c.folder], c)

    @staticmethod
    def put(folder, c):
        if c.inode is None:
            folder.pop(c.name, None)
        else:
            folder[c.name] = c.inode

    def now(self, way, rng):
        """{path: bytes, None for a folder} and {path: mtime} after a cut."""
        folders = {i: dict(f) for i, f in self.inodes.items() if isinstance(f, dict)}
        done = set()
        for c in self.changes:
            if way == "lost" or (way == "mixed" and rng.random() < 0.5) or (c.after and not c.after.kept and c.after not in done):
                continue
            done.add(c)
            self.put(folders[c.folder], c)
        tree, times = {}, {}

        def walk(path, inode):
            if inode in folders:
                tree[path] = None
                for name, child in sorted(folders[inode].items()):
                    walk("%s/%s" % (path, name), child)
            else:
                tree[path], times[path] = self.inodes[inode].now(way, rng), self.inodes[inode].mtime_ns

        walk("", self.root)
        return tree, times


# ---- recording ----
class Script:
    """Runs, one after the other, of which a record is kept."""

    def __init__(self, scene, *runs):
        self.scene, self.runs, self.name = scene, runs, scene.name


class Recording:
    def __init__(self, world, script):
        self.scene, self.name = script.scene, script.name
        case = self.scene.case(world)
        record = world.folder + "/record"
        self.reported = []  # (after which entry, snapshot)
        try:
            self.before = Disk(case.path)
            self.path = case.path
            with open(record, "wb"):
                pass
            env = {"LD_PRELOAD": BUILD + "/torture/record.so", "TORTURE_RECORD": record, "TORTURE_BELOW": case.path}
            for words in script.runs:
                r = case.torture(env, *(w.format(case.path) for w in words))
                must(r.code == script.scene.ends, "%s, recorded: %s" % (" ".join(words), r))
                if "backup" in words:
                    self.reported.append((len(self.read(record)), read_json(r.out)["snapshot"]))
            self.entries = self.read(record)
            self.end = world.folder + "/end-" + re.sub(r"\W", "-", self.name)  # what else was there in the end
            shutil.copytree(case.path, self.end, symlinks=True)
        finally:
            os.remove(record)
            self.scene.remove(case)

    @staticmethod
    def read(path):
        with open(path, "rb") as f:
            all_bytes = f.read()
        entries, at = [], 0
        while at < len(all_bytes):
            kind, name_n, data_n, _, inode, folder, folder2, offset = ENTRY.unpack_from(all_bytes, at)
            at += ENTRY.size
            name = all_bytes[at:at + name_n].decode()
            entries.append((kind, inode, folder, folder2, offset, name, all_bytes[at + name_n:at + name_n + data_n]))
            at += name_n + data_n
        return entries


RECORDINGS = []


def digest_of(tree, reported):
    h = hashlib.sha1(b"%d" % reported)
    for path, data in tree.items():
        h.update(b"%s\0%d\0" % (path.encode(), -1 if data is None else len(data)))
        h.update(data or b"")
    return h.digest()


def write_tree(tree, times, to):
    shutil.rmtree(to, ignore_errors=True)
    for path, data in tree.items():
        if data is None:
            os.makedirs(to + path)
            continue
        if isinstance(data, Link):
            os.symlink(data, to + path)
            continue
        with open(to + path, "wb") as f:
            f.write(data)
        os.chmod(to + path, 0o600)
        if times[path]:
            os.utime(to + path, ns=(times[path], times[path]))


def state_after(recording, at, way, seed):
    rng = random.Random(seed)
    disk = copy.deepcopy(recording.before)
    for entry in recording.entries[:at]:
        disk.play(*entry)
    return disk.now(way, rng)


def one_cut(world, scene, which, at, way, seed):
    recording = RECORDINGS[which]
    case = Case(world, scene.template, **scene.configuration)
    what = ""
    try:
        tree, times = state_after(recording, at, way, seed)
        write_tree(tree, times, case.path)
        if seed % 2:  # the state and the cache lie on another disk, and outlived it; but for what it says of snapshots to come
            for folder in ("state", "cache"):
                there, here = "%s/%s" % (recording.end, folder), "%s/%s" % (case.path, folder)
                shutil.rmtree(here, ignore_errors=True)
                if os.path.isdir(there):
                    shutil.copytree(there, here, ignore=shutil.ignore_patterns("newest.json"))
        world.configure(case.path, **scene.configuration)
        scene.whole(case)
        for after, snapshot in recording.reported:
            if at >= after:
                case.restores(snapshot, ROUNDS + 1)
        scene.after(case, None)
        return way
    except Failed as e:
        what = "%d entries (the last: %s), %s, seed %d: %s" % (at, recording.entries[at - 1][:6] if at else "", way, seed, e)
        raise Failed("%s: %s" % (scene.name, what)) from None
    finally:
        scene.remove(case)


SCRIPTS = (Script(scenes.First(), ("-q", "init", "--kit", "{}/kit"), ("--json", "backup"), ("--json", "backup")),
           Script(scenes.Backup(), ("--json", "backup"), ("--json", "backup", "--read-all")), Script(scenes.Copy(), ("copy",)),
           Script(scenes.Prune(), ("prune", "--yes")), Script(scenes.PruneExclusive(), ("prune", "--exclusive", "--yes")),
           Script(scenes.Repair(), ("repair",)), Script(scenes.Restore(), ("restore", "latest", "files", "--to", "{}/target")),
           Script(scenes.RestoreOver(), ("restore", "latest", "files", "--to", "{}/target", "--overwrite")),
           Script(scenes.Drill(), ("drill",)), Script(scenes.DrillDamaged(), ("drill",)))


def cut_cases(world, wanted):
    """Each state of the disk once, however many ways lead to it."""
    rng = random.Random("cuts" + SEED)
    cases = []
    RECORDINGS.clear()
    for script in SCRIPTS:
        if not wanted(script.scene):
            continue
        recording = Recording(world, script)
        RECORDINGS.append(recording)
        seen = set()
        disk = copy.deepcopy(recording.before)
        for at in range(len(recording.entries) + 1):
            if at:
                disk.play(*recording.entries[at - 1])
            reported = sum(at >= after for after, _ in recording.reported)
            for way in WAYS:
                seed = rng.randrange(2**31)
                tree, _ = disk.now(way, random.Random(seed))
                digest = digest_of(tree, reported)
                if digest not in seen:
                    cases.append((one_cut, script.scene, len(RECORDINGS) - 1, at, way, seed))
                seen.add(digest)
    rng.shuffle(cases)
    return cases
