#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A loop device on a disk of the kernel, in whole or by a partition, keeps data; the disk below
# cannot be mounted or served twice meanwhile.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

below=$(make_nullb 0 size=64 memory_backed=1)
dev=$(add_dev loop file="$below" --queues 2)
fio_verify "$dev" --direct=1 --bsrange=512-64k --numjobs=2 --size=4M --offset_increment=4M
run_expect 4 ublkd add loop file="$below"
! mkfs.ext4 -q "$below" || fail "a disk that is served can be formatted"
del_dev "$dev"

# A partition of the kernel's own loop device.
image=$(make_image disk 32M)
printf 'start=2048\n' | sfdisk --quiet "$image"
loop=$(make_loop "$image" --partscan)
wait_until 10 test -b "${loop}p1" || fail "no partition on $loop"
dev=$(add_dev loop file="${loop}p1")
[ "$(blockdev --getsize64 "$dev")" -eq $((31 << 20)) ] || fail "wrong size of a partition"
fio_verify "$dev" --direct=1 --bsrange=512-64k --size=4M
# What is discarded above is a hole in the file below.
before=$(stat -c %b "$image")
blkdiscard "$dev"
cmp <(head -c 4M /dev/zero) <(head -c 4M "$dev") || fail "discarded but not zero"
[ "$(stat -c %b "$image")" -lt "$before" ] || fail "discarding frees nothing below"
del_dev "$dev"
run_expect 4 ublkd add loop file="$image"
