# nights.bash: time for tests of retention. Snapshots of any age are put into the folder $T/store, and days pass for what
# lies there. Loaded behind common.bash.
# shellcheck disable=SC2034 # FIRST is for the tests

# forge: snapshots and marks of any age, one JSON a line; see lib/forge.py.
forge() { /usr/bin/python3 "$BATS_TEST_DIRNAME/../lib/forge.py" "$T/store" "$T/keys/writer.key"; }

# nights FIRST LAST [MORE]: a snapshot each night, from FIRST to LAST days ago.
nights() {
    for d in $(seq "$1" -1 "$2"); do echo "{\"days_ago\": $d${3:+, $3}}"; done | forge >"$T/forged"
}

# A repository whose only snapshot, $FIRST, was taken so many days ago.
first_night() { # DAYS
    init
    backup
    nights "$1" "$1"
    rm "$T/store/snapshots/$ID"
    FIRST=$(cat "$T/forged")
}

# retention LINE...: replaces [retention].
retention() {
    sed -i '/^\[retention\]/,$d' "$T/lifeboat.conf"
    printf '%s\n' '[retention]' 'time-zone = UTC' "$@" >>"$T/lifeboat.conf"
}

objects() { # KIND: names of its objects
    find "$T/store/$1" -type f 2>/dev/null | sort
}

# Everything in the store, by name.
all_objects() {
    (cd "$T/store" && find . -type f | sort)
}

is_there() { [ -e "$T/store/snapshots/$1" ]; }
is_gone() { ! is_there "$1"; }

# Time passes for whatever lies in the store, and in what the last prune remembers.
days_pass() { # DAYS
    python3 - "$1" "$T" <<'PY'
import calendar, glob, os, re, sys, time
shift = float(sys.argv[1]) * 86400
for path in glob.glob(f"{sys.argv[2]}/store/**/*", recursive=True):
    if os.path.isfile(path):
        os.utime(path, (0, os.stat(path).st_mtime - shift))
for path in glob.glob(f"{sys.argv[2]}/state/*/prune.json"):
    text = open(path).read()
    then = calendar.timegm(time.strptime(re.search(r"\d[^.]*", text)[0], "%Y-%m-%dT%H:%M:%S")) - shift
    open(path, "w").write(re.sub(r"\d[^.]*", time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(then)), text, 1))
PY
}
