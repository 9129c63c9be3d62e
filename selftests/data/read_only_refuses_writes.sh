#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A read-only device can be read and mounted, refuses writes, discards and zeroing, and its file
# keeps every byte.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

image=$(make_image disk 16M)
mkfs.ext4 -q "$image"
sum=$(sha256sum <"$image")
dev=$(add_dev loop file="$image" --read-only)
[ "$(blockdev --getro "$dev")" -eq 1 ] || fail "the kernel does not see it as read-only"
cmp "$image" "$dev" || fail "it shows something else"
! dd if=/dev/urandom of="$dev" bs=4k count=1 oflag=direct status=none || fail "it can be written"
! blkdiscard "$dev" || fail "it can be discarded"
! blkdiscard --zeroout "$dev" || fail "it can be zeroed"
if blockdev --setrw "$dev"; then echo "# the kernel believes in --setrw"; fi
! dd if=/dev/urandom of="$dev" bs=4k count=1 oflag=direct status=none ||
    fail "it can be written after blockdev --setrw"
mount_dev "$dev" "$UBLK_TEST_DIR/mnt" -o ro
ls "$UBLK_TEST_DIR/mnt/lost+found"
umount "$UBLK_TEST_DIR/mnt"
del_dev "$dev"
[ "$(sha256sum <"$image")" = "$sum" ] || fail "the file has changed"

# A file that may not be written needs nothing else.
chattr +i "$image"
on_exit chattr -i "$image"
dev=$(add_dev loop file="$image" --read-only)
cmp "$image" "$dev" || fail "it shows something else"
del_dev "$dev"
