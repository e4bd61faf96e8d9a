# shellcheck shell=sh
# disk.sh - sourced: temporary folders lie on a disk. Drills are refused in memory, where many a machine has its /tmp.
case $(stat -f -c %T "${TMPDIR:-/tmp}") in
tmpfs | ramfs) export TMPDIR=/var/tmp ;;
esac
