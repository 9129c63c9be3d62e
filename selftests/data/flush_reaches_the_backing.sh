#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Every fsync on a loop device makes its server flush the disk below, whether the backing is a disk or
# a file, direct or buffered; writes alone do not.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

trace=$(new_trace flush)
below=$(make_nullb 0 size=64 memory_backed=1 cache_size=1)
expect_limit "$below" write_cache "write back"

# Counts flushes of a disk while a command runs: flushes DISK COMMAND...
flushes() {
    local number
    number=$(device_number "$1")
    shift
    echo 0 >"$trace/events/block/block_rq_issue/enable"
    clear_trace "$trace"
    trace_event "$trace" block/block_rq_issue \
        "dev == $((${number%:*} << 20 | ${number#*:})) && rwbs ~ \"F*\""
    "$@" >/dev/null
    trace_count "$trace"
}
# write_blocks [OPTION]...: eight writes, one program each.
write_blocks() {
    local i
    for i in {0..7}; do
        dd if=/dev/urandom of="$dev" bs=4k count=1 seek="$i" oflag=direct status=none "$@"
    done
}

for direct in yes no; do
    dev=$(add_dev loop file="$below" direct="$direct")
    expect_limit "$dev" write_cache "write back"
    alone=$(flushes "$below" write_blocks)
    [ "$alone" -eq 0 ] || fail "direct=$direct: $alone flushes for writes without fsync"
    synced=$(flushes "$below" write_blocks conv=fsync)
    [ "$synced" -ge 8 ] || fail "direct=$direct: $synced flushes for 8 fsyncs"
    del_dev "$dev"
done

disk=/dev/$(lsblk --noheadings --output KNAME "$(findmnt -n -o SOURCE -T "$UBLK_TEST_DIR")")
if [ "$(queue_limit "$disk" write_cache)" = "write back" ]; then
    image=$(make_noise disk 1)
    dev=$(add_dev loop file="$image")
    synced=$(flushes "$disk" write_blocks conv=fsync)
    [ "$synced" -ge 8 ] || fail "file: $synced flushes of $disk for 8 fsyncs"
    del_dev "$dev"
fi
