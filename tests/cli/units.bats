#!/usr/bin/env bats
# The units of systemd/: that they are correct, and that what they allow is enough, for the cage of drills too. No systemd runs
# where tests run: its bounding set is made by setpriv, and the system calls of a run are compared with the filter.
load ../lib/common
UNITS=$BATS_TEST_DIRNAME/../../systemd

setup_file() {
    start_postgres
    psql -qXd postgres -c 'CREATE TABLE t(id int PRIMARY KEY, words text)' -c "INSERT INTO t SELECT i, 'word ' || i FROM generate_series(1, 500) i"
}

teardown_file() {
    stop_postgres
}

with_database() {
    printf '[source db]\ntype = postgres\nconnection = host=%s user=postgres dbname=postgres\n' "$PGHOST" >>"$T/lifeboat.conf"
}

@test "the units: correct, hardened, and their timers catch up" {
    command -v systemd-analyze >/dev/null || skip "no systemd-analyze"
    mkdir "$T/units"
    for unit in "$UNITS"/*.service "$UNITS"/*.timer; do
        sed "s|/usr/local/bin/lifeboat|$LIFEBOAT|; /^Documentation=/d" "$unit" >"$T/units/${unit##*/}"
    done
    for unit in "$T"/units/*; do
        expect 0 systemd-analyze verify "$unit"
        if grep -F "$T/units" "$T/err"; then return 1; fi
    done
    for name in backup drill prune check; do
        contains "$UNITS/lifeboat-$name.timer" "Persistent=true"
        contains "$UNITS/lifeboat-$name.timer" "RandomizedDelaySec="
        contains "$UNITS/lifeboat-$name.service" "Type=notify"
        # What cages need keeps drills above 2.0; the unit says so, setting by setting.
        most=20
        [ $name != drill ] || most=45
        expect 0 systemd-analyze security --offline=yes --threshold=$most "$UNITS/lifeboat-$name.service"
    done
}

# limited UNIT ARGUMENT...: lifeboat as root with no more capabilities than the unit allows, and no new privileges.
limited() {
    local unit=$UNITS/lifeboat-$1.service capabilities
    shift
    capabilities=$(sed -n 's/^CapabilityBoundingSet=//p' "$unit" | tr 'A-Z\n' 'a-z ' | sed 's/cap_/+/g; s/ *$//; s/ \+/,/g')
    setpriv --bounding-set="-all${capabilities:+,$capabilities}" --inh-caps=-all --ambient-caps=-all --no-new-privs "$LIFEBOAT" -c "$T/lifeboat.conf" "$@"
}

@test "the capabilities that the units allow are enough, for the cage of drills too" {
    [ "$(id -u)" = 0 ] || skip "wants root"
    if [ -z "$(command -v setpriv)" ]; then skip "no setpriv"; fi
    capabilities=$(sed -n 's/^CapabilityBoundingSet=//p' "$UNITS"/*.service)
    for capability in $capabilities; do
        capsh --has-p="${capability,,}" >/dev/null 2>&1 || skip "root itself has no $capability here"
    done
    chown -R nobody "$T/files"
    chmod 600 "$T/files/one.txt"
    # What it takes a capability to bring back.
    mknod "$T/files/device" c 1 3 2>/dev/null || skip "no device node may be made here"
    mkfifo "$T/files/pipe"
    cp /bin/true "$T/files/capable"
    setcap cap_net_raw+ep "$T/files/capable"
    chmod 6755 "$T/files/sub"
    with_database
    init
    expect 0 limited backup backup
    expect 0 lb --json drill
    value '[(s["name"], s["outcome"], s["notes"]) for s in d["sources"]]' >"$T/free"
    for command in "--json drill" prune "check --read-data"; do
        unit=${command#--json }
        # shellcheck disable=SC2086
        expect 0 limited "${unit%% *}" $command
        [ ! -s "$T/err" ]
        [ "$unit" != drill ] || value '[(s["name"], s["outcome"], s["notes"]) for s in d["sources"]]' | diff "$T/free" -
    done
    contains "$T/free" "('db', 'proven'"
}

@test "the system calls that the units allow are enough, for the cage of drills too" {
    [ "$(id -u)" = 0 ] || skip "wants root"
    for program in systemd-analyze setpriv strace; do
        command -v $program >/dev/null || skip "no $program"
    done
    with_database
    init
    for command in backup drill prune "check --read-data"; do
        # shellcheck disable=SC2086
        expect 0 strace -qq -f -o "$T/trace" -e signal=none "$LIFEBOAT" -c "$T/lifeboat.conf" $command
        python3 - "$UNITS/lifeboat-${command%% *}.service" "$T/trace" <<'PY'
import re, subprocess, sys
sets, current = {}, None
for line in subprocess.run(["systemd-analyze", "syscall-filter"], capture_output=True, text=True).stdout.splitlines():
    if line.startswith("@"):
        current = sets.setdefault(line.strip(), [])
    elif line.startswith("    ") and "#" not in line and current is not None:
        current.append(line.strip())
def expand(word):
    return set().union(*map(expand, sets[word])) if word.startswith("@") else {word}
allowed = set()
for line in open(sys.argv[1]):
    if line.startswith("SystemCallFilter="):
        words = line.split("=", 1)[1].strip()
        for word in words.lstrip("~").split():
            allowed = allowed - expand(word) if words.startswith("~") else allowed | expand(word)
allowed |= expand("@default")
trace = open(sys.argv[2], errors="replace").read()
used = set(re.findall(r"^\d+ +([a-z]\w*)\(", trace, re.M))
assert not re.search(r"mmap\(.*PROT_WRITE\|PROT_EXEC|mprotect\(.*PROT_EXEC", trace), "MemoryDenyWriteExecute="
assert len(used) > 30, used
assert used <= allowed, "%s: %s" % (sys.argv[1], sorted(used - allowed))
PY
    done
}

@test "the lines for cron run; logrotate takes its file" {
    init
    export LIFEBOAT_CONFIG=$T/lifeboat.conf
    mkdir "$T/bin" "$T/log"
    ln -s "$LIFEBOAT" "$T/bin/lifeboat"
    sed -n 's/^#\?[0-9]\+ .*\troot\t//p' "$TESTS/../conf/examples/lifeboat.cron" | sed "s|/var/log|$T/log|" >"$T/lines"
    [ "$(wc -l <"$T/lines")" = 5 ]
    while read -r line; do
        PATH=$T/bin:$PATH expect 0 sh -c "$line"
        [ ! -s "$T/out" ] && [ ! -s "$T/err" ]
    done < <(grep -v drill "$T/lines")
    [ -f "$T/log/lifeboat.log" ]
    if command -v logrotate >/dev/null; then
        sed "s|/var/log|$T/log|" "$TESTS/../conf/examples/lifeboat.logrotate" >"$T/logrotate"
        expect 0 logrotate -d -s "$T/logrotate.state" "$T/logrotate"
    fi
}
