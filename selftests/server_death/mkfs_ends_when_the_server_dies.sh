#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mkfs ends with an error within 5 s of its server's death.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

# On a null device mkfs is done in no time, so the server stops before it begins.
dev=$(add_dev null size=64G)
kill -STOP "$(server_pid "$dev")"
mkfs.ext4 "$dev" >"$UBLK_TEST_DIR/log" 2>&1 &
job=$!
wait_until 40 in_flight_at_least "$dev" 1 || fail "no I/O: $(cat "$UBLK_TEST_DIR/log")"
kill_server "$dev"
finishes_within 5 "$job" || fail "it still runs 5 s after the kill"
[ "$STATUS" -ne 0 ] || fail "it saw no error: $(cat "$UBLK_TEST_DIR/log")"
del_dev "$dev"
