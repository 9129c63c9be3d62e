#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# When the server of a lower device dies, the device stacked on it gives errors and can be deleted,
# and so can the lower one.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

lower=$(add_dev ram size=32M)
upper=$(add_dev loop file="$lower")
fio --name=load --filename="$upper" --ioengine=libaio --iodepth=16 --rw=randrw --bs=4k --direct=1 \
    --time_based --runtime=60 --thread --eta=never >"$UBLK_TEST_DIR/fio.log" 2>&1 &
load=$!
wait_until 20 requests_done_at_least "$upper" 50 || fail "fio does not start"
kill_server "$lower"
finishes_within 5 "$load" || fail "fio still runs 5 s after the kill"
[ "$STATUS" -ne 0 ] || fail "fio saw no error"
! process_is_gone "$(server_pid "$upper")" || fail "the upper server died, too"
del_dev "$upper"
del_dev "$lower"
