#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Everything that code of the driver allocated for a device, from add to del, is freed by then, and
# also if the server was killed: each object by its address.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

needs_module
trace=$(new_trace leak)
range=$(module_range)
echo 40000 >"$trace/buffer_size_kb"

record() {
    local event
    clear_trace "$trace"
    for event in kmalloc kmalloc_node kmem_cache_alloc kmem_cache_alloc_node; do
        [ ! -d "$trace/events/kmem/$event" ] || trace_event "$trace" "kmem/$event" "$range"
    done
    for event in kfree kmem_cache_free; do
        trace_event "$trace" "kmem/$event"
    done
}
stop_recording() {
    echo 0 >"$trace/events/kmem/enable"
}

# Addresses that were allocated and not freed since, with the place.
not_freed() {
    awk '
        match($0, /(kmalloc|kmem_cache_alloc)[a-z_]*: /) {
            match($0, /ptr=[^ ]+/); pointer = substr($0, RSTART, RLENGTH)
            match($0, /call_site=[^ ]+/); live[pointer] = substr($0, RSTART, RLENGTH)
            allocated++
        }
        match($0, /(kfree|kmem_cache_free): /) {
            match($0, /ptr=[^ ]+/); delete live[substr($0, RSTART, RLENGTH)]
        }
        END {
            for (pointer in live) print pointer, live[pointer]
            print allocated + 0 >"/dev/stderr"
        }' "$trace/trace" 2>"$UBLK_TEST_DIR/allocated"
}
expect_all_freed() {
    stop_recording
    grep -q 'overrun: [1-9]' "$trace"/per_cpu/cpu*/stats && fail "events were lost"
    not_freed >"$UBLK_TEST_DIR/leaks"
    echo "# $1: $(cat "$UBLK_TEST_DIR/allocated") objects"
    [ "$(cat "$UBLK_TEST_DIR/allocated")" -ge 10 ] || fail "$1: the trace sees no allocations"
    [ ! -s "$UBLK_TEST_DIR/leaks" ] || fail "$1: not freed: $(cat "$UBLK_TEST_DIR/leaks")"
}

record
dev=$(add_dev null size=64M --queues 2 --depth 16)
dd if="$dev" of=/dev/null bs=4k count=1 iflag=direct status=none
del_dev "$dev"
expect_all_freed "deleted in order"

record
dev=$(add_dev null size=64M --queues 2 --depth 16)
kill_server "$dev"
del_dev "$dev"
expect_all_freed "server killed"
