#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mkfs, dd through the page cache and sync end, with an error, within 5 s of their server's death.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

# run_and_kill NAME COMMAND...
run_and_kill() {
    local name=$1 dev=$2 job server
    shift 2
    server=$(server_pid "$dev")
    "$@" >"$UBLK_TEST_DIR/$name.log" 2>&1 &
    job=$!
    wait_until 20 requests_done_at_least "$dev" "$((before + 8))" || fail "$name does no I/O"
    kill -STOP "$server"
    wait_until 20 in_flight_at_least "$dev" 1 || fail "$name has no request under way"
    kill -KILL "$server"
    finishes_within 5 "$job" || fail "$name still runs 5 s after the kill"
    [ "$STATUS" -ne 0 ] || fail "$name saw no error"
}

dev=$(add_dev ram size=512M)
before=$(requests_done "$dev")
run_and_kill mkfs "$dev" mkfs.ext4 -E lazy_itable_init=0,lazy_journal_init=0,nodiscard "$dev"
del_dev "$dev"

dev=$(add_dev ram size=512M)
before=$(requests_done "$dev")
run_and_kill dd "$dev" dd if=/dev/zero of="$dev" bs=64k conv=fsync
del_dev "$dev"
