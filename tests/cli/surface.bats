#!/usr/bin/env bats
# What the program says of itself, its manual pages, its sample configuration and its completions: the same, both ways.
load ../lib/common
MAN=$BATS_TEST_DIRNAME/../../docs/man
CONF=$BATS_TEST_DIRNAME/../../conf

surface() {
    expect 0 python3 "$TESTS/lib/surface.py" "$@"
}

commands() {
    python3 -c 'import json, sys; print("\n".join(c["name"] for c in json.load(sys.stdin)["commands"]))' <"$T/help.json"
}

# Where there is no configuration: words are looked at before it.
unset_up() {
    LIFEBOAT_CONFIG=$T/none.conf "$LIFEBOAT" "$@"
}

known() {
    "$LIFEBOAT" help --json >"$T/help.json"
}

@test "the manual pages say what the help says: commands, options, values, exit codes" {
    known
    surface pages "$T/help.json" "$MAN"
    # The comparison sees what is missing, on either side.
    cp -r "$MAN" "$T/man"
    sed -i '/^\.B \\-\\-read\\-all/d' "$T/man/lifeboat-backup.1"
    sed -i 's/\\-\\-yes/\\-\\-no/' "$T/man/lifeboat-forget.1"
    sed -i 's/^Look into this store/Look into that store/' "$T/man/lifeboat-list.1"
    rm "$T/man/lifeboat-undo.1"
    expect 1 python3 "$TESTS/lib/surface.py" pages "$T/help.json" "$T/man"
    prints "backup: --help has --read-all, and the page has not"
    prints "forget: the page has --no, and --help has not"
    prints "list --store URL says 'Look into that store"
    prints "pages: lifeboat help has undo, and"
}

@test "help COMMAND and COMMAND --help are one text, which has every option" {
    known
    while read -r c; do
        # shellcheck disable=SC2086
        expect 0 "$LIFEBOAT" help $c
        mv "$T/out" "$T/one"
        # shellcheck disable=SC2086
        expect 0 "$LIFEBOAT" $c --help
        cmp "$T/one" "$T/out"
        sed -nE 's/^  (-[a-z], |    )--([a-z-]+).*/\2/p' "$T/out" | sort >"$T/names"
        # shellcheck disable=SC2086
        expect 0 "$LIFEBOAT" --json help $c
        mv "$T/out" "$T/one"
        python3 -c 'import json, sys; print("\n".join(sorted(o["name"] for o in json.load(sys.stdin)["options"])))' <"$T/one" | diff "$T/names" -
        # shellcheck disable=SC2086
        expect 0 "$LIFEBOAT" $c --help --json
        cmp "$T/one" "$T/out"
    done < <(commands)
}

@test "the parser takes each option of each help, with a value where it says so, and no other" {
    known
    python3 - "$T/help.json" >"$T/lines" <<'PY'
import json, sys
for c in json.load(open(sys.argv[1]))["commands"]:
    print("no", c["name"], "--no-such-option")
    for o in c["options"]:
        value = [] if not o["value"] else ["--%s=1" % o["name"]]
        for words in value + (["--" + o["name"]] if not value or o["optional"] else []) + (["-" + o["letter"] + ("1" if value else "")] if o["letter"] else []):
            print("yes", c["name"], words)
PY
    [ "$(wc -l <"$T/lines")" -gt 250 ]
    while read -r taken words; do
        # shellcheck disable=SC2086
        unset_up $words >"$T/out" 2>"$T/err" </dev/null || true
        err=$(<"$T/err")
        got=yes
        if [[ $err =~ "unknown option"|"takes no value"|"wants a value" ]]; then got=no; fi
        [ $got = "$taken" ] || { echo "$words: $got: $err" && return 1; }
    done <"$T/lines"
}

@test "the examples of the pages and of the help are understood" {
    known
    surface examples "$T/help.json" "$MAN"
    [ "$(wc -l <"$T/out")" -gt 60 ]
    mv "$T/out" "$T/examples"
    cd "$T"
    while read -r line; do
        eval "set -- ${line//s3:\/\//file:\/\/$T\/none/}" # nothing is asked of a server
        unset_up "$@" >"$T/out" 2>"$T/err" </dev/null || true
        err=$(<"$T/err")
        if [[ $err =~ unknown|"takes no"|wants|"is not a"|"belongs to"|"goes with" ]]; then echo "$line: $err" && return 1; fi
    done <"$T/examples"
}

@test "the keys that are known stand in lifeboat.conf(5) and in the sample, and no others" {
    # Asked of the program: what is far from every word is answered with all of them.
    list() { sed -n 's/.*; known are //p' "$T/err" | tr -d ' ' | tr , '\n'; }
    echo '[qqqqqqqqqqqqqqqqqqqqqqqq]' >"$T/known.conf"
    expect 2 "$LIFEBOAT" -c "$T/known.conf" list
    for section in $(list); do
        name=
        case $section in store | source) name=" x" ;; esac
        printf '[%s%s]\nqqqqqqqqqqqqqqqqqqqqqqqq = 1\n' "$section" "$name" >"$T/known.conf"
        expect 2 "$LIFEBOAT" -c "$T/known.conf" list
        list | sed "s/^/$section /"
    done >"$T/keys"
    surface keys "$T/keys" "$MAN" "$CONF/lifeboat.conf"
    sed '/^#min-free/d' "$CONF/lifeboat.conf" >"$T/sample.conf"
    expect 1 python3 "$TESTS/lib/surface.py" keys <(grep -v 'keep-last' "$T/keys") "$MAN" "$T/sample.conf"
    prints "the program has store min-free, and $T/sample.conf has not"
    prints "lifeboat.conf(5) has retention keep-last, and the program has not"
}

# ran CODE COMMAND ARGUMENT...: with --json; what it prints is kept under the command's name.
ran() {
    local code=$1 command=$2
    shift 2
    # shellcheck disable=SC2086
    expect "$code" lb --json $command "$@"
    cp "$T/out" "$T/runs/${command// /-}.$((runs += 1))"
}

@test "the members of each --json are those that the pages name" {
    mkdir "$T/runs"
    runs=0
    sed -i "s|^\\[keys\\]|[store away]\\nurl = file://$T/away\\nmin-free = 0\\n&|" "$T/lifeboat.conf"
    printf 'x' >"$T/files/"$'\351'
    ln "$T/files/"$'\351' "$T/files/"$'\352'
    ln -s $'\353' "$T/files/link"
    printf 'services:\n  db:\n    image: postgres:15\n    volumes: ["data:/var/lib/postgresql/data", "up:/srv/up"]\n  app:\n    image: a\n    volumes: ["up:/srv/up"]\nvolumes: {data: {}, up: {}}\n' >"$T/compose.yml"
    ran 0 init
    (cd "$T" && LIFEBOAT_CONFIG=$T/made.conf expect 0 "$LIFEBOAT" --json init --compose compose.yml)
    cp "$T/out" "$T/runs/init.compose"
    ran 0 backup --dry-run
    ran 0 backup --tag first
    ran 0 drill
    ran 0 list
    ran 0 show latest
    ran 0 ls latest files
    ran 0 find '*'
    ran 0 restore latest files --to "$T/back"
    ran 0 guard -- true
    ran 0 guard --dry-run -- true
    ran 0 status
    ran 0 copy
    ran 0 check
    ran 0 check --store
    ran 0 prune
    ran 0 prune --simulate 3d
    first=$(python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["id"])' <"$T"/runs/list.*)
    ran 0 pin "$first" because
    ran 0 unpin "$first"
    ran 0 forget "$first"
    ran 0 undo
    ran 0 "key show"
    ran 0 "key add" --identity-out "$T/second.key"
    echo words >"$T/words"
    chmod 600 "$T/words"
    ran 0 "key passphrase" --new-passphrase-file "$T/words"
    ran 0 "key show"
    ran 0 "key remove" "$(value 'd["readers"][-1]["id"]')"
    ran 0 help
    ran 0 help list
    ran 0 version
    flip "$(object packs)"
    ran 5 check --read-data
    ran 0 repair --read-data
    mv "$T/files" "$T/gone"
    ran 1 backup --dry-run
    ran 1 guard --dry-run -- true
    surface json "$MAN" "$T/runs"
    # Not blind: a member nobody wrote about, and one that nothing prints.
    cp -r "$MAN" "$T/man"
    sed -i 's/^\.B sources\[\]\.layers\.LAYER\.held$/.B sources[].layers.LAYER.holds/' "$T/man/lifeboat-drill.1"
    expect 1 python3 "$TESTS/lib/surface.py" json "$T/man" "$T/runs"
    prints "drill --json: a run has sources[].layers.LAYER.held, and the page has not"
    prints "drill --json: the page has sources[].layers.LAYER.holds, and a run has not"
}

# What a completion must offer: every command at the first place, every option of each command, and no more. Lines of
# "WORDS: what is offered", sorted, from the help.
wanted() {
    python3 - "$T/help.json" <<'PY'
import json, sys
known = json.load(open(sys.argv[1]))
def say(words, offered):
    print("%s: %s" % (words, " ".join(sorted(offered))))
names = [c["name"] for c in known["commands"]]
say("", {n.split()[0] for n in names})
say("--", {"--" + o["name"] for o in known["options"]})
say("key", {n.split()[1] for n in names if n.startswith("key ")})
say("help key", {n.split()[1] for n in names if n.startswith("key ")})
for c in known["commands"]:
    say(c["name"] + " --", {"--" + o["name"] for o in c["options"]})
PY
}

# places SHELL: asks the completion of the same, and of values, by a function offered WORDS..., the last being the one at hand.
places() {
    cat <<'SH'
list() { # WORDS ASK...
    local words=$1
    shift
    printf '%s: %s\n' "$words" "$(offered "$@" | sort | tr '\n' ' ' | sed 's/ $//')"
}
list "" ""
list "--" "--"
list "key" key ""
list "help key" help key ""
while read -r command second; do
    if [ -n "$second" ]; then list "$command $second --" "$command" "$second" "--"; else list "$command --" "$command" "--"; fi
done <"$T/commands"
exec >"$T/values"
list snapshot show ""
list "snapshot of an option" find --snapshot ""
list source restore latest ""
list "another source" restore latest files ""
list mirror repair --from ""
list "of another file" -c "$T/other.conf" backup ""
list format --log-format ""
list "no more arguments" list ""
list "free text" backup --pin ""
list "no such command" nonsense ""
LIFEBOAT_CONFIG=$T/none.conf
list "no configuration" show ""
SH
}

compare_completion() {
    local nothing=""
    known
    commands >"$T/commands"
    init
    backup
    printf '[store main]\nurl = file:///none\n[source other]\n' >"$T/other.conf"
    { cat && places; } >"$T/script"
    expect 0 env T="$T" LIFEBOAT_CONFIG="$T/lifeboat.conf" "$@" "$T/script"
    [ ! -s "$T/err" ]
    wanted | diff - "$T/out"
    diff - "$T/values" <<END
snapshot: ${ID:0:8} latest latest:files latest:numbers
snapshot of an option: ${ID:0:8} latest latest:files latest:numbers
source: files numbers
another source: files numbers
mirror: main
of another file: other
format: json text
no more arguments: $nothing
free text: $nothing
no such command: $nothing
no configuration: latest
END
}

@test "completion for bash: each command and option, sources, snapshots; nothing where there is nothing" {
    compare_completion bash --norc <<SH
. "$CONF/completion/lifeboat.bash"
offered() {
    COMP_WORDS=("$LIFEBOAT" "\$@") COMP_CWORD=\$# COMPREPLY=()
    _lifeboat 2>&1
    [ \${#COMPREPLY[@]} = 0 ] || printf '%s\\n' "\${COMPREPLY[@]}"
}
SH
    # As bash itself cuts words: latest:n is three, and what is offered takes the place of the last. Files are bash's own.
    touch "$T/key.txt"
    cat >"$T/script" <<SH
. "$CONF/completion/lifeboat.bash"
COMP_WORDS=("$LIFEBOAT" restore latest : n) COMP_CWORD=4
_lifeboat
echo "\${COMPREPLY[@]}"
COMP_WORDS=("$LIFEBOAT" list --identity "$T/key.") COMP_CWORD=3
_lifeboat
echo "\${COMPREPLY[@]}"
complete -p lifeboat
SH
    LIFEBOAT_CONFIG=$T/lifeboat.conf expect 0 bash --norc "$T/script"
    printf '%s\n' numbers "$T/key.txt" "complete -o nosort -F _lifeboat lifeboat" | diff - "$T/out"
}

@test "completion for zsh: the same" {
    command -v zsh >/dev/null || skip "no zsh"
    compare_completion zsh -f <<SH
compadd() { while [[ \$1 != -- ]]; do shift; done; shift; print -rl -- "\$@"; }
_files() { print files; }
fpath=("$CONF/completion" \$fpath)
autoload -U _lifeboat
offered() {
    words=("$LIFEBOAT" "\$@") CURRENT=\$((\$# + 1)) PREFIX=\${@[-1]}
    _lifeboat 2>&1
}
SH
}
