#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# dd through the page cache ends with an error within 5 s of its server's death.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

# dd waits for its disk all the time, as where memory is short. Otherwise it fills memory first, and the
# kernel gives every page of that back before it takes the disk away, dirty or not.
bytes=$(</proc/sys/vm/dirty_bytes)
if [ "$bytes" -gt 0 ]; then
    on_exit sysctl -q -w vm.dirty_bytes="$bytes"
else
    on_exit sysctl -q -w vm.dirty_ratio="$(</proc/sys/vm/dirty_ratio)"
fi
sysctl -q -w vm.dirty_bytes=$((16 << 20))

# More than dd can write before the kill.
dev=$(add_dev null size=64G)
dd if=/dev/zero of="$dev" bs=64k conv=fsync >"$UBLK_TEST_DIR/log" 2>&1 &
job=$!
wait_until 40 requests_done_at_least "$dev" 20 || fail "no I/O: $(cat "$UBLK_TEST_DIR/log")"
kill_server "$dev"
finishes_within 5 "$job" || fail "it still runs 5 s after the kill"
[ "$STATUS" -ne 0 ] || fail "it saw no error: $(cat "$UBLK_TEST_DIR/log")"
del_dev "$dev"
