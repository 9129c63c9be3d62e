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
    fio --name=load --filename="$dev" --ioengine=libaio --iodepth=$((2 * depth)) --rw=randwrite \
        --bs=4k --direct=1 --numjobs="$queues" --thread --size=32M --time_based --runtime=100 --eta=never \
        --cpus_allowed=0-$((queues - 1)) --cpus_allowed_policy=split \
        >"$UBLK_TEST_DIR/fio.log" 2>&1 &
    load=$!
    # Not before fio has the device open: the kernel holds opens back while it reads partitions.
    wait_until 40 requests_done_at_least "$dev" 1000 ||
        fail "fio does no I/O: $(cat "$UBLK_TEST_DIR/fio.log")"
    kill -STOP "$server"
    wait_until 40 in_flight_at_least "$dev" $((queues * depth)) ||
        fail "only $(requests_in_flight "$dev") requests are in flight: $(cat "$UBLK_TEST_DIR/fio.log")"
    start=$(now_ms)
    kill -KILL "$server"
    finishes_within 5 "$load" || fail "fio still runs 5 s after the kill"
    echo "# $queues queues: fio ended after $(($(now_ms) - start)) ms"
    [ "$STATUS" -ne 0 ] || fail "fio saw no error"
    # Without a disk there is no count and nothing in flight.
    left=$(requests_in_flight "$dev" 2>/dev/null) || left=0
    [ "${left:-0}" -eq 0 ] || fail "$left requests are still in flight"
    del_dev "$dev"
done
