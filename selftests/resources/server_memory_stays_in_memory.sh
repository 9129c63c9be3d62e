#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What a server needs to serve is not swapped out, however little memory its group may have: that
# could be to its own disk. It is the last to be killed, and no thread of it, nor one that the kernel
# makes for it, waits for I/O to get memory.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

# Not to reclaim by I/O, and not to be throttled for pages that it must write: PF_MEMALLOC_NOIO and
# PF_LOCAL_THROTTLE of the kernel.
flusher=$((0x00180000))

status_of() { # NAME PID, in KiB
    awk -v name="$1:" '$1 == name { print $2 }' "/proc/$2/status"
}

expect_flushers() { # PID
    local task flags count=0
    for task in "/proc/$1"/task/*; do
        flags=$(sed 's/.*) //' "$task/stat" | cut -d ' ' -f 7)
        [ $((flags & flusher)) -eq "$flusher" ] ||
            fail "task ${task##*/} ($(<"$task/comm")) waits for I/O: flags $flags"
        count=$((count + 1))
    done
    echo "# $count tasks"
    [ "$count" -ge 3 ] || fail "only $count tasks were looked at"
}

group=/sys/fs/cgroup/ublk-pressed-server
echo +memory >/sys/fs/cgroup/cgroup.subtree_control
mkdir "$group"
on_exit rmdir "$group"
swap=$UBLK_TEST_DIR/swap
dd if=/dev/zero of="$swap" bs=1M count=64 status=none
chmod 600 "$swap"
mkswap "$swap" >"$UBLK_TEST_DIR/mkswap.log" 2>&1
swapon --priority 100 "$swap"
on_exit swapoff "$swap"

in_group() (
    echo "$BASHPID" >"$group/cgroup.procs"
    exec ublkd "$@"
)

dev=$(in_group add loop file="$(make_image disk 64M)" direct=no --queues 2 --recovery queue) ||
    fail "add fails"
on_exit forget_dev "$dev"
for round in added recovered; do
    server=$(server_pid "$dev")
    [ "$(status_of VmLck "$server")" -gt 1000 ] ||
        fail "$round: $(status_of VmLck "$server") KiB are locked"
    [ "$(<"/proc/$server/oom_score_adj")" = -1000 ] ||
        fail "$round: oom_score_adj is $(<"/proc/$server/oom_score_adj")"
    fio_verify "$dev" --direct=1 --bsrange=4k-128k --size=16M >"$UBLK_TEST_DIR/fio.log"
    # All that can go goes; that less goes than is asked for is an error of the write.
    echo 64M >"$group/memory.reclaim" 2>/dev/null || :
    expect_flushers "$server"
    [ "$(status_of VmSwap "$server")" -eq 0 ] ||
        fail "$round: $(status_of VmSwap "$server") KiB are swapped out"
    dd if="$dev" of=/dev/null bs=4k count=256 iflag=direct status=none || fail "$round: no read"
    if [ "$round" = added ]; then
        kill_server "$dev"
        in_group recover "$dev" || fail "recover fails"
    fi
done
del_dev "$dev"
