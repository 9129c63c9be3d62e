#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# With every tracepoint of the driver on, a device lives, works, loses its server and goes as without,
# and each step of that is told.
# timeout: 60
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

trace=$(new_trace changes)
trace_event "$trace" ublk
dev=$(add_dev ram size=16M --queues 2 --depth 16 --number 9)
dd if=/dev/zero of="$dev" bs=64k count=8 oflag=direct status=none
dd if="$dev" of=/dev/null bs=64k count=8 iflag=direct status=none
kill_server "$dev"
wait_until 10 test ! -e "/sys/block/${dev##*/}" || fail "the disk outlives its server"
del_dev "$dev"
echo 0 >"$trace/events/enable"

# told EVENT TEXT
told() {
    grep -q " $1: dev=9 .*$2" "$trace/trace" ||
        fail "nothing of '$2': $(grep " $1: dev=9" "$trace/trace" | tail -n 20)"
}

told ublk_slot 'queue=0 tag=15 empty -> armed'
told ublk_slot 'queue=[01] tag=[0-9]* armed -> claimed'
told ublk_slot 'queue=[01] tag=[0-9]* claimed -> server'
told ublk_slot 'queue=[01] tag=[0-9]* server -> commit'
told ublk_slot 'queue=[01] tag=[0-9]* commit -> armed'
told ublk_slot 'queue=1 tag=15 armed -> dead'
told ublk_copy 'bytes=65536'
told ublk_server '-> ready'
told ublk_server '-> gone'
told ublk_server '-> closed'
told ublk_device 'idle -> starting'
told ublk_device 'starting -> live'
told ublk_device 'live -> aborting'
told ublk_device 'aborting -> stopped'
told ublk_device 'stopped -> idle'
told ublk_device 'idle -> deleted'
