#!/usr/bin/env bats
# What lifeboat may do, and what others may see of it: another user with one capability, secrets in memory, in files, and
# in what its children get.
# shellcheck disable=SC2016,SC2030,SC2031 # scripts for other shells; each test is a subshell
load ../lib/common

as_other() { # [CAPABILITY] COMMAND...: uid 64242, which owns nothing
    local caps=-all bound=-all
    if [[ $1 == +* ]]; then
        caps="-all,$1" bound="-all,$1"
        shift
    fi
    setpriv --reuid=64242 --regid=64242 --clear-groups --inh-caps="$caps" --ambient-caps="$caps" --bounding-set="$bound" --no-new-privs "$@"
}

wants_root() {
    [ "$(id -u)" = 0 ] || skip "wants root"
    command -v setpriv >/dev/null || skip "no setpriv"
    as_other +dac_read_search true 2>/dev/null || skip "this kernel gives no ambient capabilities"
}

# given_away: everything of lifeboat's own belongs to the other user; the sources belong to a third.
given_away() {
    chmod 755 "$T"
    mkdir -p "$T/keys" "$T/state" "$T/cache" "$T/store"
    chown -R 64242:64242 "$T/keys" "$T/state" "$T/cache" "$T/store"
    chown -R 64243:64243 "$T/files"
    chmod 600 "$T/files/one.txt"
    chmod 700 "$T/files/sub" "$T/files"
    chmod 644 "$T/lifeboat.conf"
    install -m 755 "$LIFEBOAT" "$T/lifeboat"
}

@test "a user of its own with CAP_DAC_READ_SEARCH alone backs up what it may not read" {
    wants_root
    given_away
    expect 0 as_other "$T/lifeboat" -c "$T/lifeboat.conf" -q init
    expect 1 as_other "$T/lifeboat" -c "$T/lifeboat.conf" backup numbers files
    prints "Permission denied"
    expect 0 as_other +dac_read_search "$T/lifeboat" -c "$T/lifeboat.conf" --json backup
    json 'd["verdict"] == "good"'
    expect 0 as_other +dac_read_search "$T/lifeboat" -c "$T/lifeboat.conf" check --read-data
    [ "$(find "$T/store" "$T/state" "$T/cache" "$T/keys" ! -user 64242)" = "" ]
}

@test "restore and drill need no capability" {
    wants_root
    mkdir -p "$T/files/shut/deeper"
    echo three >"$T/files/shut/deeper/first"
    ln "$T/files/shut/deeper/first" "$T/files/zz-link"
    given_away
    chmod 0 "$T/files/shut/deeper"
    chmod 600 "$T/files/shut"
    expect 0 as_other "$T/lifeboat" -c "$T/lifeboat.conf" -q init
    expect 0 as_other +dac_read_search "$T/lifeboat" -c "$T/lifeboat.conf" -q backup
    install -d -o 64242 "$T/to"
    expect 0 as_other "$T/lifeboat" -c "$T/lifeboat.conf" restore latest files --to "$T/to/back"
    same_files "$T/to/back"
    [ "$T/to/back/zz-link" -ef "$T/to/back/shut/deeper/first" ]
    [ "$(stat -c %a "$T/to/back/shut" "$T/to/back/shut/deeper" | tr '\n' ' ')" = "600 0 " ]
    expect 0 as_other "$T/lifeboat" -c "$T/lifeboat.conf" --json drill
    json 'd["proven"] and any("owner" in n for s in d["sources"] for n in s["notes"])'
}

# ---- memory ----

# Looks into the process that runs it: where the bytes of both keys lie, and whether it could leave a core behind.
write_looker() {
    cat >"$T/look.py" <<'PY'
import os, re, sys
pid, keys, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
secrets = {}
for file, name in (("writer.key", "writer"), ("identity.key", "secret")):
    text = re.search(rf"^{name} ([0-9a-f]+)$", open(f"{keys}/{file}").read(), re.M)[1]
    secrets[name] = (bytes.fromhex(text), text.encode())
areas, seen = [], {}
for line in open(f"/proc/{pid}/smaps"):
    m = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)", line)
    if m:
        areas.append([int(m[1], 16), int(m[2], 16), m[3], m[4].strip(), ""])
    elif line.startswith("VmFlags:"):
        areas[-1][4] = line.split(":")[1].split()
mem = open(f"/proc/{pid}/mem", "rb", 0)
report = open(out, "a")
for start, end, rights, name, flags in areas:
    if "r" not in rights or name in ("[vvar]", "[vsyscall]"):
        continue
    mem.seek(start)
    try:
        data = mem.read(end - start)
    except OSError:
        continue
    for which, forms in secrets.items():
        for form in forms:
            if form in data:
                guarded = "lo" in flags and "dd" in flags
                print(which, "guarded" if guarded else f"OPEN in {name or 'anonymous'} {flags} {'raw' if form == forms[0] else 'text'}", file=report)
limits = open(f"/proc/{pid}/limits").read()
print("core", re.search(r"Max core file size +(\S+)", limits)[1], file=report)
print("environ of", os.stat(f"/proc/{pid}/environ").st_uid, file=report)
PY
}

@test "the keys are in memory that is locked and left out of dumps, and nowhere else; no core is left" {
    capsh --has-p=cap_sys_ptrace >/dev/null 2>&1 || skip "wants root and CAP_SYS_PTRACE, to look into the memory of a process that hides it"
    write_looker
    echo "restore-command = cat >/dev/null; python3 $T/look.py \$PPID $T/keys $T/seen" >"$T/line"
    sed -i -e "s|^command = .*|command = seq 1 20000; python3 $T/look.py \$PPID $T/keys $T/seen|" -e "/^restore-command/{r $T/line
        d}" "$T/lifeboat.conf"
    init
    backup
    contains "$T/seen" "writer guarded"
    expect 0 lb restore latest numbers --to "$T/back"
    contains "$T/seen" "core 0"
    if grep OPEN "$T/seen"; then return 1; fi
}

@test "a process of lifeboat's own user cannot look into its memory" {
    wants_root
    given_away
    sed -i 's|^command = .*|command = stat -c %u /proc/$PPID/environ /proc/$PPID/mem; head -c 1 /proc/$PPID/environ 2>\&1; true|' "$T/lifeboat.conf"
    expect 0 as_other "$T/lifeboat" -c "$T/lifeboat.conf" -q init
    expect 0 as_other "$T/lifeboat" -c "$T/lifeboat.conf" -q backup numbers
    expect 0 as_other "$T/lifeboat" -c "$T/lifeboat.conf" cat latest numbers
    prints "Permission denied"
    [ "$(grep -cx 0 "$T/out")" = 2 ]
}

# ---- files ----

@test "nothing that is made is for others, whatever the umask; temporary files are new, or have no name" {
    command -v strace >/dev/null || skip "no strace"
    umask 000
    strace -qq -f -o "$T/trace" -e trace=open,openat,creat,mkdir,mkdirat -e signal=none "$LIFEBOAT" -c "$T/lifeboat.conf" -q init >/dev/null
    for command in backup "check --read-data=50%" drill prune status "restore latest files --to $T/back"; do
        # shellcheck disable=SC2086
        strace -qq -f -A -o "$T/trace" -e trace=open,openat,creat,mkdir,mkdirat -e signal=none "$LIFEBOAT" -c "$T/lifeboat.conf" -q $command \
            >/dev/null || [ "$command" = status ]
    done
    umask 077
    [ "$(find "$T/store" "$T/state" "$T/cache" "$T/keys" -perm /077)" = "" ]
    grep -E 'O_CREAT|O_TMPFILE' "$T/trace" | grep "$T/" | grep -vE "/numbers\", |O_EXCL|O_NOFOLLOW|O_TMPFILE" >"$T/loose" || true
    if [ -s "$T/loose" ]; then
        head "$T/loose"
        return 1
    fi
    [ "$(grep -cE 'O_CREAT|O_TMPFILE' "$T/trace")" -gt 10 ]
}

@test "a key file that others can read is refused" {
    init
    chmod 644 "$T/keys/writer.key"
    expect 2 lb backup
    says "writer.key"
    chmod 600 "$T/keys/writer.key"
    chmod 640 "$T/keys/identity.key"
    expect 2 lb restore latest files --to "$T/back"
    says "identity.key"
}

# ---- children ----

@test "children get no secret: neither keys nor the store's credentials, in arguments, environment or open files" {
    sed -i 's|^command = .*|command = env; tr "\\0" "\\n" </proc/self/cmdline; tr "\\0" "\\n" </proc/$PPID/cmdline; ls -l /proc/self/fd|' "$T/lifeboat.conf"
    printf '[store away]\nurl = s3://bucket/x\nendpoint = http://127.0.0.1:9\ninsecure = yes\n' >>"$T/lifeboat.conf"
    lb -q init >/dev/null 2>&1 || true
    export AWS_ACCESS_KEY_ID=AKIDSTANDIN AWS_SECRET_ACCESS_KEY=SECRETSTANDIN AWS_SESSION_TOKEN=TOKENSTANDIN NOTIFY_SOCKET=$T/none
    expect 3 lb -q backup numbers --tag first
    expect 0 lb cat latest numbers
    prints "PATH="
    prints "lifeboat.conf"
    for word in STANDIN NOTIFY_SOCKET "$(sed -n 's/^writer //p' "$T/keys/writer.key")" "$(sed -n 's/^secret //p' "$T/keys/identity.key")" writer.key identity.key; do
        if grep -F -- "$word" "$T/out"; then return 1; fi
    done
    if grep -E "[0-9] -> $T/(store|state|cache|keys)" "$T/out"; then return 1; fi
}

@test "pg_dump gets a password in its environment, which is its user's alone, and not in its arguments" {
    mkdir "$T/bin"
    printf '#!/bin/sh\n[ "$1" != --version ] || exec %s --version\ntr "\\0" "\\n" </proc/$$/cmdline >%s/argv; exit 1\n' "$(command -v pg_dump)" "$T" >"$T/bin/pg_dump"
    chmod 755 "$T/bin/pg_dump"
    # shellcheck source=tests/lib/pg.sh
    . "$TESTS/lib/pg.sh"
    chmod 755 "$T"
    pg_start "$T/pg"
    psql -qAtX -d postgres -c "CREATE ROLE keeper LOGIN SUPERUSER PASSWORD 'PGSTANDIN'" -c "CREATE DATABASE app"
    psql -qAtX -d app -c "CREATE TABLE t (i int)"
    chmod 600 "$T/lifeboat.conf"
    printf '[source db]\ntype = postgres\nconnection = host=%s user=keeper password=PGSTANDIN dbname=app\n' "$PGHOST" >>"$T/lifeboat.conf"
    init
    PATH=$T/bin:$PATH lb backup db >"$T/out" 2>"$T/err" || true
    pg_stop "$T/pg"
    [ -s "$T/argv" ] || { cat "$T/out" "$T/err" && return 1; }
    contains "$T/argv" "--snapshot"
    if grep -F PGSTANDIN "$T/argv" "$T/out" "$T/err"; then return 1; fi
}
