#!/usr/bin/python3
"""Fills an uploads and a notebooks folder for the demo: repeatable; --day changes them as a day of use would."""
import os
import random
import sys


def write(path, data, mtime):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)
    os.utime(path, ns=(mtime, mtime))


def notebook(rng, cells):
    lines = ['{"cells": [']
    lines += ['  {"cell_type": "code", "source": "x%d = %d"},' % (i, rng.randrange(10**9)) for i in range(cells)]
    return "\n".join(lines + ['  {}], "nbformat": 4}']).encode()


def fill(uploads, notebooks):
    rng = random.Random(1)
    for i in range(300):  # pictures and documents: do not compress
        write("%s/%02d/photo-%d.jpg" % (uploads, i % 16, i), rng.randbytes(rng.randrange(20_000, 400_000)), 1_700_000_000_000_000_000 + i)
    for i in range(2000):
        write("%s/student%d/week%d.ipynb" % (notebooks, i % 250, i // 250), notebook(rng, rng.randrange(5, 120)),
              1_710_000_000_123_456_789 + i)
    os.symlink("photo-0.jpg", uploads + "/00/latest.jpg")
    os.link(uploads + "/00/photo-0.jpg", uploads + "/cover.jpg")
    with open(uploads + "/sparse.img", "wb") as f:
        f.truncate(64 << 20)
        f.seek(10 << 20)
        f.write(rng.randbytes(4096))
    os.setxattr(uploads + "/cover.jpg", "user.author", "Zoë".encode())
    os.chmod(uploads + "/01", 0o2750)


def day(uploads, notebooks):
    rng = random.Random(2)
    for i in range(6):
        write("%s/new/photo-%d.jpg" % (uploads, i), rng.randbytes(100_000), 1_770_000_000_000_000_000 + i)
    for i in range(20):
        write("%s/student%d/week0.ipynb" % (notebooks, i * 7), notebook(rng, 60), 1_770_000_001_000_000_000 + i)
    os.remove(uploads + "/03/photo-3.jpg")


def main(args):
    job = day if args[0] == "--day" else fill
    job(*args[-2:])


main(sys.argv[1:])
