#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# 50 times: the server is killed at a random moment under fio's load, fio ends within 5 s, the device
# can be deleted; after all of it nothing is left and the module unloads.
# timeout: 600
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

seed=${UBLK_TEST_SEED:-$(date +%s)}
echo "# seed $seed (repeat with UBLK_TEST_SEED=$seed)"
RANDOM=$seed
image=$(make_image disk 64M)
targets=("null size=64M" "ram size=64M" "loop file=$image" "loop file=$image direct=no")
slowest=0

for round in {1..50}; do
    target=${targets[RANDOM % ${#targets[@]}]}
    queues=$((1 + RANDOM % 2))
    delay=$((RANDOM % 500))
    # shellcheck disable=SC2086 # words
    dev=$(add_dev $target --queues "$queues" --depth $((8 << RANDOM % 5)))
    server=$(server_pid "$dev")
    fio --name=load --filename="$dev" --ioengine=libaio --iodepth=32 --rw=randrw --direct=1 \
        --bsrange=512-128k --time_based --runtime=60 --numjobs="$queues" --thread --eta=never \
        --randseed="$RANDOM" >"$UBLK_TEST_DIR/fio.log" 2>&1 &
    load=$!
    wait_until 20 requests_done_at_least "$dev" 50 || fail "round $round: fio does not start"
    sleep "$(printf '0.%03d' "$delay")"
    start=$(now_ms)
    kill -KILL "$server"
    finishes_within 5 "$load" || fail "round $round: fio still runs 5 s after the kill"
    took=$(($(now_ms) - start))
    [ "$took" -le "$slowest" ] || slowest=$took
    echo "# round $round: $target, $queues queues, killed after $delay ms; fio ended $took ms later"
    [ "$STATUS" -ne 0 ] || fail "round $round: fio saw no error: $(tail -n 5 "$UBLK_TEST_DIR/fio.log")"
    del_dev "$dev"
done
echo "# slowest end of fio: $slowest ms"
expect_nothing_left
expect_unloadable
