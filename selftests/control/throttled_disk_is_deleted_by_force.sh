#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 120
# A disk goes by force while its user is throttled by a cgroup and has I/O waiting for its turn: the user
# gets an error at once, and the kernel does not lock up.
source "$(dirname "$0")/../lib.sh"

grep -qw io /sys/fs/cgroup/cgroup.controllers || skip "this kernel has no limits of I/O"
echo +io >/sys/fs/cgroup/cgroup.subtree_control
group=/sys/fs/cgroup/ublk-test-$$
mkdir "$group"
on_exit rmdir "$group"

for verb in "del --force" stop; do
    dev=$(add_dev null size=1G)
    echo "$(cat "/sys/block/${dev##*/}/dev") wbps=65536 wiops=10" >"$group/io.max"
    (
        echo "$BASHPID" >"$group/cgroup.procs"
        exec dd if=/dev/zero of="$dev" bs=1M oflag=direct status=none
    ) 2>"$UBLK_TEST_DIR/errors" &
    user=$!
    has_it_open() { [ "$(readlink "/proc/$user/fd/1")" = "$dev" ]; }
    wait_until 10 has_it_open || fail "the user has not begun"
    waits_for_his_turn() { grep -q '^State:.*D' "/proc/$user/status"; }
    wait_until 10 waits_for_his_turn || fail "the user is not throttled"
    start=$EPOCHSECONDS
    # shellcheck disable=SC2086 # a verb and its option
    run_expect 0 ublkd $verb "$dev"
    echo "# $verb took $((EPOCHSECONDS - start)) s"
    ! wait "$user" || fail "the user got no error"
    ! dev_exists "$dev" || fail "$verb: $dev is still there"
done
