#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A mounted ext4 on a disk that was resized is grown by resize2fs, and keeps old and new files.
# timeout: 180
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
require_feature UPDATE_SIZE

mnt=$UBLK_TEST_DIR/mnt
old=$(make_noise old 20)
new=$(make_noise new 50)
image=$(make_image disk 32M)
dev=$(add_dev loop file="$image")
mkfs.ext4 -q "$dev"
mount_dev "$dev" "$mnt"
cp "$old" "$mnt/old"
! cp "$new" "$mnt/new" 2>/dev/null || fail "50 MiB fit into a disk of 32 MiB"
rm "$mnt/new"
run_expect 0 ublkd resize "$dev" 128M
resize2fs "$dev" >/dev/null 2>&1 || fail "resize2fs fails"
cp "$new" "$mnt/new" || fail "the new space cannot be used"
umount "$mnt"
fsck.ext4 -fn "$dev" >/dev/null || fail "fsck finds errors"
del_dev "$dev"

dev=$(add_dev loop file="$image")
mount_dev "$dev" "$mnt"
cmp "$old" "$mnt/old" || fail "the old file has changed"
cmp "$new" "$mnt/new" || fail "the new file has changed"
umount "$mnt"
