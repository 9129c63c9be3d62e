#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mkfs, and dd through the page cache, end with an error within 5 s of their server's death.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

# Waits for a condition, kills the server, and expects the job to end with an error:
# kill_once DEV JOB CONDITION...
kill_once() {
    local dev=$1 job=$2
    shift 2
    wait_until 40 "$@" || fail "no I/O: $(cat "$UBLK_TEST_DIR/log")"
    kill_server "$dev"
    finishes_within 5 "$job" || fail "it still runs 5 s after the kill"
    [ "$STATUS" -ne 0 ] || fail "it saw no error: $(cat "$UBLK_TEST_DIR/log")"
    del_dev "$dev"
}

# On a null device mkfs is done in no time, so the server stops before it begins.
dev=$(add_dev null size=64G)
kill -STOP "$(server_pid "$dev")"
mkfs.ext4 "$dev" >"$UBLK_TEST_DIR/log" 2>&1 &
kill_once "$dev" "$!" in_flight_at_least "$dev" 1

# More than dd can write before the kill.
dev=$(add_dev null size=64G)
dd if=/dev/zero of="$dev" bs=64k conv=fsync >"$UBLK_TEST_DIR/log" 2>&1 &
kill_once "$dev" "$!" requests_done_at_least "$dev" 200
