#!/usr/bin/env python3
"""Files as a small site has them, the same from the same seed: bench_data.py volumes FOLDER MIB | day FOLDER MIB NUMBER

uploads/: MIB in media that do not compress, and office papers and tables that do. notebooks/: 100 small files for each MIB, at most 20,000.
`day` is what changes in a day: new uploads, a few notebooks edited, a table that grows at its end and a file moved."""
import json
import os
import random
import sys

WORDS = [
    "".join(random.Random(n).choices("abcdefghijklmnopqrstuvwxyz", k=2 + n % 9)) for n in range(4000)
]


def put(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)


def prose(rng, size):
    out = []
    while size > 0:
        words = rng.choices(WORDS, cum_weights=CUMULATED, k=12)
        out.append(" ".join(words).capitalize() + ".\n")
        size -= len(out[-1])
    return "".join(out).encode()


CUMULATED = []
for rank in range(len(WORDS)):
    CUMULATED.append((CUMULATED[-1] if CUMULATED else 0) + 1 / (rank + 5))


def table(rng, size):
    out = []
    while size > 0:
        row = "%d;%s;%.2f;2026-0%d-%02d\n" % (rng.randrange(10**6), rng.choice(WORDS), rng.random() * 1000, rng.randrange(1, 10), rng.randrange(1, 29))
        out.append(row)
        size -= len(row)
    return "".join(out).encode()


def notebook(rng):
    cells = [
        {"cell_type": "code", "execution_count": k, "metadata": {}, "outputs": [], "source": prose(rng, rng.randrange(40, 600)).decode().splitlines(True)}
        for k in range(rng.randrange(2, 9))
    ]
    head = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}, "language_info": {"name": "python", "version": "3.11.2"}}
    return json.dumps({"cells": cells, "metadata": head, "nbformat": 4, "nbformat_minor": 5}, indent=1).encode()


def uploads(rng, folder, size, tag):
    number = 0
    while size > 0:
        kind = rng.random()
        n = min(size, int(rng.lognormvariate(12.5, 1.2)) + 200)
        if kind < 0.6:
            name, data = "photo.jpg", rng.randbytes(n)
        elif kind < 0.8:
            name, data = "text.txt", prose(rng, n)
        else:
            name, data = "table.csv", table(rng, n)
        put("%s/uploads/%02x/%s-%d-%s" % (folder, number % 64, tag, number, name), data)
        number += 1
        size -= len(data)


def notebooks(mib):
    return min(20000, 100 * mib)


def notebook_path(folder, number):
    return "%s/notebooks/user-%03d/task-%d.ipynb" % (folder, number % 400, number)


def volumes(folder, mib):
    uploads(random.Random(1), folder, mib << 20, "u")
    put(folder + "/uploads/export.csv", table(random.Random(2), mib << 16))
    for number in range(notebooks(mib)):
        put(notebook_path(folder, number), notebook(random.Random(number)))


def day(folder, mib, number):
    rng = random.Random(1000 + number)
    uploads(rng, folder, (mib << 20) // 300, "day%d" % number)
    for _ in range(notebooks(mib) // 200):
        which = rng.randrange(notebooks(mib))
        put(notebook_path(folder, which), notebook(rng))
    with open(folder + "/uploads/export.csv", "ab") as f:
        f.write(table(rng, 20000))
    os.rename("%s/uploads/%02x" % (folder, number % 64), "%s/uploads/archive-%d" % (folder, number))


if sys.argv[1] == "volumes":
    volumes(sys.argv[2], int(sys.argv[3]))
else:
    day(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
