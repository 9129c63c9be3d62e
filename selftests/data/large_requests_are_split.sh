#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Reads and writes of 1 to 8 MiB pass, whatever the longest request of the device is: they reach the
# server in pieces that are no longer than that.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

trace=$(new_trace large)
for max_io in 4096 65536 1M; do
    dev=$(add_dev ram size=64M --max-io "$max_io")
    limit=$(queue_limit "$dev" max_hw_sectors_kb)
    [ "$limit" -eq $(($(numfmt --from=iec "$max_io") / 1024)) ] ||
        fail "the longest request is $limit KiB, not $max_io"
    number=$(device_number "$dev")
    clear_trace "$trace"
    trace_event "$trace" block/block_rq_issue \
        "dev == $((${number%:*} << 20 | ${number#*:})) && bytes > $((limit * 1024))"
    echo "$limit" >"/sys/block/${dev##*/}/queue/max_sectors_kb"
    fio_verify "$dev" --direct=1 --bsrange=1M-8M --bs_unaligned=0 --iodepth=4 --size=16M
    [ "$(trace_count "$trace")" -eq 0 ] || fail "longer requests: $(head -n 20 "$trace/trace")"
    echo 0 >"$trace/events/block/block_rq_issue/enable"
    del_dev "$dev"
done
