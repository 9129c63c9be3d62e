#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The disk does at least 0.9 times the I/O that fio does with librbd itself, one after the other in turns,
# each with an image of its own.
# timeout: 600
source "$(dirname "$0")/../../lib.sh"
source "$(dirname "$0")/../../lib/io.sh"
source "$(dirname "$0")/../../lib/cluster.sh"

ROUNDS=3 SECONDS_EACH=${UBLK_TEST_RBD_SECONDS:-8}
load=(--rw=randread --bs=4k --iodepth=64 --time_based --runtime="$SECONDS_EACH" --ramp_time=1
    --group_reporting --output-format=json)

# I/Os a second: iops NAME OPTION...
iops() {
    local name=$1
    shift
    fio --name="$name" "$@" "${load[@]}" | jq '.jobs[0].read.iops | floor'
}

for image in by-disk by-fio; do
    make_rbd_image "$image" 16M
done
dev=$(add_dev rbd image=by-disk conf="$CEPH_CONF")
dd if=/dev/urandom of="$dev" bs=1M count=16 oflag=direct status=none
fio --name=fill --ioengine=rbd --clientname=admin --pool=rbd --rbdname=by-fio --rw=write --bs=1M --size=16M \
    >/dev/null
disk=0 itself=0
for ((round = 0; round < ROUNDS; round++)); do
    itself=$((itself + $(iops itself --ioengine=rbd --clientname=admin --pool=rbd --rbdname=by-fio --size=16M)))
    disk=$((disk + $(iops disk --ioengine=libaio --direct=1 --filename="$dev")))
done
memory=$(sed -n 's/^VmHWM:[[:space:]]*//p' "/proc/$(server_pid "$dev")/status")
echo "# figure: $((disk / ROUNDS)) I/Os a second, fio with librbd $((itself / ROUNDS)); the server has had $memory"
((10 * disk >= 9 * itself)) || fail "the disk does $disk, fio itself $itself in $ROUNDS rounds"
del_dev "$dev"
