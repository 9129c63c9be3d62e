#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 120
# The kernel can make no thread for a server's I/O, because its cgroup has reached its limit: I/O waits,
# the server's log says for what and ublkd show how long, and when the limit rises all goes on. Nobody gets an error.
source "$(dirname "$0")/../lib.sh"

group=/sys/fs/cgroup/ublk-test-$$
grep -qw pids /sys/fs/cgroup/cgroup.controllers || skip "this kernel has no limit of threads"
echo +pids >/sys/fs/cgroup/cgroup.subtree_control
mkdir "$group"
on_exit rmdir "$group"
truncate -s 64M "$UBLK_TEST_DIR/file"

# Only what is started from here on is limited, and only from now on.
ublkd_in_group() { (echo "$BASHPID" >"$group/cgroup.procs" && exec "$UBLKD" "$@"); }
dev=$(ublkd_in_group add loop file="$UBLK_TEST_DIR/file" direct=no)
on_exit forget_dev "$dev"
log=/run/ublkd/$(dev_id "$dev").log
udevadm settle
shortage() { ublkd show "$dev" --json | jq .server.short_for_seconds; }
[ "$(shortage)" -eq 0 ] || fail "I/O waits already: $(shortage)"

threads() { cat "$group/pids.current"; }
threads >"$group/pids.max"
head -c 1M /dev/urandom >"$UBLK_TEST_DIR/data"
dd if="$UBLK_TEST_DIR/data" of="$dev" bs=64k oflag=direct conv=fsync,notrunc status=none &
writer=$!
says() { grep -q "$1" "$log"; }
wait_until 30 says 'has no thread for I/O' || fail "it does not say what it waits for: $(cat "$log")"
kill -0 "$writer" || fail "the writer did not wait"
[ "$(shortage)" -gt 0 ] || fail "show does not say that I/O waits: $(shortage)"
echo max >"$group/pids.max"
wait "$writer" || fail "the writer got an error"
wait_until 10 says 'I/O goes on' || fail "it does not say that it goes on: $(cat "$log")"
[ "$(shortage)" -eq 0 ] || fail "show says that I/O waits still: $(shortage)"
sync "$UBLK_TEST_DIR/file"
cmp -n 1048576 "$UBLK_TEST_DIR/data" "$UBLK_TEST_DIR/file" || fail "what was written is not there"
blkdiscard -o 2M -l 1M "$dev" || fail "discard fails"
del_dev "$dev"
