# shellcheck shell=sh
# disk.sh - sourced: temporary folders lie on a disk, since drills are refused in memory, where many a machine has its /tmp; and not
# deep, since a socket's path has 107 bytes at most.
case $(stat -f -c %T "${TMPDIR:-/tmp}"),${TMPDIR:-/tmp} in
tmpfs,* | ramfs,* | *,?????????*) export TMPDIR=/var/tmp ;;
esac
