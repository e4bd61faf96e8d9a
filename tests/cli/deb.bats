#!/usr/bin/env bats
# The Debian package: what is in it, and that it leaves nothing behind, and everything that is the user's. Installed by dpkg into a
# folder; what of the system it needs there is made here.
load ../lib/common

make_package() { # FOLDER VARIABLE...
    local folder=$1
    shift
    expect 0 env "$@" make --no-print-directory -s -C "$TESTS/.." deb O="$O" DEB="$folder"
    DEB=$(tail -n 1 "$T/out")
    [ -f "$DEB" ]
}

# A system of a few files: enough for dpkg, useradd and deb-systemd-helper.
make_root() {
    mkdir -p "$T/root/etc/systemd/system" "$T/root/var/lib/dpkg/info" "$T/root/var/lib/dpkg/updates" "$T/root/var/lib/systemd" "$T/root/var/cache" \
        "$T/root/usr" "$T/root/tmp"
    ln -s usr/lib "$T/root/lib" # merged, as Debian 12 is
    touch "$T/root/var/lib/dpkg/status" "$T/root/usr/other"
    echo root:x:0:0:root:/root:/bin/sh >"$T/root/etc/passwd"
    echo root:x:0: >"$T/root/etc/group"
    echo 'root:*:19000:0:99999:7:::' >"$T/root/etc/shadow"
    echo 'root:*::' >"$T/root/etc/gshadow"
    chmod 640 "$T/root/etc/shadow" "$T/root/etc/gshadow"
}

in_root() { # COMMAND OF DPKG...
    expect 0 env DEBIAN_FRONTEND=noninteractive dpkg --root="$T/root" --log=/dev/null --force-script-chrootless --force-depends "$@"
}

# All but the memory of dpkg and of useradd: names, modes, owners, content.
tree() {
    (cd "$T/root" && find . -path ./var/lib/dpkg -prune -o ! -name '*-' ! -path './var/log*' -printf '%p %y %m %U:%G %l ' \( -type f -exec sha256sum '{}' \; -o -printf '\n' \) | sort)
}

@test "make deb: what is in it; the same bytes again" {
    command -v dpkg-shlibdeps >/dev/null || skip "no dpkg-shlibdeps"
    make_package "$T/one"
    dpkg-deb -I "$DEB" >"$T/about"
    contains "$T/about" "Package: lifeboat"
    for library in libpq5 libzstd1 libsodium23 libarchive13 libcurl4 libs3-2 libseccomp2 libyaml-0-2; do
        contains "$T/about" "$library"
    done
    contains "$T/about" "Recommends: postgresql-client"
    if grep -q conffiles "$T/about"; then return 1; fi
    dpkg-deb -c "$DEB" >"$T/list"
    if awk '$2 != "root/root"' "$T/list" | grep .; then return 1; fi
    if awk '{ print $1 }' "$T/list" | grep -E '^(-......w|........w|-..s|-.....s)'; then return 1; fi
    for file in bin/lifeboat lib/systemd/system/lifeboat-drill.service lib/sysusers.d/lifeboat.conf share/man/man1/lifeboat-restore.1.gz \
        share/man/man5/lifeboat.conf.5.gz share/bash-completion/completions/lifeboat share/zsh/vendor-completions/_lifeboat \
        share/doc/lifeboat/copyright share/doc/lifeboat/changelog.gz share/doc/lifeboat/runbook.md share/doc/lifeboat/lifeboat.conf; do
        contains "$T/list" " ./usr/$file"
    done
    [ "$(grep -c 'man1/lifeboat-.*\.1\.gz' "$T/list")" = "$(find "$TESTS/../docs/man" -name 'lifeboat-*.1' | wc -l)" ]
    contains "$T/list" "drwx------ root/root"
    dpkg-deb --fsys-tarfile "$DEB" | tar -xO ./usr/lib/systemd/system/lifeboat-backup.service | grep -q '^ExecStart=/usr/bin/lifeboat '
    first=$DEB
    (umask 077 && make_package "$T/two" TZ=Asia/Tokyo LC_ALL=C)
    cmp "$first" "$T/two/${first##*/}"
}

@test "the package: installed, upgraded, removed and purged it leaves nothing of its own, and all that is the user's" {
    command -v dpkg-shlibdeps >/dev/null || skip "no dpkg-shlibdeps"
    [ "$(id -u)" = 0 ] || skip "wants root"
    make_package "$T/deb"
    make_root
    tree >"$T/before"
    in_root -i "$DEB"
    expect 0 "$T/root/usr/bin/lifeboat" --version
    prints "lifeboat "
    grep -q '^lifeboat-drill:.*:/nonexistent:/usr/sbin/nologin$' "$T/root/etc/passwd"
    # No timer is enabled: nothing runs before there is a configuration.
    [ -z "$(find "$T/root/etc/systemd" -name '*.timer' 2>/dev/null)" ]
    # Again, as an upgrade does: the same user, and timers that were enabled stay so.
    enabled=$T/root/etc/systemd/system/timers.target.wants/lifeboat-backup.timer
    mkdir -p "${enabled%/*}"
    ln -s /lib/systemd/system/lifeboat-backup.timer "$enabled"
    cp "$T/root/etc/passwd" "$T/passwd"
    in_root -i "$DEB"
    cmp "$T/passwd" "$T/root/etc/passwd"
    [ -L "$enabled" ]

    # What a life leaves: state, cache, a drill that a crash cut off; and what is the user's, some of it where it should not be.
    id=0123456789abcdef0123456789abcdef state=$T/root/var/lib/lifeboat
    mkdir -p "$state/$id" "$state/drill/lifeboat-drill-0123/pgdata" "$T/root/var/cache/lifeboat/$id" "$T/root/var/cache/lifeboat/objects-away"
    touch "$state/$id/db.last" "$state/$id.lock" "$state/report.json" "$state/reporting" "$state/drill/lock" "$state/drill/lifeboat-drill-0123/pgdata/1" \
        "$T/root/var/cache/lifeboat/$id/uploads.runs"
    mkdir -p "$T/root/var/backups/lifeboat/packs"
    touch "$T/root/var/backups/lifeboat/lifeboat" "$T/root/etc/lifeboat/lifeboat.conf" "$T/root/etc/lifeboat/identity.key"
    in_root -r lifeboat
    [ ! -e "$T/root/usr/bin/lifeboat" ]
    [ -e "$state/report.json" ] && [ -e "$T/root/etc/lifeboat/identity.key" ]
    # Back again, with the timer that was on, and no other.
    in_root -i "$DEB"
    [ -L "$enabled" ]
    [ "$(ls "${enabled%/*}")" = lifeboat-backup.timer ]
    [ -z "$(find "$T/root/etc/systemd" -lname /dev/null)" ]
    in_root -r lifeboat
    in_root -P lifeboat
    says "configuration and keys in"
    [ ! -e "$state" ] && [ ! -e "$T/root/var/cache/lifeboat" ]
    [ -e "$T/root/etc/lifeboat/identity.key" ] && [ -e "$T/root/etc/lifeboat/lifeboat.conf" ] && [ -e "$T/root/var/backups/lifeboat/lifeboat" ]
    rm -r "$T/root/etc/lifeboat" "$T/root/var/backups"
    tree | diff "$T/before" -

    # A repository and a key in the state directory: they stay, and it is said.
    in_root -i "$DEB"
    mkdir -p "$state/store/packs" "$state/$id"
    touch "$state/store/lifeboat" "$state/identity.key" "$state/report.json"
    in_root -P lifeboat
    says "holds more than lifeboat's own records, and stays"
    [ "$(find "$state" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | tr '\n' ' ')" = "identity.key store " ]
    [ -e "$state/store/lifeboat" ]
}

@test "make uninstall takes away what make install has put there" {
    for goal in install uninstall; do
        expect 0 make --no-print-directory -s -C "$TESTS/.." $goal O="$O" DESTDIR="$T/place"
        find "$T/place" ! -type d >"$T/$goal"
    done
    contains "$T/install" "$T/place/usr/local/share/bash-completion/completions/lifeboat"
    [ "$(wc -l <"$T/install")" -gt 50 ]
    [ ! -s "$T/uninstall" ]
}
