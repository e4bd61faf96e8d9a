#!/usr/bin/env bats
# The dead-man's switch and the webhook, against a server on loopback.
load ../lib/common
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY

teardown() {
    [ -z "$SERVER" ] || kill "$SERVER" 2>/dev/null || true
    remove_folder
}

# serve [CERTIFICATE KEY]: sets SERVER and PORT.
serve() {
    mkdir "$T/web"
    mkfifo "$T/web/port"
    echo 200 >"$T/web/mode"
    : >"$T/web/requests"
    python3 "$TESTS/lib/listener.py" "$T/web" "$@" 2>"$T/web/errors" 3>&- &
    SERVER=$!
    read -r PORT <"$T/web/port"
}

# notify LINE...: what [notify] says.
notify() {
    printf '[notify]\ninsecure = yes\n' >>"$T/lifeboat.conf"
    printf '%s\n' "$@" >>"$T/lifeboat.conf"
}

both() {
    serve
    (umask 077 && echo "http://127.0.0.1:$PORT/ping/s3cret?team=x" >"$T/ping.url" && echo "http://127.0.0.1:$PORT/hook/s3cret" >"$T/hook.url")
    notify "ping-url = $T/ping.url" "webhook-url = $T/hook.url" "$@"
    init
}

# got EXPRESSION: of the requests since the last call, as `r`; `hooks` are the webhook's bodies, parsed.
got() {
    python3 - "$T/web/requests" "$1" <<'PY'
import json, sys
r = [json.loads(l) for l in open(sys.argv[1])]
paths = [x["path"] for x in r]
hooks = [json.loads(x["body"]) for x in r if x["path"].startswith("/hook")]
assert eval(sys.argv[2]), (sys.argv[2], r)
PY
    : >"$T/web/requests"
}

hides() { # TEXT FILE...
    if grep -rF -- "$@"; then return 1; fi
}

fail_files() { mv "$T/files" "$T/away"; }
heal_files() { mv "$T/away" "$T/files"; }

@test "the switch: start and success, start and failure with the reason" {
    both
    backup
    got 'paths == ["/ping/s3cret/start?team=x", "/ping/s3cret?team=x"] and r[1]["body"] == ""'
    fail_files
    expect 1 lb -q backup
    got 'paths[0] == "/ping/s3cret/start?team=x" and "/ping/s3cret/fail?team=x" in paths and "/ping/s3cret?team=x" not in paths and any("files" in x["body"] for x in r if "/fail" in x["path"])'
}

@test "a degraded run never pings success, nor does one of a single source, nor one that cannot begin" {
    both
    rm -r "${T:?}/files"
    mkdir "$T/files"
    expect 3 lb -q backup
    got '"/ping/s3cret?team=x" not in paths and any("/fail" in p for p in paths)'
    expect 0 lb -q backup numbers
    got 'not any("ping" in p for p in paths)'
    expect 0 lb backup --dry-run
    got 'paths == []'
    mv "$T/keys" "$T/keys.away"
    expect 2 lb backup
    got 'any("/fail" in x["path"] and "no writer key" in x["body"] for x in r) and "/ping/s3cret?team=x" not in paths'
}

@test "news: a problem once, its end once" {
    both
    backup
    got 'hooks == []'
    fail_files
    expect 1 lb -q backup
    got 'len(hooks) == 1 and hooks[0]["event"] == "problem" and "problem: backup files: failed" in hooks[0]["text"] and hooks[0]["host"] == "box"'
    expect 1 lb -q backup
    expect 1 lb -q backup files
    got 'hooks == []'
    heal_files
    backup
    got 'len(hooks) == 1 and hooks[0]["event"] == "end" and "over: backup files" in hooks[0]["text"]'
    backup
    got 'hooks == []'
}

@test "a run that fails as a whole is a problem; a slip on the command line is none" {
    both
    expect 2 lb backup flies
    got 'hooks == []'
    mv "$T/store" "$T/store.away"
    expect 2 lb -q backup
    got 'len(hooks) == 1 and "problem: backup: " in hooks[0]["text"]'
    mv "$T/store.away" "$T/store"
    backup
    got 'len(hooks) == 1 and hooks[0]["event"] == "end"'
}

@test "drill, check and prune have news too" {
    both
    backup
    : >"$T/web/requests"
    flip "$(object packs)"
    expect 5 lb -q check --read-data
    got 'len(hooks) == 1 and "check: damaged" in hooks[0]["text"]'
    expect 5 lb -q check --read-data
    got 'hooks == []'
    expect 0 lb prune --dry-run
    got 'hooks == []'
}

@test "a source that is configured no more has no problem" {
    both
    fail_files
    expect 1 lb -q backup
    sed -i '/^\[source files\]/,/^path/d' "$T/lifeboat.conf"
    : >"$T/web/requests"
    backup
    got 'len(hooks) == 1 and "over: backup files" in hooks[0]["text"]'
}

@test "a webhook that fails is reported, and tried again; no secret is shown" {
    both
    echo 500 >"$T/web/mode"
    fail_files
    expect 1 lb -v backup
    says "webhook-url: the news were not taken, the next run tries again: http://127.0.0.1:$PORT: HTTP 500"
    says "ping-url: the end was not taken: http://127.0.0.1:$PORT: HTTP 500"
    hides s3cret "$T/err" "$T/out"
    echo 302 >"$T/web/mode"
    expect 1 lb -q backup
    says "HTTP 302"
    echo 200 >"$T/web/mode"
    : >"$T/web/requests"
    expect 1 lb -q backup
    got 'len(hooks) == 1 and hooks[0]["event"] == "problem"'
    hides s3cret "$T/state" "$T/cache"
}

@test "guard is told of like a backup and a drill, before its command runs" {
    both
    expect 0 lb -q guard -- true
    got 'paths == []'
    fail_files
    expect 1 lb -q guard -- touch "$T/ran"
    got 'len(hooks) == 1 and "guard" in hooks[0]["text"] and "NOT run" in hooks[0]["text"] and "backup files" in hooks[0]["text"] and not any("ping" in p for p in paths)'
    expect 1 lb -q guard -- touch "$T/ran"
    got 'paths == []'
    [ ! -e "$T/ran" ]
    heal_files
    # shellcheck disable=SC2016 # for the inner shell
    expect 0 lb -q guard -- sh -c 'wc -l <"$0" >"$1"' "$T/web/requests" "$T/seen"
    [ "$(cat "$T/seen")" = 1 ]
    got 'len(hooks) == 1 and hooks[0]["event"] == "end" and "guard" in hooks[0]["text"]'
    expect 0 lb status --prometheus
    grep -q 'last_run_exit_code{.*command="guard"} 0' "$T/out"
    sed -i 's|^restore-command = .*|drill-command = cat >/dev/null; exit 1|' "$T/lifeboat.conf"
    expect 4 lb -q guard -- touch "$T/ran"
    got 'len(hooks) == 1 and "drill numbers" in hooks[0]["text"] and "guard" in hooks[0]["text"]'
    [ ! -e "$T/ran" ]
    expect 0 lb guard --dry-run -- touch "$T/ran"
    got 'paths == []'
}

@test "repair is told of: what no mirror has, once, and its end" {
    both
    sed -i "s|^\\[keys\\]|[store away]\\nurl = file://$T/mirror\\nmin-free = 0\\n&|" "$T/lifeboat.conf"
    expect 0 lb -q init
    backup
    : >"$T/web/requests"
    pack=$(object packs)
    copy=$T/mirror/${pack#"$T/store/"}
    cp "$copy" "$T/copy"
    rm -f "$copy" "$pack"
    expect 5 lb -q repair
    got 'len(hooks) == 1 and hooks[0]["event"] == "problem" and "repair" in hooks[0]["text"] and "no mirror has" in hooks[0]["text"] and not any("ping" in p for p in paths)'
    expect 5 lb -q repair
    got 'paths == []'
    cp "$T/copy" "$copy"
    expect 0 lb -q repair
    got 'len(hooks) == 1 and hooks[0]["event"] == "end"'
    cmp "$pack" "$T/copy"
    expect 0 lb status --prometheus
    grep -q 'last_run_exit_code{.*command="repair"} 0' "$T/out"
    # Of one mirror alone nothing is concluded.
    rm -f "$copy" "$pack"
    expect 5 lb -q repair --from away
    got 'paths == []'
}

@test "dead servers cost a good backup seconds, not its exit code" {
    both
    echo hang >"$T/web/mode"
    notify_start=$(date +%s%N)
    expect 0 lb backup
    [ $((($(date +%s%N) - notify_start) / 1000000)) -lt 30000 ] # two of 4 s, and the backup
    says "Timeout was reached"
    kill "$SERVER"
    wait "$SERVER" || true
    expect 0 lb backup
    says "http://127.0.0.1:$PORT: Couldn't connect to server"
    hides s3cret "$T/err"
}

@test "https: the certificate is checked, by ca-file where it is our own" {
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext 'subjectAltName=IP:127.0.0.1' \
        -keyout "$T/tls.key" -out "$T/tls.pem" 2>/dev/null
    serve "$T/tls.pem" "$T/tls.key"
    printf '[notify]\nping-url = https://127.0.0.1:%s/s3cret\n' "$PORT" >>"$T/lifeboat.conf"
    chmod 600 "$T/lifeboat.conf"
    init
    expect 0 lb backup
    says "certificate"
    got 'r == []'
    echo "ca-file = $T/tls.pem" >>"$T/lifeboat.conf"
    expect 0 lb backup
    got 'paths == ["/s3cret/start", "/s3cret"]'
}

@test "a URL is a secret: files that others can read are refused, and so is http" {
    both
    chmod 644 "$T/hook.url" "$T/ping.url"
    fail_files
    expect 1 lb -q backup
    says "ping-url: $T/ping.url: others can read or change it"
    says "webhook-url: $T/hook.url: others can read or change it"
    got 'r == []'
    chmod 600 "$T/hook.url" "$T/ping.url"
    sed -i '/^insecure/d' "$T/lifeboat.conf"
    expect 1 lb -q backup
    says "http:// sends the secret"
    hides s3cret "$T/err"
    sed -i "s|^ping-url = .*|ping-url = https://example.org/s3cret|" "$T/lifeboat.conf"
    chmod 644 "$T/lifeboat.conf"
    expect 2 lb backup
    says "[notify] ping-url: is a secret, and others can read this file (mode 0644): chmod 600"
    hides s3cret "$T/err"
}

@test "systemd's credentials are read in place of the files" {
    both
    mkdir "$T/credentials"
    mv "$T/ping.url" "$T/hook.url" "$T/keys/writer.key" "$T/credentials"
    chmod 400 "$T/credentials"/*
    CREDENTIALS_DIRECTORY=$T/credentials expect 0 lb -q backup
    got '"/ping/s3cret?team=x" in paths'
}

@test "templates: Slack, Discord, ntfy, and what is wrong with one" {
    both "template = $T/template.json"
    # Quotes, line breaks and braces of a message stay inside its JSON string.
    sed -i 's|^command = .*|command = printf "a \\"quoted\\" {{x}}\\\\nword" >\&2; exit 1|' "$T/lifeboat.conf"
    for name in slack discord ntfy; do
        cp "$TESTS/../conf/notify/$name.json" "$T/template.json"
        rm -f "$T/state/report.json"
        expect 1 lb -q backup
        case $name in
        slack) got '"a \"quoted\" {{x}} word" in hooks[0]["text"] and set(hooks[0]) == {"text"}' ;;
        discord) got '"backup numbers" in hooks[0]["content"] and len(hooks[0]["content"]) < 2000' ;;
        ntfy) got 'hooks[0]["priority"] == 4 and hooks[0]["tags"][1] == "problem" and "numbers" in hooks[0]["message"]' ;;
        esac
    done
    rm "$T/state/report.json"
    echo '{"text": "{{txet}}"}' >"$T/template.json"
    expect 1 lb -q backup
    says "template: $T/template.json: \"{{txet}}\" is none of {{event}}, {{title}}, {{text}}, {{host}}, {{time}}"
    echo '{"text": ' >"$T/template.json"
    expect 1 lb -q backup
    says "is no JSON"
}

@test "a digest comes when its time has come, and tells what stands" {
    both "digest = 7d"
    backup
    got 'len(hooks) == 1 and hooks[0]["event"] == "digest" and "no problem stands" in hooks[0]["title"] and "last backup: " in hooks[0]["text"]'
    backup
    got 'hooks == []'
    fail_files
    expect 1 lb -q backup
    got 'hooks[0]["event"] == "problem"'
    python3 - "$T/state/report.json" <<'PY'
import json, sys
d = json.load(open(sys.argv[1]))
d["digest"] -= 7 * 86400 * 10**9
json.dump(d, open(sys.argv[1], "w"))
PY
    expect 1 lb -q backup
    got 'len(hooks) == 1 and hooks[0]["event"] == "digest" and "1 stands" in hooks[0]["title"] and "backup files" in hooks[0]["text"]'
}

@test "a record that is not understood costs a second telling, nothing else" {
    both
    fail_files
    expect 1 lb -q backup
    echo garbage >"$T/state/report.json"
    : >"$T/web/requests"
    expect 1 lb -q backup
    says "is not understood: problems that stand are told once more"
    got 'len(hooks) == 1'
    rm "$T/state/report.json"
    mkfifo "$T/state/report.json"
    expect 1 timeout 20 "$LIFEBOAT" -c "$T/lifeboat.conf" -q backup
    says "$T/state/report.json: is not a file"
}

@test "what root's run leaves in the state folder of another user is that user's" {
    [ "$(id -u)" = 0 ] || skip "only root can be two users"
    both
    expect 0 lb -q backup
    chown -R nobody "$T/state"
    expect 0 lb -q backup
    [ -z "$(find "$T/state" -maxdepth 1 -name '*.json' ! -user nobody)" ]
}

@test "hooks of the run stand around all sources" {
    init
    cat >"$T/hook" <<'SH'
#!/bin/sh
echo "$LIFEBOAT_HOOK ${LIFEBOAT_SOURCE:-run}" >>"${0%/*}/hooked"
[ "$LIFEBOAT_HOOK" != "$(cat "${0%/*}/bad" 2>/dev/null)" ] || { echo "hook says no" >&2; exit 1; }
SH
    chmod 755 "$T/hook"
    for h in before after on-failure; do sed -i "s|^host = .*|&\n$h = $T/hook|" "$T/lifeboat.conf"; done
    echo "before = $T/hook" >>"$T/lifeboat.conf"
    backup
    printf '%s\n' 'before run' 'before numbers' 'after run' | diff - "$T/hooked"
    echo after >"$T/bad"
    expect 3 lb -q backup
    says "[general] after: exit status 1: hook says no"
    rm "$T/hooked"
    echo before >"$T/bad"
    expect 1 lb -q backup
    says "no snapshot was written: [general]: before: exit status 1: hook says no"
    printf '%s\n' 'before run' 'on-failure run' | diff - "$T/hooked"
    rm "$T/hooked" "$T/bad"
    fail_files
    expect 1 lb -q backup
    printf '%s\n' 'before run' 'before numbers' 'after run' 'on-failure run' | diff - "$T/hooked"
}
