#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# As fast as the kernel's nbd client or not: the same server, as many connections, the same load, in turns.
# timeout: 120
# full-timeout: 600
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/stress.sh"
source "$(dirname "$0")/../lib/nbd.sh"
require_program nbd-client
modprobe nbd nbds_max=1 || skip "this kernel has no nbd"
on_exit rmmod nbd

rounds=$(amount 1 5)
seconds=$(amount 2 8)
# With more threads nbdkit 1.32 can end by an assertion of its own.
start_nbdkit --threads=1 memory 64M
dev=$(add_dev nbd uri="$NBD_URI" --queues 2)
nbd-client -unix "$NBD_SOCKET" /dev/nbd0 -C 2 >"$UBLK_TEST_DIR/client.log" 2>&1 ||
    fail "nbd-client: $(<"$UBLK_TEST_DIR/client.log")"
on_exit nbd-client -d /dev/nbd0

# Requests a second: iops DEV READ|WRITE
iops() {
    fio --name=iops --filename="$1" --ioengine=libaio --iodepth=32 --rw="rand$2" --bs=4k --direct=1 \
        --numjobs=2 --group_reporting --time_based --runtime="$seconds" --size=32M --output-format=json \
        >"$UBLK_TEST_DIR/fio.json" || fail "fio on $1"
    jq "[.jobs[] | .read.iops + .write.iops] | add | floor" "$UBLK_TEST_DIR/fio.json"
}

for way in read write; do
    ours=0
    theirs=0
    for ((i = 0; i < rounds; i++)); do
        ours=$((ours + $(iops "$dev" "$way")))
        theirs=$((theirs + $(iops /dev/nbd0 "$way")))
    done
    ((theirs > 0 && ours > 0)) || fail "no I/O: $ours and $theirs"
    figure "4k rand$way: $((ours / rounds)) IOPS, the kernel's client $((theirs / rounds))," \
        "$((ours * 100 / theirs)) %"
done
del_dev "$dev"
nbd-client -d /dev/nbd0 >/dev/null
stop_nbdkit KILL
