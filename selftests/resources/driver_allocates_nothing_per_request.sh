#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Serving 100,000 requests allocates nothing in the driver: not from its own code, which the kernel's
# allocation events tell by their call site, nor from anything that it calls.
# timeout: 240
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

needs_module
trace=$(new_trace requests)
range=$(module_range)
# Not every kernel has all of them.
events=(kmalloc kmalloc_node kmem_cache_alloc kmem_cache_alloc_node)

# Records from now on; a filter may limit it to the driver's own code: record FILTER EVENT...
record() {
    local filter=$1 event
    shift
    clear_trace "$trace"
    for event in "$@"; do
        [ ! -d "$trace/events/kmem/$event" ] || trace_event "$trace" "kmem/$event" "$filter"
    done
}
# load REQUESTS
load() {
    fio --name=load --filename="$dev" --ioengine=libaio --iodepth=64 --rw=randrw --direct=1 \
        --bssplit=512/40:4k/40:32k/20 --number_ios=$(($1 / 2)) --numjobs=2 --thread \
        --size=48M --io_size=1T --eta=never --norandommap >"$UBLK_TEST_DIR/fio.log" || fail "fio fails"
}

# Making a device allocates; a counter that does not see that would see nothing.
record "$range" "${events[@]}"
dev=$(add_dev null size=64M --queues 2)
echo 0 >"$trace/events/kmem/enable"
control=$(trace_count "$trace")
[ "$control" -ge 10 ] || fail "the counter sees only $control allocations for a new device"

record "$range" "${events[@]}"
before=$(requests_done "$dev")
load 100000
served=$(($(requests_done "$dev") - before))
echo 0 >"$trace/events/kmem/enable"
own=$(trace_count "$trace")
echo "# $served requests: $own allocations in the driver's code ($control for adding the device)"
[ "$served" -ge 100000 ] || fail "only $served requests"
[ "$own" -eq 0 ] || fail "$own allocations: $(grep -v '^#' "$trace/trace" | head -n 5)"

# What functions allocate that the driver calls shows in the call chain. That is slow: fewer requests.
echo 20000 >"$trace/buffer_size_kb"
clear_trace "$trace"
echo 1 >"$trace/options/stacktrace"
for event in kmalloc kmalloc_node kmem_cache_alloc kmem_cache_alloc_node mm_page_alloc; do
    [ ! -d "$trace/events/kmem/$event" ] || trace_event "$trace" "kmem/$event" 0
    echo 0 >"$trace/events/kmem/$event/filter" 2>/dev/null || :
done
before=$(requests_done "$dev")
load 1000
served=$(($(requests_done "$dev") - before))
echo 0 >"$trace/events/kmem/enable"
grep -q 'overrun: [1-9]' "$trace"/per_cpu/cpu*/stats && fail "events were lost"
chains=$(grep -c '<stack trace>' "$trace/trace")
[ "$chains" -ge "$served" ] || fail "only $chains call chains for $served requests"
below=$(grep -c '\[ublk_drv\]' "$trace/trace" || :)
echo "# $served requests: $chains allocations in the whole kernel, $below frames of the driver in them"
[ "$below" -lt "$served" ] ||
    fail "allocations below the driver: $(grep -B 12 -m 1 '\[ublk_drv\]' "$trace/trace")"
del_dev "$dev"
