#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mkfs, and dd through the page cache, end with an error within 5 s of their server's death.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

# More than either of them can write before the kill: kill_during DEV COMMAND...
kill_during() {
    local dev=$1 job
    shift
    "$@" >"$UBLK_TEST_DIR/log" 2>&1 &
    job=$!
    wait_until 40 requests_done_at_least "$dev" 200 || fail "$1 does no I/O: $(cat "$UBLK_TEST_DIR/log")"
    kill_server "$dev"
    finishes_within 5 "$job" || fail "$1 still runs 5 s after the kill"
    [ "$STATUS" -ne 0 ] || fail "$1 saw no error"
    del_dev "$dev"
}

dev=$(add_dev null size=64G)
kill_during "$dev" mkfs.ext4 -E lazy_itable_init=0,lazy_journal_init=0,nodiscard "$dev"
dev=$(add_dev null size=64G)
kill_during "$dev" dd if=/dev/zero of="$dev" bs=64k conv=fsync
