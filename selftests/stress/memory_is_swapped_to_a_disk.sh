#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A program may have a quarter of the memory that it uses, and the rest is on a disk of ours, whose server
# is killed and replaced again and again: whatever the program reads back is right, and nothing hangs.
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

dev=$(add_dev loop file="$(make_image swap 256M)" --queues 2 --recovery reissue)
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
    kill_server "$dev"
    run_expect 0 ublkd recover "$dev"
done
touch "$UBLK_TEST_DIR/.enough"
finishes_within 120 "$user" || fail "the program hangs"
[ "$STATUS" -eq 0 ] || fail "a program found wrong memory"
figure "$deaths deaths under $(requests_done "$dev") requests of a swap"
