#!/usr/bin/env bats
load ../lib/common

@test "help lists every command, and says more of each" {
    expect 0 "$LIFEBOAT" help
    for c in init backup list show ls find cat restore check "key show" "key kit" "key add" "key remove" "key passphrase" version; do
        prints "  $c"
    done
    for c in init backup list show ls find cat restore check version help "key show" "key kit" "key add" "key remove" "key passphrase"; do
        # shellcheck disable=SC2086
        expect 0 "$LIFEBOAT" help $c
        prints "lifeboat $c"
        prints "Exit codes: 0 good"
        prints "Example:"
        prints "--json"
        # shellcheck disable=SC2086
        expect 0 "$LIFEBOAT" $c --help
        prints "Example:"
    done
    expect 0 "$LIFEBOAT" help key
    prints "lifeboat key remove"
    cp "$T/out" "$T/group"
    expect 0 "$LIFEBOAT" key --help
    cmp "$T/group" "$T/out"
}

@test "every option in the help is taken by its command" {
    init
    for c in init backup list show ls find cat restore check "key show" "key kit" "key add" "key remove" "key passphrase"; do
        # shellcheck disable=SC2086
        "$LIFEBOAT" help $c | grep -oE '^ +(-[a-z], )?--[a-z-]+' | grep -oE -- '--[a-z-]+' | while read -r option; do
            # shellcheck disable=SC2086
            "$LIFEBOAT" $c "$option=" >"$T/out" 2>"$T/err" </dev/null && continue
            if grep -q "unknown option" "$T/err"; then
                echo "$c $option"
                exit 1
            fi
        done
    done
}

@test "an unknown command is answered with the nearest" {
    expect 2 "$LIFEBOAT" bakcup
    says "bakcup: unknown command: did you mean backup?"
    expect 2 "$LIFEBOAT" lsit
    says "lsit: unknown command: did you mean list?"
    expect 2 "$LIFEBOAT" help stauts
    says "stauts: unknown command: did you mean status?"
    expect 2 "$LIFEBOAT" key shwo
    says "key shwo: unknown command: did you mean key show?"
    for c in frobnicate mirror undelete; do
        expect 2 "$LIFEBOAT" $c
        says "$c: unknown command"
    done
    expect 2 "$LIFEBOAT" key
    says "wants one of show, kit, add, remove, passphrase"
    expect 2 "$LIFEBOAT"
    says "which command?"
}

@test "an unknown option is answered with the nearest" {
    expect 2 lb list --jsno
    says "lifeboat: list: --jsno: unknown option: did you mean --json?"
    expect 2 lb backup -x
    says "-x: unknown option"
    expect 2 lb --verbos=3 list
    says "--verbose takes no value"
    expect 2 lb restore latest --to
    says "--to wants a value: TARGET"
    expect 2 lb restore latest --to ''
    says "its value is empty"
    expect 2 lb restore latest --to x --jobs many
    says "--jobs many: is not a number from 1 to 64"
    expect 2 lb check --read-data=200%
    says "is not a number from 1 to 100"
}

@test "missing and surplus arguments" {
    expect 2 lb show
    says "wants: lifeboat show SNAP"
    expect 2 lb list what
    says "wants: lifeboat list"
    expect 2 lb --identity x backup
    says "takes no --identity"
    expect 2 lb --store /x backup
    says "takes no --store"
}

@test "no configuration, a broken one, an unknown key" {
    expect 2 "$LIFEBOAT" -c "$T/none.conf" list
    says "$T/none.conf: No such file"
    echo 'colour = red' >>"$T/lifeboat.conf"
    expect 2 lb list
    says "unknown key"
    LIFEBOAT_CONFIG="$T/other.conf" expect 2 "$LIFEBOAT" list
    says "$T/other.conf"
}

@test "version" {
    expect 0 "$LIFEBOAT" version
    prints "lifeboat "
    cp "$T/out" "$T/version"
    expect 0 "$LIFEBOAT" --version
    cmp "$T/version" "$T/out"
    expect 2 "$LIFEBOAT" list --version
    says "unknown option"
    for words in "version --json" "--json --version"; do
        # shellcheck disable=SC2086
        expect 0 "$LIFEBOAT" $words
        json 'd["format"] == 1'
    done
}

@test "standard output that is full or closed is an error" {
    [ -w /dev/full ] || skip "no /dev/full"
    got=0
    "$LIFEBOAT" help >/dev/full 2>"$T/err" || got=$?
    [ $got = 1 ]
    says "standard output"
    got=0
    "$LIFEBOAT" help >&- 2>"$T/err" || got=$?
    [ $got = 1 ]
    init
    backup
    got=0
    lb cat latest files >/dev/full 2>"$T/err" || got=$?
    [ $got = 1 ]
    says "standard output"
}

@test "a reader that leaves early ends the command with 1, not with a signal" {
    init
    backup
    set +o pipefail
    { got=0; lb cat latest files 2>"$T/err" || got=$?; echo $got >"$T/code"; } | head -c 10 >/dev/null
    [ "$(cat "$T/code")" = 1 ]
    says "Broken pipe"
}
