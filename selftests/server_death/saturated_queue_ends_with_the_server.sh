#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Every tag is with a server that has stopped answering, more requests wait for tags, and then it is
# killed: all of them end in errors within 5 s, on one queue and on two.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

depth=32
for queues in 1 2; do
    dev=$(add_dev null size=64M --queues "$queues" --depth "$depth")
    server=$(server_pid "$dev")
    kill -STOP "$server"
    fio --name=load --filename="$dev" --ioengine=libaio --iodepth=$((2 * depth)) --rw=randwrite \
        --bs=4k --direct=1 --numjobs="$queues" --thread --size=32M --eta=never \
        --cpus_allowed=0-$((queues - 1)) --cpus_allowed_policy=split \
        >"$UBLK_TEST_DIR/fio.log" 2>&1 &
    load=$!
    wait_until 40 in_flight_at_least "$dev" $((queues * depth)) ||
        fail "only $(requests_in_flight "$dev") requests are in flight: $(cat "$UBLK_TEST_DIR/fio.log")"
    start=$(now_ms)
    kill -KILL "$server"
    finishes_within 5 "$load" || fail "fio still runs 5 s after the kill"
    echo "# $queues queues: fio ended after $(($(now_ms) - start)) ms"
    [ "$STATUS" -ne 0 ] || fail "fio saw no error"
    [ "$(requests_in_flight "$dev")" -eq 0 ] || fail "requests are still in flight"
    del_dev "$dev"
done
