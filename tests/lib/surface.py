"""What the program says of itself, compared with what is written about it. Each check prints what is missing where, and ends with 1.

surface.py pages HELP.json FOLDER       the manual pages against `lifeboat help --json`
surface.py examples HELP.json FOLDER    prints the command lines of their EXAMPLES
surface.py keys KNOWN FOLDER CONF       the keys in lines of "section key" against lifeboat.conf(5) and the sample
surface.py json FOLDER RUNS             the members that runs printed, files COMMAND.N below RUNS, against the pages"""
import json
import os
import re
import shlex
import sys

ESCAPES = (("\\-", "-"), ("\\&", ""), ("\\(dq", '"'), ("\\(ti", "~"), ("\\(ha", "^"), ("\\e", "\\"))
wrong = []


def expect(good, *words):
    if not good:
        wrong.append(" ".join(str(w) for w in words))


def same(what, left, found, right, wanted):
    for x in sorted(set(wanted) - set(found)):
        wrong.append("%s: %s has %s, and %s has not" % (what, right, x, left))
    for x in sorted(set(found) - set(wanted)):
        wrong.append("%s: %s has %s, and %s has not" % (what, left, x, right))


# ---- the few words of man(7) that the pages use ----
def plain(text):
    text = re.sub(r"\\f[BIR]", "", text)
    for escape, character in ESCAPES:
        text = text.replace(escape, character)
    return text


def words(line):
    return [plain(a if a else b) for a, b in re.findall(r'"([^"]*)"|(\S+)', line)]


def page(path):
    """{section: [(tag, text)]}; text before the first tag, and after .PP, has the tag None."""
    sections, items, tag_next = {}, [], False
    for line in open(path, encoding="utf-8").read().splitlines():
        macro, _, rest = line.partition(" ") if line.startswith(".") else ("", "", line)
        if macro in (".SH", ".SS"):
            items = sections.setdefault(plain(rest), [])
            items.append([None, ""])
        elif macro == ".TP":
            tag_next = True
        elif macro == ".PP":
            items.append([None, ""])
        elif macro not in (".TH", ".nf", ".fi"):
            assert macro in ("", ".B", ".I", ".BR", ".RB", ".BI", ".IB", ".IR", ".RI"), (path, line)
            text = plain(rest) if not macro else (" " if len(macro) == 2 else "").join(words(rest))
            if tag_next:
                items.append([text, ""])
                tag_next = False
            elif items:
                items[-1][1] += ("\n" if items[-1][1] else "") + text
    return sections


def page_of(folder, command):
    return page(os.path.join(folder, "lifeboat-%s.1" % command.replace(" ", "-")))


def tags(sections, *names):
    return {t: text for n in names for t, text in sections.get(n, []) if t}


# ---- pages ----
def option_tag(o):
    value = o["value"] or ""
    if value:
        value = " " + value if value[0] == "[" else "[=%s]" % value if o["optional"] else " " + value
    return ("-%s, " % o["letter"] if o["letter"] else "") + "--" + o["name"] + value


def check_options(what, found, options):
    wanted = {option_tag(o): o["help"].replace("`", "") for o in options}
    same(what, "the page", found, "--help", wanted)
    for tag in set(found) & set(wanted):
        text = found[tag].replace("\n", " ")
        expect(text.lower().startswith(wanted[tag].lower()), what, tag, "says", repr(text), "where --help says", repr(wanted[tag]))


def check_pages(help_file, folder):
    known = json.load(open(help_file))
    commands = {c["name"]: c for c in known["commands"]}
    files = {f[len("lifeboat-"):-2] for f in os.listdir(folder) if f.startswith("lifeboat-")}
    same("pages", folder, files, "lifeboat help", [c.replace(" ", "-") for c in commands])
    for name, c in commands.items():
        if name.replace(" ", "-") not in files:
            continue
        p = page_of(folder, name)
        dashed = name.replace(" ", "-")
        expect(p["NAME"][0][1] == "lifeboat-%s - %s" % (dashed, c["summary"]), name, "NAME is not", c["summary"])
        synopsis = " ".join(p["SYNOPSIS"][0][1].split())
        expect(synopsis == ("lifeboat %s [OPTION...] %s" % (name, c["arguments"])).rstrip(), name, "SYNOPSIS is", synopsis)
        check_options(name, tags(p, "OPTIONS", "COMMON OPTIONS"), c["options"])
        codes = {"0", "1", "2"} | set(re.findall(r"(?:^|; |and )([345])\b", c["exits"] or ""))
        same(name + " exit codes", "the page", tags(p, "EXIT STATUS"), "--help", codes)
        for section in ("DESCRIPTION", "JSON", "EXAMPLES", "SEE ALSO"):
            expect(p.get(section), name, "has no", section)
    whole = page(os.path.join(folder, "lifeboat.1"))
    same("lifeboat(1)", "COMMANDS", tags(whole, "COMMANDS"), "lifeboat help", [("%s %s" % (c["name"], c["arguments"])).rstrip() for c in commands.values()])
    select = [o for o in commands["list"]["options"] if o["name"] in ("host", "tag", "at")]
    check_options("lifeboat(1)", tags(whole, "OPTIONS", "Choosing snapshots"), known["options"] + select)
    same("lifeboat(1) exit codes", "the page", tags(whole, "EXIT STATUS"), "all", "012345")
    written = set(re.findall(r"lifeboat-[a-z-]+(?= ?\(1\))", whole["SEE ALSO"][0][1]))
    same("lifeboat(1)", "SEE ALSO", written, "the folder", ["lifeboat-" + f for f in files])


def print_examples(help_file, folder):
    for c in json.load(open(help_file))["commands"]:
        lines = page_of(folder, c["name"])["EXAMPLES"][0][1].split("\n") + [c["example"]]
        assert len(lines) > 1, c["name"]
        for line in lines:
            for part in re.split(r" \| | && (?=lifeboat)", line):
                if part.startswith("lifeboat "):
                    print(shlex.join(shlex.split(part)[1:]))


# ---- keys ----
def keys_of_page(folder):
    found = set()
    for section, items in page(os.path.join(folder, "lifeboat.conf.5")).items():
        kind = re.match(r"\[(\w+)", section)
        for tag, _ in items if kind else ():
            found |= {"%s %s" % (kind[1], key.split()[0]) for key in (tag or "").split(", ") if key}
    return found


def keys_of_sample(conf):
    found, kind = set(), None
    for line in open(conf, encoding="utf-8"):
        section = re.match(r"#?\[(\w+)[^\]]*\]$", line.rstrip())
        key = re.match(r"#?([a-z][a-z-]*)(?: \S+)? = ", line)
        kind = section[1] if section else kind
        if key and not section:
            found.add("%s %s" % (kind, key[1]))
    return found


def check_keys(known, folder, conf):
    wanted = set(open(known).read().splitlines())
    expect(len(wanted) > 60, "only", len(wanted), "keys are known")
    same("keys", "lifeboat.conf(5)", keys_of_page(folder), "the program", wanted)
    same("keys", conf, keys_of_sample(conf), "the program", wanted)


# ---- JSON ----
def members(value, path, found):
    if isinstance(value, dict):
        for key, inner in value.items():
            name = "LAYER" if re.search(r"(^|\.)layers$", path) else key
            below = "%s.%s" % (path, name) if path else name
            found.add(below)
            members(inner, below, found)
    elif isinstance(value, list):
        for inner in value:
            members(inner, path + "[]", found)


def check_json(folder, runs):
    printed = {}
    for name in os.listdir(runs):
        found = printed.setdefault(name.rpartition(".")[0], set())
        text = open(os.path.join(runs, name), encoding="utf-8").read()
        documents = [json.loads(text)] if text.startswith("[") else [json.loads(line) for line in text.splitlines()]
        assert documents, name
        for document in documents:
            members(document, "", found)
    pages = {f[len("lifeboat-"):-2] for f in os.listdir(folder) if f.startswith("lifeboat-")}
    for command in sorted(pages):
        written = set(tags(page_of(folder, command.replace("-", " ")), "JSON"))
        if not written:
            expect(command not in printed, command, "prints JSON, and its page says nothing of it")
            continue
        expect(command in printed, command, "has not been run with --json")
        around = {w[:m.start()].removesuffix("[]") for w in written for m in re.finditer(r"\.", w)}
        found = printed.get(command, set())
        same(command + " --json", "the page", written, "a run", (found - around) | (found & written))


{"pages": check_pages, "examples": print_examples, "keys": check_keys, "json": check_json}[sys.argv[1]](*sys.argv[2:])
for line in wrong:
    print(line)
sys.exit(1 if wrong else 0)
