"""What is tortured: a command on a copy of a repository; what it has done when it said that it was well, and what holds
whatever it said."""
import json
import os

from world import ROUNDS, Case, must, other_attributes, read_json, same_tree


class Scene:
    name = ""
    template = "four"
    configuration = {}
    words = ()
    days = range(1, ROUNDS + 1)  # whose snapshots must restore whatever happens
    needs_database = needs_bucket = False
    kinds = None  # of calls that are hit; all
    programs = "lifeboat"
    most = 10**6  # calls of a kind that are hit
    ends = 0  # its exit status, undisturbed

    def case(self, world):
        return Case(world, self.template, **self.configuration)

    def remove(self, case):
        case.remove()

    def arguments(self, case):
        return self.words

    def again(self, case):
        return self.arguments(case)

    def good(self, case):
        """A run ended well."""

    def whole(self, case):
        """The repository, after any run."""
        case.check()

    def after(self, case, _run):
        self.whole(case)
        case.restores_days(*self.days)
        case.age_temporaries()
        r = case.look(*self.again(case))
        must(r.code == self.ends, "the next run: %s" % r)
        self.good(case)
        case.nothing_left()


class Backup(Scene):
    name = "backup"
    words = ("backup",)

    def good(self, case):
        newest = case.snapshots()[-1]
        must(newest["verdict"] == "good" and newest["id"] not in case.world.ids, "no good snapshot is listed")
        case.restores(newest["id"], ROUNDS + 1)

    def whole(self, case):
        case.check()
        for s in case.snapshots():  # one that nobody reported, or of some sources only
            if s["id"] not in case.world.ids and any(x["name"] == "files" and x["verdict"] == "good" for x in s["sources"]):
                case.restores(s["id"], ROUNDS + 1)


class First(Backup):
    """The first night: nothing is there yet."""
    name = "init and backup"
    template = "none"
    days = ()

    def arguments(self, case):
        return ("-q", "init", "--kit", case.path + "/kit")

    def whole(self, case):
        """Once init is done, the rest is like any other night."""

    def good(self, case):
        r = case.look("backup")
        must(r.code == 0, "the backup after it: %s" % r)
        Backup.good(self, case)
        Backup.whole(self, case)

    def after(self, case, _run):
        case.age_temporaries()
        r = case.look("-q", "init", "--kit", case.path + "/kit-again")
        must(r.code == 0 or (r.code == 2 and "is set up already" in r.err), "init again: %s" % r)
        self.good(case)
        case.nothing_left()


class BackupToBucket(Backup):
    """The second night; the first was as good as its check."""
    name = "backup to a bucket"
    template = "none"
    configuration = {"bucket": True}
    days = ()
    most = 40
    needs_bucket = True
    kinds = ("net", "curl", "poll", "thread", "read", "change")

    def case(self, world):
        case = Backup.case(self, world)
        for words in (("-q", "init", "--kit", case.path + "/kit"), ("-q", "backup")):
            r = case.look(*words)
            must(r.code == 0, "%s: %s" % (" ".join(words), r))
        return case


class BackupDatabase(Scene):
    name = "backup of a database"
    words = ("backup",)
    configuration = {"files": False, "db": True}
    needs_database = True
    programs = "lifeboat pg_dump pg_dumpall psql"
    days = (ROUNDS,)
    most = 40

    def good(self, case):
        newest = case.snapshots()[-1]
        must(newest["verdict"] == "good" and newest["id"] not in case.world.ids, "no good snapshot is listed")
        restored_database(case, newest["id"])


def restored_database(case, snapshot):
    name = case.name.replace("-", "_")
    r = case.look("restore", snapshot, "db", "--to", "host=%s dbname=%s user=postgres" % (case.world.database.folder, name))
    try:
        must(r.code == 0, "restore of the database: %s" % r)
        must(case.world.database.contents(name) == case.world.contents, "the database is not the same")
    finally:
        drop(case)


def drop(case):
    for name in case.world.database.names():
        if name.startswith(case.name.replace("-", "_")):
            case.world.database.sql("postgres", 'DROP DATABASE IF EXISTS "%s" WITH (FORCE)' % name)


class MirroredBackup(Backup):
    name = "backup with a mirror"
    template = "mirrored"
    configuration = {"mirror": True}
    most = 40

    def good(self, case):
        Backup.good(self, case)
        Copy.good(self, case)


class ToldBackup(Backup):
    """A dead-man's switch hears of it, and so does a webhook."""
    name = "backup that is told"
    configuration = {"told": True}
    most = 25

    @staticmethod
    def pings(case, end=""):
        return case.world.listener.bodies("/ping/" + case.name + end)

    def after(self, case, run):
        if self.pings(case):
            self.good(case)
        must(not run or run.code or self.pings(case) or "[notify] ping-url: " in run.err, "neither told nor said that it was not: %s" % run)
        Backup.after(self, case, run)
        must(self.pings(case), "the next run is not told")


class FailingBackup(ToldBackup):
    """One of its sources fails, until it is healed."""
    name = "backup that fails"
    configuration = {"told": True, "fragile": True}
    ends = 1

    @staticmethod
    def news(case, event):
        return [text for text in map(read_json, case.world.listener.bodies("/hook/" + case.name)) if text["event"] == event]

    def good(self, case):
        """Its end is in healed()."""

    def healed(self, case):
        with open(case.path + "/healed", "w", encoding="ascii") as f:
            f.write("well")
        r = case.look("backup")
        must(r.code == 0, "the run that is healed: %s" % r)
        Backup.good(self, case)
        must(self.pings(case) == [""], "the switch is not told that it is well, once")
        must(self.news(case, "end"), "its end is no news")

    def after(self, case, run):
        must(not run or run.code not in (0, 3), "what fails ends well: %s" % run)
        Backup.after(self, case, run)
        must(not self.pings(case), "the switch is told that it is well")
        must(self.pings(case, "/fail"), "the switch is not told that it failed")
        must(any("problem: backup fragile: failed" in n["text"] for n in self.news(case, "problem")), "the problem is no news, also of the next run")
        self.healed(case)


class Copy(Scene):
    name = "copy"
    template = "mirrored"
    configuration = {"mirror": True}
    words = ("copy",)

    def good(self, case):
        case.check("--store", "away")
        for day in self.days:
            case.restores(case.world.ids[day - 1], day, "--store", "away")

    def whole(self, case):
        case.check()
        case.check("--store", "away")
        case.restores(case.world.ids[0], 1, "--store", "away")


class Prune(Scene):
    name = "prune"
    template = "condemned"
    words = ("prune", "--yes")
    days = (ROUNDS - 1, ROUNDS)

    def good(self, case):
        must({s["id"] for s in case.snapshots()} == set(case.world.ids[-2:]), "not those are kept that should be")


class PruneExclusive(Prune):
    name = "prune --exclusive"
    template = "four"
    words = ("prune", "--exclusive", "--yes")


class Check(Scene):
    name = "check"
    words = ("check", "--read-data")


class Repair(Scene):
    name = "repair"
    template = "damaged"
    configuration = {"mirror": True}
    words = ("repair",)

    def whole(self, case):
        case.check("--store", "away")

    def good(self, case):
        case.check()


class Restore(Scene):
    name = "restore"

    def arguments(self, case):
        return ("restore", case.world.ids[-1], "files", "--to", case.path + "/target", "--overwrite")

    def good(self, case):
        day = "%s/day-%d" % (case.world.folder, ROUNDS)
        different = same_tree(day, case.path + "/target") or other_attributes(day, case.path + "/target")
        must(not different, "not what was backed up: " + different[:300])


class RestoreOver(Restore):
    """What is there is of an older day."""
    name = "restore over another"

    def case(self, world):
        case = Scene.case(self, world)
        r = case.look("restore", world.ids[0], "files", "--to", case.path + "/target")
        must(r.code == 0, "restore of day 1: %s" % r)
        return case


class RestoreDatabase(Scene):
    name = "restore of a database"
    needs_database = True
    configuration = {"db": True}
    programs = "lifeboat pg_restore psql"
    days = (ROUNDS,)
    most = 40

    def target(self, case):
        return case.name.replace("-", "_")

    def arguments(self, case):
        return ("restore", case.world.ids[-1], "db", "--to", "host=%s dbname=%s user=postgres" % (case.world.database.folder, self.target(case)))

    def again(self, case):
        return (*self.arguments(case), "--clean")

    def good(self, case):
        must(case.world.database.contents(self.target(case)) == case.world.contents, "the database is not the same")
        left = [n for n in case.world.database.names() if n.startswith(self.target(case)) and n != self.target(case)]
        must(not left, "databases that are left: %s" % left)

    def remove(self, case):
        drop(case)
        case.remove()


def proofs(case):
    """Of the sources that are drilled, in the newest snapshot."""
    r = case.look("--json", "show", case.world.ids[-1])
    must(r.code == 0, "show: %s" % r)
    return [s["proof"] for s in json.loads(r.out)["sources"] if s["type"] != "postgres"]


class Drill(Scene):
    name = "drill"
    words = ("--json", "drill")
    most = 40

    def good(self, case):
        must(all(p and p["proven"] for p in proofs(case)), "not shown as proven")


class DrillDamaged(Scene):
    """Nothing says that it was proven, at no moment."""
    name = "drill of what is damaged"
    words = ("--json", "drill")
    days = ()
    most = 40
    ends = 4

    def case(self, world):
        case = Scene.case(self, world)
        for where, _, files in os.walk(case.path + "/store/packs"):
            for path in ("%s/%s" % (where, name) for name in files):
                os.chmod(path, 0o600)
                with open(path, "r+b") as f:
                    f.write(bytes(os.path.getsize(path)))
        return case

    def good(self, case):
        must(not any(p and p["proven"] for p in proofs(case)), "shown as proven")

    def whole(self, case):
        self.good(case)

    def after(self, case, run):
        must(not run or run.code, "what is damaged is proven: %s" % run)
        self.whole(case)
        case.age_temporaries()
        r = case.look(*self.words)
        must(r.code == self.ends, "the next drill: %s" % r)
        self.good(case)
        case.nothing_left()


class DrillDatabase(Scene):
    name = "drill of a database"
    words = ("--json", "drill")
    configuration = {"files": False, "db": True}
    programs = "lifeboat pg_restore pg_dump psql initdb"
    days = (ROUNDS,)
    needs_database = True
    most = 12


SCENES = (First(), Backup(), BackupToBucket(), BackupDatabase(), MirroredBackup(), ToldBackup(), FailingBackup(), Copy(), Prune(),
          PruneExclusive(), Check(), Repair(), Restore(), RestoreOver(), RestoreDatabase(), Drill(), DrillDamaged(), DrillDatabase())
