#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A device that is mounted, opened, used as swap, by a partition or by another device is not deleted
# without --force, and del says by whom it is used; it serves on.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

dev=$(add_dev ram size=64M)
# expect_busy WORD: refused, with this word in the reason, and still of use.
expect_busy() {
    run_expect 4 ublkd del "$dev"
    [[ $ERR == *"$1"* && $(wc -l <<<"$ERR") -eq 1 ]] || fail "unexpected message: $ERR"
    dd if="$dev" of=/dev/null bs=4k count=1 iflag=direct status=none || fail "$1: it serves no more"
    [ "$(ublkd show "$dev" --json | jq -r .state)" = live ] || fail "$1: it is not live any more"
}
exec {open}<"$dev"
expect_busy "$$"
exec {open}<&-

mkfs.ext4 -q "$dev"
mount_dev "$dev" "$UBLK_TEST_DIR/mnt"
expect_busy "$UBLK_TEST_DIR/mnt"
# Seen from a process that does not have that mount.
unshare --mount --propagation private bash -c "umount '$UBLK_TEST_DIR/mnt' && ! ublkd del '$dev'" ||
    fail "deleted though it is mounted in another mount namespace"
umount "$UBLK_TEST_DIR/mnt"

mkswap -q "$dev" || mkswap "$dev" >/dev/null
swapon "$dev"
expect_busy swap
swapoff "$dev"

modprobe loop
loop=$(losetup --find --show "$dev")
expect_busy "${loop##*/}"
losetup -d "$loop"

printf 'start=2048\n' | sfdisk --quiet "$dev"
wait_until 10 test -b "${dev}p1" || fail "no partition"
exec {open}<"${dev}p1"
expect_busy "$$"
exec {open}<&-
del_dev "$dev"
