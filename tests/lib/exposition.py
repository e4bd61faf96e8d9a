"""exposition.py FILE [EXPRESSION]: reads Prometheus' text exposition format 0.0.4 strictly, and takes EXPRESSION for true. In it `m`
maps a name to {labels as a frozenset of pairs: value}, and `v(name, label=value...)` is the one sample with these labels."""
import re
import sys

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(r"(%s)(?:\{(%s(?:,%s)*)?\})? (\S+)\Z" % (NAME, LABEL, LABEL))
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\Z|[+-]?Inf\Z|NaN\Z")
TYPES = ("counter", "gauge", "histogram", "summary", "untyped")


def read(text):
    samples, types, helps, closed, current = {}, {}, {}, set(), None
    assert text.endswith("\n"), "the last line has no end"
    for number, line in enumerate(text[:-1].split("\n"), 1):
        where = "line %d: %r" % (number, line)
        comment = re.match(r"# (HELP|TYPE) (%s) (.+)\Z" % NAME, line)
        sample = SAMPLE.match(line)
        name = comment.group(2) if comment else sample.group(1) if sample else None
        assert name, where
        if name != current:  # all lines of a metric stand together
            assert name not in closed, where + ": its group has ended"
            closed.add(current)
            current = name
        if comment and comment.group(1) == "HELP":
            assert name not in helps and name not in types, where
            assert re.fullmatch(r"(?:[^\\]|\\[\\n])*", comment.group(3)), where
            helps[name] = comment.group(3)
        elif comment:
            assert name not in types and name not in samples and comment.group(3) in TYPES, where
            types[name] = comment.group(3)
        else:
            assert name in types and name in helps, where + ": no TYPE or HELP"
            assert NUMBER.match(sample.group(3)), where
            pairs = re.findall(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"', sample.group(2) or "")
            labels = frozenset((k, re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], x)) for k, x in pairs)
            assert len({k for k, _ in pairs}) == len(pairs), where + ": a label stands twice"
            assert labels not in samples.setdefault(name, {}), where + ": stands twice"
            samples[name][labels] = float(sample.group(3))
    assert set(types) == set(samples), "without a sample: %s" % (set(types) - set(samples))
    return samples


def main():
    m = read(open(sys.argv[1], encoding="utf-8").read())

    def v(name, **labels):
        found = [x for k, x in m["lifeboat_" + name].items() if set(labels.items()) <= k]
        assert len(found) == 1, (name, labels, m["lifeboat_" + name])
        return found[0]

    if len(sys.argv) > 2:
        import time
        assert eval(sys.argv[2], {"m": m, "v": v, "now": time.time()}), (sys.argv[2], m)


if __name__ == "__main__":
    main()
