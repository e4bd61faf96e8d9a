#!/usr/bin/env python3
"""Line coverage of src/ by what gcov counted.

cover.py BUILD clear         forgets what was counted, and makes room for counts by any user
cover.py BUILD report LEAST  prints lines for each file and in all, lists what did not run in
                             BUILD/uncovered.txt; fails below LEAST percent of the library's lines
"""
import json
import os
import subprocess
import sys


def objects(build):
    """Every object file of src/ that was compiled to be counted, without its suffix."""
    for folder, _, names in os.walk(os.path.join(build, "src")):
        yield from (os.path.join(folder, n[:-5]) for n in sorted(names) if n.endswith(".gcno"))


def clear(build):
    """The counting code adds to a file that is there: empty ones that all may write to."""
    for path in objects(build):
        with open(path + ".gcda", "wb") as f:
            os.fchmod(f.fileno(), 0o666)


def count(path):
    """The name of a source file, {line: how often it ran}, [(first line, last line, function)]."""
    said = subprocess.run(["gcov", "-t", "-j", path + ".gcda"], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, check=True).stdout
    for f in json.loads(said)["files"]:
        if f["file"].endswith(".c"):
            lines = {}
            for l in f["lines"]:
                lines[l["line_number"]] = max(l["count"], lines.get(l["line_number"], 0))
            return f["file"], lines, [(x["start_line"], x["end_line"], x["name"]) for x in f["functions"]]
    raise SystemExit(f"{path}: gcov knows nothing of it")


def ranges(lines):
    """[1, 2, 3, 7] as "1-3, 7"."""
    out = []
    for n in lines:
        if out and n == out[-1][1] + 1:
            out[-1][1] = n
        else:
            out.append([n, n])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in out)


def list_uncovered(out, name, lines, functions):
    for first, last, function in sorted(functions):
        inside = [n for n in sorted(lines) if first <= n <= last]
        bad = [n for n in inside if not lines[n]]
        if len(bad) == len(inside):
            print(f"{name}:{first}: {function}: never runs ({len(inside)} lines)", file=out)
        elif bad:
            print(f"{name}:{first}: {function}: {len(bad)} of {len(inside)}: {ranges(bad)}", file=out)


def report(build, least):
    sums = {"library": [0, 0], "commands": [0, 0]}
    with open(os.path.join(build, "uncovered.txt"), "w", encoding="utf-8") as out:
        for path in sorted(objects(build)):
            name, lines, functions = count(path)
            ran = sum(1 for n in lines.values() if n)
            part = sums["commands" if name.startswith("src/cmd/") else "library"]
            part[0] += ran
            part[1] += len(lines)
            print(f"{name:36} {ran:4} of {len(lines):4} lines {100 * ran / max(len(lines), 1):6.1f} %")
            list_uncovered(out, name, lines, functions)
    for part, (ran, lines) in sums.items():
        print(f"{part:36} {ran:5} of {lines:5} lines {100 * ran / lines:5.1f} %")
    ran, lines = sums["library"]
    if 100 * ran < least * lines:
        raise SystemExit(f"less than {least} % of the library's lines: {build}/uncovered.txt lists the rest")


if __name__ == "__main__":
    if sys.argv[2] == "clear":
        clear(sys.argv[1])
    else:
        report(sys.argv[1], float(sys.argv[3]))
