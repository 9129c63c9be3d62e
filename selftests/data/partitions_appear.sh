#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Partitions of a loop device appear when they are made, and again when the device is attached again
# or was partitioned in its file; their data is the right part of the file.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

image=$(make_image disk 64M)
dev=$(add_dev loop file="$image")
sfdisk --quiet "$dev" <<TABLE
label: gpt
start=2048, size=32768
start=34816, size=16384
TABLE
expect_partitions() {
    wait_until 10 test -b "${dev}p2" || fail "${dev}p2 does not appear: $1"
    [ -b "${dev}p1" ] || fail "${dev}p1 is missing: $1"
    [ "$(blockdev --getsz "${dev}p1")" -eq 32768 ] || fail "wrong size of ${dev}p1: $1"
    [ "$(blockdev --getsz "${dev}p2")" -eq 16384 ] || fail "wrong size of ${dev}p2: $1"
}
expect_partitions "just made"
noise=$(make_noise noise 8)
dd if="$noise" of="${dev}p2" bs=1M conv=fsync status=none
del_dev "$dev"
[ ! -e "${dev}p1" ] || fail "${dev}p1 outlives its device"

dev=$(add_dev loop file="$image" --read-only)
expect_partitions "attached again"
cmp "$noise" "${dev}p2" || fail "the partition shows something else"
del_dev "$dev"
cmp "$noise" <(dd if="$image" bs=512 skip=34816 count=16384 status=none) ||
    fail "the partition's data are elsewhere in the file"
