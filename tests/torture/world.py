"""What the tortures have in common: a small world with a database, a folder and a repository of them, cases that start from a
copy of it, and what must hold after each."""
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
LIFEBOAT = os.environ["LIFEBOAT"]
SANITIZED = os.environ.get("TORTURE_SAN", LIFEBOAT)  # the same with sanitizers, for the faults that go together with them
BUILD = os.environ["BUILD"]
SECONDS = float(os.environ.get("TORTURE_SECONDS", "1500"))
SEED = os.environ.get("TORTURE_SEED", "") or str(int(time.time()) % 10**6)
FOLDER = os.environ.get("TORTURE_FOLDER", "/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
CODES = (0, 1, 2, 3, 4, 5)  # lifeboat(1)
GRACE = 5
ROUNDS = 4  # snapshots in the repository, of which `prune` keeps the last two
NOISE = 60000


for program in (LIFEBOAT, SANITIZED):
    assert os.path.basename(program) == "lifeboat", "fault.c and record.c know it by its name: " + program
for library in ("fault", "record"):  # the loader would only warn
    assert os.path.exists("%s/torture/%s.so" % (BUILD, library)), "make check and make torture build it: " + library


class Failed(Exception):
    pass


def must(condition, text):
    if not condition:
        raise Failed(text)


def read_json(out):
    return json.loads(out.strip().splitlines()[-1])


# ---- the sources ----
def make_tree(path, n):
    """The folder as it was on day n: some files stay, some change."""
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path + "/sub/deep")
    for name, data in (("same", random.Random(0).randbytes(3 * NOISE)), ("sub/day", random.Random(n).randbytes(NOISE)), ("sub/deep/text", b"day %d\n" % n * 200), ("empty", b"")):
        with open("%s/%s" % (path, name), "wb") as f:
            f.write(data)
    os.symlink("../same", path + "/sub/link")
    os.link(path + "/sub/day", path + "/day-too")


def same_tree(a, b):
    return subprocess.run(["diff", "-r", "--no-dereference", a, b], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout


def other_attributes(a, b):
    for where, folders, files in os.walk(a):
        for name in folders + files:
            path = "%s/%s" % (where, name)
            x, y = os.lstat(path), os.lstat(b + path[len(a):])
            if (x.st_mode, x.st_uid, x.st_gid) != (y.st_mode, y.st_uid, y.st_gid) or (name in files and x.st_size != y.st_size):
                return "%s: %s, was %s" % (path, y, x)
    return ""


class Database:
    """A server of our own with one small database."""

    def __init__(self, folder):
        self.folder = folder + "/pg"
        self.call("pg_start " + self.folder)
        self.sql("postgres", "CREATE DATABASE app")
        self.sql("app", "CREATE TABLE t (id int PRIMARY KEY, name text); CREATE SEQUENCE s; CREATE VIEW v AS SELECT name FROM t;"
                        "INSERT INTO t SELECT n, md5(n::text) FROM generate_series(1, 500) n; SELECT setval('s', 77)")

    def call(self, line):
        subprocess.run(["sh", "-c", ". %s/../lib/pg.sh; %s" % (HERE, line)], check=True, stdin=subprocess.DEVNULL)

    def sql(self, database, text):
        r = subprocess.run(["psql", "-qXAt", "-h", self.folder, "-U", "postgres", "-d", database, "-c", text], text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False)
        must(r.returncode == 0, "psql: " + r.stdout)
        return r.stdout.strip()

    def contents(self, database):
        return self.sql(database, "SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM t") + self.sql(database, "SELECT last_value FROM s")

    def names(self):
        return set(self.sql("postgres", "SELECT datname FROM pg_database").split())

    def stop(self):
        self.call("pg_stop " + self.folder)


class Bucket:
    """An object store of our own with one bucket."""

    def __init__(self, folder):
        self.folder = folder + "/ceph"
        self.call("ceph_start " + self.folder)
        with open(self.folder + "/env", encoding="ascii") as f:
            env = dict(line.rstrip("\n").split("=", 1) for line in f)
        self.endpoint = env["CEPH_HTTP"]
        self.credentials = folder + "/credentials"
        with open(self.credentials, "w", encoding="ascii", opener=lambda path, flags: os.open(path, flags, 0o600)) as f:
            f.write("access-key = %s\nsecret-key = %s\n" % (env["CEPH_ACCESS_KEY"], env["CEPH_SECRET_KEY"]))
        subprocess.run(["python3", HERE + "/../lib/s3.py", "PUT", "/bucket"], env={**os.environ, **env}, stdin=subprocess.DEVNULL, check=True)

    @staticmethod
    def call(line):
        subprocess.run(["sh", "-c", ". %s/../lib/ceph.sh; %s" % (HERE, line)], check=True, stdin=subprocess.DEVNULL)

    @staticmethod
    def is_installed():
        return subprocess.run(["sh", "-c", ". %s/../lib/ceph.sh; ceph_there" % HERE], stdin=subprocess.DEVNULL, check=False).returncode == 0

    def lines(self, path):
        return ["[store main]", "url = s3://bucket/" + os.path.basename(path), "endpoint = " + self.endpoint, "credentials = " + self.credentials,
                "insecure = yes"]

    def stop(self):
        self.call("ceph_stop " + self.folder)


class Listener:
    """Where [notify] posts to. What came is kept: lines of JSON."""

    def __init__(self, folder):
        self.folder = folder + "/web"
        os.mkdir(self.folder)
        os.mkfifo(self.folder + "/port")
        with open(self.folder + "/mode", "w", encoding="ascii") as f:
            f.write("200")
        for name in ("http_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
            os.environ.pop(name, None)
        self.process = subprocess.Popen([sys.executable, HERE + "/../lib/listener.py", self.folder], stdin=subprocess.DEVNULL)
        with open(self.folder + "/port", encoding="ascii") as f:
            self.url = "http://127.0.0.1:" + f.readline().strip()

    def lines(self, path):
        name = os.path.basename(path)
        return ["[notify]", "insecure = yes", "ping-url = %s/ping/%s" % (self.url, name), "webhook-url = %s/hook/%s" % (self.url, name)]

    def bodies(self, path):
        """Of the posts to a path, the first one first. A line without an end is still being written."""
        with open(self.folder + "/requests", "a+", encoding="utf-8") as f:
            f.seek(0)
            posts = [json.loads(line) for line in f if line.endswith("\n")]
        return [p["body"] for p in posts if p["path"] == path]

    def stop(self):
        self.process.terminate()
        self.process.wait()


# ---- running the program ----
class Run:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __str__(self):
        return "exit status %s: %s" % (self.code, (self.err.strip() + "\n" + self.out.strip())[-900:])


def run(program, conf, *arguments, env=None, limit=120):
    with subprocess.Popen([program, "-c", conf, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, errors="replace", env={**os.environ, **(env or {})}) as p:
        try:
            out, err = p.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            p.kill()
            out, err = p.communicate()
            raise Failed("hangs: %s: %s" % (" ".join(arguments), err[-500:])) from None
        return Run(p.returncode, out, err)


class World:
    """Templates of repositories below one folder, and the sources that they came from."""

    def __init__(self, servers):
        self.folder = tempfile.mkdtemp(prefix="lifeboat-torture-", dir=FOLDER)
        self.disk = tempfile.mkdtemp(prefix="lifeboat-torture-")  # drills are not for tmpfs
        os.chmod(self.folder, 0o755)
        os.chmod(self.disk, 0o755)
        self.database, self.bucket, self.listener = None, None, None
        self.numbers = itertools.count()
        try:
            self.database = Database(self.folder) if servers else None
            self.bucket = Bucket(self.folder) if servers and Bucket.is_installed() else None
            self.listener = Listener(self.folder)
            self.make_templates()
        except BaseException:
            self.remove()
            raise

    def remove(self):
        for server in (self.database, self.bucket, self.listener):
            if server:
                server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.disk, ignore_errors=True)

    # -- configurations --
    def configure(self, path, mirror=False, db=False, files=True, bucket=False, fragile=False, told=False):
        lines = self.bucket.lines(path) if bucket else ["[store main]", "url = file://%s/store" % path, "min-free = 0"]
        if mirror:
            lines += ["[store away]", "url = file://%s/away" % path, "min-free = 0"]
        lines += ["[keys]", "writer = %s/keys/writer.key" % path, "identity = %s/keys/identity.key" % path,
                  "[state]", "directory = %s/state" % path, "cache = %s/cache" % path, "[general]", "host = box",
                  "[drill]", "directory = %s/drill" % self.disk_of(path),
                  "[retention]", "keep-last = 2", "keep-min = 2", "undo-window = 0", "grace = %ds" % GRACE]
        if files:
            lines += ["[source files]", "type = volume", "path = %s/volume" % self.folder,
                      "[source numbers]", "type = command", "command = seq 1 20000", 'restore-command = cat >"$LIFEBOAT_TARGET"/numbers']
        if db:
            lines += ["[source db]", "type = postgres", "connection = host=%s dbname=app user=postgres" % self.database.folder]
        if fragile:
            lines += ["[source fragile]", "type = command", "command = cat %s/healed" % path, "restore-command = cat >/dev/null"]
        if told:
            lines += self.listener.lines(path)
        with open(path + "/conf", "w", encoding="ascii") as f:
            f.write("\n".join(lines) + "\n")
        os.chmod(path + "/conf", 0o600)  # URLs of [notify] are secrets

    def disk_of(self, path):
        return "%s/%s" % (self.disk, os.path.basename(path))

    # -- templates --
    def template(self, name):
        return "%s/template-%s" % (self.folder, name)

    def good(self, path, *arguments):
        r = run(LIFEBOAT, path + "/conf", *arguments)
        must(r.code == 0, "%s: %s" % (" ".join(arguments), r))
        return r

    def copy_template(self, old, new):
        shutil.copytree(self.template(old), self.template(new), symlinks=True, copy_function=shutil.copy2)

    def make_templates(self):
        os.makedirs(self.template("none"))
        path = self.template("two")
        os.makedirs(path)
        self.configure(path, db=bool(self.database))
        self.good(path, "-q", "init", "--kit", path + "/kit")
        self.ids = []  # of day 1, 2 ...
        for day in range(1, ROUNDS + 1):
            make_tree("%s/day-%d" % (self.folder, day), day)
            make_tree(self.folder + "/volume", day)
            self.ids.append(read_json(self.good(path, "--json", "backup").out)["snapshot"])
            if day == 2:
                self.copy_template("two", "four")
                path = self.template("four")
                self.configure(path, db=bool(self.database))
        make_tree(self.folder + "/volume", ROUNDS + 1)
        make_tree("%s/day-%d" % (self.folder, ROUNDS + 1), ROUNDS + 1)
        if self.database:
            self.contents = self.database.contents("app")
        # A mirror that lacks the last two; packs that are damaged, which it has.
        self.copy_template("four", "mirrored")
        shutil.copytree(self.template("two") + "/store", self.template("mirrored") + "/away")
        self.copy_template("four", "damaged")
        shutil.copytree(self.template("four") + "/store", self.template("damaged") + "/away")
        self.damage(self.template("damaged") + "/store/packs")
        self.configure(self.template("damaged"), mirror=True)
        must(run(LIFEBOAT, self.template("damaged") + "/conf", "check", "--read-data").code == 5, "damage that check does not see")
        # Packs that were condemned long enough ago.
        self.copy_template("four", "condemned")
        path = self.template("condemned")
        self.configure(path)
        self.good(path, "prune", "--yes")
        time.sleep(GRACE / 2 + 0.5)
        self.good(path, "prune", "--yes")
        time.sleep(GRACE + 0.5)

    @staticmethod
    def damage(packs):
        """Half of the packs: one byte each, or the whole."""
        paths = sorted(os.path.join(d, f) for d, _, files in os.walk(packs) for f in files)
        for n, path in enumerate(paths[::2]):
            if n % 2:
                os.remove(path)
                continue
            os.chmod(path, 0o600)
            with open(path, "r+b") as f:
                f.seek(100)
                byte = f.read(1)[0]
                f.seek(100)
                f.write(bytes([byte ^ 255]))


class Case:
    """A copy of a template in which something goes wrong."""

    def __init__(self, world, template, **configuration):
        self.world = world
        self.number = next(world.numbers)
        self.name = "case-%d-%d" % (os.getpid(), self.number)
        self.path = "%s/%s" % (world.folder, self.name)
        subprocess.run(["cp", "-a", world.template(template), self.path], check=True)
        world.configure(self.path, **configuration)
        self.conf = self.path + "/conf"
        self.marked = {"TORTURE_CASE": self.name}

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)
        shutil.rmtree(self.world.disk_of(self.path), ignore_errors=True)

    def look(self, *arguments):
        return run(LIFEBOAT, self.conf, *arguments, env=self.marked)

    def torture(self, env, *arguments, program=LIFEBOAT):
        return run(program, self.conf, *arguments, env={**self.marked, **env})

    def killed_after(self, seconds, *arguments):
        with subprocess.Popen([LIFEBOAT, "-c", self.conf, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, env={**os.environ, **self.marked}) as p:
            try:
                p.wait(timeout=seconds)
            except subprocess.TimeoutExpired:
                p.kill()
            return Run(p.wait(), "", "")

    # -- what must hold --
    def check(self, *arguments):
        r = self.look("check", "--read-data", *arguments)
        must(r.code == 0, "check %s: %s" % (" ".join(arguments), r))

    def restores(self, snapshot, day, *arguments):
        to = self.path + "/back"
        shutil.rmtree(to, ignore_errors=True)
        r = self.look(*arguments, "restore", snapshot, "files", "--to", to)
        must(r.code == 0, "restore of day %d: %s" % (day, r))
        different = same_tree("%s/day-%d" % (self.world.folder, day), to)
        must(not different, "restored of day %d, and not the same: %s" % (day, different[:300]))

    def restores_days(self, *days):
        """One of them, another each time, and all in every eighth case: `check` has just read every byte of all."""
        for day in days if self.number % 8 == 0 or not days else (days[self.number % len(days)],):
            self.restores(self.world.ids[day - 1], day)

    def snapshots(self, *arguments):
        r = self.look(*arguments, "--json", "list")
        must(r.code == 0, "list: %s" % r)
        return json.loads(r.out)

    def processes(self):
        """Those of this case that still run."""
        found = []
        for pid in os.listdir("/proc"):
            try:
                with open("/proc/%s/environ" % pid, "rb") as f:
                    if b"TORTURE_CASE=%s\0" % self.name.encode() in f.read() + b"\0":
                        with open("/proc/%s/cmdline" % pid, "rb") as c:
                            found.append(c.read().replace(b"\0", b" ").decode(errors="replace"))
            except OSError:
                continue
        return found

    def nothing_left(self):
        """After a good run: no process, no scratch, no temporary file, no database."""
        until = time.monotonic() + 10
        while (left := self.processes()) and time.monotonic() < until:
            time.sleep(0.02)
        must(not left, "still runs: %s" % left)
        drill = self.world.disk_of(self.path) + "/drill"
        left = os.listdir(drill) if os.path.isdir(drill) else []
        must(set(left) <= {"lock"}, "left in the drill's folder: %s" % left)
        for folder in ("store", "away", "state", "cache", "back"):
            for where, _, files in os.walk("%s/%s" % (self.path, folder)):
                left = [f for f in files if f.startswith((".tmp-", ".lifeboat")) or f.endswith(".tmp")]
                must(not left, "left in %s: %s" % (where, left))

    def age_temporaries(self):
        """Temporary names are taken for left behind after a day."""
        for folder in ("store", "away", "state", "cache"):
            for where, _, files in os.walk("%s/%s" % (self.path, folder)):
                for f in files:
                    if f.startswith(".tmp-") or f.endswith(".tmp"):
                        os.utime("%s/%s" % (where, f), (time.time() - 90000,) * 2)
