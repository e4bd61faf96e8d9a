"""Every call to the world fails once, and every one is a crash: what fault.c counts and hits."""
import errno
import os
import random
import struct
import time
from signal import SIGABRT, SIGSEGV

from scenes import SCENES
from world import BUILD, CODES, LIFEBOAT, SANITIZED, SEED, Failed, must

KINDS = ("write sync rename open fork pipe read mkdir unlink mmap alloc truncate poll net sql curl thread stat attribute random change").split()
COUNT, FAIL, SHORT, KILL = range(4)
PLAN = struct.Struct("<32I I I I I I I 96s 4000s")
FOREVER = 2**32 - 1
MOST = {"alloc": 400, "stat": 150, "read": 400}  # of so many calls of a run a sample is hit

# What each kind of call can say of itself. Twice means: from then on always.
ERRORS = {
    "write": ("EIO", "ENOSPC", "ENOSPC ENOSPC", "EINTR", "short"), "sync": ("EIO", "ENOSPC", "EIO EIO"), "rename": ("EIO", "ENOSPC", "EIO EIO"),
    "open": ("EMFILE", "EIO", "EMFILE EMFILE"), "fork": ("EAGAIN", "ENOMEM ENOMEM"), "pipe": ("EMFILE", "EMFILE EMFILE"),
    "read": ("EIO", "EINTR", "short", "EIO EIO"), "mkdir": ("ENOSPC", "EIO"), "unlink": ("EIO", "EIO EIO"), "mmap": ("ENOMEM",),
    "alloc": ("ENOMEM", "ENOMEM ENOMEM"), "truncate": ("ENOSPC", "EIO"), "poll": ("EINTR", "ENOMEM"), "net": ("ECONNREFUSED", "ECONNRESET"),
    "sql": ("ECONNRESET",), "curl": ("EIO",), "thread": ("EAGAIN",), "stat": ("EIO",), "attribute": ("EIO", "EPERM"), "random": ("EINTR",)}
# Other words for the cause.
WORDS = {"curl": ("connect", "memory"), "attribute": (": mode ", ": time ", ": owner "), "alloc": ("memory", "allocate"), "mmap": ("memory",), "sql": ("connection", "server"), "net": ("connect", "server"),
         "thread": ("thread",), "write": ("too short", "unexpected end")}


def text_of(field):
    return field.split(b"\0")[0].decode(errors="replace")


class Plan:
    def __init__(self, case):
        self.path = case.path + "/plan"
        self.env = {"LD_PRELOAD": BUILD + "/torture/fault.so", "TORTURE_PLAN": self.path,
                    "ASAN_OPTIONS": "verify_asan_link_order=0:allocator_may_return_null=1"}

    def set(self, kind="", mode=COUNT, at=0, until=0, error=0):
        with open(self.path, "wb") as f:
            f.write(PLAN.pack(*[0] * 32, 0, KINDS.index(kind) if kind else 0, at, until, mode, error, b"", b""))
        os.chmod(self.path, 0o666)

    def get(self):
        with open(self.path, "rb") as f:
            values = PLAN.unpack(f.read())
        return dict(zip(KINDS, values)), values[32], text_of(values[-2])

    def shown(self):
        return "crashed at: " + " < ".join("%s+%s %s" % (os.path.basename(f[0]), f[1], f[2]) for f in self.crashed())

    def crashed(self):
        """The frames of a thread that crashed, the innermost first: [object, offset, a name near it]."""
        with open(self.path, "rb") as f:
            return [line.rsplit(" ", 2) for line in text_of(PLAN.unpack(f.read())[-1]).split("\n")[:-1]]


COUNTED = {}


def counts_of(world, scene):
    """How many calls of each kind the scene makes, undisturbed, and its seconds."""
    if scene.name in COUNTED:
        return COUNTED[scene.name]
    case = scene.case(world)
    try:
        plan = Plan(case)
        plan.set()
        began = time.monotonic()
        r = case.torture({**plan.env, "TORTURE_PROGRAMS": scene.programs}, *scene.arguments(case))
        seconds = time.monotonic() - began
        must(r.code == scene.ends, "%s, without a fault: %s" % (scene.name, r))
        scene.good(case)
        COUNTED[scene.name] = plan.get()[0], seconds
        return COUNTED[scene.name]
    finally:
        scene.remove(case)


def names_cause(kind, error, run):
    said = (run.err + run.out).lower()
    words = WORDS.get(kind, ()) + ((os.strerror(getattr(errno, error)).lower(),) if error != "short" else ("short", "ends at"))
    return any(w in said for w in words)


def no_sanitizer(run):
    must("Sanitizer" not in run.err, "the sanitizer: " + run.err[:1500])


def known_crash(frames):
    """Where a library crashed of which that is known: libarchive (what of the C library it called there does not count), and the look-up
    of users in the C library. The nearest exported name is told."""
    for path, offset, name in frames:
        library = os.path.basename(path)
        if library.startswith("libc.so") and name.startswith("getpw"):
            return "libc: " + name
        if not library.startswith(("libc.so", "fault.so")):
            return "libarchive: " + (name or offset) if library.startswith("libarchive.so") else None
    return None


def one_fault(world, scene, kind, errors, n):
    """Hits call number n. What happened: refused, or harmless; None: the run makes fewer calls."""
    case = scene.case(world)
    plan = Plan(case)
    what = ""
    try:
        error = errors.split()[0]
        plan.set(kind, SHORT if error == "short" else FAIL, n, FOREVER if " " in errors else n, 0 if error == "short" else getattr(errno, error))
        program = LIFEBOAT if kind in ("alloc", "mmap", "thread") else SANITIZED  # theirs fail, too
        programs = "lifeboat" if kind == "alloc" else scene.programs  # others need not say that it was memory
        r = case.torture({**plan.env, "TORTURE_PROGRAMS": programs}, *scene.arguments(case), program=program)
        _, hits, what = plan.get()
        no_sanitizer(r)
        crashed = known_crash(plan.crashed()) if kind == "alloc" and r.code in (-SIGSEGV, -SIGABRT) else None
        must(r.code in CODES or crashed, "%s\n%s" % (r, plan.shown()))
        if r.code not in (0, scene.ends) and not crashed:
            must(hits, "fails without a fault: %s" % r)
            must(names_cause(kind, error, r), "does not name the cause: %s" % r)
            must(kind != "alloc" or (r.code != 5 and '"differs"' not in r.out), "takes the want of memory for damage: %s" % r)
        elif not crashed:
            scene.good(case)
        scene.after(case, r)
        return ("crashed in " + crashed if crashed else "refused" if r.code != scene.ends else "harmless") if hits else None
    except Failed as e:
        raise Failed("%s: %s number %d says %s (%s): %s" % (scene.name, kind, n, errors, what, e)) from None
    finally:
        scene.remove(case)


def one_kill(world, scene, kind, n):
    case = scene.case(world)
    plan = Plan(case)
    what = ""
    try:
        plan.set(kind, KILL, n, n)
        r = case.torture({**plan.env, "TORTURE_PROGRAMS": scene.programs}, *scene.arguments(case))
        _, hits, what = plan.get()
        scene.after(case, r)
        return "killed" if r.code == -9 else "survived" if hits else None
    except Failed as e:
        raise Failed("%s: killed at %s number %d (%s): %s" % (scene.name, kind, n, what, e)) from None
    finally:
        scene.remove(case)


def one_moment(world, scene, after_s):
    case = scene.case(world)
    try:
        r = case.killed_after(after_s, *scene.arguments(case))
        scene.after(case, r)
        return "killed" if r.code == -9 else None
    except Failed as e:
        raise Failed("%s: killed after %.4f s: %s" % (scene.name, after_s, e)) from None
    finally:
        scene.remove(case)


def sample(rng, count, most):
    return sorted(rng.sample(range(1, count + 1), most)) if count > most else range(1, count + 1)


def scenes_of(world, wanted):
    return [s for s in SCENES if wanted(s) and (world.database or not s.needs_database) and (world.bucket or not s.needs_bucket)]


def counts_lines():
    """Built for `make cover`: what counts its lines (libgcov) crashes at the program's end without memory."""
    with open(LIFEBOAT, "rb") as program:
        return b"__gcov_" in program.read()


def fault_cases(world, wanted):
    rng = random.Random("faults" + SEED)
    cases = []
    left_out = {"alloc"} if counts_lines() else ()
    if left_out:
        print("torture: allocations are left out: libgcov, by which this program counts its lines, has none to spare")
    for scene in scenes_of(world, wanted):
        counts, _ = counts_of(world, scene)
        for kind, errors in ERRORS.items():
            for e in errors if (not scene.kinds or kind in scene.kinds) and kind not in left_out else ():
                most = min(MOST.get(kind, 1000), scene.most)
                cases += [(one_fault, scene, kind, e, n) for n in sample(rng, counts[kind], most)]
    rng.shuffle(cases)
    return cases


def kill_cases(world, wanted):
    rng = random.Random("kills" + SEED)
    cases = []
    for scene in scenes_of(world, wanted):
        counts, seconds = counts_of(world, scene)
        for kind, most in (("change", 1000), ("read", 60), ("open", 60), ("fork", 60), ("poll", 30), ("sql", 30), ("net", 60), ("alloc", 100)):
            cases += [(one_kill, scene, kind, n) for n in sample(rng, counts[kind], min(most, scene.most))]
        cases += [(one_moment, scene, rng.uniform(0, seconds)) for _ in range(min(60, scene.most))]
    rng.shuffle(cases)
    return cases
