#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The server is killed while `ublkd del --force` takes its device down under load: both the load and
# del end, and nothing is left.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

seed=${UBLK_TEST_SEED:-$(date +%s)}
echo "# seed $seed (repeat with UBLK_TEST_SEED=$seed)"
RANDOM=$seed
for round in {1..10}; do
    dev=$(add_dev ram size=64M --queues 2)
    server=$(server_pid "$dev")
    fio --name=load --filename="$dev" --ioengine=libaio --iodepth=32 --rw=randrw --bs=4k \
        --direct=1 --time_based --runtime=60 --thread --eta=never >"$UBLK_TEST_DIR/fio.log" 2>&1 &
    load=$!
    wait_until 20 requests_done_at_least "$dev" 50 || fail "fio does not start"
    ublkd del --force "$dev" >"$UBLK_TEST_DIR/out" 2>"$UBLK_TEST_DIR/err" &
    del=$!
    delay=$((RANDOM % 150))
    sleep "$(printf '0.%03d' "$delay")"
    kill -KILL "$server" 2>/dev/null || : # it may have ended
    finishes_within 10 "$load" || fail "round $round: fio does not end"
    finishes_within 10 "$del" || fail "round $round: del does not end"
    echo "# round $round: killed after $delay ms, del: $STATUS $(cat "$UBLK_TEST_DIR/err")"
    [ "$STATUS" -eq 0 ] || fail "round $round: del failed: $(cat "$UBLK_TEST_DIR/err")"
    expect_nothing_left
done
