#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# SIGTERM and SIGINT end a server in order: requests under way are answered, the device and its state
# file go, and the process exits with 0. One whose disk is in use takes two of them; a third changes
# nothing.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

for signal in TERM INT; do
    env --default-signal=INT ublkd add ram size=64M --number 4 --foreground \
        >"$UBLK_TEST_DIR/out" 2>"$UBLK_TEST_DIR/err" &
    server=$!
    wait_until 20 grep -q . "$UBLK_TEST_DIR/out" || fail "no device: $(cat "$UBLK_TEST_DIR/err")"
    dev=$(<"$UBLK_TEST_DIR/out")
    fio --name=load --filename="$dev" --ioengine=libaio --iodepth=32 --rw=randwrite --bs=4k \
        --direct=1 --time_based --runtime=60 --thread --eta=never >"$UBLK_TEST_DIR/fio.log" 2>&1 &
    load=$!
    wait_until 20 requests_done_at_least "$dev" 100 || fail "fio does not start"
    kill "-$signal" "$server"
    wait_until 10 grep -q "the disk is in use" "$UBLK_TEST_DIR/err" || fail "$signal: it says nothing"
    kill -0 "$load" || fail "$signal: fio has lost its disk"
    kill "-$signal" "$server"
    kill "-$signal" "$server" 2>/dev/null || : # it may have ended
    finishes_within 10 "$load" || fail "$signal: fio does not end"
    finishes_within 10 "$server" || fail "$signal: the server does not end"
    [ "$STATUS" -eq 0 ] || fail "$signal: exit status $STATUS: $(cat "$UBLK_TEST_DIR/err")"
    expect_nothing_left
done
