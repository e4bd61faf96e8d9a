#!/usr/bin/python3
"""Two hosts that back up in a loop and a third that prunes, killed at random moments, on one repository.

  storm.py LIFEBOAT FOLDER SECONDS GRACE [SEED]

FOLDER holds a.conf, b.conf (hosts with a volume `files`, FOLDER/a or FOLDER/b) and p.conf, all of them of one repository whose
grace is GRACE seconds. When the time is over: every snapshot that is listed as good must restore to what was backed up, check --read-data
must be clean, and prunes a grace apart must leave no garbage. What is in a snapshot can be told without the program: each file is one of a
few that do not change, and a file named `list` names them. Prints what happened; exit status 1: something was lost."""
import json, os, random, shutil, subprocess, sys, threading, time
from collections import Counter

LIFEBOAT, FOLDER, SECONDS, GRACE = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
SEED = sys.argv[5] if len(sys.argv) > 5 else str(random.randrange(10**6))
FILES, TAKEN = 64, 6  # most are in no snapshot at a time: what comes back is just being forgotten, or condemned
END = time.monotonic() + SECONDS
counts, lock, losses, failures, reported = Counter(), threading.Lock(), [], Counter(), set()


def count(what):
    with lock:
        counts[what] += 1


def lifeboat(conf, *arguments, kill_after=None):
    """The exit status (None: killed) and both outputs."""
    with subprocess.Popen([LIFEBOAT, "-c", f"{FOLDER}/{conf}.conf", *arguments], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            out, err = process.communicate(timeout=kill_after)
            return process.returncode, out, err
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            return None if process.returncode < 0 else process.returncode, out, err


def last_json(out):
    return json.loads(out.strip().splitlines()[-1])


def pack_folder(host, rng):
    folder = f"{FOLDER}/{host}"
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    names = sorted(rng.sample(range(FILES), TAKEN))
    for n in names:
        shutil.copy(f"{FOLDER}/pool/{n}", f"{folder}/{n}")
    with open(f"{folder}/list", "w", encoding="ascii") as f:
        f.write("".join(f"{n}\n" for n in names))


def moment(rng, usual):
    """After how long to kill; mostly not at all."""
    return rng.uniform(0, 1.5 * usual) if rng.random() < 0.4 else None


def run_loop(name, prepare, arguments, usual, on_good):
    rng = random.Random(f"{SEED} {name}")
    while time.monotonic() < END:
        prepare(name, rng)
        began = time.monotonic()
        code, out, err = lifeboat(name, *arguments, kill_after=moment(rng, usual))
        if code is None:
            count(f"{arguments[0]} killed")
        elif code == 0:
            count(f"{arguments[0]} done")
            usual = 0.8 * usual + 0.2 * (time.monotonic() - began)
            on_good(last_json(out))
            for word in ("is stored again", "is marked as broken", "is taken again"):
                if word in err:
                    count(f"{arguments[0]}: {word}")
        else:
            count(f"{arguments[0]} failed")
            with lock:
                failures[f"{name}: exit status {code}: {err.strip()[:300]}"] += 1


def remember(summary):
    with lock:
        reported.add(summary["snapshot"])


def tally(summary):
    with lock:
        counts["snapshots removed"] += len(summary["removed"])
        for what in ("dead", "thin", "moved", "swept"):
            counts[f"packs {what}"] += summary[what]["packs"]


def good_snapshots():
    code, out, err = lifeboat("p", "--json", "list")
    if code != 0:
        losses.append(f"list: {err.strip()}")
        return []
    return [s for s in json.loads(out) if s["verdict"] == "good" and not s["forgotten"] and not s["broken"]]


def restores(snapshot):
    back = f"{FOLDER}/back"
    shutil.rmtree(back, ignore_errors=True)
    code, _, err = lifeboat("p", "restore", snapshot, "files", "--to", back)
    if code != 0:
        return err.strip()
    with open(f"{back}/list", encoding="ascii") as f:
        names = f.read().split()
    if len(names) != TAKEN or sorted(os.listdir(back)) != sorted(names + ["list"]):
        return "other files came back"
    for n in names:
        with open(f"{back}/{n}", "rb") as one, open(f"{FOLDER}/pool/{n}", "rb") as other:
            if one.read() != other.read():
                return f"file {n} differs"
    return None


def look(when):
    snapshots = good_snapshots()
    for s in snapshots:
        why = restores(s["id"])
        if why:
            losses.append(f"{when}: snapshot {s['id'][:12]} ({'reported' if s['id'] in reported else 'nobody was told'}): {why}")
    if not snapshots:
        losses.append(f"{when}: no snapshot is left")
    code, _, err = lifeboat("p", "check", "--read-data")
    if code != 0:
        losses.append(f"{when}: check: {err.strip()}")
    return len(snapshots)


def prune_again():
    """What that prune says, and what of it is garbage; None after a failure."""
    code, out, err = lifeboat("p", "--json", "prune", "--yes")
    if code != 0:
        losses.append(f"the last prunes: {err.strip()}")
        return None, None
    summary = last_json(out)
    return summary, {what: summary[what]["packs"] for what in ("dead", "thin", "waiting", "young", "moved") if summary[what]["packs"]}


def collect_everything():
    """A prune forgets; a grace later another one condemns, and what that left is swept by the third. A pack that was too young for the
    second, or became thin by it, takes two more."""
    for seconds in [0] + [GRACE * 1.1] * 5:
        time.sleep(seconds)
        summary, left = prune_again()
        if summary is None or (seconds and not left):
            break
    if summary is None:
        return
    if left or summary["garbage_left"] > (summary["found"]["bytes"] - summary["swept"]["bytes"]) / 2:
        losses.append(f"garbage is left: {left}, {summary['garbage_left']} of {summary['found']['bytes']} bytes")
    found, swept = summary["found"], summary["swept"]
    print("storm:", f"the last prune found {found['packs']} packs and swept {swept['packs']}; {(found['bytes'] - swept['bytes']) / 1e6:.1f} MB are left,",
          f"of which nobody needs {summary['garbage_left'] / 1e6:.1f}")


def main():
    os.makedirs(f"{FOLDER}/pool")
    for n in range(FILES):
        with open(f"{FOLDER}/pool/{n}", "wb") as f:
            f.write(os.urandom(100000 + 8000 * n))
    threads = [threading.Thread(target=run_loop, args=(h, pack_folder, ["backup", "--json"], 0.5, remember)) for h in "ab"]
    threads.append(threading.Thread(target=run_loop, args=("p", lambda *_: None, ["prune", "--json", "--yes"], 0.1, tally)))
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    print("storm:", f"{SECONDS:.0f} s, grace {GRACE:.0f} s, seed {SEED}:", ", ".join(f"{n} {what}" for what, n in sorted(counts.items())))
    print("storm:", look("afterwards"), "good snapshots restored")
    collect_everything()
    look("after the last prunes")
    for text in losses[:20]:
        print("storm: LOST:", text[:500])
    for text, n in failures.most_common(10):
        print(f"storm: {n} times: {text}")
    return int(bool(losses or failures))


sys.exit(main())
