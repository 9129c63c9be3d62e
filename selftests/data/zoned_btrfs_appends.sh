#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# btrfs on a zoned disk, whose data it appends: files have what was written, before and after the disk
# was detached and attached again, and btrfs finds no fault.
# modes: ram+user file+user
# timeout: 400
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/zoned.sh"
require_program mkfs.btrfs

modprobe btrfs || skip "this kernel has no btrfs"
files=$UBLK_TEST_DIR/mnt
dev=$(add_zoned size=512M zone-size=16M zone-capacity=14M --queues 2)
number=$(device_number "$dev")
trace=$(new_trace append)
# A kernel that has no letters for an append says N.
trace_event "$trace" block/block_rq_issue "dev == $((${number%:*} << 20 | ${number#*:})) \
    && nr_sector > 0 && (rwbs ~ \"N*\" || rwbs ~ \"ZA*\")"

mkfs.btrfs -q -O zoned -d single -m single "$dev"
mount_dev "$dev" "$files"
noise=$(make_noise noise 24)
cp "$noise" "$files/noise"
# No fsync while others write: btrfs of 7.3 may answer it with EAGAIN, on null_blk's zones, too.
fio --directory="$files" --name=file --numjobs=2 --ioengine=psync --rw=randwrite --bsrange=4k-64k \
    --size=6M --verify=crc32c --do_verify=1 --verify_fatal=1 --eta=never \
    --group_reporting || fail "fio does not verify on btrfs"
sync -f "$files"
[ "$(trace_count "$trace")" -gt 0 ] || fail "nothing was appended"
echo 0 >"$trace/events/block/block_rq_issue/enable"
rm "$files/file.0.0"
cp "$noise" "$files/again"
sync -f "$files"
(cd "$files" && sha256sum noise again file*) >"$UBLK_TEST_DIR/sums"
umount "$files"
btrfs check --readonly "$dev" >"$UBLK_TEST_DIR/check" 2>&1 || fail "$(<"$UBLK_TEST_DIR/check")"

dev=$(attach_again "$dev")
mount_dev "$dev" "$files"
echo 3 >/proc/sys/vm/drop_caches
(cd "$files" && sha256sum --quiet -c "$UBLK_TEST_DIR/sums") || fail "files changed"
cmp "$noise" "$files/again"
btrfs scrub start -B "$files" >"$UBLK_TEST_DIR/scrub" 2>&1 || fail "$(<"$UBLK_TEST_DIR/scrub")"
umount "$files"
