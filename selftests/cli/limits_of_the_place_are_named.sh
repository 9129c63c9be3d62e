#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
# What a container, a service or a user may lack: ublkd does without it, or refuses in one line that says
# what is missing. Nothing is left behind.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"

# Runs a command in surroundings of its own: in_place SETUP COMMAND...
in_place() {
    local setup=$1
    shift
    unshare --mount --propagation private bash -c "set -e; $setup; exec \"\$@\"" in_place "$@"
}

# One line, which says who speaks and what it is about, and no device: expect_refusal STATUS PATTERN COMMAND...
expect_refusal() {
    local status=$1 pattern=$2 before
    shift 2
    before=$(what_is_there)
    run_expect "$status" "$@"
    echo "# $status: $ERR"
    [[ $ERR != *$'\n'* && $ERR == "ublkd: "* ]] || fail "$*: not one line of ublkd: $ERR"
    [[ $ERR =~ $pattern ]] || fail "$*: no '$pattern' in: $ERR"
    wait_until 10 unchanged_since "$before" ||
        fail "$*: left behind: $(diff <(echo "$before") <(what_is_there))"
}

# No inotify instance is left: none is needed.
instances=$(</proc/sys/fs/inotify/max_user_instances)
on_exit sysctl -q fs.inotify.max_user_instances="$instances"
sysctl -q fs.inotify.max_user_instances=0
dev=$(add_dev null)
del_dev "$dev"
sysctl -q fs.inotify.max_user_instances="$instances"

# Capabilities.
expect_refusal 3 CAP_SYS_RESOURCE setpriv --bounding-set=-sys_resource "$UBLKD" add null
expect_refusal 3 'CAP_SYS_ADMIN|root' setpriv --bounding-set=-sys_admin "$UBLKD" add null

# A /dev without nodes, and with the first of them only.
misc=$(tr : ' ' </sys/class/misc/ublk-control/dev)
empty_dev='mount -t tmpfs none /dev; for n in "null 1 3" "urandom 1 9"; do mknod /dev/${n%% *} c ${n#* }; done'
expect_refusal 2 "mknod /dev/ublk-control c $misc" in_place "$empty_dev" "$UBLKD" add null
expect_refusal 2 '/dev/ublkc[0-9].*devtmpfs' \
    in_place "$empty_dev; mknod /dev/ublk-control c $misc" "$UBLKD" add null

# A state directory that cannot be written, no /proc, no /sys.
mkdir -p /run/ublkd
expect_refusal 3 'UBLKD_STATE_DIR' \
    in_place 'mount -o bind /run/ublkd /run/ublkd; mount -o remount,bind,ro /run/ublkd' "$UBLKD" add null
expect_refusal 2 '/proc' in_place 'umount -l /proc' "$UBLKD" add null

# Seccomp, as in most containers: with EPERM and with ENOSYS.
without_io_uring() {
    python3 - "$@" <<'PYTHON'
import ctypes, os, struct, sys
error, words = int(sys.argv[1]), sys.argv[2:]
statement = lambda code, yes, no, k: struct.pack("HBBI", code, yes, no, k)
load, equal, ret = 0x20, 0x15, 0x06
filters = (statement(load, 0, 0, 0) + statement(equal, 0, 1, 425) +  # io_uring_setup
           statement(ret, 0, 0, 0x00050000 | error) + statement(ret, 0, 0, 0x7fff0000))
buffer = ctypes.create_string_buffer(filters)
program = struct.pack("HxxxxxxP", 4, ctypes.addressof(buffer))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program, 0, 0) == 0
os.execv(words[0], words)
PYTHON
}
expect_refusal 3 'seccomp.*io_uring_setup' without_io_uring 1 "$UBLKD" add null
expect_refusal 6 'seccomp.*io_uring_setup' without_io_uring 38 "$UBLKD" add null
if [ -e /proc/sys/kernel/io_uring_disabled ]; then
    on_exit sysctl -q kernel.io_uring_disabled=0
    sysctl -q kernel.io_uring_disabled=2
    expect_refusal 3 'sysctl kernel.io_uring_disabled' "$UBLKD" add null
    sysctl -q kernel.io_uring_disabled=0
fi

# Every limit of threads: either there is a device, or a reason and no device.
group=/sys/fs/cgroup/ublk-test-$$
echo +pids >/sys/fs/cgroup/cgroup.subtree_control
mkdir "$group"
on_exit rmdir "$group"
refused=0
for limit in 1 2 3 4 5 6 8; do
    echo "$limit" >"$group/pids.max"
    before=$(what_is_there)
    status=0
    out=$(
        exec 2>&1
        echo "$BASHPID" >"$group/cgroup.procs"
        exec "$UBLKD" add null --queues 2
    ) || status=$?
    if [ "$status" -eq 0 ]; then
        del_dev "$out"
    else
        refused=$((refused + 1))
        echo "# pids.max $limit: $status: $out"
        [[ $out != *terminate* && $(wc -l <<<"$out") -eq 1 && $out =~ pids.max ]] ||
            fail "pids.max $limit: $status: $out"
        wait_until 10 unchanged_since "$before" ||
            fail "pids.max $limit: left behind: $(diff <(echo "$before") <(what_is_there))"
    fi
done
[ "$refused" -ge 2 ] || fail "the limit has no effect"

# Descriptors: the same.
for limit in 4 6 8 10 12 16; do
    before=$(what_is_there)
    status=0
    out=$( (ulimit -n "$limit" && exec "$UBLKD" add null) 2>&1) || status=$?
    if [ "$status" -eq 0 ]; then
        del_dev "$out"
    else
        echo "# ulimit -n $limit: $status: $out"
        [ "$(wc -l <<<"$out")" -eq 1 ] || fail "ulimit -n $limit: $status: $out"
        wait_until 10 unchanged_since "$before" || fail "ulimit -n $limit: left behind"
    fi
done
