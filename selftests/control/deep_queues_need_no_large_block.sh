#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The deepest queues there are need no block of memory so large that fragmented memory has none: what
# asks for such a block can do without.
# timeout: 60
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

# Of pages, as a power of two. The kernel looks hard for blocks up to that size.
largest=3

trace=$(new_trace blocks)
echo 40000 >"$trace/buffer_size_kb"
trace_event "$trace" kmem/mm_page_alloc
dev=$(add_dev null size=64M --queues 2 --depth 4096)
echo 0 >"$trace/events/enable"
! grep -q 'overrun: [1-9]' "$trace"/per_cpu/cpu*/stats || fail "events were lost"

# io_uring's worker threads run what ADD_DEV and START_DEV do. Who does not wait for a block, or not
# long, has something else in mind.
grep -E '^ *iou-wrk-[0-9]+-' "$trace/trace" >"$UBLK_TEST_DIR/blocks" || fail "nothing was seen"
[ "$(wc -l <"$UBLK_TEST_DIR/blocks")" -ge 20 ] || fail "the queues take no memory"
awk -v largest="$largest" '
    match($0, /order=[0-9]+/) && substr($0, RSTART + 6, RLENGTH - 6) + 0 > largest &&
        !/__GFP_NORETRY|GFP_NOWAIT/' "$UBLK_TEST_DIR/blocks" >"$UBLK_TEST_DIR/large"
[ ! -s "$UBLK_TEST_DIR/large" ] || fail "it insists on large blocks: $(head "$UBLK_TEST_DIR/large")"
del_dev "$dev"
