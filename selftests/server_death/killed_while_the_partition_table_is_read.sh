#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The server dies while the kernel reads the partition table of its new disk: add, if it was still
# waiting, fails with one line, the device can be deleted, and the file can be served at once.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

# Every read takes two seconds.
below=$(make_nullb 0 size=64 irqmode=2 completion_nsec=2000000000)
ublkd add loop file="$below" --number 7 >"$UBLK_TEST_DIR/out" 2>"$UBLK_TEST_DIR/err" &
add=$!
is_reading() {
    [ -e /sys/block/ublkb7/inflight ] && in_flight_at_least ublkb7 1
}
wait_until 20 is_reading || fail "the partition table is not read: $(cat "$UBLK_TEST_DIR/err")"
server=$(server_pid 7)
kill -KILL "$server"
finishes_within 10 "$add" || fail "add does not end"
if [ "$STATUS" -eq 0 ]; then
    # The table is read in the background: the device can be usable before.
    [ "$(cat "$UBLK_TEST_DIR/out")" = /dev/ublkb7 ] || fail "it printed $(cat "$UBLK_TEST_DIR/out")"
else
    [ "$(wc -l <"$UBLK_TEST_DIR/err")" -eq 1 ] || fail "not one line: $(cat "$UBLK_TEST_DIR/err")"
    [ ! -s "$UBLK_TEST_DIR/out" ] || fail "it printed $(cat "$UBLK_TEST_DIR/out")"
fi
if dev_exists /dev/ublkb7; then
    del_dev /dev/ublkb7
fi
dev=$(add_dev loop file="$below" --number 7)
del_dev "$dev"
