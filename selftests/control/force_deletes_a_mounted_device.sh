#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# del --force takes a mounted device down within seconds; its users get errors, and umount works.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

image=$(make_image disk 32M)
dev=$(add_dev loop file="$image")
mkfs.ext4 -q "$dev"
mount_dev "$dev" "$UBLK_TEST_DIR/mnt"
echo data >"$UBLK_TEST_DIR/mnt/file"
sync -f "$UBLK_TEST_DIR/mnt"
run_expect 0 timeout 25 ublkd del --force "$dev"
[ ! -e "/sys/block/${dev##*/}" ] || fail "the disk is still there"
umount "$UBLK_TEST_DIR/mnt"
expect_nothing_left
