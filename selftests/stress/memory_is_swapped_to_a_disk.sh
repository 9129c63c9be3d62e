#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A program may have a quarter of the memory that it uses, and the rest is on a disk of ours, whose server
# is killed and replaced again and again: whatever the program reads back is right, and nothing hangs.
# The servers are short of memory, too, and none of it may be on the disk.
# timeout: 300
# full-timeout: 7200
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/stress.sh"
require_feature USER_RECOVERY_REISSUE

uses=32 # MiB
deaths=$(amount 3 200)
group=/sys/fs/cgroup/ublk-pressed
echo +memory >/sys/fs/cgroup/cgroup.subtree_control
mkdir "$group"
on_exit rmdir "$group"
echo $((uses / 4))M >"$group/memory.max"

# All of a server's memory that can go is made to go.
pressed=/sys/fs/cgroup/ublk-pressed-server
mkdir "$pressed"
on_exit rmdir "$pressed"

in_pressed_group() (
    echo "$BASHPID" >"$pressed/cgroup.procs"
    exec ublkd "$@"
)

expect_all_in_memory() {
    local swapped
    echo 64M >"$pressed/memory.reclaim" 2>/dev/null || :
    swapped=$(awk '$1 == "VmSwap:" { print $2 }' "/proc/$(server_pid "$dev")/status")
    [ "$swapped" -eq 0 ] || fail "$swapped KiB of the server are swapped out"
}

dev=$(in_pressed_group add loop file="$(make_image swap 256M)" --queues 2 --recovery reissue) ||
    fail "add fails"
on_exit forget_dev "$dev"
mkswap "$dev" >"$UBLK_TEST_DIR/mkswap.log" 2>&1 || fail "mkswap: $(<"$UBLK_TEST_DIR/mkswap.log")"
swapon --priority 100 "$dev"
on_exit swapoff "$dev"

# One program after the other uses memory in the group.
press() {
    echo "$BASHPID" >"$group/cgroup.procs"
    until [ -e "$UBLK_TEST_DIR/.enough" ]; do
        "$STRESS/memory_user" "$uses" 1 "$SEED" >"$UBLK_TEST_DIR/user.log" ||
            fail "wrong memory: $(<"$UBLK_TEST_DIR/user.log")"
    done
}

press &
user=$!
for ((i = 0; i < deaths; i++)); do
    wait_until 60 requests_done_at_least "$dev" $(($(requests_done "$dev") + 300)) ||
        fail "after $i deaths nothing is swapped any more"
    expect_all_in_memory
    kill_server "$dev"
    run_expect 0 in_pressed_group recover "$dev"
done
touch "$UBLK_TEST_DIR/.enough"
finishes_within 120 "$user" || fail "the program hangs"
[ "$STATUS" -eq 0 ] || fail "a program found wrong memory"
figure "$deaths deaths under $(requests_done "$dev") requests of a swap"
