#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A file or disk that another server, the kernel's loop driver or a mount uses: status 4 and one line
# that says what to do. Readers may share.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"

image=$(make_image disk 16M)
dev=$(add_dev loop file="$image")
expect_error 4 "$image" add loop file="$image"
expect_error 4 "$image" add loop file="$image" --read-only
ln "$image" "$image.link"
expect_error 4 "$image.link" add loop file="$image.link"
del_dev "$dev"

dev=$(add_dev loop file="$image" --read-only)
second=$(add_dev loop file="$image" --read-only)
expect_error 4 "$image" add loop file="$image"
del_dev "$second"
del_dev "$dev"

modprobe loop
loop=$(losetup --find --show "$image")
expect_error 4 "$loop" add loop file="$image"
mkfs.ext4 -q "$loop"
mount_dev "$loop" "$UBLK_TEST_DIR/mnt"
expect_error 4 "$loop" add loop file="$loop"
umount "$UBLK_TEST_DIR/mnt"
losetup -d "$loop"
