# shellcheck shell=sh
# ceph.sh - a private, throwaway Ceph object store for tests, in memory, on loopback: a monitor, an OSD, a
# gateway. Sourced by shell scripts, also run by the unit tests.
#
#   ceph_start DIR   starts it in about 1.5 s; DIR is made, and holds DIR/env: CEPH_HTTP, CEPH_HTTPS (endpoints),
#                    CEPH_CA (its private authority's certificate), CEPH_ACCESS_KEY and CEPH_SECRET_KEY,
#                    CEPH_ACCESS_KEY2 and CEPH_SECRET_KEY2 (another account). Virtual hosts: *.s3.localhost
#   ceph_stop DIR    stops it and removes DIR

ceph_there() {
    for ceph_program in ceph-mon ceph-osd radosgw radosgw-admin ceph openssl python3; do
        command -v "$ceph_program" >/dev/null ||
            { echo "no Ceph is installed: $ceph_program is missing (apt-get install ceph-mon ceph-osd radosgw)" >&2; return 1; }
    done
}

# Three ports that nobody uses right now.
ceph_ports() {
    python3 -c 'import socket
s = [socket.socket() for _ in range(3)]
for x in s: x.bind(("127.0.0.1", 0))
print(*(x.getsockname()[1] for x in s))'
}

# An authority of our own, and a certificate by it for the gateway.
ceph_certificates() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj '/CN=test authority' \
        -keyout "$1/ca.key" -out "$1/ca.pem" 2>/dev/null || return 1
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj '/CN=s3.localhost' \
        -keyout "$1/server.key" -out "$1/server.csr" 2>/dev/null || return 1
    echo 'subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:s3.localhost,DNS:*.s3.localhost' >"$1/server.ext"
    openssl x509 -req -days 2 -in "$1/server.csr" -CA "$1/ca.pem" -CAkey "$1/ca.key" -CAcreateserial \
        -extfile "$1/server.ext" -out "$1/server.pem" 2>/dev/null
}

ceph_conf() { # DIR HTTP HTTPS MON
    cat <<CONF
[global]
fsid = $(cat /proc/sys/kernel/random/uuid)
mon host = v2:127.0.0.1:$4
mon initial members = a
ms bind msgr1 = false
public addr = 127.0.0.1
cluster addr = 127.0.0.1
keyring = $1/keyring
auth allow insecure global id reclaim = false
osd pool default size = 1
osd pool default min size = 1
osd crush chooseleaf type = 0
osd pool default pg num = 4
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon max pg per osd = 5000
mon data avail warn = 1
mon data avail crit = 1
paxos propose interval = 0.05
paxos min wait = 0.01
admin socket =
pid file = $1/\$name.pid
log file = $1/\$name.log
mon cluster log file = $1/cluster.log
[mon.a]
mon data = $1/mon
[osd]
osd data = $1/osd
osd objectstore = memstore
osd memory target = 939524096
memstore device bytes = 4294967296
[client.rgw.a]
rgw data = $1
rgw frontends = beast endpoint=127.0.0.1:$2 ssl_endpoint=127.0.0.1:$3 ssl_certificate=$1/server.pem ssl_private_key=$1/server.key tcp_nodelay=1
rgw dns name = s3.localhost
rgw thread pool size = 32
rgw override bucket index max shards = 1
rgw dynamic resharding = false
rgw gc obj min wait = 1
rgw gc processor period = 1
CONF
}

ceph_wait_for() {
    ceph_left=600
    until "$@"; do
        ceph_left=$((ceph_left - 1))
        [ $ceph_left -gt 0 ] || { echo "Ceph is not ready after 30 s: $*" >&2; return 1; }
        sleep 0.05
    done
}
ceph_osd_is_up() { timeout 10 ceph -c "$1/ceph.conf" osd stat 2>/dev/null | grep -q '1 up'; }
# Its own certificate, so that a stranger on the port is not taken for it.
ceph_gateway_is_up() {
    [ -s "$1/client.rgw.a.pid" ] &&
        echo | timeout 5 openssl s_client -connect "127.0.0.1:$2" -CAfile "$1/ca.pem" -verify_return_error >/dev/null 2>&1
}

# Every key is given to the monitor at its birth: no round trips later.
ceph_key() {
    ceph_name=$1
    shift
    ceph-authtool "$ceph_home/keyring" --gen-key -n "$ceph_name" "$@" >/dev/null
}

ceph_boot() {
    ceph_home=$1
    c="$1/ceph.conf"
    ceph_osd_id=$(cat /proc/sys/kernel/random/uuid)
    ceph-authtool --create-keyring "$1/keyring" >/dev/null &&
        ceph_key mon. --cap mon 'allow *' &&
        ceph_key client.admin --cap mon 'allow *' --cap osd 'allow *' &&
        ceph_key client.rgw.a --cap mon 'allow rw' --cap osd 'allow rwx' &&
        ceph_key osd.0 --cap mon 'allow profile osd' --cap osd 'allow *' || return 1
    mkdir "$1/mon" "$1/osd"
    monmaptool --create --fsid "$(sed -n 's/^fsid = //p' "$c")" --addv a "[v2:127.0.0.1:$4]" "$1/monmap" >/dev/null &&
        ceph-mon -c "$c" -i a --mkfs --monmap "$1/monmap" --keyring "$1/keyring" && ceph-mon -c "$c" -i a &&
        timeout 20 ceph -c "$c" osd new "$ceph_osd_id" >/dev/null 2>&1 &&
        ceph-osd -c "$c" -i 0 --mkfs --osd-uuid "$ceph_osd_id" >/dev/null 2>"$1/osd.err" && ceph-osd -c "$c" -i 0 >/dev/null 2>"$1/osd.err" &&
        ceph_wait_for ceph_osd_is_up "$1" || return 1
    for n in '' 2; do
        timeout 60 radosgw-admin -c "$c" user create --uid "test$n" --display-name "test$n" --access-key "TESTACCESSKEY0000$n" \
            --secret-key "testSecret/Key+0000000000000000$n" >"$1/user$n.json" 2>&1 || return 1
    done
    radosgw -c "$c" -n client.rgw.a >/dev/null 2>"$1/rgw.err" && ceph_wait_for ceph_gateway_is_up "$1" "$3"
}

ceph_start() {
    ceph_there || return 77
    mkdir -p "$1" && ceph_certificates "$1" || return 1
    # shellcheck disable=SC2046 # three words
    set -- "$1" $(ceph_ports)
    ceph_conf "$@" >"$1/ceph.conf"
    ceph_boot "$@" || {
        tail -n 5 "$1"/*.err "$1"/*.log >&2
        ceph_stop "$1"
        return 1
    }
    cat >"$1/env" <<ENV
CEPH_HTTP=http://127.0.0.1:$2
CEPH_HTTPS=https://127.0.0.1:$3
CEPH_CA=$1/ca.pem
CEPH_ACCESS_KEY=TESTACCESSKEY0000
CEPH_SECRET_KEY=testSecret/Key+0000000000000000
CEPH_ACCESS_KEY2=TESTACCESSKEY00002
CEPH_SECRET_KEY2=testSecret/Key+00000000000000002
ENV
}

ceph_stop() {
    for ceph_daemon in client.rgw.a osd.0 mon.a; do
        ceph_pid=$(cat "$1/$ceph_daemon.pid" 2>/dev/null) || continue
        # only what was started with this configuration
        tr '\0' ' ' <"/proc/$ceph_pid/cmdline" 2>/dev/null | grep -qF -- "$1/ceph.conf" || continue
        kill -9 "$ceph_pid" 2>/dev/null
        while grep -q '^State:.[^Z]' "/proc/$ceph_pid/status" 2>/dev/null; do sleep 0.01; done
    done
    rm -rf "$1"
}
