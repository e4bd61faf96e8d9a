#!/usr/bin/env python3
"""The rules of docs/retention.md once more, written from that page: reads what the program decided on standard input and
compares. Prints what differs; the last line counts the cases.

case ZONE NOW_NS WITHIN_S LAST HOURLY DAILY WEEKLY MONTHLY YEARLY MIN
m TIME_NS SEQUENCE VERDICT PINNED PROVEN SNAPSHOT | phrase, phrase      (what the program said of it)
end
"""
import datetime
import sys
import zoneinfo

NS = 10**9
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def local(zone, time_ns):
    return (EPOCH + datetime.timedelta(seconds=time_ns // NS)).astimezone(zone)


def offset_text(moment):
    minutes = int(moment.utcoffset().total_seconds()) // 60
    return "%s%02d:%02d" % ("-" if minutes < 0 else "+", abs(minutes) // 60, abs(minutes) % 60)


def names(zone, time_ns):
    """The name of each period that a time falls into."""
    t = local(zone, time_ns)
    week = t.isocalendar()
    return {
        "hourly": t.strftime("%Y-%m-%d %H:00") + offset_text(t),
        "daily": t.strftime("%Y-%m-%d"),
        "weekly": "%d-W%02d" % (week[0], week[1]),
        "monthly": t.strftime("%Y-%m"),
        "yearly": t.strftime("%Y"),
    }


def setting(seconds):
    for size, letter in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds % size == 0:
            return "%d%s" % (seconds // size, letter)
    return "%ds" % seconds


class Moment:
    def __init__(self, line):
        head, said = line.split(" | ")
        f = head.split()
        self.time, self.sequence, self.verdict = int(f[1]), int(f[2]), f[3]
        self.pinned, self.proven, self.snapshot = f[4] == "1", f[5] == "1", int(f[6])
        self.said = said.rstrip("\n").split(", ")
        self.good = self.verdict == "good"
        self.why = set()


def decide(case, moments):
    zone, now, within, last, counts, least = case
    ordered = sorted(moments, key=lambda m: (m.sequence, m.time, m.snapshot))  # oldest first
    goods = [m for m in ordered if m.good]

    # Never dropped
    for m in ordered:
        if m.pinned:
            m.why.add("pinned")
    proven = [m for m in ordered if m.proven]
    if proven:
        proven[-1].why.add("newest proven good" if proven[-1].good else "newest proven")
    proven_goods = [m for m in proven if m.good]
    if proven_goods:
        proven_goods[-1].why.add("newest proven good")
    for m in ordered[ordered.index(goods[-1]) + 1:] if goods else ordered:
        m.why.add("%s" % m.verdict)
        m.why.add("and no good one since")
    for rank, m in enumerate(reversed(goods), 1):
        if rank <= least:
            m.why.add("last good %d of %d" % (rank, least))
        if rank <= last:
            m.why.add("last %d of %d" % (rank, last))

    # The window
    if within and goods:
        a = min(goods[-1].time, now)
        start = a - within * NS
        anchors = [i for i, m in enumerate(ordered) if m.good and start < m.time <= a]
        for i, m in enumerate(ordered):
            if m.time > start or (anchors and i > anchors[0]):
                m.why.add("within " + setting(within))

    # The calendar
    named = [(names(zone, m.time), m) for m in ordered]
    for period, count in counts.items():
        members = {}
        for name, m in named:
            members.setdefault(name[period], []).append(m)
        best = {}
        for name, group in members.items():
            chosen = [m for m in group if m.good] or [m for m in group if m.verdict == "degraded"]
            if chosen:
                best[id(chosen[-1])] = name
        found = 0
        for m in reversed(ordered):
            if found == count:
                break
            if id(m) in best:
                m.why.add("%s %s" % (period, best[id(m)]))
                if not m.good:
                    m.why.add("which has no good one")
                found += m.good

    for m in ordered:
        if not within and not last and not any(counts.values()):
            m.why.add("no keep rule is set")
        if not m.why:
            m.why.update({"no rule keeps it"} if m.good else {m.verdict, "and a good one came after it"})


def main():
    cases = bad = kept = 0
    zones = {}
    for line in sys.stdin:
        if line.startswith("case "):
            f = line.split()
            zone = zones.setdefault(f[1], zoneinfo.ZoneInfo(f[1]))
            counts = dict(zip(("hourly", "daily", "weekly", "monthly", "yearly"), map(int, f[5:10])))
            case, moments, text = (zone, int(f[2]), int(f[3]), int(f[4]), counts, int(f[10])), [], line
        elif line.startswith("m "):
            moments.append(Moment(line))
        elif line == "end\n":
            cases += 1
            decide(case, moments)
            for m in moments:
                kept += "no rule keeps it" not in m.why and "and a good one came after it" not in m.why
                if set(m.said) != m.why:
                    bad += 1
                    if bad <= 5:
                        print(text.rstrip())
                        print("  %s %s sequence %d: the program says %s; the rules say %s" % (
                            local(case[0], m.time).isoformat(), m.verdict, m.sequence, sorted(m.said), sorted(m.why)))
        else:
            sys.exit("what is this line? %r" % line)
    print("%d cases, %d kept, %d differ" % (cases, kept, bad))
    return 1 if bad or not cases else 0


sys.exit(main())
