#!/usr/bin/env bats
load ../lib/common

@test "init makes keys, folders, repository, kit" {
    expect 0 lb init
    prints "A new repository is set up."
    prints "one box"
    prints "lifeboat-identity 1"
    prints "free"
    [ "$(stat -c %a "$T/keys/writer.key" "$T/keys/identity.key" "$T/store" "$T/state" "$T/cache" | sort -u | tr '\n' ' ')" = "600 700 " ]
    [ ! -e "$T/keys/identity.key.new" ]
    expect 0 lb key show --json
    json 'd["setup"] == "one box" and len(d["readers"]) == 1'
}

@test "a second init changes nothing" {
    init
    sha256sum "$T"/keys/* >"$T/sums"
    expect 2 lb init
    says "is set up already"
    sha256sum -c --quiet "$T/sums"
}

@test "init on a write-only host wants a place for the identity" {
    write_only
    expect 2 lb init
    says "--identity-out FILE"
    [ ! -e "$T/keys/writer.key" ]
    expect 0 lb init --identity-out "$T/away/identity.key" --json
    json 'd["setup"] == "write-only" and d["outcome"] == "created"'
    backup
    expect 2 lb cat latest files
    says "--identity FILE or --passphrase-file FILE"
    expect 0 lb cat latest numbers --identity "$T/away/identity.key"
    seq 1 20000 | cmp - "$T/out"
}

@test "init refuses --identity-out when [keys] names an identity" {
    expect 2 lb init --identity-out "$T/x"
    says "[keys] identity"
}

@test "init that was cut off anywhere is finished by the next" {
    init
    # After step 4: no object `lifeboat`.
    cp -a "$T/store/lifeboat" "$T/root"
    rm "$T/store/lifeboat"
    expect 0 lb init --json
    json 'd["outcome"] == "finished"'
    cmp "$T/root" "$T/store/lifeboat"
    # After step 3: no writer.key either.
    cp "$T/keys/writer.key" "$T/writer"
    rm "$T/store/lifeboat" "$T/keys/writer.key"
    expect 0 lb -q init --json
    cmp "$T/writer" "$T/keys/writer.key"
    cmp "$T/root" "$T/store/lifeboat"
    # After step 2: the identity still has its other name.
    rm "$T/store/lifeboat" "$T/keys/writer.key"
    mv "$T/keys/identity.key" "$T/keys/identity.key.new"
    expect 0 lb -q init --json
    cmp "$T/writer" "$T/keys/writer.key"
    cmp "$T/root" "$T/store/lifeboat"
    [ ! -e "$T/keys/identity.key.new" ]
    # After step 1: nothing was ever sealed for it.
    rm -r "$T/store" "$T/keys/writer.key"
    mv "$T/keys/identity.key" "$T/keys/identity.key.new"
    expect 0 lb -q init --json
    json 'd["outcome"] == "created"'
    backup
}

@test "an identity of another repository is never overwritten" {
    init
    cp "$T/keys/identity.key" "$T/saved"
    rm -r "$T/store" "$T/keys/writer.key"
    expect 2 lb init
    says "is not overwritten"
    cmp "$T/saved" "$T/keys/identity.key"
}

@test "a writer.key of another repository: is the right disk mounted?" {
    init
    rm -r "$T/store"
    expect 2 lb init
    says "is the right disk mounted?"
    expect 2 lb backup
    says "is the disk mounted?"
}

@test "another host joins with the identity, the kit or a passphrase" {
    init
    echo 'correct horse' >"$T/passphrase"
    chmod 600 "$T/passphrase"
    expect 0 lb key passphrase --new-passphrase-file "$T/passphrase"
    for how in "--identity $T/keys/identity.key" "--identity $T/kit.txt" "--passphrase-file $T/passphrase"; do
        sed -e "s|$T/keys|$T/keys2|; s|$T/state|$T/state2|; s|$T/cache|$T/cache2|; /^identity/d; s/host = box/host = two/" \
            "$T/lifeboat.conf" >"$T/two.conf"
        expect 2 "$LIFEBOAT" -c "$T/two.conf" init
        says "--identity FILE or --passphrase-file FILE"
        # shellcheck disable=SC2086
        expect 0 "$LIFEBOAT" -c "$T/two.conf" --json init $how
        json 'd["outcome"] == "joined" and d["setup"] == "write-only"'
        cmp "$T/keys/writer.key" "$T/keys2/writer.key"
        [ ! -e "$T/keys2/identity.key" ]
        rm -r "$T/keys2"
    done
    says "the store's word is taken"
}

@test "the kit is not overwritten, and private" {
    init
    [ "$(stat -c %a "$T/kit.txt")" = 600 ]
    expect 2 lb key kit --out "$T/kit.txt"
    says "is there already"
    expect 0 lb key kit
    prints "LIFEBOAT RECOVERY KIT"
}

# killed_at CALL N COMMAND...: whether it was killed at its Nth call.
killed_at() {
    local call=$1 n=$2 got=0
    shift 2
    strace -qq -f -o /dev/null -e "trace=$call" -e "inject=$call:signal=KILL:when=$n" "$@" >"$T/out" 2>"$T/err" </dev/null || got=$?
    [ $got = 137 ]
}

@test "init killed at any write to disk is finished by the next, and nothing is left lying about" {
    export ASAN_OPTIONS=detect_leaks=0 # LeakSanitizer does not work under strace
    command -v strace >/dev/null || skip "there is no strace"
    strace -qq -o /dev/null true || skip "tracing is not permitted here"
    for call in linkat unlink; do
        n=1
        while killed_at $call $n "$LIFEBOAT" -c "$T/lifeboat.conf" --json init; do
            got=0
            lb --json init >"$T/out" 2>"$T/err" || got=$?
            [ $got = 0 ] || says "is set up already"
            backup numbers
            expect 0 lb cat latest numbers
            [ "$(ls "$T/keys")" = "identity.key
writer.key" ]
            rm -r "$T/keys" "$T/store" "$T/state"
            n=$((n + 1))
        done
        [ -s "$T/out" ] # the last one was not killed
        rm -rf "$T/keys" "$T/store" "$T/state"
    done
}
