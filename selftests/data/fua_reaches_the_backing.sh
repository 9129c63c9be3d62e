#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A write with FUA on a loop device is a write with FUA, not a plain one, on the disk below.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
require_program xfs_io

below=$(make_nullb 0 size=64 memory_backed=1 cache_size=1)
expect_limit "$below" fua 1
dev=$(add_dev loop file="$below")
expect_limit "$dev" fua 1
number=$(device_number "$below")
dev_is="dev == $((${number%:*} << 20 | ${number#*:}))"
trace=$(new_trace fua)
trace_event "$trace" block/block_rq_issue "$dev_is && rwbs ~ \"WF*\""

for i in {0..7}; do
    xfs_io -d -c "pwrite -q -V 1 $((i * 4))k 4k" "$dev"
done
[ "$(trace_count "$trace")" -eq 0 ] || fail "plain writes became FUA writes: $(cat "$trace/trace")"
for i in {0..7}; do
    xfs_io -d -c "pwrite -q -V 1 -D $((i * 4))k 4k" "$dev"
done
count=$(trace_count "$trace")
[ "$count" -ge 8 ] || fail "$count FUA writes below for 8 above"
echo 0 >"$trace/events/block/block_rq_issue/enable"
del_dev "$dev"
