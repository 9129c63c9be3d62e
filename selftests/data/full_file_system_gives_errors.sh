#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# When the file system below a sparse file is full, writes fail, reads still work, and so do writes
# once there is room again.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

truncate -s 16M "$UBLK_TEST_DIR/small.img"
mkfs.ext4 -q "$UBLK_TEST_DIR/small.img"
mount_dev "$(make_loop "$UBLK_TEST_DIR/small.img")" "$UBLK_TEST_DIR/small"
image=$UBLK_TEST_DIR/small/disk
truncate -s 64M "$image"
for direct in yes no; do
    dev=$(add_dev loop file="$image" direct="$direct")
    ! dd if=/dev/zero of="$dev" bs=1M oflag=direct conv=fsync status=none ||
        fail "direct=$direct: 64 MiB fit into 16"
    dd if="$dev" of=/dev/null bs=1M status=none || fail "direct=$direct: it cannot be read"
    blkdiscard "$dev"
    dd if=/dev/urandom of="$dev" bs=1M count=1 oflag=direct conv=fsync status=none ||
        fail "direct=$direct: it cannot be written though there is room again"
    del_dev "$dev"
done
